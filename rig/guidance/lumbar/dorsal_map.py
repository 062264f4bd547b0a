"""Nominal dorsal bone as a height map: depth of the posterior-most bone over X and Y of the Phantom frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rig.geometry.registration import Points


@dataclass(frozen=True)
class DorsalMap:
    """Grid of depths; NaN where there is no bone."""

    x0_mm: float
    y0_mm: float
    step_mm: float
    depth_mm: NDArray[np.float64] = field(repr=False)
    """Shape (nx, ny)."""
    structure: NDArray[np.str_] = field(repr=False)
    """Shape (nx, ny), name of the structure, "" where there is no bone."""

    def _index(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
        i = np.round((x - self.x0_mm) / self.step_mm).astype(np.int64)
        j = np.round((y - self.y0_mm) / self.step_mm).astype(np.int64)
        nx, ny = self.depth_mm.shape
        inside = (i >= 0) & (i < nx) & (j >= 0) & (j < ny)
        return np.clip(i, 0, nx - 1), np.clip(j, 0, ny - 1), inside.astype(np.int64)

    def at(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Depth at points (broadcast), NaN outside the map and where there is no bone."""
        i, j, inside = self._index(np.asarray(x_mm), np.asarray(y_mm))
        return np.where(inside == 1, self.depth_mm[i, j], np.nan)

    def names(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> NDArray[np.str_]:
        i, j, inside = self._index(np.asarray(x_mm), np.asarray(y_mm))
        return np.where(inside == 1, self.structure[i, j], "")


def dorsal_map(points: Points, structures: NDArray[np.str_], step_mm: float = 1.0) -> DorsalMap:
    """Map from dorsal surface points, shape (n, 3), and their structure names, shape (n,); the shallowest per cell
    counts.
    """
    names = np.asarray(structures).astype(str)
    low = np.floor(points[:, :2].min(axis=0))
    shape = np.round((points[:, :2].max(axis=0) - low) / step_mm).astype(np.int64) + 1
    ij = np.round((points[:, :2] - low) / step_mm).astype(np.int64)
    depth = np.full(shape, np.nan)
    structure = np.full(shape, "", dtype=names.dtype)
    order = np.argsort(-points[:, 2], kind="stable")
    depth[ij[order, 0], ij[order, 1]] = points[order, 2]
    structure[ij[order, 0], ij[order, 1]] = names[order]
    return DorsalMap(float(low[0]), float(low[1]), step_mm, depth, structure)
