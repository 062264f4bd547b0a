"""Named points for the calibration commands, in every format that sites use."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hal.errors import ConfigError

if TYPE_CHECKING:
    from rig.geometry.fiducials import Fiducials

_NAMES = ("name", "label", "point", "landmark")
_AXES = ("x", "y", "z")
_PLAIN = re.compile(r"[A-Za-z0-9_.:+-]+")
SIMULATED_LINE = "# simulated"
"""Labels a points file, as it labels a table of readings: what is made of it is simulated."""


def read_named_points(path: Path) -> Fiducials:
    """Points of a phantom TOML, a table, ``.fcsv``, ``.mrk.json`` (both as RAS, mm) or landmarks of a PLUS ``.xml``.

    A table is ``name x y z`` per line, or has a header that names the columns (``label,x_mm,y_mm,z_mm``; commas,
    semicolons or tabs; decimal commas with semicolons). Raises ``ConfigError`` with the line that cannot be read.
    """
    from rig.geometry.fiducials import Fiducials, read_fiducials

    if path.suffix == ".fcsv" or path.name.endswith(".json"):
        from rig.formats.points import read_fiducials as read_slicer

        rows = [(point.label, point.position) for point in read_slicer(path)]
    elif path.suffix == ".xml":
        rows = _landmarks(path)
    elif path.suffix == ".toml":
        return read_fiducials(path)
    else:
        table = _table(path)
        if table is None:
            return read_fiducials(path)
        rows = table
    if not rows:
        raise ConfigError(f"{path}: holds no points")
    names = [name for name, _ in rows]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ConfigError(f"{path}: point names occur twice: {', '.join(double)}")
    return Fiducials.of(dict(rows))


def write_named_points(path: Path, points: Fiducials, *, simulated: bool) -> None:
    """Write a table that :func:`read_named_points` reads back unchanged, name by name and to the last digit.

    Plain names stand as ``name x y z``; others (``#1``, with blanks or commas) in quotes in a table with commas. Raises
    ``ConfigError`` for a name that no line can hold (before anything is written) and for an unwritable place.
    """
    for name in points.names:
        if not name or name != name.strip() or not name.isprintable():
            raise ConfigError(
                f"{path}: point name {name!r} is empty, begins or ends with a blank, or holds a line break: give it "
                "another name"
            )
    plain = all(_PLAIN.fullmatch(name) and name.lower() not in _NAMES for name in points.names)
    rows = [[repr(float(v)) for v in p] for p in points.points_mm]
    if plain:
        lines = ["name x y z"] + [" ".join([name, *row]) for name, row in zip(points.names, rows, strict=True)]
    else:
        quoted = ['"' + name.replace('"', '""') + '"' for name in points.names]
        lines = ["name,x,y,z"] + [",".join([name, *row]) for name, row in zip(quoted, rows, strict=True)]
    text = f"{SIMULATED_LINE}\n" * simulated + "\n".join(lines) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeEncodeError) as error:
        raise ConfigError(f"{path}: cannot be written: {error}") from None


def labelled_simulated(path: Path) -> bool:
    """True when a remark line of a points file begins with ``# simulated``; raises ``ConfigError`` for no text file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    return any(line.strip().lower().startswith(SIMULATED_LINE) for line in lines)


def _landmarks(path: Path) -> list[tuple[str, tuple[float, float, float]]]:
    from rig.calibration.probe.plus_config import read_plus_config

    phantom = read_plus_config(path).phantom
    if phantom is None or not phantom.landmarks_mm:
        raise ConfigError(f"{path}: defines no phantom with landmarks")
    return list(phantom.landmarks_mm.items())


def _table(path: Path) -> list[tuple[str, tuple[float, float, float]]] | None:
    """Rows of a table whose header names its columns; None when it has no such header."""
    from rig.geometry.fiducials import point_lines

    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    at = next((k for k, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None)
    if at is None:
        return None
    sign = next((c for c in (";", "\t", ",") if c in lines[at]), None)
    if sign is None:
        return None
    head = [word.strip().lower() for word in next(csv.reader([lines[at]], delimiter=sign))]
    columns = {axis: next((k for k, word in enumerate(head) if word in (axis, f"{axis}_mm")), -1) for axis in _AXES}
    name = next((k for k, word in enumerate(head) if word in _NAMES), -1)
    if name < 0 or min(columns.values()) < 0:
        if any(word in (f"{axis}_{unit}" for axis in _AXES for unit in ("m", "cm", "um", "in")) for word in head):
            raise ConfigError(f"{path}: line {at + 1}: lengths must be in mm, the header says {lines[at].strip()!r}")
        return None
    rows = []
    for number, line in point_lines(lines[at + 1 :], first=at + 2, after=False):
        row = next(csv.reader([line], delimiter=sign))
        try:
            x, y, z = (
                float(row[columns[axis]].replace(",", ".") if sign == ";" else row[columns[axis]]) for axis in _AXES
            )
        except (ValueError, IndexError):
            raise ConfigError(
                f"{path}: line {number}: a point is a name and three numbers in mm, got {row!r}"
            ) from None
        unit = row[head.index("unit")].strip() if "unit" in head and head.index("unit") < len(row) else "mm"
        if unit != "mm":
            raise ConfigError(f"{path}: line {number}: lengths must be in mm, got {unit!r}")
        rows.append((row[name].strip(), (x, y, z)))
    return rows
