"""Triangles of a closed ``.stl`` file, binary or text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.phantom.mesh import read_mesh

_FEWEST = 4


def read_stl(path: Path) -> NDArray[np.float64]:
    """Shape (triangles, 3, 3), in the unit of the file. Raises ``ConfigError``, also for a surface with holes."""
    mesh = read_mesh(path)
    if len(mesh.faces) < _FEWEST:
        raise ConfigError(f"{path}: has {len(mesh.faces)} triangles; a closed surface has at least {_FEWEST}")
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    if (uses % 2).any():  # every edge belongs to two triangles, else inside and outside have no meaning
        raise ConfigError(f"{path}: the surface is not closed ({int((uses % 2).sum())} open edges)")
    return np.asarray(mesh.vertices_mm[mesh.faces])
