"""Labelled voxels of the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hal.types import Vector


@dataclass(frozen=True, eq=False)
class LabelVolume:
    """``labels[i, j, k]`` is the material at ``origin_mm + spacing_mm * (i, j, k)`` (voxel centres, Phantom frame).

    C-contiguous uint8, so the depth axis runs fastest. Points outside read as label 0 (couplant).
    """

    labels: NDArray[np.uint8]
    origin_mm: Vector
    spacing_mm: float

    def label_at(self, points_mm: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Labels (n,) at points (n, 3)."""
        points = np.ascontiguousarray(np.atleast_2d(points_mm), dtype=np.float64)
        out: NDArray[np.uint8] = labels_at(self.labels, self.origin_mm, self.spacing_mm, points)
        return out

    def label_at_point(self, x: float, y: float, z: float) -> int:
        """Label at one point, mm."""
        return int(label_at(self.labels, self.origin_mm, self.spacing_mm, x, y, z))

    def index_of(self, point_mm: Vector) -> tuple[int, int, int]:
        """Voxel that holds a point (not clipped to the volume)."""
        i = np.floor((np.asarray(point_mm) - self.origin_mm) / self.spacing_mm + 0.5).astype(int)
        return int(i[0]), int(i[1]), int(i[2])


@njit(cache=True)
def label_at(
    labels: NDArray[np.uint8], origin_mm: NDArray[np.float64], spacing_mm: float, x: float, y: float, z: float
) -> int:
    """Label at one point, for use inside other kernels; 0 outside."""
    i = int(np.floor((x - origin_mm[0]) / spacing_mm + 0.5))
    j = int(np.floor((y - origin_mm[1]) / spacing_mm + 0.5))
    k = int(np.floor((z - origin_mm[2]) / spacing_mm + 0.5))
    if i < 0 or j < 0 or k < 0 or i >= labels.shape[0] or j >= labels.shape[1] or k >= labels.shape[2]:
        return 0
    return int(labels[i, j, k])


@njit(cache=True)
def labels_at(
    labels: NDArray[np.uint8], origin_mm: NDArray[np.float64], spacing_mm: float, points: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """``label_at`` for points (n, 3)."""
    out = np.empty(points.shape[0], dtype=np.uint8)
    for n in range(points.shape[0]):
        out[n] = label_at(labels, origin_mm, spacing_mm, points[n, 0], points[n, 1], points[n, 2])
    return out
