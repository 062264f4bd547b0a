"""Registration of the phantom's anatomy: nominal dorsal bone fitted to the bone that the images show.

Global fit of everything that was seen, started from the counted level and compared with starts one level up and
down, with the same bone scaled up or down, and with the bone turned the wrong way round; then a local fit about
the target, which follows a vertebra that was poured a little off its nominal place. A spine that differs from the
design is refused, or widens what is claimed by as much as its vertebrae lie beside the drawing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hal.types import Matrix, Vector
from rig.geometry.registration import (
    Points,
    PosePrior,
    Surface,
    SurfaceFit,
    apply_transform,
    fit_to_surface,
    invert_rigid,
)
from rig.geometry.surface_parts import parts_of

MAX_POINTS = 1200
BUILD_SD_MM = 0.4
"""Distance of a root from its designed place in the bone around it, per axis (assumed pouring tolerance)."""
MAX_SPREAD_MM = 1.25
"""Vertebrae that lie further than this (standard deviation per axis) beside where one pose puts them are not the drawn
ones: three pouring tolerances. Spines within the tolerance come to 0.5, those 2.5 times beyond it to 1.2 [A]."""
_OTHERS = (0.9, 0.95, 1.05, 1.1)
"""Sizes of another person's spine relative to the design."""
_BETTER = 0.9
"""A spine of another size that leaves less than this share of the cost is the better answer; of spines within the
pouring tolerance none leaves less than 1.4 [A]."""
_NOTHING = 1.3
"""A spine turned the wrong way round must cost this many times as much: else any bone would have fitted. Spines within
the pouring tolerance reach 4.4, those that are refused for another reason 1.3 to 2.4 [A]."""


