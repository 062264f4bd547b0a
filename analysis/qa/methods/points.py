"""Point localisation in the manner of ASTM F2554: one point, orientation of the pointer, distances between points.

Positions in mm. The document sets no limits. Where a part of the chain was tested, only that part was tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist

from analysis.qa.methods.readings import Readings, checked
from analysis.qa.outcome import Figure
from hal.errors import ConfigError
from rig.geometry.registration import fit_rigid


@dataclass(frozen=True)
class SinglePoint:
    """Repeated picks of one point."""

    n: int
    mean_error_mm: tuple[float, float, float]
    accuracy_mm: float
    """Length of the mean error vector, not the mean of the lengths."""
    max_error_mm: float
    span_mm: float
    """Largest distance between two picks."""
    rms_mm: float
    """RMS distance of the picks from their mean."""

    def figures(self) -> tuple[Figure, ...]:
        """Figures of the report; the uncertainty is that of the mean of n picks alone."""
        n, rms = self.n, self.rms_mm
        return (
            Figure("accuracy_mm", "accuracy of one point", self.accuracy_mm, "mm", rms / (3 * n) ** 0.5, n),
            Figure("max_error_mm", "largest error of one pick", self.max_error_mm, "mm", None, n),
            Figure("span_mm", "largest distance between two picks", self.span_mm, "mm", None, n),
            Figure("rms_mm", "RMS distance from the mean", rms, "mm", rms / (6 * n) ** 0.5, n),
        )


@dataclass(frozen=True)
class PointerRotation:
    """One point looked at while the pointer turns about one axis."""

    n: int
    range_deg: float
    span_mm: float
    rms_mm: float
    """RMS distance from where the point was found with the pointer upright."""
    per_deg_mm: float
    """Length of the slope of the position over the angle: a wrong tip calibration shows here."""


@dataclass(frozen=True)
class PointDistances:
    """Distances between all points of a set, measured against true."""

    n: int
    pairs_n: int
    mean_abs_mm: float
    min_mm: float
    max_mm: float
    """Smallest and largest signed error of a distance."""
    rms_mm: float
    scale: float
    """Measured over true distances by least squares through zero."""
    residual_mean_mm: float
    residual_max_mm: float
    residual_rms_mm: float
    """Distances after the best rigid registration."""

    def figures(self) -> tuple[Figure, ...]:
        """Figures of the report; pairs share their points, so no uncertainty is given for them."""
        n, pairs = self.n, self.pairs_n
        return (
            Figure("distance_mean_mm", "mean absolute error of a distance", self.mean_abs_mm, "mm", None, pairs),
            Figure("distance_min_mm", "smallest error of a distance", self.min_mm, "mm", None, pairs),
            Figure("distance_max_mm", "largest error of a distance", self.max_mm, "mm", None, pairs),
            Figure("distance_rms_mm", "RMS error of a distance", self.rms_mm, "mm", None, pairs),
            Figure("scale", "measured distances over true ones", self.scale, "", None, pairs),
            Figure("registration_rms_mm", "RMS residual after registration", self.residual_rms_mm, "mm", None, n),
            Figure("registration_max_mm", "largest residual after registration", self.residual_max_mm, "mm", None, n),
        )


def single_point(picks_mm: ArrayLike, true_mm: ArrayLike) -> SinglePoint:
    """Picks of one point, shape (n, 3), against where it is, shape (3,)."""
    at = checked(picks_mm, (-1, 3), "picks", 2)
    true = checked(true_mm, (3,), "true position")
    error = at.mean(axis=0) - true
    x, y, z = (float(v) for v in error)
    return SinglePoint(
        n=len(at),
        mean_error_mm=(x, y, z),
        accuracy_mm=float(np.linalg.norm(error)),
        max_error_mm=float(np.linalg.norm(at - true, axis=1).max()),
        span_mm=float(pdist(at).max()),
        rms_mm=_rms(at - at.mean(axis=0)),
    )


def pointer_rotation(at_mm: ArrayLike, angle_deg: ArrayLike, upright_mm: ArrayLike) -> PointerRotation:
    """Positions of a point, shape (n, 3), at angles of the pointer, shape (n,), against the mean upright position."""
    at = checked(at_mm, (-1, 3), "positions", 3)
    angle = checked(angle_deg, (len(at),), "angles of the pointer")
    turned = float(np.ptp(angle))
    if turned <= 0.0:
        raise ConfigError("angles of the pointer: the pointer was not turned")
    slope = np.polyfit(angle, at, 1)[0]
    span = float(pdist(at).max())
    rms = _rms(at - checked(upright_mm, (3,), "upright position"))
    return PointerRotation(len(at), turned, span, rms, float(np.linalg.norm(slope)))


def point_distances(measured_mm: ArrayLike, true_mm: ArrayLike) -> PointDistances:
    """All N (N - 1) / 2 distances between N points, and the residuals of the rigid registration; shapes (N, 3)."""
    at = checked(measured_mm, (-1, 3), "measured points", 3)
    true = checked(true_mm, (len(at), 3), "true points")
    found, wanted = pdist(at), pdist(true)
    if wanted.min() <= 0.0:
        raise ConfigError("true points: two of them are the same")
    error = found - wanted
    fit = fit_rigid(at, true)
    if not fit.ok:
        raise ConfigError(f"measured points: {fit.reason}")
    residual = fit.residuals_mm
    return PointDistances(
        n=len(at),
        pairs_n=len(error),
        mean_abs_mm=float(np.abs(error).mean()),
        min_mm=float(error.min()),
        max_mm=float(error.max()),
        rms_mm=float(np.sqrt(np.mean(error**2))),
        scale=float(found @ wanted / (wanted @ wanted)),
        residual_mean_mm=float(residual.mean()),
        residual_max_mm=float(residual.max()),
        residual_rms_mm=float(np.sqrt(np.mean(residual**2))),
    )


def _rms(vectors: Readings) -> float:
    return float(np.sqrt(np.mean(np.sum(vectors**2, axis=1))))
