"""The guide of the needle and its holder are chosen once, from the technique and from what the rig has."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from experiments.protocol.states import State
from experiments.protocol.technique import load_technique
from experiments.steps import steps_of
from experiments.steps.guides import GUIDES
from experiments.trial.log import TrialLog
from experiments.trial.needle_hand import hand_of

CONTROLLER = SimpleNamespace(
    travel=None, rig=SimpleNamespace(frames=SimpleNamespace(get=lambda a, b: None), config=SimpleNamespace(
        needle=SimpleNamespace(mount=None)), carrier=object()),
)  # fmt: skip
BY_HAND = SimpleNamespace(rig=SimpleNamespace(frames=CONTROLLER.rig.frames, carrier=None))


@pytest.mark.parametrize(
    ("technique", "controller", "by", "repeatable"),
    [
        ("L4_IP_T", CONTROLLER, "robot", True),
        ("L4_OOP_T", BY_HAND, "freehand", False),
        ("L4_LM", CONTROLLER, "landmark", False),
        ("L4_LM", BY_HAND, "landmark", False),
    ],
)
def test_a_person_holds_the_needle_where_nobody_looks_or_the_rig_has_no_carrier(
    technique, controller, by, repeatable
) -> None:
    hand = hand_of(load_technique(technique), controller, TrialLog())
    assert (hand.by, hand.repeatable) == (by, repeatable)


def way_of(technique: str, by: str):
    return steps_of(SimpleNamespace(technique=load_technique(technique), hand=SimpleNamespace(by=by)))


@pytest.mark.parametrize("by", ["robot", "freehand"])
@pytest.mark.parametrize(("technique", "plane"), [("L4_IP_T", "in_plane"), ("L4_OOP_T", "out_of_plane")])
def test_a_way_under_pictures_has_one_guide_from_the_plan_to_the_aim_point(technique, plane, by) -> None:
    way = way_of(technique, by)
    guided = (State.PLAN, State.ENTRY, State.ADVANCE)
    assert [way[state].keywords["guide"] for state in guided] == [GUIDES[plane, by]] * 3
    assert way[State.SETUP].keywords == {"then": State.LONGITUDINAL}
    assert State.PALPATE not in way and State.BLIND_ADVANCE not in way


def test_a_way_by_landmarks_has_no_state_that_needs_a_picture() -> None:
    way = way_of("L4_LM", "landmark")
    assert way[State.SETUP].keywords == {"then": State.PALPATE}
    assert not {State.LONGITUDINAL, State.TRANSVERSE, State.OPTIMISE, State.PLAN, State.ADVANCE} & set(way)
    assert way[State.TEST_INJECT].keywords == way[State.INJECT].keywords == {"pictures": False}


def test_a_guide_by_hand_differs_from_the_carriers_in_how_it_looks_and_steers_alone() -> None:
    for plane in ("in_plane", "out_of_plane"):
        carrier, hand = GUIDES[plane, "robot"], GUIDES[plane, "freehand"]
        same = ("in_plane", "view_of", "seen_from_mm", "show", "beside_mm")
        assert [getattr(carrier, name) for name in same] == [getattr(hand, name) for name in same]
        assert not carrier.steering.fluid_last and hand.steering.fluid_last


def test_a_hand_regains_lost_track_without_counting_it_as_new_ground() -> None:
    asked = []
    hand = hand_of(load_technique("L4_IP_T"), BY_HAND, TrialLog())
    hand.advance = lambda amount_mm, speed_mm_s, *, blind=False: asked.append((amount_mm, blind))
    hand.regain(0.8, 1.0)
    assert asked == [(0.8, True)]
