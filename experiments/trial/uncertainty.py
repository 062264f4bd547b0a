"""Record of a trial for its uncertainty budget: one journal entry ``uncertainty`` where the tip of record is
read. Nothing here asks a device or a person, so that the trial goes as without it; combining is analysis.

All vectors and matrices are along the axes of the Phantom frame as registered. What bone and needle share in the image
is kept as the shift of each by every shared parameter (``rig.guidance.common_errors``), never put into a covariance of
single points: a thousand bone points of one gel know its speed of sound no better than one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from experiments.trial.sight import View
from experiments.trial.tip import SeenTip, Tip
from experiments.trial.trial import Trial
from hal.clock import NS_PER_S
from hal.types import Matrix, Vector
from rig.calibration.certificates import stated
from rig.control.controller import Controller
from rig.geometry.transforms import from_pose6
from rig.guidance.bending import Bending
from rig.guidance.common_errors import IMAGE_N, aim_shifts, point_shifts
from rig.guidance.confirmation import Confirmation
from rig.guidance.lumbar.anatomy_fit import BUILD_SD_MM

SPEED_OVER_NS = 40_000_000
"""Over so much time before a frame the probe's speed is taken, two periods of the scan loop."""
NO_PRIOR_MM2 = 1e4
"""Along the needle the carrier's feed is taught by the image (decision 5): it says nothing of its own there."""
CORRELATED_POINTS = 20.0
"""Bone points that share one error, as the registration counts them (``fit_to_surface``)."""


def seen_tip(
    controller: Controller, tip: Tip, answer: Confirmation, feed_mm: float, feed_sd_mm: float
) -> SeenTip | None:
    """A tip confirmed at this feed, with what one look at it is worth; None where the look says nothing of itself."""
    if tip.view is None or answer.seen_covariance is None:
        return None
    return SeenTip(
        answer.tip_rig_mm, one_look(tip.unseen, feed_mm + tip.bias_mm, answer.seen_covariance), tip.view.ProbeToRig,
        _velocity(controller, tip.view, answer.tip_rig_mm), feed_mm, feed_sd_mm, answer.method.value,
    )  # fmt: skip


def one_look(before: Bending, feed_mm: float, seen_mm2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance (3, 3) of a tip by the model before any look and one look together, Rig frame, mm^2."""
    axis = before.line.direction
    prior = before.predict(feed_mm).covariance + NO_PRIOR_MM2 * np.outer(axis, axis) + 1e-6 * np.eye(3)
    return np.asarray(np.linalg.inv(np.linalg.inv(prior) + np.linalg.inv(seen_mm2)))


def _velocity(controller: Controller, view: View, point_rig_mm: Vector) -> Vector:
    """Velocity of a point of the image while it was taken, by the holder's reports, Rig frame, mm/s."""
    HolderToRig = controller.rig.frames.get("Holder", "Rig")
    at = np.linalg.inv(view.ProbeToRig) @ np.append(point_rig_mm, 1.0)
    ends: list[Vector] = []
    for step_ns in (-SPEED_OVER_NS, 0):
        pose: Matrix = HolderToRig @ from_pose6(controller.probe_pose_at(view.frame.time_ns + step_ns))
        ends.append((pose @ at)[:3])
    return np.asarray((ends[1] - ends[0]) / (SPEED_OVER_NS / NS_PER_S))


def write_uncertainty(trial: Trial) -> None:
    """The entry ``uncertainty``: stated inputs, and where the needle was seen how it was seen."""
    rig, config, in_force = trial.controller.rig, trial.controller.rig.config, trial.calibrated
    fit = trial.registration.fit
    image, spread = stated.image_spread(config, in_force)
    aim_mm = trial.target.aim_mm(trial.approach_direction)
    inputs = [
        image,
        stated.speed(config, in_force, trial.imaging.gel.u_m_s),
        stated.latency(in_force),
        stated.holder(in_force),
        *stated.bases(config, in_force),
        stated.instrument(config, in_force, rig.tracker),
        stated.phantom_in_instrument(config, in_force, aim_mm),
    ]
    path_mm = float(aim_mm[2] / trial.approach_direction[2])
    trial.event(
        "uncertainty",
        inputs=[one.as_json() for one in inputs],
        build_sd_mm=BUILD_SD_MM if fit is None else fit.build_sd_mm,
        sees_bending=rig.tracker.sees_bending if rig.tracker is not None else None,
        bending_included=stated.bending_included(in_force),
        expected_deflection_mm=0.5 * abs(trial.needle.curvature_per_mm) * path_mm**2,
        path_mm=path_mm,
        image_spread=spread,
        seen=_seen(trial, aim_mm, spread),
    )


def _seen(trial: Trial, aim_mm: Vector, image_spread: NDArray[np.float64]) -> Mapping[str, object] | None:
    """How aim point and tip were seen; None where no image led the needle."""
    fit, moved_by = trial.registration.fit, trial.registration.moved
    if fit is None or fit.fit is None or moved_by is None or trial.tip.seen is None:
        return None
    tip, bending = trial.tip.seen, trial.tip.bending
    RigToPhantom = np.linalg.inv(trial.registration.PhantomToRig)
    turn = RigToPhantom[:3, :3]
    # Since the tip was confirmed the needle may have been drawn back: known, and added.
    confirmed_mm = tip.feed_mm + trial.tip.bias_mm
    now = bending.predict(confirmed_mm - tip.pulled_back_mm)
    moved = now.tip_mm - bending.predict(confirmed_mm).tip_mm
    tip_mm = (RigToPhantom @ np.append(tip.tip_rig_mm + moved, 1.0))[:3]
    aims = aim_shifts(fit.fit, moved_by, aim_mm)
    tips = turn @ point_shifts(tip.tip_rig_mm, tip.ProbeToRig)
    speed_m_s = trial.imaging.gel.c_m_s
    scale = 1.0 / speed_m_s
    points_n = int(np.count_nonzero(fit.fit.inliers))
    return {
        "tip_minus_aim_mm": tip_mm - aim_mm,
        "method": tip.method,
        "registration_mm2": fit.fit.point_covariance(aim_mm),
        "registration_dof": max(1.0, points_n / CORRELATED_POINTS - 6.0),
        "points_n": points_n,
        "look_mm2": turn @ tip.look_mm2 @ turn.T,
        "elevation_axis": turn @ tip.ProbeToRig[:3, 1],
        "needle_axis": turn @ now.direction,
        "velocity_mm_s": turn @ tip.velocity_mm_s,
        "moved_since_mm": -tip.pulled_back_mm,
        "feed_sd_mm": tip.feed_sd_mm,
        "sound_speed_m_s": speed_m_s,
        "sound_tip_mm_per_m_s": scale * tips[:, IMAGE_N],
        "sound_aim_mm_per_m_s": scale * aims[:, IMAGE_N],
        "sound_depth_u_mm": trial.imaging.depth_u_mm(tip.tip_rig_mm, tip.ProbeToRig),
        "image_shifts": tips[:, :IMAGE_N] - aims[:, :IMAGE_N],
        "image_tip_mm2": _carried(tips[:, :IMAGE_N], image_spread),
    }


def _carried(shifts: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(shifts @ spread @ shifts.T)
