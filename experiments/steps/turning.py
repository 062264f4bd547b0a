"""Corrections by instruction: how much a person should tilt the needle so that it meets the aim point."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.trial.needle_hand import by_person
from experiments.trial.trial import Trial
from hal.types import Vector
from rig.geometry.transforms import invert
from rig.guidance.bending import Bending, advise_bevel
from rig.guidance.needle_line import angles_from_direction

SHALLOW_MM = 15.0
"""Feed up to which a needle may be tilted where it is."""
BACK_TO_MM = 7.0
"""Feed to which it is withdrawn before a larger change: in the superficial layer, not out of the skin."""
STEER_MM = 3.0
"""Predicted miss that the bevel cannot steer away."""
SMALL_MM = 1.5
"""Predicted miss above which a needle that is still shallow is tilted a little."""
TURN_MAX_DEG = 12.0
"""Largest tilt that is asked for in one go [A]."""
ELASTIC_MM = 27.0
"""A needle of 22G in gel of 18 kPa is a beam on an elastic foundation of this length, (4 E I / E_gel)^(1/4): so far
into the gel a tilt of the hub has faded to 1/e."""
TURN_SHARE, TURN_SD_DEG = 0.25, 1.0
"""Uncertainty of a tilt by hand: a share of it, and the resolution of a hand."""


@dataclass(frozen=True)
class Outlook:
    """Where the needle would pass the aim point with the best use of the bevel."""

    miss_mm: float
    sd_mm: float
    aside: Vector
    """Aim point minus predicted end, across the needle, Rig frame."""

    @property
    def beyond_steering(self) -> bool:
        return self.miss_mm > STEER_MM and self.miss_mm > self.sd_mm


def outlook(trial: Trial, goal: Vector) -> Outlook:
    """Predicted end of the way, against the aim point."""
    feed, bending = trial.hand.feed_mm, trial.tip.bending
    bending = bending.with_bevel(feed, advise_bevel(bending, feed, goal, gain_mm=0.0).bevel_deg)
    end = bending.predict(max(feed, _feed_to(bending, goal)))
    away = goal - end.tip_mm
    aside = away - float(away @ end.direction) * end.direction
    across = np.eye(3) - np.outer(end.direction, end.direction)
    sd = float(np.sqrt(np.max(np.linalg.eigvalsh(across @ end.covariance @ across))))
    return Outlook(float(np.linalg.norm(aside)), sd, aside)


def _feed_to(bending: Bending, goal: Vector) -> float:
    """Feed at which the needle is level with the aim point."""
    return float((goal - bending.line.entry_mm) @ bending.line.direction)


def turn_towards(trial: Trial, goal: Vector) -> None:
    """Have the needle tilted so that its way meets the aim point; the model is turned with it, less certain."""
    hand, bending = by_person(trial.hand), trial.tip.bending
    ahead = outlook(trial, goal)
    feed = max(0.0, hand.feed_mm)
    reach = max(10.0, _feed_to(bending, goal))
    follows = float(np.exp(-feed / ELASTIC_MM))
    x, y = bending.line.lateral_axes()
    wanted = np.array([float(ahead.aside @ x), float(ahead.aside @ y)]) / reach  # rad, about the entry
    asked = wanted / follows
    size = float(np.degrees(np.linalg.norm(asked)))
    asked = asked * min(1.0, TURN_MAX_DEG / max(size, 1e-9))
    commanded = hand.line.direction
    new = commanded + asked[0] * x + asked[1] * y
    RigToCarrier = invert(trial.controller.rig.frames.get("Carrier", "Rig"))[:3, :3]
    before, after = (angles_from_direction(RigToCarrier @ (d / np.linalg.norm(d))) for d in (commanded, new))
    lateral, tilt = after[0] - before[0], after[1] - before[1]
    hand.turn_needle(lateral, tilt)
    got = asked * follows
    mean, covariance = bending.mean.copy(), bending.covariance.copy()
    mean[1:3] += got
    spread = (TURN_SHARE * float(np.linalg.norm(got))) ** 2 + np.radians(TURN_SD_DEG) ** 2
    covariance[1:3, 1:3] += spread * np.eye(2)
    trial.tip = trial.tip.bent(replace(bending, mean=mean, covariance=covariance))
    trial.event("turn", lateral_deg=lateral, tilt_deg=tilt, feed_mm=feed, miss_mm=ahead.miss_mm, miss_sd_mm=ahead.sd_mm)
