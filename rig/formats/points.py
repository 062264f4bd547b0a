"""Point lists of Slicer: ``.fcsv`` (markups version 4 and 5) and ``.mrk.json``.

In memory points are RAS, mm. Files of Slicer before 4.11 are RAS, later ones LPS; the header says which, and a
file that does not say so is refused rather than mirrored.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hal.errors import ConfigError
from hal.files import parse_json
from rig.record.appendfile import write_whole

_SIGNS = {"RAS": 1.0, "0": 1.0, "LPS": -1.0, "1": -1.0}
_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
_SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"


@dataclass(frozen=True)
class Fiducial:
    """One named point in RAS, mm."""

    label: str
    position: tuple[float, float, float]
    text: str = ""


def write_fiducials(path: Path, points: Sequence[Fiducial]) -> Path:
    """Write ``.fcsv`` or ``.mrk.json`` (LPS, as Slicer does); raises ``ConfigError`` for another ending."""
    for point in points:
        if not (point.label + point.text).isascii():
            _encodable(path, point)
        if not all(math.isfinite(value) for value in point.position):
            raise ConfigError(f"{path.name}: point {point.label!r} has no finite position")
        if path.suffix == ".fcsv" and any(sign in point.label + point.text for sign in "\r\n\0"):
            raise ConfigError(f"{path.name}: the name of point {point.label!r} holds a line break; use .mrk.json")
    if path.name.endswith(".mrk.json"):
        write_whole(path, _json(points))
    elif path.suffix == ".fcsv":
        write_whole(path, _csv(points))
    else:
        raise ConfigError(f"{path}: points are written as .fcsv or .mrk.json")
    return path


def _encodable(path: Path, point: Fiducial) -> None:
    try:
        (point.label + point.text).encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"{path.name}: the name of point {point.label!r} is no text that a file can hold") from None


def _lps(point: Fiducial) -> tuple[float, float, float]:
    x, y, z = point.position
    return -x + 0.0, -y + 0.0, z


def _csv(points: Sequence[Fiducial]) -> bytes:
    text = io.StringIO()
    text.write(f"# Markups fiducial file version = 5.0\n# CoordinateSystem = LPS\n# columns = {_COLUMNS}\n")
    writer = csv.writer(text, lineterminator="\n")
    for n, point in enumerate(points, 1):
        place = [repr(value) for value in _lps(point)]
        writer.writerow([str(n), *place, 0, 0, 0, 1, 1, 1, 0, point.label, point.text, ""])
    return text.getvalue().encode("utf-8")


def _json(points: Sequence[Fiducial]) -> bytes:
    listed = [
        {
            "id": str(n),
            "label": point.label,
            "description": point.text,
            "associatedNodeID": "",
            "position": list(_lps(point)),
            "orientation": [-1.0, -0.0, -0.0, -0.0, -1.0, -0.0, 0.0, 0.0, 1.0],
            "selected": True,
            "locked": False,
            "visibility": True,
            "positionStatus": "defined",
        }
        for n, point in enumerate(points, 1)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": listed}
    return (json.dumps({"@schema": _SCHEMA, "markups": [markup]}, indent=1, ensure_ascii=False) + "\n").encode()


def read_fiducials(path: Path) -> tuple[Fiducial, ...]:
    """Points of a ``.fcsv`` or ``.mrk.json``, RAS, mm; raises ``ConfigError``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    try:
        return _from_json(text) if path.suffix == ".json" else _from_csv(text)
    except RecursionError:
        raise ConfigError(f"{path}: is no point list that can be read: it is nested too deeply") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, csv.Error) as error:
        raise ConfigError(f"{path}: is no point list that can be read: {error}") from None


def _sign(name: str | None) -> float:
    if name is None or name not in _SIGNS:
        raise ValueError(f"coordinate system {name!r} is not RAS or LPS, so left and right are unknown")
    return _SIGNS[name]


def _point(label: str, xyz: Sequence[float], sign: float, text: str) -> Fiducial:
    x, y, z = (float(value) for value in xyz)
    if not all(math.isfinite(value) for value in (x, y, z)):
        raise ValueError(f"point {label!r} has no finite position")
    return Fiducial(label, (sign * x + 0.0, sign * y + 0.0, z), text)


def _from_csv(text: str) -> tuple[Fiducial, ...]:
    system: str | None = None
    columns = _COLUMNS.split(",")
    rows: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            if key.strip() == "CoordinateSystem":
                system = value.strip()
            elif key.strip() == "columns":
                columns = [name.strip() for name in value.split(",")]
        elif line.strip():
            rows.append(line)
    sign = _sign(system)
    at = {name: columns.index(name) for name in ("x", "y", "z", "label")}
    wordy = columns.index("desc") if "desc" in columns else -1
    found = []
    for row in csv.reader(rows):
        xyz = [float(row[at[axis]]) for axis in ("x", "y", "z")]
        found.append(_point(row[at["label"]], xyz, sign, row[wordy] if 0 <= wordy < len(row) else ""))
    return tuple(found)


def _from_json(text: str) -> tuple[Fiducial, ...]:
    found = []
    for markup in parse_json(text)["markups"]:
        sign = _sign(markup.get("coordinateSystem"))
        if markup.get("coordinateUnits", "mm") not in ("mm", ["mm", "UCUM", "millimeter"]):
            raise ValueError(f"points in {markup['coordinateUnits']!r} instead of mm")
        for point in markup["controlPoints"]:
            if point.get("positionStatus", "defined") == "defined":
                found.append(_point(str(point["label"]), point["position"], sign, str(point.get("description", ""))))
    return tuple(found)
