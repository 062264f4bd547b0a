from __future__ import annotations

import pytest

from hal.errors import LimitViolation
from rig.safety.travel import NeedleTravel


def travel(confirmed_at_mm: float = 0.0) -> NeedleTravel:
    """A needle that may go 2 mm beyond the place where its tip was known."""
    found = NeedleTravel(2.0)
    found.moved_to(confirmed_at_mm)
    found.confirm()
    return found


def test_a_new_needle_may_go_two_millimetres_into_the_skin() -> None:
    new = NeedleTravel(2.0)
    new.check(2.0)
    with pytest.raises(LimitViolation, match="without confirmed tip"):
        new.check(2.001)
    assert (new.room_mm, new.since_confirmed_mm, new.blind_mm, new.clear_to_mm) == (2.0, 0.0, 0.0, 0.0)


def test_travel_counts_from_the_last_confirmed_place() -> None:
    deep = travel(10.0)
    deep.check(12.0)
    with pytest.raises(LimitViolation):
        deep.check(12.1)
    deep.moved_to(11.5)
    assert (deep.since_confirmed_mm, deep.room_mm) == (1.5, 0.5)
    deep.moved_to(13.0)
    assert deep.room_mm == 0.0
    deep.moved_to(4.0)  # back on its own track
    assert (deep.since_confirmed_mm, deep.room_mm) == (0.0, 2.0)


def test_only_what_lies_beyond_the_limit_counts_as_blind() -> None:
    deep = travel(2.0)
    deep.moved_to(4.0)
    assert deep.blind_mm == 0.0
    deep.moved_to(7.0)
    assert deep.blind_mm == pytest.approx(3.0)
    deep.moved_to(6.0)
    deep.moved_to(8.0)
    assert deep.blind_mm == pytest.approx(5.0)  # from 6 to 8, all of it beyond 4


def test_out_of_the_skin_a_new_track_begins() -> None:
    deep = travel(10.0)
    deep.moved_to(0.5)
    assert deep.confirmed_feed_mm == 10.0  # the same track: it may be travelled again
    deep.moved_to(0.0)
    assert deep.confirmed_feed_mm == 0.0


def test_a_place_in_the_air_is_never_deeper_than_the_skin() -> None:
    above = NeedleTravel(2.0)
    above.moved_to(-5.0)
    above.confirm()
    assert above.confirmed_feed_mm == 0.0
    above.allow_here()
    assert above.confirmed_feed_mm == 0.0
    above.declare_clear(-3.0)
    assert above.clear_to_mm == 0.0


def test_the_superficial_layer_moves_the_count_on_and_never_back() -> None:
    deep = travel(10.0)
    deep.moved_to(8.0)
    deep.allow_here()
    assert deep.confirmed_feed_mm == 10.0
    deep.moved_to(11.0)
    deep.allow_here()
    assert deep.confirmed_feed_mm == 11.0


def test_beyond_the_part_declared_free_of_bone_the_needle_goes_slowly() -> None:
    deep = travel()
    deep.declare_clear(20.0)
    deep.check_speed(20.0, 3.0, 1.0)
    deep.check_speed(25.0, 1.0, 1.0)
    with pytest.raises(LimitViolation, match="bone may be met"):
        deep.check_speed(20.1, 1.1, 1.0)


def test_a_new_trial_forgets_everything() -> None:
    deep = travel(10.0)
    deep.moved_to(15.0)
    deep.declare_clear(7.0)
    deep.reset()
    assert (deep.feed_mm, deep.confirmed_feed_mm, deep.blind_mm, deep.clear_to_mm) == (0.0, 0.0, 0.0, 0.0)
