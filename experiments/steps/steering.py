"""How an advance keeps its course: a carrier takes another path, a person changes the angle of the needle.

A carrier goes where it is sent, so that a path that fails is given up as a whole. A hand errs at random: its needle is
tilted a little while it is shallow, or drawn back to the superficial layer and sent in again.
"""

from __future__ import annotations

from collections.abc import Callable

from experiments.protocol.states import State
from experiments.steps.guide import Guide, Steering
from experiments.steps.plan_path import aim_rig
from experiments.steps.redirect import count_redirection, note_lost, redirect
from experiments.steps.superficial import advance_deeper, advance_superficial, deepest_mm
from experiments.steps.turning import BACK_TO_MM, SHALLOW_MM, SMALL_MM, STEER_MM, outlook, turn_towards
from experiments.trial.trial import Trial
from hal.types import Vector
from rig.guidance.bending import advise_bevel

MISS_LIMIT_MM = 3.5
"""Predicted miss across the needle at which the path is given up for a new one."""
DEEPER_MM = 4.0
"""Superficial advance by hand when the needle is not in any picture yet."""


def _passes(miss_mm: float) -> str:
    return f"the needle would pass the aim point at {miss_mm:.1f} mm"


# ---- a carrier -------------------------------------------------------------------------------------------------


def _off_course_by_carrier(trial: Trial, goal: Vector) -> str:
    """The miss with the best use of the bevel."""
    miss_mm = advise_bevel(trial.tip.bending, trial.hand.feed_mm, goal, gain_mm=0.0).miss_with_mm
    return _passes(miss_mm) if miss_mm > MISS_LIMIT_MM else ""


BY_CARRIER = Steering(
    off_course=_off_course_by_carrier,
    beside=lambda trial, goal: "",
    tilted=lambda trial, goal: False,
    again=lambda trial, guide, reason: redirect(trial, reason),
    lost=lambda trial, guide, reason: redirect(trial, note_lost(trial, reason)),
    fluid_last=False,
)


def found(acquire: Callable[[Trial], object]) -> Callable[[Trial], bool]:
    """A carrier's needle is where its feed says, to about a millimetre, whether a picture shows it or not."""

    def find(trial: Trial) -> bool:
        acquire(trial)
        return True

    return find


# ---- a person's hand -------------------------------------------------------------------------------------------


def _off_course_by_hand(trial: Trial, goal: Vector) -> str:
    ahead = outlook(trial, goal)
    return _passes(ahead.miss_mm) if ahead.beyond_steering and trial.hand.feed_mm > SHALLOW_MM else ""


def _beside(trial: Trial, goal: Vector) -> str:
    miss_mm = outlook(trial, goal).miss_mm
    return f"the tip stands {miss_mm:.1f} mm beside the aim point" if miss_mm > STEER_MM else ""


def _tilted(trial: Trial, goal: Vector) -> bool:
    """A needle that is still shallow is tilted a little where it is."""
    helps = outlook(trial, goal).miss_mm > SMALL_MM and trial.hand.feed_mm <= SHALLOW_MM
    if helps:
        turn_towards(trial, goal)
    return helps


def _again(trial: Trial, guide: Guide, reason: str) -> State:
    """Back to the superficial layer, change the angle by so much, and go in again from there."""
    count_redirection(trial, reason)
    goal = aim_rig(trial)
    trial.hand.withdraw(max(0.0, trial.hand.feed_mm - BACK_TO_MM), trial.technique.advance.speed_mm_s)
    trial.controller.travel.confirm()  # a new way begins here: what was confirmed deeper does not count for it
    trial.log.passes_n += 1
    steer(trial, goal)
    if outlook(trial, goal).miss_mm > SMALL_MM:
        turn_towards(trial, goal)
    advance_superficial(trial, guide)
    return State.ADVANCE


def _lost_by_hand(trial: Trial, guide: Guide, reason: str) -> State:
    why = note_lost(trial, reason)
    if trial.hand.feed_mm > BACK_TO_MM + 5.0 and not trial.log.test_ml:
        return _again(trial, guide, why)
    return redirect(trial, why)


BY_HAND = Steering(
    off_course=_off_course_by_hand,
    beside=_beside,
    tilted=_tilted,
    again=_again,
    lost=_lost_by_hand,
    fluid_last=True,
)


def found_by_hand(acquire: Callable[[Trial], bool]) -> Callable[[Trial], bool]:
    """Go on a little in the superficial layer while the needle is in no picture yet."""

    def find(trial: Trial) -> bool:
        while not acquire(trial):
            further = min(DEEPER_MM, deepest_mm(trial) - trial.hand.feed_mm)
            if further < 1.0:
                return False
            advance_deeper(trial, further)
        trial.controller.travel.allow_here()
        return True

    return find


# ---- either ----------------------------------------------------------------------------------------------------


def steer(trial: Trial, goal: Vector) -> None:
    """Turn the bevel where that brings the end of the way nearer to the aim point."""
    advice = advise_bevel(trial.tip.bending, trial.hand.feed_mm, goal)
    if advice.flip:
        trial.hand.turn_bevel(advice.bevel_deg)
        trial.tip = trial.tip.bent(trial.tip.bending.with_bevel(trial.hand.feed_mm, advice.bevel_deg))
        trial.event(
            "bevel",
            bevel_deg=advice.bevel_deg,
            miss_without_mm=advice.miss_without_mm,
            miss_with_mm=advice.miss_with_mm,
        )
