"""The rule ``tip_confirmed``, which decides whether the needle may be advanced.

The tip is confirmed when an independent view of it agrees with the predicted tip within ``agree_mm``. A confirmation
of a tip that is somewhere else is the worst error of the rig, so each method has its own reasons to abstain; the
classic one
is a needle that leaves the slice: its visible end is dimmer and short of the tip.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix, Vector
from rig.geometry.registration import apply_transform, invert_rigid
from rig.guidance.bending import TipPrediction
from rig.guidance.needle import NeedleView
from rig.guidance.needle_crossing import elevation_from_sweep
from rig.guidance.needle_fan import FanTip
from rig.guidance.needle_motion import FluidView, MotionView


class Method(enum.Enum):
    """Method that confirmed the tip, in the order of preference."""

    DIRECT = "direct"
    MOTION = "motion"
    FLUID = "fluid"
    NONE = "none"


@dataclass(frozen=True)
class ConfirmationLimits:
    """Numbers of the rule.

    Unless a source stands beside it, a number was tuned on simulated frames of the seeds 100-112 [A].
    """

    agree_mm: float = 2.0
    """Image estimate to predicted tip, in the image plane (``design.md``)."""
    short_mm: float = 1.25
    """How far the visible end may fall short of the predicted tip: more smells of a slice exit."""
    long_mm: float = 1.5
    max_plane_offset_mm: float = 2.0
    """Predicted distance of the tip from the image plane."""
    max_plane_angle_deg: float = 8.0
    min_seen_mm: float = 6.0
    min_end_ratio: float = 0.62
    """Contrast of the last 3 mm over that of the shaft."""
    min_end_grey: float = 24.0
    min_end_drop: float = 26.0
    """Contrast step at the seen end: one speckle is about 24 grey."""
    plain_grey: float = 38.0
    """End contrast and drop that a frame without reference needs: 1.5 x the spread of speckle."""
    max_onward: float = 0.25
    """Share of the shaft's contrast that may go on beyond the seen end."""
    shallow_mm: float = 30.0
    """Nearer to the face the slice is thick (about 3 mm): a needle beside the plane still shows, only dimmer."""
    shallow_end_grey: float = 40.0
    shallow_change_grey: float = 24.0
    min_fluid_area: float = 0.6
    """Area of a patch over the central section of a sphere of that volume, for a confirmation from one plane."""
    max_fluid_at_end: float = 0.5
    """Patch at the end of a sweep over the largest."""
    max_sd_mm: float = 1.0
    elevation_sd_mm: float = 1.0
    """Standard deviation, across the plane, of a needle that is seen (slice of about 2 mm)."""
    max_beside_mm: float = 1.0
    """How far a sweep may find the tip beside the working plane: half of that slice."""
    max_prediction_sd_mm: float = 3.0


@dataclass(frozen=True)
class Confirmation:
    """Answer of the rule."""

    confirmed: bool
    method: Method
    reason: str
    tip_rig_mm: Vector = field(repr=False)
    """Best estimate of the tip: view and prediction weighed; the prediction alone when not confirmed."""
    covariance: NDArray[np.float64] = field(repr=False)
    distance_mm: float
    """View to prediction, in the image plane; NaN without a view."""
    seen_covariance: NDArray[np.float64] | None = field(repr=False, default=None)
    """Covariance of the view alone, before it is weighed with the prediction; None when not confirmed."""

    @property
    def uncertainty_mm(self) -> float:
        """Largest standard deviation in any direction."""
        return float(np.sqrt(np.max(np.linalg.eigvalsh(self.covariance))))


def _fuse(
    prediction: TipPrediction, seen_mm: Vector, seen_covariance: NDArray[np.float64]
) -> tuple[Vector, NDArray[np.float64]]:
    prior = prediction.covariance + 1e-4 * np.eye(3)
    gain = prior @ np.linalg.inv(prior + seen_covariance)
    return prediction.tip_mm + gain @ (seen_mm - prediction.tip_mm), (np.eye(3) - gain) @ prior


def _covariance(
    along: Vector, normal: Vector, sd_along: float, sd_across: float, sd_normal: float
) -> NDArray[np.float64]:
    across = np.cross(normal, along)
    return np.asarray(sd_along**2 * np.outer(along, along) + sd_across**2 * np.outer(across, across)
                      + sd_normal**2 * np.outer(normal, normal))  # fmt: skip


