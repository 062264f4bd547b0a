"""Age, levels and standing values of one role; a case on either side of every limit."""

from __future__ import annotations

from typing import Any

import pytest

from hal.clock import NS_PER_S
from hal.types import (
    CarrierState,
    ContactReading,
    ForceReading,
    HolderState,
    MotionMode,
    NeedlePose,
    Pose6,
    PressureReading,
    PumpState,
)
from rig.lanes import Channel, Sample
from rig.safety.interlocks import Guard, levels_for
from rig.safety.limits import ForceLimits, Limits
from rig.safety.stop import Severity

LEVELS = {level.name: level for level in levels_for(Limits(), 22, pedal_holds=True)}
POSE, NEEDLE = Pose6(0, 0, 0), NeedlePose(0, 0, 0, 0, 0)


def ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)


CASES: list[tuple[str, Severity, Any, Any]] = [
    ("line_pressure", Severity.HARD, PressureReading(0, 300.0, 20.0), PressureReading(0, 299.9, 20.0)),
    ("pressure_zero", Severity.HOLD, PressureReading(0, -5.0, 20.0), PressureReading(0, -4.99, 20.0)),
    ("needle_force", Severity.HOLD, ForceReading(0, 5.0), ForceReading(0, 4.99)),
    ("needle_force", Severity.HOLD, ForceReading(0, -5.0), ForceReading(0, -4.99)),
    ("needle_force_hard", Severity.HARD, ForceReading(0, 10.0), ForceReading(0, 9.99)),
    ("needle_force_hard", Severity.HARD, ForceReading(0, -10.0), ForceReading(0, -9.99)),
    ("probe_force", Severity.HOLD, ForceReading(0, 12.0), ForceReading(0, 11.99)),
    ("probe_force", Severity.HOLD, ForceReading(0, -12.0), ForceReading(0, -11.99)),
    ("probe_force_hard", Severity.HARD, ForceReading(0, 24.0), ForceReading(0, 23.99)),
    ("probe_force_hard", Severity.HARD, ForceReading(0, -24.0), ForceReading(0, -23.99)),
    ("nerve_contact", Severity.HOLD, ContactReading(0, True, False, False), ContactReading(0, False, True, True)),
    ("vessel_contact", Severity.HOLD, ContactReading(0, False, True, False), ContactReading(0, True, False, True)),
    ("pedal", Severity.HOLD, ContactReading(0, False, False, True), ContactReading(0, True, True, False)),
    (
        "holder_alarm",
        Severity.HARD,
        HolderState(0, POSE, MotionMode.ALARM),
        HolderState(0, POSE, MotionMode.MOVING),
    ),
    (
        "holder_alarm",
        Severity.HARD,
        HolderState(0, POSE, MotionMode.IDLE, alarm="1"),
        HolderState(0, POSE, MotionMode.IDLE),
    ),
    (
        "carrier_alarm",
        Severity.HARD,
        CarrierState(0, NEEDLE, MotionMode.ALARM),
        CarrierState(0, NEEDLE, MotionMode.MOVING),
    ),
    (
        "carrier_alarm",
        Severity.HARD,
        CarrierState(0, NEEDLE, MotionMode.IDLE, alarm="1"),
        CarrierState(0, NEEDLE, MotionMode.IDLE),
    ),
    ("pump_alarm", Severity.HARD, PumpState(0, False, 0.0, 0.0, alarm="stall"), PumpState(0, True, 0.0, 0.0)),
]


@pytest.mark.parametrize(("name", "severity", "over", "under"), CASES)
def test_every_level_trips_at_its_limit_and_not_below(name: str, severity: Severity, over: Any, under: Any) -> None:
    level = LEVELS[name]
    trip = level.evaluate(over)
    assert trip is not None and (trip.source, trip.severity) == (name, severity)
    assert level.evaluate(under) is None
    assert level.evaluate(level.trips_on) is not None and level.evaluate(level.passes_on) is None


