"""Triangles of an ``.stl`` file, binary or text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEAD_BYTES = 84
_FEWEST = 4


def read_stl(path: Path) -> NDArray[np.float64]:
    """Shape (triangles, 3, 3), in the unit of the file. Raises ``ConfigError``, also for a surface with holes."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    count = int.from_bytes(data[80:84], "little") if len(data) >= _HEAD_BYTES else -1
    if data[:5].lower() == b"solid" and len(data) != _HEAD_BYTES + count * _RECORD.itemsize:
        triangles = _text(path, data)
    elif count <= 0 or len(data) < _HEAD_BYTES + count * _RECORD.itemsize:
        raise ConfigError(f"{path}: is no STL file, or was cut off")
    else:
        triangles = np.frombuffer(data, _RECORD, count, _HEAD_BYTES)["corners"].astype(np.float64)
    if len(triangles) < _FEWEST:
        raise ConfigError(f"{path}: has {len(triangles)} triangles; a closed surface has at least {_FEWEST}")
    if not np.all(np.isfinite(triangles)):
        raise ConfigError(f"{path}: has corners that are no numbers")
    _closed(path, triangles)
    return triangles


def _text(path: Path, data: bytes) -> NDArray[np.float64]:
    try:
        words = data.decode("ascii").split()
        corners = [[float(words[n + k]) for k in (1, 2, 3)] for n, word in enumerate(words) if word == "vertex"]
        return np.array(corners, dtype=np.float64).reshape(-1, 3, 3)
    except (UnicodeDecodeError, ValueError, IndexError) as error:
        raise ConfigError(f"{path}: is no STL file, or was cut off: {error}") from None


def _closed(path: Path, triangles: NDArray[np.float64]) -> None:
    """Every edge must belong to two triangles, else inside and outside have no meaning."""
    _, corner = np.unique(triangles.reshape(-1, 3), axis=0, return_inverse=True)
    faces = corner.reshape(-1, 3)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, uses = np.unique(edges[edges[:, 0] != edges[:, 1]], axis=0, return_counts=True)
    if (uses % 2).any():
        raise ConfigError(f"{path}: the surface is not closed ({int((uses % 2).sum())} open edges)")