def _none(prediction: TipPrediction, reason: str, distance: float = float("nan")) -> Confirmation:
    return Confirmation(False, Method.NONE, reason, prediction.tip_mm, prediction.covariance, distance)


def _range_mm(point_rig_mm: Vector, ProbeToRig: Matrix) -> float:
    """Depth of a point below the transducer face."""
    return float((point_rig_mm - ProbeToRig[:3, 3]) @ ProbeToRig[:3, 2])


def confirm_direct(
    prediction: TipPrediction, view: NeedleView, ProbeToRig: Matrix, limits: ConfirmationLimits | None = None
) -> Confirmation:
    """Direct view of an in-plane needle."""
    lim = limits or ConfirmationLimits()
    if prediction.sd_mm > lim.max_prediction_sd_mm:
        return _none(prediction, f"the prediction itself is too vague ({prediction.sd_mm:.1f} mm)")
    if not view.found:
        return _none(prediction, view.reason)
    distance = float(np.hypot(view.along_mm, view.across_mm))
    if abs(view.plane_offset_mm) > lim.max_plane_offset_mm:
        return _none(prediction, f"the tip should lie {abs(view.plane_offset_mm):.1f} mm beside the plane", distance)
    if abs(view.plane_angle_deg) > lim.max_plane_angle_deg:
        return _none(prediction, f"the needle crosses the plane at {abs(view.plane_angle_deg):.0f} deg", distance)
    if view.along_mm < -lim.short_mm:
        return _none(prediction, f"the visible end is {-view.along_mm:.1f} mm short of the predicted tip", distance)
    if view.along_mm > lim.long_mm:
        return _none(prediction, f"the bright row runs {view.along_mm:.1f} mm past the predicted tip", distance)
    if distance > lim.agree_mm:
        return _none(
            prediction, f"image and prediction differ by {distance:.1f} mm, limit {lim.agree_mm:.1f}", distance
        )
    if view.seen_length_mm < lim.min_seen_mm:
        return _none(prediction, f"only {view.seen_length_mm:.0f} mm of shaft before the tip", distance)
    if view.end_contrast < max(lim.min_end_grey, lim.min_end_ratio * view.shaft_contrast):
        return _none(prediction, "the end of the needle is dimmer than its shaft: it may have left the slice", distance)
    shallow = _range_mm(view.tip_rig_mm, ProbeToRig) < lim.shallow_mm
    if shallow and view.end_contrast < lim.shallow_end_grey:
        return _none(prediction, "the end is dim, and so near to the face the slice is thick", distance)
    if not view.referenced and min(view.end_contrast, view.end_drop) < lim.plain_grey:
        return _none(prediction, "without a reference frame the end does not stand out enough from speckle", distance)
    if view.onward > lim.max_onward:
        return _none(prediction, "a fainter row goes on beyond the visible end", distance)
    if view.end_drop < lim.min_end_drop:
        return _none(prediction, "the needle has no clear end in the image", distance)
    if max(view.sd_along_mm, view.sd_across_mm) > lim.max_sd_mm:
        return _none(prediction, f"the end is not sharp (sd {view.sd_along_mm:.1f} mm)", distance)
    normal = ProbeToRig[:3, 1]
    spread = _covariance(view.direction_rig, normal, view.sd_along_mm, view.sd_across_mm, lim.elevation_sd_mm)
    tip, covariance = _fuse(prediction, view.tip_rig_mm, spread)
    return Confirmation(True, Method.DIRECT, "", tip, covariance, distance, spread)


def confirm_motion(
    prediction: TipPrediction, motion: MotionView, ProbeToRig: Matrix, limits: ConfirmationLimits | None = None
) -> Confirmation:
    """Confirm by motion: a commanded feed of 0.5-1 mm moved something at the predicted tip."""
    lim = limits or ConfirmationLimits()
    if not motion.found:
        return _none(prediction, motion.reason)
    distance = float(np.hypot(motion.along_mm, motion.across_mm))
    if abs(motion.plane_offset_mm) > lim.max_plane_offset_mm:
        return _none(prediction, f"the tip should lie {abs(motion.plane_offset_mm):.1f} mm beside the plane", distance)
    if distance > lim.agree_mm or motion.along_mm < -lim.short_mm:
        return _none(prediction, f"what moved lies {distance:.1f} mm from the predicted tip", distance)
    if _range_mm(motion.tip_rig_mm, ProbeToRig) < lim.shallow_mm and motion.change_grey < lim.shallow_change_grey:
        return _none(prediction, "what moved is dim, and so near to the face the slice is thick", distance)
    if motion.sd_mm > lim.max_sd_mm:
        return _none(prediction, f"what moved is not compact (sd {motion.sd_mm:.1f} mm)", distance)
    normal = ProbeToRig[:3, 1]
    along = prediction.direction - (prediction.direction @ normal) * normal
    along = along / np.linalg.norm(along)
    spread = _covariance(along, normal, motion.sd_mm, motion.sd_mm, lim.elevation_sd_mm)
    tip, covariance = _fuse(prediction, motion.tip_rig_mm, spread)
    return Confirmation(True, Method.MOTION, "", tip, covariance, distance, spread)


