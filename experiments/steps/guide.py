"""Guide of the needle by images, chosen once for a trial; ``experiments.steps`` holds the rows and the choice.

A guide is a row of functions and not a class, so that the four ways (in and out of plane, needle in a carrier or in a
person's hand) stand under each other in one table. Points are in the Rig frame; a reason is empty where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from experiments.protocol.states import State
from experiments.trial.sight import View
from experiments.trial.trial import Trial
from hal.types import Vector
from rig.guidance.confirmation import Confirmation
from rig.guidance.planning import Plan


@dataclass(frozen=True)
class Steering:
    """How an advance keeps its course, by a carrier or by a person's hand."""

    off_course: Callable[[Trial, Vector], str]
    """Why the rest of the way cannot end at this aim point."""
    beside: Callable[[Trial, Vector], str]
    """Why a tip that has come far enough does not stand at this aim point."""
    tilted: Callable[[Trial, Vector], bool]
    """Tilt the needle towards this aim point where that helps; True when it was tilted."""
    again: Callable[[Trial, Guide, str], State]
    """Another try, for this reason."""
    lost: Callable[[Trial, Guide, str], State]
    """The tip was not confirmed after all recovery cycles, for this reason."""
    fluid_last: bool
    """Fluid changes the picture against which a hand's needle is searched: it is the last thing to try."""


@dataclass(frozen=True)
class Guide:
    """How pictures show the needle."""

    in_plane: bool
    """The planned needle lies in the image plane."""
    view_of: Callable[[Trial, Plan], Plan]
    """The plan with the view from which the needle is followed."""
    seen_from_mm: Callable[[Trial], float]
    """Feed from which the view can confirm the tip; infinite where the technique's superficial layer alone counts."""
    take_empty: Callable[[Trial], tuple[View, ...]]
    """Frames without the needle, before it enters."""
    find: Callable[[Trial], bool]
    """First sight of the needle after the skin; False where no picture shows it and it may go no deeper."""
    follow: Callable[[Trial], None]
    """Bring the probe to the place from which the next look is taken."""
    look: Callable[[Trial], list[Confirmation]]
    """The tip by direct view; several answers where the probe was moved for it, of which the last counts."""
    show: Callable[[Trial, Vector], None]
    """Bring this point of the needle into the picture."""
    beside_mm: tuple[float, ...]
    """Planes beside the working one in which a motion must show weaker."""
    steering: Steering
