"""Where the tip should be: the feed through the bending model, and what image and carrier have taught about both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from experiments.trial.sight import View
from hal.types import Matrix, Vector
from rig.guidance.bending import Bending, TipPrediction

FIRST_SIGHT_SD_MM = 0.5
"""Standard deviation of a first sight along each axis [A]."""
BIAS_GAIN = 0.4
"""Share of a disagreement that is believed per confirmed step: settles in about five steps [A]."""


@dataclass(frozen=True)
class SeenTip:
    """The tip as it was last confirmed, for the uncertainty budget."""

    tip_rig_mm: Vector = field(repr=False)
    look_mm2: NDArray[np.float64] = field(repr=False)
    """(3, 3) Rig: what one look and the bending model before any look say together. Later looks of the same insertion
    share slice and speckle with the first ones: many are not better than one."""
    ProbeToRig: Matrix = field(repr=False)
    velocity_mm_s: Vector = field(repr=False)
    """Velocity of the tip's place in the image while the frame was taken, Rig frame: the probe rests, or it does
    not."""
    feed_mm: float
    feed_sd_mm: float
    method: str
    pulled_back_mm: float = 0.0
    """Distance that the needle was pulled back since."""


@dataclass(frozen=True)
class Tip:
    """Knowledge of the tip; feeds are the hand's, points are in the Rig frame."""

    bending: Bending
    unseen: Bending
    """The model before anybody looked at the needle."""
    bias_mm: float = 0.0
    """Tip in the image minus tip by the carrier, along the needle: what their calibrations disagree by."""
    view: View | None = None
    """The last frame of the working view."""
    seen: SeenTip | None = None

    @staticmethod
    def planned(bending: Bending, before: Tip | None) -> Tip:
        """Tip of a needle on a new path; what an earlier path has shown of the carrier still holds."""
        return Tip(bending, bending) if before is None else replace(before, bending=bending, unseen=bending)

    def predict(self, feed_mm: float, feed_sd_mm: float = 0.2) -> TipPrediction:
        """Where the tip should be at this feed."""
        return self.bending.predict(feed_mm + self.bias_mm, feed_sd_mm)

    def bent(self, bending: Bending) -> Tip:
        """With another bending model."""
        return replace(self, bending=bending)

    def in_view(self, view: View) -> Tip:
        """After a frame of the working view."""
        return replace(self, view=view)

    def at(self, feed_mm: float, tip_mm: Vector, covariance: NDArray[np.float64]) -> Tip:
        """After the image has shown the tip of this feed here, with this covariance ((3, 3), mm^2)."""
        return self.bent(self.bending.updated(feed_mm + self.bias_mm, tip_mm, covariance))

    def first_seen(self, feed_mm: float, along_mm: float, tip_mm: Vector) -> Tip:
        """After the first sight behind the skin, which is believed whole; ``along_mm``: seen minus expected feed."""
        known = replace(self, bias_mm=self.bias_mm + along_mm)
        return known.at(feed_mm, tip_mm, FIRST_SIGHT_SD_MM**2 * np.eye(3))

    def learnt(self, along_mm: float) -> Tip:
        """Learn the disagreement of carrier and image along the needle, a slow quantity, little by little."""
        return replace(self, bias_mm=self.bias_mm + BIAS_GAIN * float(np.clip(along_mm, -1.0, 1.0)))

    def pulled_back(self, by_mm: float) -> Tip:
        """Tip after the needle was pulled back."""
        seen = self.seen
        return self if seen is None else replace(self, seen=replace(seen, pulled_back_mm=seen.pulled_back_mm + by_mm))