def confirm_motion_sweep(
    prediction: TipPrediction, looks: Sequence[tuple[Matrix, MotionView]], limits: ConfirmationLimits | None = None
) -> Confirmation:
    """Confirm by the same commanded motion in parallel planes: the tip in all three directions.

    ``looks`` are ``(ProbeToRig, view)`` of at least three planes at most 2 mm apart. Two things must hold. The plane
    nearest to the predicted tip must confirm by itself (``confirm_motion``), so that a needle that turned away is not
    found again in a plane far from where it should be. And the change must be strongest within the slice of that plane
    and fall off to both sides: one plane alone takes the shaft of a needle that left the slice for its tip.
    """
    lim = limits or ConfirmationLimits()
    if len(looks) < 3:
        return _none(prediction, f"{len(looks)} planes, 3 needed")
    offsets = [-float(apply_transform(invert_rigid(pose), prediction.tip_mm)[1]) for pose, _ in looks]
    home_pose, home = looks[int(np.argmin(np.abs(offsets)))]
    alone = confirm_motion(prediction, home, home_pose, lim)
    if not alone.confirmed:
        return alone
    greys = [view.change_grey if view.found else 0.0 for _, view in looks]
    elevation = elevation_from_sweep(offsets, greys)
    if not elevation.found:
        return _none(prediction, elevation.reason, alone.distance_mm)
    if sum(grey > 0.0 for grey in greys) < 2:
        return _none(prediction, "only one plane shows the motion: its place across the slice is not known")
    beside = elevation.offset_mm - min(offsets, key=abs)
    if abs(beside) > lim.max_beside_mm:
        return _none(prediction, f"what moved is strongest {abs(beside):.1f} mm beside the working plane")
    best = int(np.argmax(greys))
    pose, view = looks[best]
    normal = pose[:3, 1]
    tip = view.tip_rig_mm + (elevation.offset_mm - offsets[best]) * normal
    distance = float(np.linalg.norm(tip - prediction.tip_mm))
    if distance > lim.agree_mm:
        return _none(prediction, f"what moved lies {distance:.1f} mm from the predicted tip", distance)
    if view.sd_mm > lim.max_sd_mm:
        return _none(prediction, f"what moved is not compact (sd {view.sd_mm:.1f} mm)", distance)
    if elevation.sd_mm > lim.max_sd_mm:
        reason = (
            f"what moved is about as strong in three planes: its place is not certain (sd {elevation.sd_mm:.1f} mm)"
        )
        return _none(prediction, reason, distance)
    along = prediction.direction - (prediction.direction @ normal) * normal
    along = along / np.linalg.norm(along)
    spread = _covariance(along, normal, view.sd_mm, view.sd_mm, max(elevation.sd_mm, 0.2))
    fused, covariance = _fuse(prediction, tip, spread)
    return Confirmation(True, Method.MOTION, "", fused, covariance, distance, spread)


def confirm_fan(prediction: TipPrediction, fan: FanTip, limits: ConfirmationLimits | None = None) -> Confirmation:
    """Confirm that the dot of an out-of-plane needle ends at the predicted tip (a direct view)."""
    lim = limits or ConfirmationLimits()
    if not fan.found:
        return _none(prediction, fan.reason)
    distance = float(np.linalg.norm(fan.tip_rig_mm - prediction.tip_mm))
    if fan.goes_on:
        return _none(
            prediction, "dots go on beyond the place that stays: it may be a bright place of the shaft", distance
        )
    if distance > lim.agree_mm:
        return _none(prediction, f"fan and prediction differ by {distance:.1f} mm, limit {lim.agree_mm:.1f}", distance)
    if max(fan.sd_along_mm, fan.sd_across_mm) > lim.max_sd_mm:
        return _none(prediction, f"the end of the dot is not sharp (sd {fan.sd_along_mm:.1f} mm)", distance)
    along = prediction.direction
    spread = fan.sd_across_mm**2 * (np.eye(3) - np.outer(along, along)) + fan.sd_along_mm**2 * np.outer(along, along)
    tip, covariance = _fuse(prediction, fan.tip_rig_mm, spread)
    return Confirmation(True, Method.DIRECT, "", tip, covariance, distance, spread)


