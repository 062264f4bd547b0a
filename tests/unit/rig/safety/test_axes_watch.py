"""Motion that axes are allowed by their orders; a case on either side of every limit."""

from __future__ import annotations

import pytest

from hal.clock import NS_PER_S, VirtualClock
from hal.errors import DeviceError
from hal.types import CarrierState, HolderState, MotionMode, NeedlePose, Pose6
from rig.lanes import Sample
from rig.safety.axes_watch import AxesWatch
from rig.safety.limits import MotionLimits
from rig.safety.stop import Severity, Trip

IDLE, MOVING = MotionMode.IDLE, MotionMode.MOVING
State = Sample[HolderState | CarrierState]


def probe(x: float = 0.0, seconds: float = 0.0, mode: MotionMode = IDLE, a: float = 0.0, z: float = 0.0) -> State:
    ns = int(seconds * NS_PER_S)
    return Sample(HolderState(ns, Pose6(x, 0.0, z, a), mode), ns)


def needle(feed: float, seconds: float = 0.0, mode: MotionMode = IDLE, tilt: float = 0.0) -> State:
    ns = int(seconds * NS_PER_S)
    return Sample(CarrierState(ns, NeedlePose(0.0, 0.0, 0.0, tilt, feed), mode), ns)


def resting(role: str = "holder") -> AxesWatch:
    watch = AxesWatch(role, MotionLimits(), VirtualClock())
    assert watch.evaluate(probe() if role == "holder" else needle(-20.0)) is None
    return watch


def source(trip: Trip | None) -> str:
    assert trip is None or trip.severity is Severity.HARD
    return "" if trip is None else trip.source


def on_the_way(sample: State) -> Trip | None:
    """The judgement on a holder that rested in 0 and was told at 0 s to go to x = 10 at 2 mm/s."""
    watch = resting()
    with watch.ordered(probe().value.pose.as_tuple(), 2.0):
        watch.extend(probe(10.0).value.pose.as_tuple())
        return watch.evaluate(sample)


def test_axes_at_rest_stay_within_a_tenth_of_where_they_were_read() -> None:
    assert source(resting().evaluate(probe(0.1))) == ""
    assert source(resting().evaluate(probe(0.101))) == "holder_moved"
    assert source(resting().evaluate(probe(-0.101))) == "holder_moved"
    assert source(resting().evaluate(probe(a=0.101))) == "holder_moved"
    assert source(resting("carrier").evaluate(needle(-20.0, tilt=0.11))) == "carrier_moved"


def test_axes_that_move_unasked_are_a_stop() -> None:
    assert source(resting().evaluate(probe(mode=MOVING))) == "holder_uncommanded"


@pytest.mark.parametrize("x", [float("nan"), float("inf")])
def test_a_position_that_is_no_number_is_a_stop(x: float) -> None:
    assert source(resting().evaluate(probe(x))) == "holder_astray"


def test_the_first_place_at_rest_is_believed_and_a_moving_one_is_not() -> None:
    watch = AxesWatch("holder", MotionLimits(), VirtualClock())
    assert watch.evaluate(probe(5.0, mode=MOVING)) is None
    assert watch.evaluate(probe(7.0)) is None
    assert source(watch.evaluate(probe(5.0))) == "holder_moved"


def test_a_move_keeps_to_its_corridor_within_two_tenths() -> None:
    assert source(on_the_way(probe(10.19, 9.0, MOVING))) == ""
    assert source(on_the_way(probe(10.21, 9.0, MOVING))) == "holder_astray"
    assert source(on_the_way(probe(-0.19, 9.0, MOVING))) == ""
    trip = on_the_way(probe(-0.25, 9.0, MOVING))
    assert source(trip) == "holder_astray" and trip is not None
    assert (trip.value, trip.limit) == (pytest.approx(0.25), pytest.approx(0.2))
    assert source(on_the_way(probe(5.0, 9.0, MOVING, a=0.21))) == "holder_astray"


def test_the_corridor_begins_where_the_axes_rested() -> None:
    watch = resting()
    with watch.ordered(probe(0.05).value.pose.as_tuple(), 2.0):
        watch.extend(probe(3.0).value.pose.as_tuple())
        assert watch.evaluate(probe(-0.19, 1.0, MOVING)) is None


