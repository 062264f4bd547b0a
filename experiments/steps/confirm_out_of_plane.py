"""Out of plane: the needle crosses the image as a dot; planes fanned along it show where the dot ends."""

from __future__ import annotations

import cv2
import numpy as np

from experiments.steps.confirm_prediction import ACQUIRE_MM, predict
from experiments.steps.view_target import pressed
from experiments.trial.sight import View
from experiments.trial.trial import Trial
from hal.types import Matrix, Vector
from rig.guidance.confirmation import Confirmation, confirm_fan
from rig.guidance.fan_planes import FAN_AHEAD_MM, NEAR, Difference, Reach, crossing_pose, planned_fan, tip_of_fan
from rig.guidance.needle_crossing import DotView
from rig.guidance.needle_fan import FanTip
from rig.guidance.needle_line import NeedleLine

FAN_SLACK = 1.4
"""A tip by a fan is off in three dimensions, not along and across a picture: so much more is allowed at first."""
FIRST_SIGHT = Reach(behind_mm=FAN_AHEAD_MM)


def plane_through(trial: Trial, point_rig_mm: Vector) -> Matrix:
    """Probe pose whose image plane holds a point of the needle, face clear of the needle's entry."""
    face = pressed(trial, trial.path.plan.ProbeToRig)
    return crossing_pose(face, trial.path.line, point_rig_mm, trial.technique.advance.fan_tilt_deg)


def show_in_plane(trial: Trial, point_rig_mm: Vector) -> None:
    """Bring the image plane to a point of the needle."""
    trial.sight.move(plane_through(trial, point_rig_mm))


def take_empty_planes(trial: Trial) -> tuple[View, ...]:
    """Before the needle enters: frames of planes that cross the planned needle every millimetre."""
    path, advance = trial.path, trial.technique.advance
    first_mm = max(6.0, advance.superficial_mm - 8.0)
    face = pressed(trial, path.plan.ProbeToRig)
    poses = planned_fan(face, path.line, first_mm, path.plan.feed_mm, advance.fan_tilt_deg)
    return tuple(trial.sight.look(pose, "empty") for pose in poses)


def see_fan(trial: Trial, reach: Reach = NEAR) -> tuple[FanTip, list[DotView]]:
    """Tip and dots of the planes about the predicted tip, each against its own frame without the needle."""
    feed = trial.hand.feed_mm + trial.tip.bias_mm
    prediction = predict(trial)
    # The needle near its tip: its tangent there, with feed counted as the prediction counts it.
    line = NeedleLine(prediction.tip_mm - feed * prediction.direction, prediction.direction)

    def look(index: int) -> Difference:
        empty = trial.path.empty[index]
        view = trial.sight.look(empty.ProbeToRig, "fan")
        change = np.asarray(cv2.subtract(view.pixels, empty.pixels), dtype=np.uint8)
        return change, trial.imaging.image_to_probe(view), view.ProbeToRig

    return tip_of_fan([empty.ProbeToRig for empty in trial.path.empty], look, line, feed, reach)


def fan_and_prediction(trial: Trial) -> tuple[Confirmation, FanTip]:
    """Fan the image plane over the predicted tip and compare; the working view is back on that tip afterwards."""
    prediction = predict(trial)
    tip, _ = see_fan(trial)
    trial.tip = trial.tip.in_view(trial.sight.look(plane_through(trial, prediction.tip_mm), "needle"))
    return confirm_fan(prediction, tip), tip


def first_sight(trial: Trial, reach: Reach, away_max_mm: float) -> FanTip | None:
    """Where a wide fan sees the dot end; None where it sees no end, or one too far from the predicted tip."""
    tip, dots = see_fan(trial, reach)
    if not tip.found:
        trial.event("acquire", found=False, reason=tip.reason)
        return None
    away = float(np.linalg.norm(tip.tip_rig_mm - predict(trial).tip_mm))
    if away > away_max_mm:
        trial.event("acquire", found=False, reason=f"a dot ends {away:.1f} mm from the predicted tip")
        return None
    along = _along_mm(trial, tip)
    trial.event("acquire", found=True, along_mm=along, away_mm=away, planes_n=sum(d.found for d in dots))
    return tip


def _along_mm(trial: Trial, tip: FanTip) -> float:
    """Seen minus expected feed."""
    return tip.feed_mm - trial.hand.feed_mm - trial.tip.bias_mm


def look_by_fan(trial: Trial) -> Confirmation:
    """The fan over the tip of a carrier's needle: what carrier and image disagree by is learnt."""
    answer, tip = fan_and_prediction(trial)
    if answer.confirmed:
        trial.tip = trial.tip.learnt(_along_mm(trial, tip))
    return answer


def acquire_by_fan(trial: Trial) -> None:
    """First sight of a carrier's needle after the skin."""
    tip = first_sight(trial, FIRST_SIGHT, ACQUIRE_MM * FAN_SLACK)
    if tip is not None:
        along_mm = _along_mm(trial, tip)
        trial.tip = trial.tip.first_seen(trial.hand.feed_mm, along_mm, tip.tip_rig_mm)
