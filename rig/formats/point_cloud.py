"""Points without names: a table of coordinates, or the points of a Slicer file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hal.errors import ConfigError
from rig.formats.points import read_fiducials
from rig.geometry.registration import Points


def read_points(path: Path) -> Points:
    """Points (n, 3) mm of a table (``x y z`` or ``name x y z``; commas or blanks), ``.fcsv`` or ``.mrk.json`` (as RAS).

    Raises ``ConfigError`` with the line that cannot be read.
    """
    if path.suffix == ".fcsv" or path.name.endswith(".mrk.json"):
        return np.array([point.position for point in read_fiducials(path)], dtype=np.float64).reshape(-1, 3)
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    rows: list[list[float]] = []
    for row, line in enumerate(lines, 1):
        words = line.split("#")[0].replace(",", " ").replace(";", " ").split()
        if not words or (not rows and [w.lower() for w in words[-3:]] in (["x", "y", "z"], ["x_mm", "y_mm", "z_mm"])):
            continue
        try:
            rows.append([float(word) for word in words[-3:]])
        except ValueError:
            rows.append([])
        if len(words) not in (3, 4) or len(rows[-1]) != 3:
            raise ConfigError(f"{path}: line {row}: a point is x y z or name x y z in mm, got {line.strip()!r}")
    if not rows:
        raise ConfigError(f"{path}: holds no points")
    return np.array(rows)