@dataclass(frozen=True)
class AnatomyFit:
    """Answer of a fit; check ``ok``."""

    ok: bool
    reason: str
    PhantomToRig: Matrix = field(repr=False)
    rms_mm: float
    inlier_fraction: float
    points_n: int
    fit: SurfaceFit | None = field(repr=False, default=None)
    hypotheses: tuple[tuple[float, float], ...] = ()
    """(start shift along Y mm, cost mm) of every start that was tried; the first is the counted level."""
    spread_mm: float = 0.0
    """How far vertebrae lie beside where this fit puts them, standard deviation per axis, as the bone shows it."""
    used: NDArray[np.int64] = field(repr=False, default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Which of the points that were given took part in ``fit``, in its order."""

    def point_sd_mm(self, phantom_point_mm: Vector) -> float:
        """Largest standard deviation (mm) of a mapped phantom point, build tolerance included; infinite without a
        fit.
        """
        if self.fit is None:
            return float("inf")
        fit = self.fit.point_covariance(phantom_point_mm)
        return float(np.sqrt(np.max(np.linalg.eigvalsh(fit)) + self.build_sd_mm**2))

    @property
    def build_sd_mm(self) -> float:
        """Spread of a root about its designed place in the bone, per axis: the tolerance, or more when the bone shows
        it."""
        return max(BUILD_SD_MM, self.spread_mm)


def thin(points: Points, weights: NDArray[np.float64], count: int = MAX_POINTS) -> tuple[Points, NDArray[np.float64]]:
    """At most ``count`` points, evenly spaced."""
    pick = picked(len(points), count)
    return points[pick], weights[pick]


def picked(n: int, count: int = MAX_POINTS) -> NDArray[np.int64]:
    """Indices of at most ``count`` of ``n`` points, evenly spaced."""
    return np.arange(n) if n <= count else np.linspace(0, n - 1, count).astype(np.int64)


def _cost(fit: SurfaceFit, cap_mm: float = 4.0) -> float:
    """Mean capped distance to the surface, all points counted: points without a partner pay the cap."""
    return float(np.mean(np.minimum(fit.distances_mm, cap_mm) * fit.inliers + cap_mm * ~fit.inliers))


def fit_anatomy(
    rig_points: Points,
    surface: Surface,
    PhantomToRig_start: Matrix,
    *,
    weights: NDArray[np.float64] | None = None,
    level_spacing_mm: float = 34.0,
    prior: PosePrior | None = None,
    min_inlier_fraction: float = 0.55,
    max_rms_mm: float = 2.5,
    min_hypothesis_ratio: float = 1.15,
) -> AnatomyFit:
    """Global fit. ``surface`` holds nominal dorsal bone points (Phantom frame, ``make_surface``).

    Refused when too little of the seen bone lies on the model, when a direction is open, or when a start one level
    away ends (nearly) as well at another place.
    """
    w = np.ones(len(rig_points)) if weights is None else weights
    points, w = thin(rig_points, w)
    pose_prior = prior or PosePrior((8.0, 12.0, 10.0), (4.0, 4.0, 4.0))
    tried: list[tuple[float, float, SurfaceFit]] = []
    for shift in (0.0, level_spacing_mm, -level_spacing_mm):
        start = PhantomToRig_start.copy()
        start[1, 3] += shift
        tried.append(
            (shift, float("inf"), fit_to_surface(points, surface, invert_rigid(start), weights=w, prior=pose_prior))
        )
        tried[-1] = (shift, _cost(tried[-1][2]) if np.isfinite(tried[-1][2].rms_mm) else 4.0, tried[-1][2])
    shift, cost, fit = tried[0]
    hypotheses = tuple((s, c) for s, c, _ in tried)
    PhantomToRig = invert_rigid(fit.AToB)
    ok, reason = fit.ok, fit.reason
    if ok and fit.inlier_fraction < min_inlier_fraction:
        ok, reason = False, f"only {fit.inlier_fraction:.0%} of the bone that was seen lies on the model"
    if ok and fit.rms_mm > max_rms_mm:
        ok, reason = False, f"the bone lies {fit.rms_mm:.1f} mm off the model, limit {max_rms_mm:.1f} mm"
    if ok:
        for s, c, other in tried[1:]:
            apart = float(abs(invert_rigid(other.AToB)[1, 3] - PhantomToRig[1, 3]))
            if apart > 10.0 and c < min_hypothesis_ratio * cost:
                ok = False
                reason = f"a start {s:+.0f} mm along the spine fits as well ({c:.2f} against {cost:.2f} mm)"
    spread_mm = 0.0
    if ok:
        spread_mm = parts_of(points, surface, fit.AToB).spread_mm
        reason = _rival(points, w, surface, fit, cost, pose_prior)
        if not reason and spread_mm > MAX_SPREAD_MM:
            reason = (
                f"the vertebrae lie {spread_mm:.1f} mm (sd per axis) beside where one pose of the model puts them, "
                f"limit {MAX_SPREAD_MM:g} mm: the spine differs from the design"
            )
        ok = not reason
    return AnatomyFit(ok, reason, PhantomToRig, fit.rms_mm, fit.inlier_fraction, len(points), fit, hypotheses,
                      spread_mm, picked(len(rig_points)))  # fmt: skip


def _rival(
    points: Points, w: NDArray[np.float64], surface: Surface, fit: SurfaceFit, cost: float, prior: PosePrior
) -> str:
    """Reason why another spine, or no spine at all, explains the bone as well; empty when neither does."""
    middle = surface.points.mean(axis=0)
    about = surface.points - middle

    def cost_with(factors: tuple[float, float, float]) -> float:
        other = Surface(middle + about * factors, surface.normals * np.sign(factors), cKDTree(middle + about * factors))
        return _cost(fit_to_surface(points, other, fit.AToB, weights=w, prior=prior))

    sizes = {size: cost_with((size, size, size)) for size in _OTHERS}
    best = min(sizes, key=lambda size: sizes[size])
    if sizes[best] < _BETTER * cost:
        return (
            f"the same spine scaled by {best:g} fits better ({sizes[best]:.2f} against {cost:.2f} mm): the "
            "spine differs from the design, or the scale of the image is wrong"
        )
    wrong_way = cost_with((-1.0, -1.0, 1.0))
    if wrong_way < _NOTHING * cost:
        return (
            f"the bone fits the model the wrong way round nearly as well ({wrong_way:.2f} against {cost:.2f} mm): what "
            "was seen may be no spine"
        )
    return ""


def refine_level(
    rig_points: Points,
    surface: Surface,
    start: AnatomyFit,
    phantom_centre_mm: Vector,
    *,
    weights: NDArray[np.float64] | None = None,
    radius_mm: float = 28.0,
    prior: PosePrior | None = None,
    max_rms_mm: float = 2.0,
) -> AnatomyFit:
    """Rigid refinement with the bone within ``radius_mm`` (in X and Y) of a point of the phantom, e.g. a target.

    The vertebrae beside a nerve move on their own within the build tolerance; the prior (default 1.5 mm, 2 deg about
    the
    global fit) holds what the local bone cannot see. Falls back to ``start`` with a reason when there is too little
    bone.
    """
    w = np.ones(len(rig_points)) if weights is None else weights
    in_phantom = apply_transform(invert_rigid(start.PhantomToRig), rig_points)
    near = np.hypot(in_phantom[:, 0] - phantom_centre_mm[0], in_phantom[:, 1] - phantom_centre_mm[1]) <= radius_mm
    points, w = thin(rig_points[near], w[near])
    used = np.flatnonzero(near)[picked(int(near.sum()))]
    tight = prior or PosePrior((1.5, 1.5, 1.5), (2.0, 2.0, 2.0))
    RigToPhantom = invert_rigid(start.PhantomToRig)
    fit = fit_to_surface(
        points, surface, RigToPhantom, weights=w, prior=tight, start_distance_mm=5.0, end_distance_mm=2.5
    )
    if not fit.ok or fit.rms_mm > max_rms_mm or fit.inlier_fraction < 0.5:
        reason = fit.reason or f"local fit refused (rms {fit.rms_mm:.1f} mm, {fit.inlier_fraction:.0%} inliers)"
        return AnatomyFit(False, reason, start.PhantomToRig, fit.rms_mm, fit.inlier_fraction, len(points), start.fit,
                          spread_mm=start.spread_mm, used=start.used)  # fmt: skip
    return AnatomyFit(True, "", invert_rigid(fit.AToB), fit.rms_mm, fit.inlier_fraction, len(points), fit,
                      spread_mm=start.spread_mm, used=used)  # fmt: skip


def start_from_shift(shift_mm: tuple[float, float, float]) -> Matrix:
    """``PhantomToRig`` that only translates, e.g. from ``LevelCount.shift_mm``."""
    out = np.eye(4)
    out[:3, 3] = shift_mm
    return out
