"""Out of plane: the needle crosses the image as a dot; planes fanned along it show where the dot ends."""

from __future__ import annotations

import cv2
import numpy as np

from experiments.steps.confirm_prediction import ACQUIRE_MM, learn_bias, predict, take_first_sight
from experiments.steps.view_target import pressed
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
    face, line = _planned(trial)
    return crossing_pose(face, line, point_rig_mm, trial.technique.advance.fan_tilt_deg)


def show_in_plane(trial: Trial, point_rig_mm: Vector) -> None:
    """Bring the image plane to a point of the needle."""
    trial.sight.move(plane_through(trial, point_rig_mm))


def take_empty_planes(trial: Trial) -> None:
    """Before the needle enters: frames of planes that cross the planned needle every millimetre."""
    assert trial.plan is not None
    face, line = _planned(trial)
    advance = trial.technique.advance
    first_mm = max(6.0, advance.superficial_mm - 8.0)
    poses = planned_fan(face, line, first_mm, trial.plan.feed_mm, advance.fan_tilt_deg)
    trial.planes = [trial.sight.look(pose, "empty") for pose in poses]


def _planned(trial: Trial) -> tuple[Matrix, NeedleLine]:
    """The face of the planned view on the skin, and the planned needle."""
    assert trial.plan is not None
    return pressed(trial, trial.plan.ProbeToRig), NeedleLine(trial.plan.entry_mm, trial.plan.direction)


def see_fan(trial: Trial, reach: Reach = NEAR) -> tuple[FanTip, list[DotView]]:
    """Tip and dots of the planes about the predicted tip, each against its own frame without the needle."""
    feed = trial.hand.feed_mm + trial.feed_bias_mm
    prediction = predict(trial)
    # The needle near its tip: its tangent there, with feed counted as the prediction counts it.
    line = NeedleLine(prediction.tip_mm - feed * prediction.direction, prediction.direction)

    def look(index: int) -> Difference:
        empty = trial.planes[index]
        view = trial.sight.look(empty.ProbeToRig, "fan")
        change = np.asarray(cv2.subtract(view.pixels, empty.pixels), dtype=np.uint8)
        return change, trial.image_to_probe(view), view.ProbeToRig

    return tip_of_fan([empty.ProbeToRig for empty in trial.planes], look, line, feed, reach)


def fan_and_prediction(trial: Trial) -> tuple[Confirmation, FanTip]:
    """Fan the image plane over the predicted tip and compare; the working view is back on that tip afterwards."""
    prediction = predict(trial)
    tip, _ = see_fan(trial)
    trial.view = trial.sight.look(plane_through(trial, prediction.tip_mm), "needle")
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
    return tip.feed_mm - trial.hand.feed_mm - trial.feed_bias_mm


def look_by_fan(trial: Trial) -> Confirmation:
    """The fan over the tip of a carrier's needle: what carrier and image disagree by is learnt."""
    answer, tip = fan_and_prediction(trial)
    if answer.confirmed:
        learn_bias(trial, _along_mm(trial, tip))
    return answer


def acquire_by_fan(trial: Trial) -> None:
    """First sight of a carrier's needle after the skin."""
    tip = first_sight(trial, FIRST_SIGHT, ACQUIRE_MM * FAN_SLACK)
    if tip is not None:
        take_first_sight(trial, _along_mm(trial, tip), tip.tip_rig_mm)
