"""What a trial keeps for its uncertainty budget while it goes on (``experiments.trial.uncertainty`` writes it down)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix, Vector
from rig.guidance.lumbar.anatomy_fit import AnatomyFit


@dataclass(frozen=True)
class SeenTip:
    """The tip as it was last confirmed."""

    tip_rig_mm: Vector = field(repr=False)
    look_mm2: NDArray[np.float64] = field(repr=False)
    """(3, 3) Rig: what one look and the bending model before any look say together. Later looks of the same insertion
    share slice and speckle with the first ones: many are not better than one."""
    ProbeToRig: Matrix = field(repr=False)
    velocity_mm_s: Vector = field(repr=False)
    """Of the tip's place in the image while the frame was taken, Rig frame: the probe rests, or it does not."""
    feed_mm: float
    feed_sd_mm: float
    method: str


@dataclass(frozen=True)
class SharedErrors:
    """The registration in force, and how it answers to what all frames share."""

    fit: AnatomyFit = field(repr=False)
    moved: NDArray[np.float64] = field(repr=False)
    """(6, ``PARAMETERS_N``) of ``rig.guidance.common_errors``."""
