"""Where the tip should be: the feed through the bending model, and what image and carrier have taught about both."""

from __future__ import annotations

import numpy as np

from experiments.trial.trial import Trial
from hal.types import Vector
from rig.guidance.bending import TipPrediction

ACQUIRE_MM = 3.5
"""How far carrier and image may disagree before the needle is not believed to be the one that was sent."""
ACQUIRE_SD_MM = 0.5
"""Of a first sight along each axis [A]."""
BIAS_GAIN = 0.4
"""Share of a disagreement that is believed per confirmed step: settles in about five steps [A]."""


def predict(trial: Trial, feed_mm: float | None = None) -> TipPrediction:
    """Where the tip should be now (or at a feed), Rig frame."""
    assert trial.bending is not None
    feed = trial.hand.feed_mm if feed_mm is None else feed_mm
    return trial.bending.predict(feed + trial.feed_bias_mm, trial.hand.feed_sd_mm)


def learn_bias(trial: Trial, along_mm: float) -> None:
    """What carrier and image disagree by along the needle is a slow quantity: learn it little by little."""
    trial.feed_bias_mm += BIAS_GAIN * float(np.clip(along_mm, -1.0, 1.0))


def take_first_sight(trial: Trial, along_mm: float, tip_rig_mm: Vector) -> None:
    """The first sight of the needle after the skin is believed whole."""
    assert trial.bending is not None
    trial.feed_bias_mm += along_mm
    spread = ACQUIRE_SD_MM**2 * np.eye(3)
    trial.bending = trial.bending.updated(trial.hand.feed_mm + trial.feed_bias_mm, tip_rig_mm, spread)
