"""Registration of a phantom by the bone that a probe saw: level first, then the fit, then every reason to doubt it.

``fit_bone`` lays the points on the drawing; ``judge`` refuses what cannot be trusted and says what the rest is worth.
The residual of the fit says whether the bone has the drawing's shape; it is not accuracy at a target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hal.errors import CalibrationRefused
from hal.types import Matrix
from rig.calibration.phantom.bone_points import BonePoints, bone_points
from rig.calibration.phantom.budget import DRAWS_N, NOISE_FLOOR_MM, Budget, Places, Spreads, budget, every_cause
from rig.calibration.phantom.range_scale import RangeScale, range_scale
from rig.calibration.phantom.surface import SurfaceRegistration, register_surface
from rig.calibration.phantom.vertebrae import VertebraResidual, vertebra_residuals
from rig.geometry.registration import (
    Points,
    Surface,
    SurfaceFit,
    apply_transform,
    fit_to_surface,
    invert_rigid,
    make_surface,
)
from rig.geometry.surface_parts import parts_of
from rig.geometry.uncertain import UncertainTransform
from rig.guidance.lumbar.anatomy_fit import MAX_SPREAD_MM, fit_anatomy, start_from_shift
from rig.guidance.lumbar.dorsal_map import DorsalMap, dorsal_map
from rig.guidance.lumbar.level import LevelCount, count_levels
from rig.guidance.panorama import SweepFrame, stitch

POINT_SD_MM = 0.5
"""One bone point against the drawing, across the surface: bone finder 0.3 mm and pouring tolerance 0.4 mm [A]."""
LEAST_POINTS_N = 300
HALF_LEVEL_MM = 17.0
"""A phantom this far along the spine from where the rig file has it is nearer to its neighbour's place."""
AGREE_MM = 9.0
"""The counts on both sides of the spine differ by less; a level is 34 mm."""
HELD_OUT_EVERY = 5
"""Every fifth frame measures the fit and takes no part in that one."""
SCALE_SIGMAS = 3.29
LEAST_SCALE_OFF = 0.01
"""One good registration in a thousand is refused for its scale, as for its residuals (``REFUSE_P``)."""


@dataclass(frozen=True)
class Drawing:
    """The nominal dorsal bone, prepared once."""

    surface: Surface = field(repr=False)
    bones: NDArray[np.str_] = field(repr=False)
    """(points of the surface,) bone of each."""
    dorsal: DorsalMap = field(repr=False)
    places: Places = field(repr=False)


def drawing(points: Points, structures: NDArray[np.str_], places: Places) -> Drawing:
    """From dorsal bone points (n, 3) about 1 mm apart and their names like ``L4.lamina``, Phantom frame."""
    bones = np.array([str(name).split(".")[0] for name in structures])
    return Drawing(make_surface(points), bones, dorsal_map(points, np.asarray(structures)), places)


@dataclass(frozen=True)
class Sweep:
    """Frames of one longitudinal line."""

    x_mm: float
    """Where it runs, nominal Phantom frame."""
    frames: tuple[SweepFrame, ...] = field(repr=False)


@dataclass(frozen=True)
class FittedBone:
    """Bone fitted to the design, not yet judged."""

    points: BonePoints = field(repr=False)
    RigToPhantom: Matrix = field(repr=False)
    NominalToRig: Matrix = field(repr=False)
    hypotheses: tuple[tuple[float, float], ...] = ()
    """(start shift along the spine mm, cost mm): the counted level and its neighbours."""


