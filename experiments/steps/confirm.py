"""Where is the tip? Direct view, commanded small motion, small test injection - in the order the technique says.

The prediction comes from the feed and the bending model, the answer from the image; a confirmed tip corrects the
model for the next step. In plane one frame is enough; out of plane the image plane is fanned over the predicted tip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from experiments.needle_hand import CarrierHand
from experiments.sight import View
from experiments.steps.view_target import pressed
from experiments.trial import Trial
from hal.types import Matrix, Pixels, Vector
from rig.guidance.bending import TipPrediction
from rig.guidance.confirmation import (
    Confirmation,
    Method,
    confirm_direct,
    confirm_fan,
    confirm_fluid,
    confirm_motion,
    first_confirmed,
)
from rig.guidance.needle import find_needle
from rig.guidance.needle_crossing import DotView, find_dot
from rig.guidance.needle_fan import FanTip, tip_by_plateau
from rig.guidance.needle_line import NeedleLine
from rig.guidance.needle_motion import find_fluid, find_motion
from rig.guidance.planning import probe_pose
from rig.guidance.scan_lines import invert_affine
from rig.injection import inject

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
ELEVATIONS_MM = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Elevational places of the probe about the planned one; the working view is always one of them."""
ACQUIRE_MM = 3.5
"""How far carrier and image may disagree before the needle is not believed to be the one that was sent."""
ACQUIRE_SD_MM = 0.5
BIAS_GAIN = 0.4
SAME_POSE_MM = 0.06
SAME_POSE_DEG = 0.1


def predict(trial: Trial, feed_mm: float | None = None) -> TipPrediction:
    """Where the tip should be now (or at a feed), Rig frame."""
    assert trial.bending is not None
    feed = trial.hand.feed_mm if feed_mm is None else feed_mm
    return trial.bending.predict(feed + trial.feed_bias_mm, trial.hand.feed_sd_mm)


def acquire(trial: Trial) -> None:
    """First sight of the needle after the skin, in plane: sweep the probe along its elevation axis over the tip.

    Carrier and image are calibrated to about a millimetre; the sweep shows where the needle truly runs. The plane that
    shows it longest and brightest holds the tip, so that a needle beside the slice is not taken for a short one.
    """
    if trial.technique.plane == "out_of_plane":
        _acquire_fan(trial)
        return
    if not trial.empty:
        return
    assert trial.bending is not None
    seen = []
    for empty in trial.empty:
        trial.sight.move(empty.ProbeToRig)
        view = trial.sight.take("acquire")
        prediction = predict(trial)
        found = find_needle(
            view.pixels, trial.image_to_probe(view), view.ProbeToRig, prediction.tip_mm, prediction.direction,
            reference=empty.pixels,
        )  # fmt: skip
        if found.found and abs(found.along_mm) <= ACQUIRE_MM and abs(found.across_mm) <= ACQUIRE_MM:
            seen.append((found, view))
    if not seen:
        trial.event("acquire", found=False)
        return
    brightness = np.array([max(0.0, f.shaft_contrast + f.end_contrast) for f, _ in seen])
    weights = brightness**2 / np.sum(brightness**2)
    best, view = seen[int(np.argmax(brightness))]
    normal = view.ProbeToRig[:3, 1]
    places = np.array([float(v.ProbeToRig[:3, 3] @ normal) for _, v in seen])
    beside = float(weights @ places - view.ProbeToRig[:3, 3] @ normal)
    trial.feed_bias_mm += best.along_mm
    tip = best.tip_rig_mm + beside * normal
    spread = ACQUIRE_SD_MM**2 * np.eye(3)
    trial.bending = trial.bending.updated(trial.hand.feed_mm + trial.feed_bias_mm, tip, spread)
    trial.event(
        "acquire", found=True, planes_n=len(seen), along_mm=best.along_mm, across_mm=best.across_mm, beside_mm=beside
    )


