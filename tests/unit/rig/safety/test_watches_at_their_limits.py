"""Watches over actuators and readings exactly at their limits, and what they tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from hal.clock import NS_PER_S, VirtualClock
from hal.types import CarrierState, ForceReading, HolderState, MotionMode, NeedlePose, Pose6, PressureReading, PumpState
from rig.lanes import Channel, Sample
from rig.safety.axes_watch import AxesWatch, Phase
from rig.safety.delivery_watch import DeliveryWatch
from rig.safety.interlocks import Guard, levels_for
from rig.safety.limits import Box, Limits, MotionLimits, VolumeLimits
from rig.safety.polling import POLLING, Polling
from rig.safety.run_on import dose_problem
from rig.safety.stop import Trip

IDLE, MOVING = MotionMode.IDLE, MotionMode.MOVING


def at(x: float = 0.0, seconds: float = 0.0, mode: MotionMode = IDLE, z: float = 0.0) -> Sample[Any]:
    ns = round(seconds * NS_PER_S)
    return Sample(HolderState(ns, Pose6(x, 0.0, z), mode), ns)


def place(x: float) -> tuple[float, ...]:
    return tuple(at(x).value.pose.as_tuple())


def resting(clock: VirtualClock | None = None) -> AxesWatch:
    watch = AxesWatch("holder", MotionLimits(), clock or VirtualClock())
    watch.evaluate(at())
    return watch


def tripped(trip: Trip | None) -> Trip:
    assert trip is not None
    return trip


def test_axes_that_stand_elsewhere_are_reported_with_the_way_and_its_limit() -> None:
    trip = tripped(resting().evaluate(at(-0.75)))
    assert (trip.value, trip.limit) == (0.75, 0.1)
    assert "x 0.000 before, -0.750 now" in trip.reason


def test_a_corridor_ends_two_strays_beyond_its_ends() -> None:
    for x, source in ((-0.2, ""), (-0.25, "holder_astray"), (4.19, ""), (4.25, "holder_astray")):
        watch = resting()
        with watch.ordered(place(0.0), 2.0):
            watch.extend(place(4.0))
            trip = watch.evaluate(at(x, 60.0, MOVING))
        assert ("" if trip is None else trip.source) == source
        assert trip is None or (trip.value, trip.limit) == (pytest.approx(0.25), pytest.approx(0.2))


def test_a_move_may_be_a_millimetre_ahead_exactly_and_time_before_the_order_does_not_count() -> None:
    before = -3.0
    for x, seconds, source in ((5.0, 2.0, ""), (1.0, before, ""), (1.5, before, "holder_ahead")):
        watch = resting()
        with watch.ordered(place(0.0), 2.0):
            watch.extend(place(10.0))
            trip = watch.evaluate(at(x, seconds, MOVING))
        assert ("" if trip is None else trip.source) == source


def test_axes_whose_rest_is_unknown_start_where_the_order_says() -> None:
    watch = resting()
    watch.forget()
    with watch.ordered(place(40.0), 2.0):
        watch.extend(place(44.0))
        assert watch.evaluate(at(41.0, 5.0, MOVING)) is None


def test_a_report_of_the_moment_at_which_the_order_ended_is_where_they_rest() -> None:
    clock = VirtualClock()
    watch = resting(clock)
    with watch.ordered(place(0.0), 2.0):
        watch.extend(place(4.0))
        clock.sleep(2.0)
    assert watch.evaluate(at(4.0, 2.0)) is None and watch.phase is Phase.REST


@pytest.mark.parametrize(
    ("sample", "value", "limit"),
    [(at(151.0), 151.0, 150.0), (at(-151.0), -151.0, -150.0), (at(z=-121.0), -121.0, -120.0)],
)
def test_a_hand_gets_the_end_of_the_workspace_that_it_left(sample: Sample[Any], value: float, limit: float) -> None:
    watch = resting()
    watch.by_hand(True)
    trip = tripped(watch.evaluate(sample))
    assert (trip.source, trip.value, trip.limit) == ("holder_hand", value, limit)
    watch.by_hand(True)
    assert watch.evaluate(at(150.1)) is None


def count(ml: float, seconds: float = 1.0, running: bool = False) -> Sample[PumpState]:
    ns = round(seconds * NS_PER_S)
    return Sample(PumpState(ns, running, ml, 0.0), ns)


def pump(clock: VirtualClock | None = None) -> DeliveryWatch:
    watch = DeliveryWatch(VolumeLimits(), clock or VirtualClock())
    watch.evaluate(count(0.0, 0.0))
    return watch


def test_a_pump_at_rest_may_count_five_steps_exactly() -> None:
    assert pump().evaluate(count(0.005)) is None
    trip = tripped(pump().evaluate(count(0.0625)))
    assert (trip.value, trip.limit) == (0.0625, 0.005) and "0.062 mL that nobody ordered" in trip.reason


def test_an_order_is_exceeded_only_beyond_its_slack() -> None:
    slack = 0.005 + 0.01 * 1.0
    for ml, seconds, source in (
        (1.0 + slack, 60.0, ""), (1.02, 60.0, "pump_beyond"), (slack, -1.0, ""), (0.02, -1.0, "pump_ahead"),
        (6.0 / 60.0 * 2.0 + slack, 2.0, ""), (0.22, 2.0, "pump_ahead"),
    ):  # fmt: skip
        watch = pump()
        with watch.ordered(0.0, 1.0, 6.0):
            trip = watch.evaluate(count(ml, seconds, True))
        assert ("" if trip is None else trip.source) == source, (ml, seconds)
    watch = pump()
    with watch.ordered(0.0, 1.0, 6.0):
        beyond = tripped(watch.evaluate(count(1.5, 60.0, True)))
    assert (beyond.value, beyond.limit) == (1.5, pytest.approx(1.015)) and "1.500 mL of 1 that" in beyond.reason


def test_an_infusion_that_ends_is_over_with_the_first_report_from_then_on() -> None:
    clock = VirtualClock()
    watch = pump(clock)
    with watch.ordered(0.0, 0.5, 6.0):
        clock.sleep(5.0)
    assert watch.evaluate(count(0.4, 4.9)) is None  # from before: not yet where it rests
    assert watch.evaluate(count(0.5, 5.0)) is None
    assert tripped(watch.evaluate(count(0.51, 5.1))).source == "pump_uncommanded"


def guard(role: str, **polling: Any) -> tuple[Guard, Channel[Any]]:
    channel: Channel[Any] = Channel(role, lambda: None, 0.1)
    levels = tuple(x for x in levels_for(Limits(), 22) if x.role == role)
    return Guard(channel, levels, replace(POLLING[role], **polling), 0), channel


def test_a_level_is_reported_with_its_figure_and_a_device_with_its_words() -> None:
    force = {x.name: x for x in levels_for(Limits(), 22)}
    trip = tripped(force["needle_force"].evaluate(ForceReading(0, -6.125)))
    assert (trip.value, trip.limit) == (6.125, 5.0) and trip.reason.endswith(": 6.12 N, limit 5")
    assert tripped(force["pump_alarm"].evaluate(PumpState(0, False, 0.0, 0.0, alarm="stall"))).reason == (
        "the pump reports an alarm (stall)"
    )
    zero = tripped(force["pressure_zero"].evaluate(PressureReading(0, -7.5, 20.0)))
    assert (zero.value, zero.limit) == (7.5, 5.0)


@pytest.mark.parametrize(
    ("frozen_n", "equal_n", "trips"), [(0, 10**6, False), (1, 1, True), (2, 1, False), (2, 2, True)]
)
def test_readings_may_be_equal_fewer_times_than_the_rig_says(frozen_n: int, equal_n: int, trips: bool) -> None:
    watched, _ = guard("pressure", frozen_n=frozen_n)
    trip = watched.evaluate_frozen(equal_n)
    assert (trip is not None) is trips
    if trip is not None:
        assert (trip.value, trip.limit) == (float(equal_n), float(frozen_n))


def test_equal_readings_are_counted_from_the_first_and_begin_anew_with_another() -> None:
    watched, channel = guard("pressure", frozen_n=2)
    watched.attend(True, 0)
    reported = []
    for k, kpa in enumerate((1.0, 1.0, 2.0, 2.0, 2.0)):
        channel.sample = Sample(PressureReading(k, kpa, 20.0), k)
        reported.append(watched.check(k) is not None)
    assert reported == [False, False, False, False, True]


def test_a_late_reading_is_reported_with_its_age() -> None:
    watched, _ = guard("pressure")
    trip = tripped(watched.evaluate_age(NS_PER_S, 4 * NS_PER_S))
    assert (trip.value, trip.limit) == (3.0, 1.0) and "no reading for 3.00 s (limit 1.00 s)" in trip.reason


@pytest.mark.parametrize(
    ("role", "polling", "wrong"),
    [
        ("pressure", Polling(0.25, 0.2, 1.0, 0.2), "stale_attended_s"),
        ("pressure", Polling(0.25, 0.02, 0.25, 0.2), "stale_idle_s"),
        ("pressure", Polling(0.25, 0.02, 0.26, 0.03), ""),
        ("tracker", Polling(0.0, 0.0, 0.0, 0.0), ""),
        ("tracker", Polling(0.5, 0.0, 0.5, 0.0), "stale_idle_s"),
        ("pressure", Polling(0.0, 0.02, 1.0, 0.2), "idle_s"),
    ],
)
def test_a_reading_must_be_allowed_to_be_older_than_its_period(role: str, polling: Polling, wrong: str) -> None:
    if not wrong:
        assert Limits(polling={role: polling}).polling_of(role) == polling
        return
    with pytest.raises(PydanticCustomError, match=wrong):
        Limits(polling={role: polling})


def test_a_workspace_without_extent_is_refused() -> None:
    assert Box(x_mm=(1.0, 1.001)).x_mm == (1.0, 1.001)
    with pytest.raises(PydanticCustomError, match="lower to the higher"):
        Box(x_mm=(1.0, 1.0))


def test_a_dose_of_three_tenths_is_allowed_and_a_larger_one_reported() -> None:
    assert dose_problem(VolumeLimits(injection_ml=0.3), None) == ""
    assert "up to 0.31 mL go in" in dose_problem(VolumeLimits(injection_ml=0.31), None)
    assert "stops by itself after 9 s" in dose_problem(VolumeLimits(), 9.0)


def test_a_needle_that_a_hand_pushes_into_the_gel_is_reported_against_the_skin() -> None:
    watch = AxesWatch("carrier", MotionLimits(), VirtualClock())
    watch.by_hand(True)
    trip = tripped(watch.evaluate(Sample(CarrierState(0, NeedlePose(0.0, 0.0, 0.0, 0.0, 0.5), IDLE), 0)))
    assert (trip.source, trip.value, trip.limit) == ("carrier_hand", 0.5, 0.0)
