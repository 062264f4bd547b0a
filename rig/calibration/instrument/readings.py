"""Table of known and read tips: the input of the qualification of a reference instrument.

A CSV file, one reading a line, ``#`` begins a remark. Tips in one frame (that of the jig or the coordinate machine),
mm. ``deflection_*``: true tip minus the tip of the same needle if it were straight. ``depth_mm``: tip below the skin.
``in_gel``: yes or no. ``true_u_mm`` may be left out: standard uncertainty of a known tip, per axis.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hal.errors import ConfigError
from hal.types import Vector
from rig.calibration.instrument.qualification import TipReading
from rig.instruments.sights import STUCK_STEP_MM, stuck

COLUMNS = (
    "true_x_mm", "true_y_mm", "true_z_mm", "read_x_mm", "read_y_mm", "read_z_mm", "depth_mm",
    "deflection_x_mm", "deflection_y_mm", "deflection_z_mm", "in_gel",
)  # fmt: skip
KNOWN_U = "true_u_mm"
MARK = "# simulated"
"""A line that labels the whole table as made with a simulated rig."""
YES, NO = frozenset({"yes", "true", "1"}), frozenset({"no", "false", "0"})
LARGEST_MM = 10_000.0
"""Beyond it a coordinate is in another unit, or mistyped [A]."""

TEMPLATE = """\
# Readings of a reference instrument: a needle held at known tips in gel at the depth of the targets, and read.
# All lengths in mm, all tips in one frame (of the jig or the coordinate machine). One reading a line.
# true_*: the known tip.  read_*: what the instrument says.  depth_mm: tip below the skin.
# deflection_*: known tip minus the tip of the same needle if it were straight (0 0 0 for a straight one).
# in_gel: yes or no.  true_u_mm: standard uncertainty of the known tip, per axis (the same in every line).
# At least 10 straight readings; 6 bent ones to show that bending is seen. The lines below are examples: replace them.
true_x_mm,true_y_mm,true_z_mm,read_x_mm,read_y_mm,read_z_mm,depth_mm,deflection_x_mm,deflection_y_mm,deflection_z_mm,in_gel,true_u_mm
12.00,4.00,52.00,12.21,3.87,52.14,52.0,0.00,0.00,0.00,yes,0.05
-8.50,10.20,55.30,-8.42,10.31,55.02,55.3,3.20,0.00,-0.10,yes,0.05
"""


@dataclass(frozen=True)
class Readings:
    """A table as read."""

    rows: tuple[TipReading, ...]
    known_u_mm: float | None
    """Standard uncertainty of the known tips, per axis; None when the table does not say."""
    simulated: bool


def write_template(path: Path) -> None:
    """A table to fill in; raises ``ConfigError`` when the file exists or cannot be written."""
    try:
        with path.open("x") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise ConfigError(f"{path}: exists; a template is not written over it") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def read_readings(path: Path) -> Readings:
    """Read a table; raises ``ConfigError`` with file, line and column."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    simulated = any(line.strip().lower().startswith(MARK) for line in lines)
    used = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if not used:
        raise ConfigError(f"{path}: is empty; phantomrig calibrate instrument --template FILE writes an example")
    header = [name.strip() for name in next(csv.reader([used[0][1]]))]
    missing = [name for name in COLUMNS if name not in header]
    doubled = sorted({name for name in header if header.count(name) > 1})
    if missing or doubled:
        what = f"lacks the columns {', '.join(missing)}" if missing else f"has twice the columns {', '.join(doubled)}"
        raise ConfigError(f"{path}: line {used[0][0]}: the header {what}")
    rows, stated = [], set()
    for number, line in used[1:]:
        values = next(csv.reader([line]))
        if len(values) != len(header):
            raise ConfigError(f"{path}: line {number}: {len(values)} values for {len(header)} columns")
        row = {name: value.strip() for name, value in zip(header, values, strict=True)}
        where = f"{path}: line {number}"
        rows.append(_reading(row, where))
        if row.get(KNOWN_U):
            stated.add(_number(row, KNOWN_U, where))
    _refuse_frozen(rows, path)
    if len(stated) > 1 or any(u <= 0.0 for u in stated):
        raise ConfigError(f"{path}: {KNOWN_U} must be one number > 0 in every line, got {sorted(stated)}")
    return Readings(tuple(rows), stated.pop() if stated else None, simulated)


def _refuse_frozen(rows: Sequence[TipReading], path: Path) -> None:
    """Refuse an instrument that shows one place for two known tips: it was not read anew."""
    for n, (one, two) in enumerate(itertools.pairwise(rows), 1):
        apart_mm = float(np.linalg.norm(one.true_mm - two.true_mm))
        if apart_mm > STUCK_STEP_MM and stuck(one.read_mm, two.read_mm):
            raise ConfigError(
                f"{path}: readings {n} and {n + 1} show the tip at one and the same place, the known tips lie "
                f"{apart_mm:.1f} mm apart: the instrument repeats an old reading, or a line was copied"
            )


def _reading(row: Mapping[str, str], where: str) -> TipReading:
    word = row["in_gel"].lower()
    if word not in YES | NO:
        raise ConfigError(f"{where}: in_gel {row['in_gel']!r} is neither yes nor no")
    depth = _number(row, "depth_mm", where)
    if depth < 0.0:
        raise ConfigError(f"{where}: depth_mm {depth:g} lies above the skin; depth is positive below it")
    return TipReading(
        _three(row, "true", where), _three(row, "read", where), depth, _three(row, "deflection", where), word in YES
    )


def _three(row: Mapping[str, str], name: str, where: str) -> Vector:
    return np.array([_number(row, f"{name}_{axis}_mm", where) for axis in "xyz"])


def _number(row: Mapping[str, str], name: str, where: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        raise ConfigError(f"{where}: {name} {row[name]!r} is no number (decimal point, no unit)") from None
    if not math.isfinite(value) or abs(value) > LARGEST_MM:
        raise ConfigError(f"{where}: {name} {row[name]!r} is no length in mm")
    return value
