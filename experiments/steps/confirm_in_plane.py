"""In plane: the needle lies in the image; a frame of the same place without the needle shows it by difference."""

from __future__ import annotations

import numpy as np

from experiments.steps.confirm_prediction import ACQUIRE_MM, predict
from experiments.steps.view_target import pressed
from experiments.trial.sight import View
from experiments.trial.trial import Trial
from hal.types import Pixels
from rig.guidance.confirmation import Confirmation, confirm_direct
from rig.guidance.needle import find_needle

ELEVATIONS_MM = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Elevational places of the probe about the planned one; the working view is always one of them."""
SAME_POSE_MM = 0.06
SAME_POSE_DEG = 0.1


def take_empty_frames(trial: Trial) -> tuple[View, ...]:
    """Before the needle enters: frames of the working view and of its neighbours along the elevation axis.

    Speckle belongs to the gel: the difference to a frame of the same probe pose without the needle is the needle.
    """
    home = pressed(trial, trial.path.plan.ProbeToRig)
    empty = []
    for offset in ELEVATIONS_MM:
        pose = home.copy()
        pose[:3, 3] = home[:3, 3] + offset * home[:3, 1]
        empty.append(trial.sight.look(pose, "empty", keep=offset == 0.0))
    return tuple(empty)


def empty_frame(trial: Trial, view: View) -> Pixels | None:
    """The frame of this very pose without the needle, where there is one."""
    for empty in trial.path.empty:
        away = np.linalg.inv(empty.ProbeToRig) @ view.ProbeToRig
        turn = np.degrees(np.arccos(np.clip((np.trace(away[:3, :3]) - 1.0) / 2.0, -1.0, 1.0)))
        if np.linalg.norm(away[:3, 3]) <= SAME_POSE_MM and turn <= SAME_POSE_DEG:
            return empty.pixels
    return None


def acquire_in_plane(trial: Trial) -> None:
    """First sight of the needle after the skin: sweep the probe along its elevation axis over the tip.

    Carrier and image are calibrated to about a millimetre; the sweep shows where the needle truly runs. The plane that
    shows it longest and brightest holds the tip, so that a needle beside the slice is not taken for a short one.
    """
    if not trial.path.empty:
        return
    seen = []
    for empty in trial.path.empty:
        trial.sight.move(empty.ProbeToRig)
        view = trial.sight.take("acquire")
        prediction = predict(trial)
        found = find_needle(
            view.pixels, trial.imaging.image_to_probe(view), view.ProbeToRig, prediction.tip_mm,
            prediction.direction, reference=empty.pixels,
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
    trial.tip = trial.tip.first_seen(trial.hand.feed_mm, best.along_mm, best.tip_rig_mm + beside * normal)
    trial.event(
        "acquire", found=True, planes_n=len(seen), along_mm=best.along_mm, across_mm=best.across_mm, beside_mm=beside
    )


def look_in_plane(trial: Trial) -> Confirmation:
    """One frame of the present place against the same place without the needle."""
    prediction = predict(trial)
    view = trial.sight.take("needle")
    trial.tip = trial.tip.in_view(view)
    seen = find_needle(
        view.pixels, trial.imaging.image_to_probe(view), view.ProbeToRig, prediction.tip_mm,
        prediction.direction, reference=empty_frame(trial, view),
    )  # fmt: skip
    answer = confirm_direct(prediction, seen, view.ProbeToRig)
    if answer.confirmed:
        trial.tip = trial.tip.learnt(seen.along_mm)
    return answer


def look_in_plane_and_beside(trial: Trial) -> list[Confirmation]:
    """One frame, and the places beside it when the tip is not seen."""
    answer = look_in_plane(trial)
    beside = None if answer.confirmed else look_beside(trial)
    return [answer] if beside is None else [answer, beside]


def look_beside(trial: Trial) -> Confirmation | None:
    """The tip is not seen: small probe moves along the elevation axis, needle at rest (``facts/domain.md`` 4.2).

    None when there is no place with an empty frame to go to.
    """
    here = trial.sight.ProbeToRig
    near = sorted(trial.path.empty, key=lambda e: float(np.linalg.norm(e.ProbeToRig[:3, 3] - here[:3, 3])))
    answer = None
    for empty in near[1:3]:
        trial.sight.move(empty.ProbeToRig)
        answer = look_in_plane(trial)
        if answer.confirmed:
            return answer
    trial.sight.move(near[0].ProbeToRig if near else here)
    return answer


def follow_tip(trial: Trial) -> None:
    """Place with an empty frame whose plane is nearest to the predicted tip."""
    if not trial.path.empty:
        return
    tip = predict(trial).tip_mm
    poses = [e.ProbeToRig for e in trial.path.empty]
    beside = [abs(float((tip - p[:3, 3]) @ p[:3, 1])) for p in poses]
    best = poses[int(np.argmin(beside))]
    if float(np.linalg.norm(best[:3, 3] - trial.sight.ProbeToRig[:3, 3])) > SAME_POSE_MM:
        trial.sight.move(best)