@dataclass(frozen=True)
class BoneRegistration:
    """Result of ``judge``."""

    transform: UncertainTransform = field(repr=False)
    """``PhantomToRig``."""
    fitted: FittedBone = field(repr=False)
    fit: SurfaceRegistration = field(repr=False)
    budget: Budget = field(repr=False)
    vertebrae: tuple[VertebraResidual, ...]
    scale: RangeScale
    held_out_frames_rms_mm: float
    """Root mean square at the points of frames that took no part in a fit made for this figure."""
    spread_mm: float
    """How far vertebrae lie beside the drawing, standard deviation per axis, as they were seen; the claims are at least
    as wide."""
    from_nominal_mm: float
    """How far the middle of the bone lies from where the rig file had it."""

    @property
    def PhantomToRig(self) -> Matrix:
        return self.transform.matrix

    def as_json(self) -> dict[str, object]:
        return {
            "ok": True,
            "kind": "phantom_registration",
            "method": "surface",
            "matrix": self.PhantomToRig.tolist(),
            "covariance": self.transform.covariance.tolist(),
            "rms_mm": self.fit.rms_mm,
            "rms_note": "distance of the fitted bone from the drawing: not accuracy at a target",
            "held_out_rms_mm": self.fit.held_out_rms_mm,
            "held_out_frames_rms_mm": self.held_out_frames_rms_mm,
            "vertebrae_spread_mm": self.spread_mm,
            "points_n": len(self.fitted.points),
            "frames_n": self.fitted.points.frames_n,
            "level_hypotheses": [{"start_mm": s, "cost_mm": c} for s, c in self.fitted.hypotheses],
            "from_nominal_mm": self.from_nominal_mm,
            "targets": [c.as_json() for c in self.budget.claims],
            "monte_carlo_draws_n": self.budget.draws_n,
            "monte_carlo_failed_n": self.budget.failed_n,
            "vertebrae": [v.as_json() for v in self.vertebrae],
            "range_scale": self.scale.as_json(),
            "axis_scales": [
                {"axis": s.axis, "scale": s.scale, "standard_uncertainty": s.standard_uncertainty}
                for s in self.fit.scales
            ],
            "handedness_open": list(self.fit.handedness_open),
        }


def fit_bone(
    sides: Sequence[Sequence[Sweep]], others: Sequence[SweepFrame], d: Drawing, NominalToRig: Matrix
) -> FittedBone:
    """Count the level on each side, then fit all bone to the design.

    ``sides``: per side of the spine its longitudinal sweeps, the one over the transverse processes first. ``others``:
    further frames. Raises ``CalibrationRefused`` with code ``no bone``, ``level`` or ``fit``; the refusal's ``fitted``
    is what there was.
    """
    every = [frame for side in sides for sweep in side for frame in sweep.frames] + list(others)
    points = bone_points(every).thinned()
    at_start = FittedBone(points, invert_rigid(NominalToRig), NominalToRig)
    if len(points) < LEAST_POINTS_N:
        raise Refused(
            at_start,
            "no bone",
            f"bone was seen at {len(points)} points of {len(every)} frames, {LEAST_POINTS_N} are needed",
            "Look whether the probe touches wet gel, whether depth and gain show the bone, and where the phantom lies",
        )
    counts = [_count(side, d, NominalToRig) for side in sides]
    for count in counts:
        if not count.sure:
            raise Refused(at_start, "level", f"the level is not sure: {count.reason}", "Scan from the sacrum upwards")
    shifts = np.array([count.shift_mm for count in counts])
    if np.ptp(shifts[:, 1]) > AGREE_MM:
        both = " and ".join(f"{s:+.0f}" for s in shifts[:, 1])
        raise Refused(at_start, "level", f"both sides of the spine count to different levels: {both} mm", "Scan again")
    x, y, z = (float(v) for v in shifts.mean(axis=0))
    return fit_bone_from(points, d, NominalToRig, (x, y, z))


def fit_bone_from(
    points: BonePoints, d: Drawing, NominalToRig: Matrix, shift_mm: tuple[float, float, float]
) -> FittedBone:
    """Fit points from a start that is ``shift_mm`` beside the nominal place, against starts a level up and down.

    Raises ``CalibrationRefused`` (``level``, ``fit``).
    """
    fit = fit_anatomy(points.points_mm, d.surface, NominalToRig @ start_from_shift(shift_mm))
    fitted = FittedBone(points, invert_rigid(fit.PhantomToRig), NominalToRig, fit.hypotheses)
    if not fit.ok:
        code = "level" if fit.reason.startswith("a start") else "fit"
        raise Refused(fitted, code, fit.reason, "Scan more of the bone, from the sacrum upwards")
    return fitted


