"""Registration of a phantom by points of its bone surface, with held-out points and a check for a wrong axis.

Uses the robust surface fit of ``rig.geometry.registration``. What that fit cannot say by itself is added here: whether
points left out of the fit lie on the surface, whether other starts lead to the same pose, and whether one measured
axis is out of scale or has the wrong sign. None of these is ever fitted away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.errors import CalibrationRefused
from hal.types import Matrix
from rig.geometry.registration import (
    Points,
    PosePrior,
    Surface,
    SurfaceFit,
    apply_transform,
    fit_to_surface,
    invert_rigid,
    rigid_matrix,
)
from rig.geometry.surface_parts import parts_of
from rig.geometry.uncertain import UncertainTransform

HELD_OUT_EVERY = 5
"""Every fifth point measures the fit and takes no part in it."""
START_SHIFT_MM = 4.0
START_TURN_DEG = 4.0
"""Other starts, about the best knowledge of the pose; the fit must come back from all of them [A]."""
SAME_MM = 0.5
SCALE_SIGMAS = 4.0
MIN_SCALE, MAX_SCALE = 0.01, 0.15
"""A scale error is named when it is 4 standard uncertainties and one percent, and when it is small enough to be one."""
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class SurfaceScale:
    """Scale of one measured axis that would fit best, the pose free."""

    axis: str
    scale: float
    standard_uncertainty: float
    rms_mm: float
    """Root mean square of the inlying points at that scale."""
    inliers: float

    @property
    def sigmas(self) -> float:
        return abs(self.scale - 1.0) / self.standard_uncertainty


@dataclass(frozen=True)
class SurfaceRegistration:
    """Result of ``register_surface``; ``A`` is the frame of the measured points, ``B`` that of the surface."""

    transform: UncertainTransform = field(repr=False)
    rms_mm: float
    """Residual of the points of the fit; not accuracy."""
    held_out_rms_mm: float
    """Root mean square of inlying points that took no part."""
    held_out_inliers: float
    limit_mm: float
    parts_spread_mm: float
    """How far parts of the bone lie beside where the whole puts them, standard deviation per axis; it is in the
    uncertainty."""
    starts_apart_mm: float
    """Largest difference at the points' centre and 50 mm around between the poses that other starts led to."""
    scales: tuple[SurfaceScale, ...]
    targets_mm: Mapping[str, float]
    """Predicted 3-D standard uncertainty at targets given in B."""
    handedness_open: tuple[str, ...]
    """Measured axes that could be reversed and would fit about as well: the shape does not tell (a spine is nearly its
    own mirror image); only fiducials do."""
    from_start_mm: float
    """How far the points' centre moved from the start pose."""
    distances_mm: NDArray[np.float64] = field(repr=False)
    points_n: int

    @property
    def AToB(self) -> Matrix:
        return self.transform.matrix

    def as_json(self) -> dict[str, object]:
        return {
            "ok": True,
            "matrix": self.AToB.tolist(),
            "covariance": self.transform.covariance.tolist(),
            "rms_mm": self.rms_mm,
            "rms_note": "distance of the fitted points from the surface: not accuracy at a target",
            "held_out_rms_mm": self.held_out_rms_mm,
            "held_out_inliers": self.held_out_inliers,
            "limit_mm": self.limit_mm,
            "parts_spread_mm": self.parts_spread_mm,
            "starts_apart_mm": self.starts_apart_mm,
            "axis_scales": [
                {"axis": s.axis, "scale": s.scale, "standard_uncertainty": s.standard_uncertainty} for s in self.scales
            ],
            "predicted_target_sd_mm": dict(self.targets_mm),
            "handedness_open": list(self.handedness_open),
            "from_start_mm": self.from_start_mm,
            "points_n": self.points_n,
        }