@pytest.mark.parametrize("name", LEVELS)
def test_the_examples_of_every_level_prove_it(name: str) -> None:
    level = LEVELS[name]
    assert level.evaluate(level.trips_on) is not None and level.evaluate(level.passes_on) is None


def test_levels_follow_the_limits_of_the_rig_and_a_pedal_holds_only_where_it_shall() -> None:
    limits = Limits(force=ForceLimits(needle_n=2.0, hard_factor=3.0))
    names = {level.name: level for level in levels_for(limits, 22, pedal_holds=False)}
    assert "pedal" not in names
    assert names["needle_force"].limit == 2.0 and names["needle_force_hard"].limit == 6.0
    assert names["probe_force_hard"].limit == 36.0


def guard(role: str = "pressure") -> tuple[Guard, Channel[Any]]:
    channel: Channel[Any] = Channel(role, lambda: None, 0.1)
    levels = tuple(level for level in LEVELS.values() if level.role == role)
    return Guard(channel, levels, Limits().polling_of(role), 0), channel


def test_a_reading_may_be_as_old_as_its_limit_and_no_older() -> None:
    watched, channel = guard()
    channel.sample = Sample(PressureReading(0, 1.0, 20.0), ns(5.0))
    assert watched.check(ns(6.0)) is None
    trip = watched.check(ns(6.0) + 1)
    assert trip is not None and trip.source == "pressure_stale" and trip.severity is Severity.HARD
    assert (trip.value, trip.limit) == (pytest.approx(1.0), 1.0)
    watched.attend(True, ns(6.0))
    assert watched.check(ns(6.2)) is None  # counted from the change
    assert watched.check(ns(6.2) + 1) is not None


def test_without_any_reading_age_counts_from_the_start() -> None:
    watched, _ = guard()
    assert watched.evaluate_age(None, ns(1.0)) is None
    assert watched.evaluate_age(None, ns(1.0) + 1) is not None
    on_demand, _ = guard("tracker")
    assert on_demand.evaluate_age(None, ns(1e6)) is None


def test_a_fault_is_reported_before_anything_else() -> None:
    watched, channel = guard()
    channel.fault = RuntimeError("unplugged")
    trip = watched.check(0)
    assert trip is not None and trip.source == "pressure_fault" and "unplugged" in trip.reason
    assert watched.evaluate_fault(None) is None


def equal_readings(watched: Guard, channel: Channel[Any], count: int) -> list[str]:
    tripped = []
    for k in range(count):
        channel.sample = Sample(PressureReading(k, 12.5, 20.0), k)
        trip = watched.check(k)
        tripped.append("" if trip is None else trip.source)
    return tripped


def test_fifty_attended_readings_that_equal_the_one_before_are_no_measurement() -> None:
    watched, channel = guard()
    watched.attend(True, 0)
    tripped = equal_readings(watched, channel, 51)
    assert tripped == [""] * 50 + ["pressure_frozen"]


def test_idle_readings_may_be_equal_and_another_value_begins_anew() -> None:
    watched, channel = guard()
    assert set(equal_readings(watched, channel, 80)) == {""}
    watched.attend(True, 0)
    channel.sample = Sample(PressureReading(0, 13.0, 20.0), 0)
    watched.check(0)
    assert "pressure_frozen" not in equal_readings(watched, channel, 50)


def test_a_reading_is_judged_once_and_its_holds_are_kept() -> None:
    watched, channel = guard("needle_force")
    channel.sample = Sample(ForceReading(0, 6.0), 0)
    assert watched.check(0) is None and [t.source for t in watched.holds] == ["needle_force"]
    channel.sample = Sample(ForceReading(1, 11.0), 1)
    trip = watched.check(1)
    assert trip is not None and trip.source == "needle_force_hard"
    assert watched.check(2) is trip
    channel.sample = Sample(ForceReading(2, 1.0), 2)
    assert watched.check(2) is None and watched.holds == ()


def test_contacts_are_not_judged_by_standing_values() -> None:
    watched, _ = guard("contact")
    assert not watched.judges_frozen and watched.evaluate_frozen(10**6) is None