def confirm_tip(
    trial: Trial, direct: Callable[[Trial], Confirmation] | None = None, *, fluid: bool = True
) -> Confirmation:
    """Try the technique's methods until one confirms; the last answer carries all reasons.

    ``direct`` takes the place of the direct view and of the probe moves that follow when it fails; without ``fluid``
    the test injection is kept for later.
    """
    answers: list[Confirmation] = []
    for method in trial.technique.advance.confirm_order:
        if method == "direct" and direct is not None:
            answers.append(direct(trial))
        elif method == "direct":
            answers.append(_direct(trial))
            if not answers[-1].confirmed:
                answers.append(_after_probe_moves(trial))
        elif method == "motion":
            answers.append(_motion(trial))
        elif method == "fluid" and fluid and _fluid_left(trial):
            answers.append(_fluid(trial))
        if answers and answers[-1].confirmed:
            break
    best = first_confirmed(answers)
    if best.confirmed:
        assert trial.bending is not None
        trial.log.confirmed_tip_rig_mm = best.tip_rig_mm
        trial.bending = trial.bending.updated(trial.hand.feed_mm + trial.feed_bias_mm, best.tip_rig_mm, best.covariance)
        trial.controller.travel.confirm()
    trial.event(
        "tip",
        confirmed=best.confirmed,
        method=best.method.value,
        reason=best.reason,
        feed_mm=trial.hand.feed_mm,
        distance_mm=best.distance_mm,
        uncertainty_mm=best.uncertainty_mm,
        tip_rig_mm=best.tip_rig_mm,
    )
    return best


def detections(view: View, tip_rig_mm: Vector | None) -> dict[str, object]:
    """Pixel of a tip in a frame, as figures want it."""
    if tip_rig_mm is None:
        return {}
    in_probe = np.linalg.inv(view.ProbeToRig) @ np.append(tip_rig_mm, 1.0)
    column, row = (invert_affine(view.ImageToProbe) @ in_probe)[:2]
    return {"tip_px": [float(column), float(row)], "tip_rig_mm": [float(v) for v in tip_rig_mm]}


# ---- in plane --------------------------------------------------------------------------------------------------


def _direct(trial: Trial) -> Confirmation:
    if trial.technique.plane == "out_of_plane":
        return _fan(trial)
    prediction = predict(trial)
    view = trial.sight.take("needle")
    trial.view = view
    seen = find_needle(
        view.pixels, trial.image_to_probe(view), view.ProbeToRig, prediction.tip_mm, prediction.direction,
        reference=empty_frame(trial, view),
    )  # fmt: skip
    answer = confirm_direct(prediction, seen, view.ProbeToRig)
    if answer.confirmed:
        # What carrier and image disagree by along the needle is a slow quantity: learn it little by little.
        trial.feed_bias_mm += BIAS_GAIN * float(np.clip(seen.along_mm, -1.0, 1.0))
    return answer


def take_empty_frames(trial: Trial) -> None:
    """In plane, before the needle enters: frames of the working view and of its neighbours along the elevation axis.

    Speckle belongs to the gel: the difference to a frame of the same probe pose without the needle is the needle.
    """
    assert trial.plan is not None
    home = pressed(trial, trial.plan.ProbeToRig)
    trial.empty = []
    for offset in ELEVATIONS_MM:
        pose = home.copy()
        pose[:3, 3] = home[:3, 3] + offset * home[:3, 1]
        trial.empty.append(trial.sight.look(pose, "empty", keep=offset == 0.0))


def empty_frame(trial: Trial, view: View) -> Pixels | None:
    """The frame of this very pose without the needle, where there is one."""
    for empty in trial.empty:
        away = np.linalg.inv(empty.ProbeToRig) @ view.ProbeToRig
        turn = np.degrees(np.arccos(np.clip((np.trace(away[:3, :3]) - 1.0) / 2.0, -1.0, 1.0)))
        if np.linalg.norm(away[:3, 3]) <= SAME_POSE_MM and turn <= SAME_POSE_DEG:
            return empty.pixels
    return None


def _motion(trial: Trial) -> Confirmation:
    """A commanded feed forward, looked at before and after; within the blind limit it is also part of the way."""
    amount = trial.technique.advance.motion_mm
    prediction = predict(trial)
    if trial.technique.plane == "out_of_plane":
        trial.sight.move(plane_through(trial, prediction.tip_mm))
    before = trial.sight.take("motion before")
    left = trial.controller.travel.limit_mm - trial.controller.travel.since_confirmed_mm
    trial.hand.withdraw(amount, trial.technique.advance.near_speed_mm_s)
    after = trial.sight.take("motion after")
    back = predict(trial)
    seen = find_motion(
        after.pixels, before.pixels, trial.image_to_probe(before), before.ProbeToRig, prediction.tip_mm,
        prediction.direction, amount,
    )  # fmt: skip
    # A person goes back over track that the needle has just left; what marks and hand leave open is no new ground.
    known = trial.hand.by == "freehand"
    trial.hand.advance(amount, trial.technique.advance.near_speed_mm_s, blind=known)
    trial.view = trial.sight.take("needle")
    trial.event(
        "motion",
        left_mm=left,
        feed_mm=trial.hand.feed_mm,
        back_mm=float(np.linalg.norm(back.tip_mm - prediction.tip_mm)),
    )
    return confirm_motion(prediction, seen, before.ProbeToRig)


