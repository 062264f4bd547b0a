"""The reference instrument: the tip read independently of the image, with the needle at rest."""

from __future__ import annotations

import numpy as np

from experiments.log import unit
from experiments.trial import Trial
from hal.types import TrackedPose

READINGS_N = 12
PERIOD_S = 0.05
TIP, BODY = "NeedleTipToTracker", "PhantomToTracker"
"""``BODY``: the tracked body on the phantom; ``[frames] PhantomToReference`` says where the phantom is in it."""


def read_reference(trial: Trial, moment: str) -> None:
    """Average tip in the Phantom frame over ``READINGS_N`` readings; the witness notes the same moment.

    Without a tracker, or when it does not see both tools, nothing is stored: the trial is then ``truth_missing``.
    """
    if trial.witness is not None:
        trial.witness.note(moment)
    if trial.controller.rig.tracker is None:
        trial.event("reference", moment=moment, measured=False, reason="no tracker on this rig")
        return
    ReferenceToPhantom = trial.controller.rig.frames.get("Reference", "Phantom")
    tips, axes = [], []
    for _ in range(READINGS_N):
        poses: dict[str, TrackedPose] = {p.name: p for p in trial.controller.read("tracker")}
        tip, body = poses.get(TIP), poses.get(BODY)
        if tip is not None and body is not None and tip.valid and body.valid:
            TipToPhantom = ReferenceToPhantom @ np.linalg.inv(body.matrix) @ tip.matrix
            tips.append(TipToPhantom[:3, 3])
            axes.append(TipToPhantom[:3, 2])
        trial.controller.wait(PERIOD_S)
    if len(tips) < READINGS_N // 2:
        trial.event(
            "reference", moment=moment, measured=False, reason=f"only {len(tips)} of {READINGS_N} readings valid"
        )
        return
    mean = np.mean(tips, axis=0)
    trial.log.reference_mm[moment] = mean
    trial.log.reference_axis = unit(np.mean(axes, axis=0))
    spread = float(np.sqrt(np.mean(np.sum((np.array(tips) - mean) ** 2, axis=1))))
    trial.event("reference", moment=moment, measured=True, tip_phantom_mm=mean, readings_n=len(tips), spread_mm=spread)
