"""Logs by others of trackers, gauges, balances and pressure sensors: columns become quantities in the rig's units.

Nothing is guessed and nothing is bridged: a cell that is no number, a unit that is not the stated one and a time that
goes back are refused with row and column; a missing reading is missing (NaN), and a gap in time is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hal.errors import ConfigError
from rig.formats.log_cells import LogCells, read_cells
from rig.formats.log_columns import CLOCK, TEXT, ColumnMap, LogColumn
from rig.formats.log_units import factor, spelled

TIME = "time_s"
GAP_STEPS = 5.0
DAY_S = 86_400.0
LARGEST = 1e12
"""Above any reading of a bench in the rig's units; a double still resolves a ten-thousandth there."""
_NUMBER = r"^(?P<number>[-+]? *(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)(?: *(?P<unit>[^0-9 .,+-][^0-9]*))?$"
_HEADER_UNIT = r"[(\[]\s*(?P<unit>[^)\]]+?)\s*[)\]]\s*$"


@dataclass(frozen=True)
class LogGap:
    """A time without readings."""

    start_s: float
    end_s: float
    row: int
    """Of the file, at which readings come again."""


@dataclass(frozen=True)
class DeviceLog:
    """A log that was read."""

    path: Path
    values: Mapping[str, NDArray[np.float64]] = field(repr=False)
    """By name of the quantity, in its unit; NaN where a reading is missing."""
    words: Mapping[str, tuple[str, ...]] = field(repr=False)
    """Columns of text."""
    rows: NDArray[np.int64] = field(repr=False)
    """Row of the file of each reading."""
    gaps: tuple[LogGap, ...]
    missing: Mapping[str, int]
    """How many readings are missing, by quantity."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Gaps and missing readings in words."""
        found = [
            f"no readings from {gap.start_s:g} to {gap.end_s:g} s ({(gap.end_s - gap.start_s) / 60:.1f} min), "
            f"before row {gap.row}"
            for gap in self.gaps
        ]
        found += [f"{n} of {len(self.rows)} readings of {name} are missing" for name, n in self.missing.items() if n]
        return tuple(found)


def read_device_log(path: Path, columns: ColumnMap) -> DeviceLog:
    """Read a CSV file or a spreadsheet by its column map.

    A clock becomes seconds since the first reading; one without a date goes on past midnight. Raises ``ConfigError``
    with file, row and column: no table, unknown column, no number, another unit, a time that goes back or is missing.
    """
    cells = read_cells(path, columns.file)
    values: dict[str, NDArray[np.float64]] = {}
    words: dict[str, tuple[str, ...]] = {}
    for name, column in columns.columns.items():
        at = cells.index(column)
        trimmed = pc.utf8_trim_whitespace(cells.columns[at])
        if column.unit == TEXT:
            words[name] = tuple(trimmed.to_pylist())
            continue
        missing = pc.is_in(trimmed, value_set=pa.array(columns.file.missing, pa.string()))
        must = column.required or name == TIME
        if must and pc.any(missing).as_py():
            raise ConfigError(f"{_place(cells, at, _first(missing))}: is empty, and {name} is needed in every row")
        if column.unit == CLOCK:
            values[name] = _clock(cells, at, trimmed, column.format)
        else:
            values[name] = _numbers(cells, at, trimmed, missing, name, column, columns.file.decimal)
    gaps: tuple[LogGap, ...] = ()
    if TIME in values:
        gaps = _gaps(cells, cells.index(columns.columns[TIME]), values[TIME], columns.gap_s)
    lost = {name: int(np.sum(np.isnan(found))) for name, found in values.items()}
    return DeviceLog(path, values, words, cells.rows, gaps, lost)


