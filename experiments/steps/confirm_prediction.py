"""Where the tip should be now."""

from __future__ import annotations

from experiments.trial.trial import Trial
from rig.guidance.bending import TipPrediction

ACQUIRE_MM = 3.5
"""How far carrier and image may disagree before the needle is not believed to be the one that was sent."""


def predict(trial: Trial) -> TipPrediction:
    """Prediction from the hand's feed and the knowledge of the tip, Rig frame."""
    return trial.tip.predict(trial.hand.feed_mm, trial.hand.feed_sd_mm)