class Refused(CalibrationRefused):
    """A refusal that still has its points, for the picture."""

    def __init__(
        self, fitted: FittedBone, code: str, reason: str, advice: str = "", figures: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(code, reason, advice=advice, figures=figures)
        self.fitted = fitted


def _count(side: Sequence[Sweep], d: Drawing, NominalToRig: Matrix) -> LevelCount:
    back = invert_rigid(NominalToRig)
    placed = [[replace(f, ProbeToRig=back @ f.ProbeToRig) for f in sweep.frames] for sweep in side]
    lines = [stitch(frames, sweep.x_mm) for frames, sweep in zip(placed, side, strict=True)]
    return count_levels(lines, d.dorsal, process_line=0)


def judge(
    fitted: FittedBone, d: Drawing, spreads: Spreads, *, draws_n: int = DRAWS_N, seed: int = 1
) -> BoneRegistration:
    """Judge the fitted bone.

    Raises ``CalibrationRefused``: ``placement`` (half a level or more from the nominal place), ``range scale`` (the
    speed of sound), ``anatomy`` (another spine), and the codes of ``register_surface``.
    """
    points = fitted.points
    middle = points.points_mm.mean(axis=0)
    moved = apply_transform(fitted.NominalToRig @ fitted.RigToPhantom, middle) - middle
    along = float(fitted.NominalToRig[:3, 1] @ moved)
    if abs(along) > HALF_LEVEL_MM:
        raise Refused(
            fitted,
            "placement",
            f"the bone fits {-along:+.0f} mm along the spine from where the rig file has the phantom: a vertebra is "
            "34 mm, so this may be the neighbour",
            "Look at the phantom in its fixture; if it truly lies there, correct PhantomToRig in [frames] and measure "
            "again",
            {"along_mm": -along},
        )
    scale = range_scale(points, fitted.RigToPhantom, d.surface, d.bones, d.places, spreads)
    if scale.sigmas > SCALE_SIGMAS and abs(scale.scale - 1.0) > LEAST_SCALE_OFF:
        raise Refused(
            fitted,
            "range scale",
            f"depth along the beams (image axis y) is out of scale: the bone fits when ranges are multiplied by "
            f"{scale.scale:.3f} (+-{scale.standard_uncertainty:.3f})",
            f"Measure the speed of sound of the gel; as stated it is off by about {100 * (scale.scale - 1):+.1f} %",
            scale.as_json(),
        )
    try:
        fit = register_surface(
            points.points_mm, d.surface, fitted.RigToPhantom, point_sd_mm=POINT_SD_MM, noise_floor_mm=NOISE_FLOOR_MM
        )
    except CalibrationRefused as error:
        raise Refused(fitted, error.code, error.reason, error.advice, error.figures) from None
    pose = fit.AToB
    spread_mm = parts_of(points.points_mm, d.surface, pose, noise_floor_mm=NOISE_FLOOR_MM).spread_mm
    if spread_mm > MAX_SPREAD_MM:
        raise Refused(
            fitted,
            "anatomy",
            f"the vertebrae lie {spread_mm:.1f} mm (sd per axis) beside where one pose of the drawing puts them, limit "
            f"{MAX_SPREAD_MM:g} mm: the spine differs from the design",
            "Is it the phantom of this drawing? A cartridge that was poured so far off is not registered by its bone",
            {"spread_mm": spread_mm},
        )
    wider = max(1.0, spread_mm / spreads.vertebra_mm)
    spreads = replace(spreads, vertebra_mm=wider * spreads.vertebra_mm, vertebra_deg=wider * spreads.vertebra_deg)
    found = budget(
        points, pose, d.surface, bones_at(points, pose, d), d.places, spreads, _Refit(d.surface), draws_n=draws_n,
        seed=seed,
    )  # fmt: skip
    transform = UncertainTransform.about(pose, found.covariance, found.centre_mm).inverse()
    causes = every_cause(points, pose, d.surface, bones_at(points, pose, d), d.places, spreads)
    return BoneRegistration(
        transform,
        replace(fitted, RigToPhantom=pose),
        fit,
        found,
        vertebra_residuals(points, pose, d.surface, bones_at(points, pose, d), causes),
        scale,
        _held_out(points, d.surface, pose),
        spread_mm,
        float(np.linalg.norm(apply_transform(fitted.NominalToRig @ pose, middle) - middle)),
    )


def bones_at(points: BonePoints, RigToPhantom: Matrix, d: Drawing) -> NDArray[np.str_]:
    """(n,) bone of the design on which each point lies."""
    _, index = d.surface.tree.query(apply_transform(RigToPhantom, points.points_mm))
    return np.asarray(d.bones[index])


class _Refit:
    """The fit of the registration, to be repeated: points and start of any frame A."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def __call__(self, points: Points, AToB: Matrix) -> SurfaceFit:
        return fit_to_surface(points, self._surface, AToB, noise_floor_mm=NOISE_FLOOR_MM)


def _held_out(points: BonePoints, surface: Surface, start: Matrix) -> float:
    held = points.frame % HELD_OUT_EVERY == 0
    if held.all() or not held.any():
        return float("nan")
    fit = _Refit(surface)(points.points_mm[~held], start)
    p = apply_transform(fit.AToB, points.points_mm[held])
    _, index = surface.tree.query(p)
    away = np.einsum("ij,ij->i", p - surface.points[index], surface.normals[index])
    close = np.abs(away) < 6.0 * POINT_SD_MM
    return float(np.sqrt(np.mean(away[close] ** 2))) if close.any() else float("inf")