def register_surface(
    measured: Points,
    surface: Surface,
    AToB_start: Matrix,
    *,
    point_sd_mm: float,
    correlated_points: float = 20.0,
    prior: PosePrior | None = None,
    targets: Mapping[str, ArrayLike] | None = None,
    noise_floor_mm: float = 0.4,
) -> SurfaceRegistration:
    """Rigid pose that fits measured bone points (n, 3) to a surface.

    ``point_sd_mm``: standard deviation of one bone point across the surface; ``noise_floor_mm``: residuals well below
    it are no outliers (``fit_to_surface``). Raises ``CalibrationRefused`` with code
    ``bad points``, ``fit`` (few points, or an open direction), ``starts`` (the start decides), ``mirrored``,
    ``axis scale`` or ``residual``.
    """
    points = np.asarray(measured, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.all(np.isfinite(points)):
        raise CalibrationRefused("bad points", f"bone points must be finite (n, 3), got {points.shape}")
    held = np.arange(len(points)) % HELD_OUT_EVERY == 0
    used = points[~held]

    def fit(p: Points, start: Matrix) -> SurfaceFit:
        return fit_to_surface(
            p, surface, start, prior=prior, correlated_points=correlated_points, noise_floor_mm=noise_floor_mm
        )

    best = fit(used, AToB_start)
    if not best.ok:
        flipped = _flip_that_fits(used, fit, AToB_start)
        if flipped:
            raise CalibrationRefused(
                "mirrored", f"the bone fits only with axis {flipped} reversed: it has the wrong sign"
            )
        raise CalibrationRefused(
            "fit",
            best.reason,
            advice="Scan more of the bone, from more directions, and state about where it is",
        )
    limit = 2.0 * max(point_sd_mm, 0.1)
    apart = _starts(used, fit, best)
    scales = _scales(used, surface, best, correlated_points, point_sd_mm)
    rest = _distance(points[held], surface, best.AToB)
    inliers = rest < 3.0 * limit
    held_rms = float(np.sqrt(np.mean(rest[inliers] ** 2))) if inliers.any() else float("inf")
    figures: dict[str, object] = {
        "rms_mm": best.rms_mm,
        "held_out_rms_mm": held_rms,
        "held_out_inliers": float(inliers.mean()),
        "starts_apart_mm": apart,
        "limit_mm": limit,
        "scales": {s.axis: s.scale for s in scales},
    }
    poor = held_rms > limit or inliers.mean() < 0.7
    flipped, alike = _mirror(used, fit, best, AToB_start)
    if flipped:
        raise CalibrationRefused(
            "mirrored", f"the bone fits far better with axis {flipped} reversed: it has the wrong sign", figures=figures
        )
    off = [
        s
        for s in scales
        if s.sigmas > SCALE_SIGMAS
        and MIN_SCALE < abs(s.scale - 1.0) < MAX_SCALE
        and s.rms_mm < limit
        and s.inliers >= 0.7
    ]
    if off:
        worst = max(off, key=lambda s: s.sigmas)
        raise CalibrationRefused(
            "axis scale",
            f"measured axis {worst.axis} is out of scale: the bone fits when it is multiplied by "
            f"{worst.scale:.3f} (+-{worst.standard_uncertainty:.3f})",
            advice="Depth: check the speed of sound; across: the pixel pitch",
            figures=figures,
        )
    if poor:
        raise CalibrationRefused(
            "residual",
            f"points left out of the fit lie {held_rms:.2f} mm (rms) from the surface, {inliers.mean():.0%} of "
            f"them within {3 * limit:.1f} mm; {limit:.2f} mm and 70 % are asked for",
            figures=figures,
        )
    if apart > max(SAME_MM, 3.0 * _sd(best)):
        raise CalibrationRefused(
            "starts",
            f"other starts lead to poses {apart:.1f} mm apart: the start decides, not the bone",
            advice="Scan bone of more shape: a spinous process and both laminae",
            figures=figures,
        )
    spread_mm = parts_of(used, surface, best.AToB, noise_floor_mm=noise_floor_mm).spread_mm
    widened = best.covariance.copy()
    widened[3:, 3:] += spread_mm**2 * np.eye(3)
    transform = UncertainTransform.about(best.AToB, widened, best.centre_mm)
    inverse = invert_rigid(best.AToB)
    middle = points.mean(axis=0)
    at = {
        n: transform.point_sd_mm(apply_transform(inverse, np.asarray(p, dtype=np.float64)))
        for n, p in (targets or {}).items()
    }
    return SurfaceRegistration(
        transform,
        best.rms_mm,
        held_rms,
        float(inliers.mean()),
        limit,
        spread_mm,
        apart,
        scales,
        at,
        alike,
        float(np.linalg.norm(apply_transform(best.AToB, middle) - apply_transform(AToB_start, middle))),
        _distance(points, surface, best.AToB),
        len(points),
    )


def _distance(points: Points, surface: Surface, AToB: Matrix) -> NDArray[np.float64]:
    p = apply_transform(AToB, points)
    _, index = surface.tree.query(p)
    away = np.einsum("ij,ij->i", p - surface.points[index], surface.normals[index])
    return np.asarray(np.abs(away), dtype=np.float64)


def _sd(fit: SurfaceFit) -> float:
    return float(np.sqrt(np.linalg.eigvalsh(fit.covariance[3:, 3:])[-1]))


def _starts(used: Points, fit: Callable[[Points, Matrix], SurfaceFit], best: SurfaceFit) -> float:
    """Largest difference between poses reached from four other starts."""
    centre = best.centre_mm
    around = centre + 50.0 * np.vstack([np.zeros(3), np.eye(3)])
    apart = 0.0
    for k, sign in enumerate((1.0, -1.0, 1.0, -1.0)):
        axis = np.roll([1.0, 0.6, -0.4], k) * sign
        axis /= np.linalg.norm(axis)
        turn = rigid_matrix(np.radians(START_TURN_DEG) * axis, np.zeros(3))
        turn[:3, 3] = centre - turn[:3, :3] @ centre + START_SHIFT_MM * np.roll(axis, 1)
        other = fit(used, turn @ best.AToB)
        back = invert_rigid(best.AToB)
        moved = apply_transform(other.AToB, apply_transform(back, around))
        apart = max(apart, float(np.linalg.norm(moved - around, axis=1).max()))
    return apart


def _scales(
    used: Points, surface: Surface, best: SurfaceFit, correlated: float, point_sd_mm: float
) -> tuple[SurfaceScale, ...]:
    """One scale at a time beside the pose, by Gauss-Newton on the tangent planes from the fitted pose."""
    out = []
    centre = used.mean(axis=0)
    for k, axis in enumerate(AXES):
        pose, scale, u = best.AToB.copy(), 1.0, float("inf")
        for _ in range(12):
            stretched = used.copy()
            stretched[:, k] = centre[k] + scale * (used[:, k] - centre[k])
            p = apply_transform(pose, stretched)
            distance, index = surface.tree.query(p)
            normal = surface.normals[index]
            rest = np.einsum("ij,ij->i", p - surface.points[index], normal)
            sd = max(1.4826 * float(np.median(np.abs(rest))), point_sd_mm)
            keep = (np.abs(rest) < 3.0 * sd) & (distance < 10.0)
            along = normal @ pose[:3, k] * (used[:, k] - centre[k])
            middle = p[keep].mean(axis=0)
            jac = np.column_stack([np.cross(p - middle, normal), normal, along])[keep]
            information = jac.T @ jac / (sd**2 * correlated)
            covariance = np.linalg.pinv(information)
            step = -covariance @ (jac.T @ rest[keep]) / (sd**2 * correlated)
            turn = rigid_matrix(step[:3], np.zeros(3))
            turn[:3, 3] = middle - turn[:3, :3] @ middle + step[3:6]
            pose, scale, u = turn @ pose, scale + float(step[6]), float(np.sqrt(covariance[6, 6]))
            if abs(step[6]) < 1e-6:
                break
        if np.isfinite(u) and u > 0 and np.any(np.abs(rest) < 6.0 * point_sd_mm):
            close = np.abs(rest) < 6.0 * point_sd_mm
            out.append(SurfaceScale(axis, scale, u, float(np.sqrt(np.mean(rest[close] ** 2))), float(close.mean())))
    return tuple(out)


def _flip_that_fits(used: Points, fit: Callable[[Points, Matrix], SurfaceFit], AToB_start: Matrix) -> str:
    """Axis whose reversal about the frame's origin lets a fit succeed that fails without; empty: none."""
    for k, axis in enumerate(AXES):
        other = fit(used * np.where(np.arange(3) == k, -1.0, 1.0), AToB_start)
        if other.ok and other.inlier_fraction >= 0.7:
            return axis
    return ""


def _mirror(
    used: Points, fit: Callable[[Points, Matrix], SurfaceFit], best: SurfaceFit, AToB_start: Matrix
) -> tuple[str, tuple[str, ...]]:
    """Axis whose reversal fits far better (empty: none), and the axes whose reversal fits about as well."""
    found, least, alike = "", best.rms_mm, []
    for k, axis in enumerate(AXES):
        for about in (0.0, float(used[:, k].mean())):  # a wrong sign turns about the origin, a wrong frame anywhere
            flipped = used.copy()
            flipped[:, k] = 2.0 * about - used[:, k]
            other = fit(flipped, AToB_start)
            if not other.ok or other.inlier_fraction < best.inlier_fraction - 0.1:
                continue
            if other.rms_mm < min(0.6 * best.rms_mm, least):
                found, least = axis, other.rms_mm
            elif other.rms_mm < 1.3 * best.rms_mm and axis not in alike:
                alike.append(axis)
    return found, tuple(alike)