def _numbers(
    cells: LogCells,
    at: int,
    trimmed: pa.StringArray,
    missing: pa.BooleanArray,
    name: str,
    column: LogColumn,
    decimal: str,
) -> NDArray[np.float64]:
    unit = spelled(column.unit)
    named = pc.extract_regex(pa.array([cells.names[at]]), _HEADER_UNIT)[0].as_py()
    if named is not None and factor(name, spelled(named["unit"])) is not None and spelled(named["unit"]) != unit:
        raise ConfigError(
            f"{cells.path}: the header says {cells.names[at]!r}, the column map says {column.unit or 'no unit'}"
        )
    text = pc.replace_substring(trimmed, "\u2212", "-")
    if decimal == ",":
        text = pc.replace_substring(text, ",", ".")
    parts = pc.extract_regex(pc.if_else(missing, pa.scalar(None, pa.string()), text), _NUMBER)
    wrong = pc.and_(pc.is_null(parts), pc.invert(missing))
    if pc.any(wrong).as_py():
        k = _first(wrong)
        raise ConfigError(f"{_place(cells, at, k)}: {_shown(trimmed, k)} is no number{_more(wrong)}")
    brought = pc.struct_field(parts, "unit")
    for other in pc.unique(brought).to_pylist():
        if other is not None and other != "" and spelled(other) != unit:
            where = pc.fill_null(pc.equal(brought, other), False)
            k = _first(where)
            stated = f"the column map says {column.unit}" if column.unit else "the column map names no unit"
            raise ConfigError(f"{_place(cells, at, k)}: {_shown(trimmed, k)} is in {other!r}, {stated}{_more(where)}")
    digits = pc.replace_substring(pc.struct_field(parts, "number"), " ", "")
    numbers = pc.cast(pc.if_else(pc.is_null(parts), pa.scalar("nan"), pc.utf8_ltrim(digits, "+")), pa.float64())
    scale = factor(name, unit)
    assert scale is not None, "the column map was checked"
    found: NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False) * scale
    beyond = np.abs(found) > LARGEST
    if np.any(beyond):
        k = int(np.argmax(beyond))
        raise ConfigError(f"{_place(cells, at, k)}: {_shown(trimmed, k)} is larger than any reading can be")
    return found


def _clock(cells: LogCells, at: int, trimmed: pa.StringArray, layout: str) -> NDArray[np.float64]:
    if layout:
        stamps = pc.strptime(trimmed, format=layout, unit="ns", error_is_null=True)
        wrong, wanted = pc.is_null(stamps), layout
    else:
        shape = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?$"
        wrong, wanted = pc.invert(pc.match_substring_regex(trimmed, shape)), "2026-03-01 14:05:00"
        stamps = None
    if not pc.any(wrong).as_py() and stamps is None:
        try:
            stamps = pc.cast(pc.replace_substring(trimmed, "T", " "), pa.timestamp("ns"))
        except pa.ArrowInvalid as error:
            raise ConfigError(f"{cells.path}: column {cells.names[at]!r}: {error}") from None
    if stamps is None or pc.any(wrong).as_py():
        k = _first(wrong)
        raise ConfigError(f"{_place(cells, at, k)}: {_shown(trimmed, k)} is no time as {wanted!r}{_more(wrong)}")
    counts: NDArray[np.int64] = pc.cast(stamps, pa.int64()).to_numpy(zero_copy_only=False)
    seconds: NDArray[np.float64] = (counts - counts[0]) / 1e9
    dated = not layout or any(sign in layout for sign in ("%d", "%j", "%D", "%F", "%s"))
    if not dated:
        seconds = seconds + DAY_S * np.concatenate([[0], np.cumsum(np.diff(seconds) < -DAY_S / 2)])
    return seconds


def _gaps(cells: LogCells, at: int, time_s: NDArray[np.float64], longest_s: float | None) -> tuple[LogGap, ...]:
    steps = np.diff(time_s)
    if np.any(steps < 0.0):
        k = int(np.argmax(steps < 0.0)) + 1
        raise ConfigError(f"{_place(cells, at, k)}: the time goes back by {-steps[k - 1]:g} s")
    forward = steps[steps > 0.0]
    if not len(forward):
        return ()
    longest = GAP_STEPS * float(np.median(forward)) if longest_s is None else longest_s
    found = np.flatnonzero(steps > longest)
    return tuple(LogGap(float(time_s[k]), float(time_s[k + 1]), int(cells.rows[k + 1])) for k in found)


def _first(flags: pa.BooleanArray) -> int:
    return int(pc.index(flags, True).as_py())


def _more(flags: pa.BooleanArray) -> str:
    n = int(pc.sum(flags).as_py()) - 1
    return f" (and {n} more cells)" if n else ""


def _place(cells: LogCells, at: int, k: int) -> str:
    return f"{cells.path}: row {cells.rows[k]}, column {cells.names[at]!r}"


def _shown(column: pa.StringArray, k: int) -> str:
    text = column[k].as_py()
    return repr(text if len(text) <= 40 else text[:37] + "...")
