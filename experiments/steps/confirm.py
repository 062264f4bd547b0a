"""Where is the tip? Direct view, commanded small motion, small test injection - in the order the technique says.

The prediction comes from the feed and the bending model, the answer from the image; a confirmed tip corrects the
model for the next step. What a direct view is, the guide knows: in plane one frame against its like without the needle
is enough; out of plane the image plane is fanned over the predicted tip.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.steps.confirm_by_motion import look_by_motion
from experiments.steps.confirm_prediction import predict
from experiments.steps.guide import Guide
from experiments.trial.injection import inject_in
from experiments.trial.sight import View
from experiments.trial.trial import Trial
from experiments.trial.uncertainty import seen_tip
from hal.types import Vector
from rig.guidance.confirmation import Confirmation, confirm_fluid, first_confirmed
from rig.guidance.needle_motion import find_fluid
from rig.guidance.scan_lines import invert_affine


def confirm_tip(trial: Trial, guide: Guide, *, fluid: bool = True) -> Confirmation:
    """Try the technique's methods until one confirms; the last answer carries all reasons.

    Without ``fluid`` the test injection is kept for later.
    """
    answers: list[Confirmation] = []
    for method in trial.technique.advance.confirm_order:
        if method == "direct":
            answers += guide.look(trial)
        elif method == "motion":
            answers.append(look_by_motion(trial, guide))
        elif fluid and _fluid_left(trial):
            answers.append(_fluid(trial, guide))
        if answers and answers[-1].confirmed:
            break
    best = first_confirmed(answers)
    if best.confirmed:
        trial.log.confirmed_tip_rig_mm = best.tip_rig_mm
        if trial.witness is not None:
            trial.witness.confirmed(best.method.value, best.tip_rig_mm)
        feed_mm = trial.hand.feed_mm
        seen = seen_tip(trial.controller, trial.tip, best, feed_mm, trial.hand.feed_sd_mm) or trial.tip.seen
        trial.tip = replace(trial.tip.at(feed_mm, best.tip_rig_mm, best.covariance), seen=seen)
        trial.controller.travel.confirm()
    view = trial.tip.view
    trial.event(
        "tip",
        confirmed=best.confirmed,
        method=best.method.value,
        reason=best.reason,
        feed_mm=trial.hand.feed_mm,
        distance_mm=best.distance_mm,
        uncertainty_mm=best.uncertainty_mm,
        sound_u_mm=None if view is None else trial.imaging.depth_u_mm(best.tip_rig_mm, view.ProbeToRig),
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


def _fluid_left(trial: Trial) -> bool:
    advance, injection = trial.technique.advance, trial.technique.injection
    return trial.log.test_ml + advance.fluid_ml + 2 * injection.test_ml <= injection.test_total_max_ml + 1e-9


def _fluid(trial: Trial, guide: Guide) -> Confirmation:
    advance = trial.technique.advance
    prediction = predict(trial)
    guide.show(trial, prediction.tip_mm)
    before = trial.sight.take("fluid before")
    inject_in(trial, advance.fluid_ml, advance.fluid_rate_ml_min, test=True)
    after = trial.sight.take("fluid after")
    trial.tip = trial.tip.in_view(after)
    seen = find_fluid(
        before.pixels, after.pixels, trial.imaging.image_to_probe(after), after.ProbeToRig, prediction.tip_mm,
        advance.fluid_ml,
    )  # fmt: skip
    return confirm_fluid(prediction, seen, after.ProbeToRig)
