"""Check that the parts of a fitted surface lie where one rigid pose places them.

A rigid fit of a spine that is not the one drawn leaves small residuals: points slide along a smooth surface, and what
does not fit is left out as an outlier. Each part fitted by itself then lies elsewhere than the whole, by as much as the
spine departs from the drawing; what is claimed of a place on it must be at least as wide.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix
from rig.geometry.registration import Points, PosePrior, Surface, apply_transform, fit_to_surface

PART_MM = 34.0
"""Length of a part along the longest extent of the points: a lumbar level."""
LEAST_N = 60
_FEWEST = 3
"""Fewer parts say nothing of their spread."""
_REACH = PosePrior((4.0, 4.0, 4.0), (4.0, 4.0, 4.0))
"""How far a part is let go from the whole [A]."""
_KNOWN_MM = 2.0
"""A part whose own place is known worse than this (3-D) says nothing [A]."""


@dataclass(frozen=True)
class Parts:
    """Parts of a fitted surface."""

    offsets_mm: NDArray[np.float64] = field(repr=False)
    """(k, 3) of each part's middle: fitted alone minus as part of the whole, frame B."""

    @property
    def spread_mm(self) -> float:
        """Standard deviation of a part's place per axis; 0 when too few parts were seen to say."""
        if len(self.offsets_mm) < _FEWEST:
            return 0.0
        return float(np.sqrt((self.offsets_mm**2).sum(axis=1).mean() / 3.0))


def parts_of(points: Points, surface: Surface, AToB: Matrix, *, noise_floor_mm: float = 0.4) -> Parts:
    """Fit each part of points (n, 3, frame A) by itself from the pose of the whole."""
    p = apply_transform(AToB, points)
    centred = p - p.mean(axis=0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    number = ((along - along.min()) // PART_MM).astype(np.int64)
    found = []
    for k in range(int(number.max(initial=-1)) + 1):
        own = points[number == k]
        if len(own) < LEAST_N:
            continue
        fit = fit_to_surface(
            own, surface, AToB, prior=_REACH, start_distance_mm=6.0, min_inliers=LEAST_N // 2,
            noise_floor_mm=noise_floor_mm,
        )  # fmt: skip
        if not np.isfinite(fit.rms_mm) or np.trace(fit.covariance[3:, 3:]) > _KNOWN_MM**2:
            continue
        middle = own.mean(axis=0)
        found.append(apply_transform(fit.AToB, middle) - apply_transform(AToB, middle))
    return Parts(np.array(found).reshape(-1, 3))
