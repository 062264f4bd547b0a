"""Out of plane: the needle crosses the image as a dot; planes fanned along it show where the dot ends."""

from __future__ import annotations

import cv2
import numpy as np

from experiments.steps.confirm_prediction import ACQUIRE_MM, learn_bias, predict, take_first_sight
from experiments.steps.view_target import pressed
from experiments.trial import Trial
from hal.types import Matrix, Vector
from rig.guidance.confirmation import Confirmation, confirm_fan
from rig.guidance.needle_crossing import DotView, find_dot
from rig.guidance.needle_fan import FanTip, tip_by_plateau
from rig.guidance.needle_line import NeedleLine
from rig.guidance.planning import probe_pose

FAN_STEP_MM = 1.0
FAN_BEHIND_MM, FAN_AHEAD_MM = 5.0, 7.0
"""Planes of a fan about the predicted tip. Those ahead of the tip show it as long as the slice is thick: half of
3 mm (Scholten, WFUMB Ultrasound Open: 1.4-3.8 mm at focus) over the sine of the crossing, twice for its skirts."""
FAN_RADIUS_MM = 6.0
"""Ahead of the tip the dot stays behind the crossing by up to the thickness of the slice over that sine."""
DOT_GREY = 22.0
"""Contrast of a dot in the difference image: speckle is gone, so that less is enough than in a plain frame."""
FACE_CLEARANCE_MM = 11.0
"""Half the probe's thickness (7 mm) and a margin: how near the face's midline may come to the needle's entry."""
FAN_TILT_MAX_DEG = 38.0
FAN_SLACK = 1.4
"""A tip by a fan is off in three dimensions, not along and across a picture: so much more is allowed at first."""


def plane_through(trial: Trial, point_rig_mm: Vector) -> Matrix:
    """Probe pose whose image plane holds a point of the needle, face clear of the needle's entry.

    The face stands over the point where it can; near the entry it stays aside and the plane is tilted to the point.
    """
    assert trial.plan is not None
    base = pressed(trial, trial.plan.ProbeToRig)
    entry = trial.plan.entry_mm
    run = np.sign(float(trial.plan.direction[1])) or 1.0
    clear_y = float(entry[1]) + run * FACE_CLEARANCE_MM
    depth = max(3.0, float(point_rig_mm[2] - base[2, 3]))
    # The beam of a tilt A runs along (0, -sin A, cos A): it leans towards the entry, against the needle.
    tilt = run * trial.technique.advance.fan_tilt_deg
    face_y = float(point_rig_mm[1]) + depth * float(np.tan(np.radians(tilt)))
    if run * (face_y - clear_y) < 0.0:
        face_y = clear_y
        tilt = float(np.degrees(np.arctan2(face_y - point_rig_mm[1], depth)))
        tilt = float(np.clip(tilt, -FAN_TILT_MAX_DEG, FAN_TILT_MAX_DEG))
    return probe_pose(float(base[0, 3]), face_y, float(base[2, 3]), tilt, 0.0, 0.0)


def take_empty_planes(trial: Trial) -> None:
    """Before the needle enters: frames of planes that cross the planned needle every millimetre."""
    assert trial.plan is not None
    trial.planes = []
    first = trial.technique.advance.superficial_mm - 8.0
    for feed in np.arange(max(6.0, first), trial.plan.feed_mm + FAN_AHEAD_MM + 2.0, FAN_STEP_MM):
        pose = plane_through(trial, trial.plan.entry_mm + feed * trial.plan.direction)
        if not trial.planes or not np.allclose(pose, trial.planes[-1].ProbeToRig):  # the tilt has its limit
            trial.planes.append(trial.sight.look(pose, "empty"))


def see_fan(
    trial: Trial, behind_mm: float = FAN_BEHIND_MM, ahead_mm: float = FAN_AHEAD_MM, radius_mm: float = FAN_RADIUS_MM
) -> tuple[FanTip, list[DotView]]:
    """Tip and dots of the planes about the predicted tip, each against its own frame without the needle."""
    feed = trial.hand.feed_mm + trial.feed_bias_mm
    prediction = predict(trial)
    # The needle near its tip: its tangent there, with feed counted as the prediction counts it.
    line = NeedleLine(prediction.tip_mm - feed * prediction.direction, prediction.direction)
    crossings = [(_crossing_mm(empty.ProbeToRig, line), empty) for empty in trial.planes]
    dots: list[DotView] = []
    depth_axes: list[Vector] = []
    for at, empty in crossings:
        if not feed - behind_mm <= at <= feed + ahead_mm:
            continue
        view = trial.sight.look(empty.ProbeToRig, "fan")
        change = np.asarray(cv2.subtract(view.pixels, empty.pixels), dtype=np.uint8)
        dots.append(
            find_dot(change, trial.image_to_probe(view), view.ProbeToRig, line, radius_mm, min_contrast_grey=DOT_GREY)
        )
        depth_axes.append(view.ProbeToRig[:3, 2])
        if at > feed + 1.0 and len(dots) >= 3 and not dots[-1].found and not dots[-2].found:
            break  # the dot has ended: further planes show nothing new
    return tip_by_plateau(dots, depth_axes, line), dots


def _crossing_mm(ProbeToRig: Matrix, line: NeedleLine) -> float:
    """Where along the needle a plane crosses it; NaN where it runs along the plane."""
    normal = ProbeToRig[:3, 1]
    steep = float(line.direction @ normal)
    return float((ProbeToRig[:3, 3] - line.entry_mm) @ normal) / steep if abs(steep) > 0.05 else float("nan")


def look_by_fan(trial: Trial) -> Confirmation:
    """Fan the image plane over the predicted tip: the dot ends where the needle does."""
    prediction = predict(trial)
    tip, _ = see_fan(trial)
    answer = confirm_fan(prediction, tip)
    if answer.confirmed:
        learn_bias(trial, tip.feed_mm - trial.hand.feed_mm - trial.feed_bias_mm)
    trial.view = trial.sight.look(plane_through(trial, prediction.tip_mm), "needle")
    return answer


def acquire_by_fan(trial: Trial) -> None:
    """First sight of the needle after the skin: a wide fan finds where its dot ends."""
    tip, _ = see_fan(trial, behind_mm=FAN_AHEAD_MM)
    if not tip.found:
        trial.event("acquire", found=False, reason=tip.reason)
        return
    away = float(np.linalg.norm(tip.tip_rig_mm - predict(trial).tip_mm))
    along = tip.feed_mm - trial.hand.feed_mm - trial.feed_bias_mm
    if away > ACQUIRE_MM * FAN_SLACK:
        trial.event("acquire", found=False, reason=f"a dot ends {away:.1f} mm from the predicted tip")
        return
    take_first_sight(trial, along, tip.tip_rig_mm)
    trial.event("acquire", found=True, along_mm=along, away_mm=away)
