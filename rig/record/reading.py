"""Reading a run folder: the only door through which analysis sees a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hal.errors import ConfigError, RecordError
from hal.files import parse_json, read
from rig.record.attempts import attempts, truth_lines
from rig.record.canonical import Json
from rig.record.columns import COLUMNS, Column, columns_in, columns_of
from rig.record.frames import FrameReader
from rig.record.journal import RESUMED, Chain, Entry, read_chain
from rig.record.manifest import Manifest
from rig.record.plan import DeviceRecord, RecordedPlan
from rig.record.rows import Row, normal_row
from rig.record.streams import Stream, read_streams, stream_names

RUN_RESUMED = f"run{RESUMED}"


@dataclass(frozen=True)
class RecordedRun:
    """A run folder opened for reading; nothing here writes."""

    path: Path
    manifest: Manifest | None
    """None for a run that was killed before it was sealed."""

    @staticmethod
    def open(path: Path) -> RecordedRun:
        """Open a run folder. Raises ``ConfigError`` when it is absent or is not one."""
        if not path.is_dir():
            raise ConfigError(f"there is no run folder at {path}")
        if not (path / "journal.jsonl").is_file():
            raise ConfigError(f"{path} is not a run folder: it has no journal.jsonl")
        try:
            sealed = (path / "manifest.json").exists()
            return RecordedRun(path, Manifest.read(path / "manifest.json") if sealed else None)
        except RecordError as error:
            raise ConfigError(f"the run folder cannot be used: {error}") from error

    @cached_property
    def chain(self) -> Chain:
        return read_chain(self.path / "journal.jsonl")

    @cached_property
    def cartridge_chains(self) -> dict[str, Chain]:
        """Chain per cartridge, by its identity."""
        found = sorted((self.path / "cartridges").glob("*/journal.jsonl"))
        return {path.parent.name: read_chain(path) for path in found}

    @property
    def opened(self) -> Mapping[str, Json]:
        """Data of the first journal entry: study, seed, software, hashes of the input files."""
        return self.chain.entries[0].data if self.chain.entries else {}

    @cached_property
    def closed(self) -> Mapping[str, Json]:
        """Data of the last ``run.closed``; empty for a run that is not finished, or was resumed since."""
        last = next((e for e in reversed(self.chain.entries) if e.kind in ("run.closed", RUN_RESUMED)), None)
        return last.data if last is not None and last.kind == "run.closed" else {}

    @cached_property
    def versions(self) -> dict[str, Json]:
        """Software that last wrote in this folder, by name."""
        found = [e.data["software"] for e in self.chain.entries if isinstance(e.data.get("software"), dict)]
        return dict(found[-1]) if found and isinstance(found[-1], dict) else {}

    @cached_property
    def study(self) -> dict[str, Any]:
        """``study.toml`` as recorded. Raises ``ConfigError`` when it is absent or damaged."""
        return self.toml("study.toml")

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the trial table: the standard ones, then the measures of the study."""
        return columns_of(self.study)

    def toml(self, name: str) -> dict[str, Any]:
        try:
            return dict(read(self.path / name, name).data)
        except ConfigError as error:
            raise ConfigError(f"the run folder cannot be used: {error}") from error

    @cached_property
    def planned(self) -> tuple[RecordedPlan, ...]:
        path = self.path / "plan.json"
        if not path.exists():
            return ()
        try:
            return tuple(RecordedPlan(**trial) for trial in parse_json(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"the run folder cannot be used: {path} is damaged: {error}") from error

    @cached_property
    def devices(self) -> tuple[DeviceRecord, ...]:
        path = self.path / "devices.json"
        if not path.exists():
            return ()
        try:
            return tuple(DeviceRecord.from_json(device) for device in parse_json(path.read_bytes()))
        except (OSError, ValueError, TypeError, RecordError) as error:
            raise ConfigError(f"the run folder cannot be used: devices.json: {error}") from error

    @cached_property
    def certificates(self) -> tuple[dict[str, Any], ...]:
        """Calibrations that were in force, by identity, as their certificates state them; empty without any."""
        found = []
        for path in sorted((self.path / "calibrations").glob("*.json")):
            try:
                found.append(dict(parse_json(path.read_bytes())["certificate"]))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"the run folder cannot be used: calibrations/{path.name}: {error!r}") from error
        return tuple(found)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Rows of all closed trials, in planned order."""
        try:
            return tuple(read_rows(self.path))
        except RecordError as error:
            raise ConfigError(f"the run folder cannot be used: {error}") from error

    @cached_property
    def simulated(self) -> bool:
        """True unless every device and every row is known to be real: anything else is labelled simulated."""
        devices = [device.identity.simulated for device in self.devices]
        rows = [row["simulated"] is not False for row in self.rows]
        declared = bool(self.opened.get("simulated", True)) or (self.manifest is not None and self.manifest.simulated)
        return declared or not devices or any(devices) or any(rows)

    @cached_property
    def truths(self) -> dict[str, dict[str, Any]]:
        """Simulated truth per trial; empty for a real bench. For scoring and for overlays on figures."""
        try:
            return {name: parse_json(line) for name, line in truth_lines(self.path)}
        except ValueError as error:
            raise ConfigError(f"the run folder cannot be used: truth: {error}") from error

    @cached_property
    def trial_ids(self) -> tuple[str, ...]:
        """Every trial and attempt that left a folder, closed or not: in planned order (by name where the plan cannot be
        read), attempts after them."""
        names = {path.name for path in (self.path / "trials").glob("*") if path.is_dir()}
        try:
            order = [name for name in _planned_order(self.path) if name in names]
        except RecordError:
            order = []
        return (*order, *sorted(names - set(order)))

    def trial(self, trial_id: str) -> RecordedTrial:
        return RecordedTrial(self.path / "trials" / trial_id, trial_id)

    def events(self, trial_id: str) -> tuple[Entry, ...]:
        """Journal entries of one trial, or of one attempt that was set aside, in order."""
        return self.events_by_trial.get(trial_id, ())

    @cached_property
    def events_by_trial(self) -> dict[str, tuple[Entry, ...]]:
        """Journal entries by trial or attempt, in order."""
        found: dict[str, list[Entry]] = {}
        for chain in self.cartridge_chains.values():
            for name, entry in attempts(chain):
                found.setdefault(name, []).append(entry)
        return {name: tuple(entries) for name, entries in found.items()}


@dataclass(frozen=True)
class RecordedTrial:
    """The folder of one trial."""

    folder: Path
    trial_id: str

    @property
    def meta(self) -> dict[str, Any]:
        try:
            data = parse_json((self.folder / "meta.json").read_bytes())
        except (OSError, ValueError) as error:
            raise RecordError(f"trial {self.trial_id}: meta.json: {error}") from error
        return data if isinstance(data, dict) else {}

    def streams(self) -> dict[str, Stream]:
        return read_streams(self.folder)

    @property
    def stream_names(self) -> tuple[str, ...]:
        return stream_names(self.folder)

    def stream(self, name: str) -> Stream | None:
        """One stream, without reading the others; None where the trial has none of that name."""
        return read_streams(self.folder, name).get(name)

    def frames(self) -> FrameReader:
        return FrameReader(self.folder)


def read_rows(run: Path, damaged: list[str] | None = None) -> list[Row]:
    """Rows of all closed trials in planned order (by name where there is no plan), attempts that were set aside after
    them, under their own names.

    Raises ``RecordError`` at the first row that is damaged; with a list ``damaged`` it is named there and left out.
    """
    rows: dict[str, Row] = {}
    try:
        columns = columns_in(run)
    except ConfigError as error:
        if damaged is None:
            raise RecordError(str(error)) from error
        columns = COLUMNS
        damaged.append(str(error))
    for path in sorted((run / "trials").glob("*/row.json")):
        try:
            row = parse_json(path.read_bytes())
            rows[path.parent.name] = normal_row({**row, "trial_id": path.parent.name}, columns)
        except (OSError, ValueError, TypeError, AttributeError, RecordError) as error:
            if damaged is None:
                raise RecordError(f"{path} is damaged: {error}") from error
            damaged.append(f"{path} is damaged: {error}")
    try:
        order = _planned_order(run)
    except RecordError as error:
        if damaged is None:
            raise
        order = []
        damaged.append(str(error))
    return [rows.pop(name) for name in order if name in rows] + [rows[name] for name in sorted(rows)]


def _planned_order(run: Path) -> list[str]:
    """Names of the planned trials; empty without a plan. Raises ``RecordError`` for a damaged one."""
    path = run / "plan.json"
    if not path.exists():
        return []
    try:
        return [str(trial["trial_id"]) for trial in parse_json(path.read_bytes())]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path} is damaged: {error}") from error