def confirm_fluid(
    prediction: TipPrediction, fluid: FluidView, ProbeToRig: Matrix, limits: ConfirmationLimits | None = None
) -> Confirmation:
    """Confirm by fluid: a test injection made a patch at the predicted tip."""
    lim = limits or ConfirmationLimits()
    if not fluid.found:
        return _none(prediction, fluid.reason, fluid.distance_mm)
    if fluid.distance_mm > lim.agree_mm:
        return _none(prediction, f"the fluid lies {fluid.distance_mm:.1f} mm from the predicted tip", fluid.distance_mm)
    if fluid.area_mm2 < lim.min_fluid_area * fluid.expected_area_mm2:
        return _none(prediction, "the patch is smaller than the volume injected: its middle may lie beside the plane",
                     fluid.distance_mm)  # fmt: skip
    normal = ProbeToRig[:3, 1]
    flat = np.eye(3) - np.outer(normal, normal)
    spread = fluid.sd_mm**2 * flat + (1.5 * fluid.sd_mm) ** 2 * np.outer(normal, normal)
    tip, covariance = _fuse(prediction, fluid.centre_rig_mm, spread)
    return Confirmation(True, Method.FLUID, "", tip, covariance, fluid.distance_mm, spread)


def confirm_fluid_sweep(
    prediction: TipPrediction, looks: Sequence[tuple[Matrix, FluidView]], limits: ConfirmationLimits | None = None
) -> Confirmation:
    """Confirm by the same test injection in at least three parallel planes (frames before and after in each).

    One plane cannot tell a patch beside it from one in it: a bolus of 0.2 mL is 7 mm wide. Its middle over the planes
    can.
    """
    lim = limits or ConfirmationLimits()
    if len(looks) < 3:
        return _none(prediction, f"{len(looks)} planes, 3 needed")
    offsets = np.array([-float(apply_transform(invert_rigid(pose), prediction.tip_mm)[1]) for pose, _ in looks])
    weights = np.array([view.area_mm2 * view.drop_grey if view.found else 0.0 for _, view in looks])
    if not (weights > 0).any():
        return _none(prediction, looks[0][1].reason)
    best = int(np.argmax(weights))
    if best in (int(np.argmin(offsets)), int(np.argmax(offsets))):
        return _none(prediction, "the patch is largest at the end of the sweep: its middle may lie beyond")
    ends = weights[[int(np.argmin(offsets)), int(np.argmax(offsets))]]
    if float(ends.max()) > lim.max_fluid_at_end * float(weights.max()):
        return _none(prediction, "the patch goes on beyond the end of the sweep: its middle is not certain")
    middle = float(weights @ offsets / weights.sum())
    pose, view = looks[best]
    normal = pose[:3, 1]
    tip = view.centre_rig_mm + (middle - offsets[best]) * normal
    distance = float(np.linalg.norm(tip - prediction.tip_mm))
    if distance > lim.agree_mm:
        return _none(prediction, f"the fluid lies {distance:.1f} mm from the predicted tip", distance)
    spread = view.sd_mm**2 * np.eye(3)
    tip, covariance = _fuse(prediction, tip, spread)
    return Confirmation(True, Method.FLUID, "", tip, covariance, distance, spread)


def first_confirmed(answers: list[Confirmation]) -> Confirmation:
    """The first answer that confirms; else the last one, with all reasons joined. Raises ``ValueError`` without
    answers.
    """
    if not answers:
        raise ValueError("no confirmation was tried")
    for answer in answers:
        if answer.confirmed:
            return answer
    last = answers[-1]
    return Confirmation(False, Method.NONE, "; ".join(a.reason for a in answers), last.tip_rig_mm, last.covariance,
                        last.distance_mm)  # fmt: skip
