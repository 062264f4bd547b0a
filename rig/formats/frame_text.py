"""Per-frame fields of a sequence as text, turned into times and poses; the same rules for every container."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hal.errors import ConfigError
from hal.links.sequence import SequenceFrame, exact_ns
from hal.types import Matrix

_TRANSFORM = "Transform"
_STATUS = "TransformStatus"


def parse_matrix(text: str) -> Matrix:
    """Sixteen numbers, row by row; raises ``ValueError``."""
    matrix: Matrix = np.array([float(word) for word in text.split()], dtype=np.float64).reshape(4, 4)
    return matrix


def parse_frame(path: Path, index: int, fields: dict[str, str]) -> SequenceFrame:
    """One frame; raises ``ConfigError`` with its number."""
    transforms: dict[str, Matrix] = {}
    invalid: set[str] = set()
    try:
        for key, value in fields.items():
            if key.endswith(_STATUS):
                if value.upper() != "OK":
                    invalid.add(key[: -len(_STATUS)])
            elif key.endswith(_TRANSFORM):
                transforms[key[: -len(_TRANSFORM)]] = parse_matrix(value)
        time_ns = exact_ns(fields["Timestamp"]) if "Timestamp" in fields else None
    except ValueError as error:
        raise ConfigError(f"{path}: frame {index}: a field cannot be read: {error}") from None
    return SequenceFrame(index, time_ns, transforms, frozenset(invalid), fields)