def test_a_move_is_not_ahead_of_speed_and_time_by_more_than_a_millimetre() -> None:
    assert source(on_the_way(probe(4.99, 2.0, MOVING))) == ""  # 2 mm/s x 2 s and 1 mm
    trip = on_the_way(probe(5.01, 2.0, MOVING))
    assert source(trip) == "holder_ahead" and trip is not None
    assert (trip.value, trip.limit) == (pytest.approx(5.01), pytest.approx(5.0))
    late = probe(5.01, 2.0, MOVING)
    assert on_the_way(Sample(late.value, int(2.1e9))) is None  # by the later of the two stamps


def test_the_way_counts_lengths_and_not_degrees() -> None:
    watch = resting()
    with watch.ordered(probe().value.pose.as_tuple(), 1.0):
        watch.extend(probe(a=20.0).value.pose.as_tuple())
        assert watch.evaluate(probe(a=15.0, seconds=1.0, mode=MOVING)) is None
    carrier = resting("carrier")
    with carrier.ordered(needle(-20.0).value.pose.as_tuple(), 1.0):
        carrier.extend(needle(0.0).value.pose.as_tuple())
        assert source(carrier.evaluate(needle(-17.9, 1.0, MOVING))) == "carrier_ahead"
        assert source(carrier.evaluate(needle(-18.1, 1.0, MOVING))) == ""


def test_after_the_last_order_axes_rest_within_a_second_and_stay_there() -> None:
    watch = resting()
    with watch.ordered(probe().value.pose.as_tuple(), 2.0):
        watch.extend(probe(4.0).value.pose.as_tuple())
    assert source(watch.evaluate(probe(3.0, 1.0, MOVING))) == ""
    assert source(watch.evaluate(probe(3.0, 1.001, MOVING))) == "holder_uncommanded"
    assert watch.evaluate(probe(4.0, 0.9)) is None
    assert source(watch.evaluate(probe(4.2, 1.0))) == "holder_moved"


def test_a_report_from_before_the_end_of_the_order_is_not_where_they_came_to_rest() -> None:
    clock = VirtualClock()
    watch = AxesWatch("holder", MotionLimits(), clock)
    watch.evaluate(probe())
    with watch.ordered(probe().value.pose.as_tuple(), 2.0):
        watch.extend(probe(4.0).value.pose.as_tuple())
        clock.sleep(2.0)
    assert watch.evaluate(probe(2.0, 1.0)) is None
    assert watch.evaluate(probe(4.0, 2.1)) is None
    assert source(watch.evaluate(probe(2.0, 2.2))) == "holder_moved"


def guided(role: str = "holder") -> AxesWatch:
    watch = resting(role)
    watch.by_hand(True)
    return watch


def test_a_hand_keeps_to_the_workspace() -> None:
    assert source(guided().evaluate(probe(150.05, mode=MOVING))) == ""
    trip = guided().evaluate(probe(150.2))
    assert source(trip) == "holder_hand" and trip is not None and trip.limit == 150.0
    assert source(guided().evaluate(probe(z=-120.2))) == "holder_hand"
    assert source(guided().evaluate(probe(z=30.05))) == ""


def test_a_hand_keeps_the_needle_out_of_the_gel() -> None:
    assert source(guided("carrier").evaluate(needle(0.1))) == ""
    assert source(guided("carrier").evaluate(needle(0.11))) == "carrier_hand"


def test_a_hand_pushes_no_faster_than_its_limit() -> None:
    watch = guided()
    assert watch.evaluate(probe(0.0, 1.0)) is None
    assert source(watch.evaluate(probe(10.0, 1.1))) == ""  # 100 mm/s
    assert watch.evaluate(probe(10.0, 1.1)) is None  # the same report again says nothing
    trip = watch.evaluate(probe(20.2, 1.2))
    assert source(trip) == "holder_hand" and trip is not None
    assert (trip.value, trip.limit) == (pytest.approx(102.0), 100.0)


def test_no_order_goes_out_while_a_person_guides() -> None:
    watch = guided()
    with pytest.raises(DeviceError, match="by hand"), watch.ordered(probe().value.pose.as_tuple(), 1.0):
        pass
    watch.by_hand(False)
    assert watch.evaluate(probe(40.0)) is None  # where the hand has left it is believed
    assert source(watch.evaluate(probe(41.0))) == "holder_moved"


def test_what_a_person_has_seen_to_is_believed_again() -> None:
    watch = resting()
    watch.forget()
    assert watch.evaluate(probe(9.0)) is None