def _fluid_left(trial: Trial) -> bool:
    advance, injection = trial.technique.advance, trial.technique.injection
    return trial.log.test_ml + advance.fluid_ml + 2 * injection.test_ml <= injection.test_total_max_ml + 1e-9


def _fluid(trial: Trial) -> Confirmation:
    advance = trial.technique.advance
    prediction = predict(trial)
    if trial.technique.plane == "out_of_plane":
        trial.sight.move(plane_through(trial, prediction.tip_mm))
    before = trial.sight.take("fluid before")
    result = inject(trial.controller, advance.fluid_ml, advance.fluid_rate_ml_min, test=True, line=trial.line_model())
    trial.note_injection(result, test=True)
    after = trial.sight.take("fluid after")
    trial.view = after
    seen = find_fluid(
        before.pixels, after.pixels, trial.image_to_probe(after), after.ProbeToRig, prediction.tip_mm, advance.fluid_ml
    )
    return confirm_fluid(prediction, seen, after.ProbeToRig)


# ---- out of plane ----------------------------------------------------------------------------------------------


def plane_through(trial: Trial, point_rig_mm: Vector) -> Matrix:
    """Probe pose whose image plane holds a point of an out-of-plane needle, face clear of the needle's entry.

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
    """Out of plane, before the needle enters: frames of planes that cross the planned needle every millimetre."""
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


def _fan(trial: Trial) -> Confirmation:
    prediction = predict(trial)
    tip, _ = see_fan(trial)
    answer = confirm_fan(prediction, tip)
    if answer.confirmed:
        along = tip.feed_mm - trial.hand.feed_mm - trial.feed_bias_mm
        trial.feed_bias_mm += BIAS_GAIN * float(np.clip(along, -1.0, 1.0))
    trial.view = trial.sight.look(plane_through(trial, prediction.tip_mm), "needle")
    return answer


def _acquire_fan(trial: Trial) -> None:
    """First sight of an out-of-plane needle: a wide fan finds where its dot ends."""
    assert trial.bending is not None
    tip, _ = see_fan(trial, behind_mm=FAN_AHEAD_MM)
    if not tip.found:
        trial.event("acquire", found=False, reason=tip.reason)
        return
    away = float(np.linalg.norm(tip.tip_rig_mm - predict(trial).tip_mm))
    along = tip.feed_mm - trial.hand.feed_mm - trial.feed_bias_mm
    if away > ACQUIRE_MM * 1.4:
        trial.event("acquire", found=False, reason=f"a dot ends {away:.1f} mm from the predicted tip")
        return
    trial.feed_bias_mm += along
    spread = ACQUIRE_SD_MM**2 * np.eye(3)
    trial.bending = trial.bending.updated(trial.hand.feed_mm + trial.feed_bias_mm, tip.tip_rig_mm, spread)
    trial.event("acquire", found=True, along_mm=along, away_mm=away)


# ---- recovery ---------------------------------------------------------------------------------------------------


def _after_probe_moves(trial: Trial) -> Confirmation:
    """The tip is not seen: small probe moves along the elevation axis, needle at rest (``facts/domain.md`` 4.2)."""
    answer = _nothing(trial)
    if trial.technique.plane == "out_of_plane":
        return answer
    here = trial.sight.ProbeToRig
    near = sorted(trial.empty, key=lambda e: float(np.linalg.norm(e.ProbeToRig[:3, 3] - here[:3, 3])))
    for empty in near[1:3]:
        trial.sight.move(empty.ProbeToRig)
        answer = _direct(trial)
        if answer.confirmed:
            return answer
    trial.sight.move(near[0].ProbeToRig if near else here)
    return answer


def _nothing(trial: Trial) -> Confirmation:
    prediction = predict(trial)
    return Confirmation(
        False, Method.NONE, "no probe move to try", prediction.tip_mm, prediction.covariance, float("nan")
    )


def follow_tip(trial: Trial) -> None:
    """In plane: of the places with an empty frame, the one whose plane is nearest to the predicted tip."""
    if trial.technique.plane == "out_of_plane" or not trial.empty:
        return
    tip = predict(trial).tip_mm
    poses = [e.ProbeToRig for e in trial.empty]
    beside = [abs(float((tip - p[:3, 3]) @ p[:3, 1])) for p in poses]
    best = poses[int(np.argmin(beside))]
    if float(np.linalg.norm(best[:3, 3] - trial.sight.ProbeToRig[:3, 3])) > SAME_POSE_MM:
        trial.sight.move(best)


__all__ = ["CarrierHand", "confirm_tip", "detections", "follow_tip", "plane_through", "predict", "replace"]
