"""The four ways to be led by pictures: needle in or across the image plane, in a carrier or in a person's hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from experiments.steps.confirm_in_plane import (
    acquire_in_plane,
    follow_tip,
    look_in_plane_and_beside,
    take_empty_frames,
)
from experiments.steps.confirm_out_of_plane import acquire_by_fan, look_by_fan, show_in_plane, take_empty_planes
from experiments.steps.freehand import (
    acquire_by_wide_fan,
    acquire_in_grid,
    confirm_by_fan,
    confirm_by_sweep,
    take_empty_grid,
)
from experiments.steps.guide import Guide
from experiments.steps.plan_path import shaft_seen_mm, towards_entry
from experiments.steps.steering import BY_CARRIER, BY_HAND, found, found_by_hand
from experiments.trial.trial import Trial
from rig.guidance.confirmation import Confirmation


def _stay(trial: Trial, *_: object) -> None:
    """The probe already stands where it should."""


def _one(look: Callable[[Trial], Confirmation]) -> Callable[[Trial], list[Confirmation]]:
    return lambda trial: [look(trial)]


IN_PLANE = Guide(
    in_plane=True,
    view_of=towards_entry,
    seen_from_mm=shaft_seen_mm,
    take_empty=take_empty_frames,
    find=found(acquire_in_plane),
    follow=follow_tip,
    look=look_in_plane_and_beside,
    show=_stay,
    beside_mm=(-2.0, -1.0, 1.0, 2.0),  # with the working plane a sweep over twice the thickness of the slice
    steering=BY_CARRIER,
)
OUT_OF_PLANE = Guide(
    in_plane=False,
    view_of=lambda trial, plan: plan,
    seen_from_mm=lambda trial: float("inf"),
    take_empty=take_empty_planes,
    find=found(acquire_by_fan),
    follow=_stay,
    look=_one(look_by_fan),
    show=show_in_plane,
    beside_mm=(),
    steering=BY_CARRIER,
)
IN_PLANE_BY_HAND = replace(
    IN_PLANE,
    take_empty=take_empty_grid,
    find=found_by_hand(acquire_in_grid),
    follow=_stay,
    look=_one(confirm_by_sweep),
    steering=BY_HAND,
)
OUT_OF_PLANE_BY_HAND = replace(
    OUT_OF_PLANE,
    find=found_by_hand(acquire_by_wide_fan),
    look=_one(confirm_by_fan),
    steering=BY_HAND,
)
GUIDES = {
    ("in_plane", "robot"): IN_PLANE,
    ("out_of_plane", "robot"): OUT_OF_PLANE,
    ("in_plane", "freehand"): IN_PLANE_BY_HAND,
    ("out_of_plane", "freehand"): OUT_OF_PLANE_BY_HAND,
}
"""By the needle's plane and by who holds it."""
