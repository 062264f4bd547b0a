"""Slicer's ``.tfm``: linear transforms as ITK text.

Slicer shows ``AToB`` in RAS; the file holds the resampling transform, its **inverse in LPS**:
``AToB = F inv(file) F`` with ``F = diag(-1, -1, 1, 1)``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hal.errors import ConfigError
from hal.types import Matrix
from rig.record.appendfile import write_whole

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
_LINEAR = ("AffineTransform_double_3_3", "AffineTransform_float_3_3", "MatrixOffsetTransformBase_double_3_3")


def write_tfm(path: Path, AToB: Matrix) -> Path:
    """Write one transform (RAS, mm); raises ``ConfigError`` when it cannot be inverted."""
    if AToB.shape != (4, 4) or not np.all(np.isfinite(AToB)) or abs(np.linalg.det(AToB[:3, :3])) < 1e-12:
        raise ConfigError(f"{path.name}: the transform is not an invertible 4x4 matrix")
    inverse = _FLIP @ np.linalg.inv(AToB) @ _FLIP
    numbers = [*inverse[:3, :3].ravel(), *inverse[:3, 3]]
    text = (
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {' '.join(repr(float(n) + 0.0) for n in numbers)}\nFixedParameters: 0 0 0\n"
    )
    write_whole(path, text.encode("ascii"))
    return path


def read_tfm(path: Path) -> Matrix:
    """``AToB`` in RAS, mm. Raises ``ConfigError`` for files with other than one linear transform."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if not lines or not lines[0].startswith("#Insight Transform File"):
        raise ConfigError(f"{path}: is no ITK transform file")
    fields: dict[str, list[str]] = {}
    for line in lines[1:]:
        if not line.startswith("#") and ":" in line:
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), []).append(value.strip())
    if len(fields.get("Transform", [])) != 1:
        raise ConfigError(f"{path}: holds {len(fields.get('Transform', []))} transforms; one is expected")
    kind = fields["Transform"][0]
    if kind not in _LINEAR:
        raise ConfigError(f"{path}: {kind} is not read; known: {', '.join(_LINEAR)}")
    try:
        parameters = np.array([float(word) for word in fields["Parameters"][0].split()])
        centre = np.array([float(word) for word in fields.get("FixedParameters", ["0 0 0"])[0].split()])
        rotation, shift = parameters.reshape(4, 3)[:3], parameters[9:]
        if len(fields["Parameters"]) != 1 or centre.shape != (3,) or not np.isfinite([*parameters, *centre]).all():
            raise ValueError("twelve finite numbers and a centre of three, each given once, are needed")
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{path}: its parameters cannot be read: {error}") from None
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = shift + centre - rotation @ centre  # ITK turns about the centre
    if abs(np.linalg.det(rotation)) < 1e-12:
        raise ConfigError(f"{path}: its matrix cannot be inverted")
    result: Matrix = _FLIP @ np.linalg.inv(matrix) @ _FLIP
    return result
