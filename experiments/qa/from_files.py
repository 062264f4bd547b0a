"""A QA test evaluated from files that others recorded: the same evaluation, record and report as on the rig."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from analysis.qa.acceptance import Acceptance
from analysis.qa.evaluation import Evaluation
from analysis.qa.kinds.registry import evaluation_of
from analysis.qa.recorded import ACCEPTANCE, FINISHED, READ_FILE, READINGS
from analysis.qa.report import make_qa_report
from analysis.qa.verdict import reference_faults
from experiments.qa.conduct import QaRun
from experiments.qa.shipped_files import acceptance_file, acceptance_of
from hal.clock import NS_PER_S, WallClock
from hal.errors import ConfigError
from rig.formats.device_log import TIME, DeviceLog, read_device_log
from rig.formats.log_cells import NoSuchColumn
from rig.formats.log_columns import ColumnMap, LogColumn, read_column_map
from rig.formats.log_units import target
from rig.record import Field, RunFolder, StreamWriter
from rig.record.canonical import sha256_hex
from rig.safety.interrupt import held_off

LATEST_S = 9e9
"""Times are kept as nanoseconds in 64 bits; seconds since 1970 fit well."""
LONGEST_NAME_N = 200
"""Bytes; file systems take 255, and a file being written bears more than its name."""
FILES = "files"
"""Folder of the copies in the run folder."""


def evaluate_files(
    test: str,
    tables: Mapping[str, str | Path],
    columns: Mapping[str, str | Path] | None = None,
    *,
    out: str | Path = "runs",
    simulated: bool = False,
) -> QaRun:
    """Judge readings by others and write the report.

    Args:
        test: name of a shipped acceptance file, or path of one's own (``.toml``).
        tables: file of each table that the test needs (CSV or spreadsheet), by the table's name.
        columns: column map of a table (``.toml``); without one the header has the names of the fields
            (``reading_mm``), in the units of their names, or of the test where a name has none.
        out: folder in which the run gets a folder of its own.
        simulated: the readings come from a simulation; nobody can tell that by the file.

    Raises:
        ConfigError: acceptance file, column map or file cannot be used (with row and column), a table is missing, or
            the reference may not decide a limit. Nothing is written then.
    """
    path, acceptance = acceptance_file(test), acceptance_of(test)
    evaluation = evaluation_of(acceptance.test)
    maps = {} if columns is None else {name: Path(at) for name, at in columns.items()}
    logs = _read(acceptance, evaluation, {name: Path(at) for name, at in tables.items()}, maps)
    copies = {ACCEPTANCE: path.read_bytes()}
    for found in (*(Path(at) for at in tables.values()), *maps.values()):
        copies[f"{FILES}/{found.name}"] = found.read_bytes()
    run = RunFolder.create(
        Path(out),
        f"qa-{acceptance.id}",
        WallClock(),
        seed=0,
        simulated=simulated,
        rooms=(READINGS, FILES),
        files=copies,
    )
    reason = "interrupted"
    streams = StreamWriter(run.path / READINGS)
    try:
        for name, log in logs.items():
            digest = sha256_hex(copies[f"{FILES}/{log.path.name}"])
            run.journal.append(
                READ_FILE, {"table": name, "file": log.path.name, "sha256": digest, "rows_n": len(log.rows),
                            "remarks": list(log.remarks)},
            )  # fmt: skip
            _keep(streams, name, evaluation.tables[name], log)
        reason = FINISHED
    finally:
        with held_off():
            streams.close()
            run.seal(reason)
    return QaRun(run.path, make_qa_report(run.path))


def _read(
    acceptance: Acceptance, evaluation: Evaluation, tables: Mapping[str, Path], maps: Mapping[str, Path]
) -> dict[str, DeviceLog]:
    """Every table, checked before anything is written. Raises ``ConfigError``."""
    wrong = sorted({*tables, *maps} - set(evaluation.tables))
    missing = sorted(set(evaluation.tables) - set(tables))
    if wrong or missing:
        known = "; ".join(
            f"{name} with {', '.join(f.name for f in fields)}" for name, fields in evaluation.tables.items()
        )
        said = f"there is no table {', '.join(wrong)}" if wrong else f"no file was given for {', '.join(missing)}"
        raise ConfigError(f"{acceptance.id}: {said}; the test needs {known}")
    faults = reference_faults(acceptance.reference, acceptance.criteria)
    if faults:
        raise ConfigError("\n".join([f"{acceptance.id}: the reference may not decide this:", *faults]))
    names = [path.name for path in (*tables.values(), *maps.values())]
    longest = max(names, key=lambda name: len(name.encode()))
    if len(longest.encode()) > LONGEST_NAME_N:
        raise ConfigError(f"{longest[:40]}...: the name is too long for a copy in the run folder")
    if len(set(names)) != len(names):
        raise ConfigError(f"two of the files have one name: {', '.join(names)}")
    logs = {}
    for name, path in tables.items():
        try:
            log = read_device_log(path, _columns(evaluation.tables[name], path, maps.get(name)))
        except NoSuchColumn as error:
            wanted = ", ".join(field.name for field in evaluation.tables[name])
            said = "" if name in maps else f"; {name} needs {wanted}, or a column map (--columns {name}=FILE.toml)"
            raise ConfigError(f"{error}{said}") from None
        lacking = [field.name for field in evaluation.tables[name] if field.name not in log.values]
        if lacking:
            raise ConfigError(f"{path.name}: the column map gives no {', '.join(lacking)}")
        if evaluation.timed and name not in evaluation.untimed and TIME not in log.values:
            raise ConfigError(f"{path.name}: has no {TIME}, and figures of {acceptance.test} rest on the times")
        if np.max(np.abs(log.values.get(TIME, 0.0))) > LATEST_S:
            raise ConfigError(f"{path.name}: {TIME} goes beyond {LATEST_S:g} s, which no clock shows")
        logs[name] = log
    return logs


def _columns(fields: tuple[Field, ...], path: Path, stated: Path | None) -> ColumnMap:
    """The user's column map, or the one in which every field has its own name."""
    if stated is not None:
        return read_column_map(stated)
    columns = {
        field.name: LogColumn(column=field.name, unit=field.unit if target(field.name) else "") for field in fields
    }
    with_time = {TIME: LogColumn(column=TIME, unit="s"), **columns}
    return ColumnMap(columns=with_time if _has_time(path) else columns)


def _has_time(path: Path) -> bool:
    """Whether a text file's header has the rig's own time; a spreadsheet needs a column map for it."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return TIME in file.readline()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _keep(streams: StreamWriter, name: str, fields: tuple[Field, ...], log: DeviceLog) -> None:
    """The log as a stream; without times its rows count as one per second, which no figure rests on."""
    streams.declare(name, fields)
    at_s = log.values.get(TIME, np.arange(len(log.rows), dtype=float))
    values = np.column_stack([log.values[field.name] for field in fields])
    for time_s, row in zip(at_s.tolist(), values.tolist(), strict=True):
        streams.sample(name, round(time_s * NS_PER_S), row)
