"""A commanded feed back and forth shows the tip: what moved with the needle lies at its end.

In plane one picture cannot tell the tip from the shaft of a needle that has left the slice, so a picture that shows the
motion is not enough: the planes beside it must show it weaker.
"""

from __future__ import annotations

import numpy as np

from experiments.steps.confirm_prediction import predict
from experiments.steps.guide import Guide
from experiments.trial.sight import View
from experiments.trial.trial import Trial
from hal.types import Matrix
from rig.guidance.bending import TipPrediction
from rig.guidance.confirmation import Confirmation, confirm_motion, confirm_motion_sweep
from rig.guidance.needle_motion import MotionView, find_motion


def look_by_motion(trial: Trial, guide: Guide) -> Confirmation:
    """Withdraw and advance by ``motion_mm``; within the blind limit that is also part of the way.

    The other planes are looked at only when the working plane has shown the motion where it should be.
    """
    amount, speed = trial.technique.advance.motion_mm, trial.technique.advance.near_speed_mm_s
    prediction = predict(trial)
    guide.show(trial, prediction.tip_mm)
    home = trial.sight.ProbeToRig
    deep = trial.sight.take("motion before")
    left_mm = trial.controller.travel.limit_mm - trial.controller.travel.since_confirmed_mm
    trial.hand.withdraw(amount, speed)
    withdrawn = trial.sight.take("motion after")
    back = predict(trial)
    seen = _moved(trial, prediction, withdrawn, deep)
    answer = confirm_motion(prediction, seen, deep.ProbeToRig)
    beside = [_beside(home, mm) for mm in guide.beside_mm] if answer.confirmed else []
    back_beside = [trial.sight.look(pose, "motion after") for pose in beside]
    trial.hand.regain(amount, speed)
    if beside:
        looks = [(deep.ProbeToRig, seen)]
        for pose, back_here in zip(reversed(beside), reversed(back_beside), strict=True):
            view = trial.sight.look(pose, "motion before")
            looks.append((view.ProbeToRig, _moved(trial, prediction, back_here, view)))
        answer = confirm_motion_sweep(prediction, looks)
        trial.sight.move(home)
    trial.tip = trial.tip.in_view(trial.sight.take("needle"))
    trial.event(
        "motion",
        left_mm=left_mm,
        feed_mm=trial.hand.feed_mm,
        back_mm=float(np.linalg.norm(back.tip_mm - prediction.tip_mm)),
        planes_n=1 + len(beside),
    )
    return answer


def _moved(trial: Trial, prediction: TipPrediction, withdrawn: View, deep: View) -> MotionView:
    """The tip from two frames of one place: needle withdrawn, needle where it is predicted."""
    return find_motion(
        withdrawn.pixels, deep.pixels, trial.imaging.image_to_probe(deep), deep.ProbeToRig, prediction.tip_mm,
        prediction.direction, trial.technique.advance.motion_mm,
    )  # fmt: skip


def _beside(ProbeToRig: Matrix, by_mm: float) -> Matrix:
    """The pose shifted along the probe's elevation axis."""
    pose = ProbeToRig.copy()
    pose[:3, 3] += by_mm * ProbeToRig[:3, 1]
    return pose
