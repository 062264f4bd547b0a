"""Counts that a pump is allowed by its orders; a case on either side of every limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hal.clock import NS_PER_S, VirtualClock
from hal.errors import DeviceError
from hal.types import PumpState
from rig.lanes import Sample
from rig.safety.delivery_watch import DeliveryWatch
from rig.safety.limits import VolumeLimits
from rig.safety.stop import Severity, Trip


def count(ml: float, seconds: float = 1.0, running: bool = False) -> Sample[PumpState]:
    ns = int(seconds * NS_PER_S)
    return Sample(PumpState(ns, running, ml, 0.0), ns)


def resting(ml: float = 0.2) -> DeliveryWatch:
    watch = DeliveryWatch(VolumeLimits(), VirtualClock())
    assert watch.evaluate(count(ml, 0.0)) is None
    return watch


def source(trip: Trip | None) -> str:
    assert trip is None or trip.severity is Severity.HARD
    return "" if trip is None else trip.source


@contextmanager
def ordered(volume_ml: float = 1.0, rate_ml_min: float = 6.0) -> Iterator[DeliveryWatch]:
    """An infusion from a count of 0.2 mL, ordered at 0 s."""
    watch = resting()
    with watch.ordered(0.2, volume_ml, rate_ml_min):
        yield watch


def test_a_pump_at_rest_keeps_its_count_to_five_steps() -> None:
    assert source(resting().evaluate(count(0.205))) == ""
    assert source(resting().evaluate(count(0.2055))) == "pump_uncommanded"


def test_a_pump_that_runs_unasked_is_reported_before_it_has_pumped_anything() -> None:
    assert source(resting().evaluate(count(0.2, running=True))) == "pump_uncommanded"
    new = DeliveryWatch(VolumeLimits(), VirtualClock())
    assert source(new.evaluate(count(0.0, running=True))) == "pump_uncommanded"


@pytest.mark.parametrize("ml", [float("nan"), float("inf")])
def test_a_count_that_is_no_volume_is_a_stop(ml: float) -> None:
    assert source(resting().evaluate(count(ml))) == "pump_uncommanded"


def test_a_count_that_was_cleared_is_the_new_start() -> None:
    watch = resting()
    assert watch.evaluate(count(0.0)) is None
    assert source(watch.evaluate(count(0.006))) == "pump_uncommanded"


def test_a_count_may_go_a_little_beyond_its_order() -> None:
    with ordered() as watch:  # 1 mL, 1 % and 5 uL
        assert source(watch.evaluate(count(1.2149, 60.0, True))) == ""
        assert source(watch.evaluate(count(1.2151, 60.0, True))) == "pump_beyond"


def test_a_count_ahead_of_rate_and_time_is_a_stop() -> None:
    with ordered() as watch:  # 6 mL/min: 0.1 mL in the first second, and 15 uL
        assert source(watch.evaluate(count(0.3149, 1.0, True))) == ""
        trip = watch.evaluate(count(0.3151, 1.0, True))
        assert source(trip) == "pump_ahead" and trip is not None and "0.115 mL after 1.00 s" in trip.reason
        assert (trip.value, trip.limit) == (pytest.approx(0.1151), pytest.approx(0.115))


def test_the_later_of_two_stamps_says_how_long_it_has_run() -> None:
    with ordered() as watch:
        late = Sample(PumpState(int(2e9), True, 0.39, 0.0), NS_PER_S)
        assert watch.evaluate(late) is None
        late = Sample(PumpState(NS_PER_S, True, 0.39, 0.0), int(2e9))
        assert watch.evaluate(late) is None


def test_after_its_end_a_pump_stands_within_a_second_and_its_count_is_the_new_start() -> None:
    with ordered(0.05) as watch:
        pass
    assert source(watch.evaluate(count(0.25, 1.0, True))) == ""
    assert source(watch.evaluate(count(0.25, 1.001, True))) == "pump_uncommanded"
    assert watch.evaluate(count(0.25, 0.5)) is None
    assert source(watch.evaluate(count(0.256, 0.6))) == "pump_uncommanded"


def test_a_person_at_the_keys_has_a_volume_of_their_own_and_no_order_goes_out() -> None:
    watch = resting()
    watch.by_hand(True)
    assert watch.evaluate(count(0.2, running=True)) is None
    assert source(watch.evaluate(count(1.2, running=True))) == ""
    trip = watch.evaluate(count(1.21, running=True))
    assert source(trip) == "pump_hand" and trip is not None and trip.limit == 1.0
    with pytest.raises(DeviceError, match="by hand"), watch.ordered(0.0, 1.0, 3.0):
        pass
    watch.by_hand(False)
    assert watch.evaluate(count(1.21)) is None


def test_what_a_person_has_seen_to_is_believed_again() -> None:
    watch = resting()
    watch.forget()
    assert watch.evaluate(count(3.0)) is None
    assert source(watch.evaluate(count(3.006))) == "pump_uncommanded"
