"""Holds while nobody may move: between two trials, and during a pause."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from experiments.protocol.states import State
from experiments.trial import trial as trials
from hal.clock import VirtualClock
from hal.errors import SafetyStop
from hal.types import TemperatureReading
from rig.instruments.at_rest import read_at_rest
from rig.instruments.thermometer import GelTemperature, gel_temperature
from rig.safety.stop import HoldRequested
from tests.fakes.tiny_devices import Bench

GEL_C, LINE_C = 25.5, 21.0


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def bench(clock):
    return Bench(clock)


@pytest.fixture
def controller(bench):
    controller = bench.controller()
    controller.start()
    return controller


def touch(bench: Bench, **what: bool) -> None:
    bench.contact.reading = replace(bench.contact.reading, **what)


def later(bench: Bench, seconds: float, **what: bool) -> None:
    bench.clock.spawn(f"at {seconds:g} s", lambda: (bench.clock.sleep(seconds), touch(bench, **what)))


def now_s(bench: Bench) -> float:
    return bench.clock.now_ns() / 1e9


def test_a_foot_on_the_pedal_between_two_trials_is_waited_out_and_the_reading_taken(bench, controller):
    touch(bench, pedal=True)
    bench.clock.sleep(1.0)
    later(bench, 20.0, pedal=False)
    began_s = now_s(bench)
    assert read_at_rest(controller, "pressure").temperature_c == LINE_C
    assert 19.9 <= now_s(bench) - began_s <= 21.0
    (entry,) = bench.journal.of("hold_between_trials")
    assert entry["source"] == "pedal"


def test_a_pedal_that_is_down_when_the_rig_is_opened_is_waited_out(bench):
    touch(bench, pedal=True)
    controller = bench.controller()
    controller.start()
    (entry,) = bench.journal.of("hold_at_start")
    assert entry["source"] == "pedal"
    later(bench, 15.0, pedal=False)
    assert read_at_rest(controller, "pressure").temperature_c == LINE_C
    assert now_s(bench) >= 15.0 and not controller.paused_by


def test_a_pedal_that_is_pressed_during_the_reading_is_waited_out_too(bench, controller):
    bench.pressure.latency_s = 0.4
    later(bench, 0.05, pedal=True)
    later(bench, 10.0, pedal=False)
    assert read_at_rest(controller, "pressure").temperature_c == LINE_C
    assert now_s(bench) >= 10.0 and not controller.paused_by


def test_a_pause_between_two_trials_that_never_ends_is_a_stop(bench, controller):
    controller.pause("console")
    with pytest.raises(SafetyStop, match="paused for over 1800 s"):
        read_at_rest(controller, "pressure")


def test_the_thermometer_tells_the_temperature_of_the_gel_where_there_is_one(clock):
    bench = Bench(clock)
    devices = bench.devices()
    thermometer = SimpleNamespace(
        read=lambda: TemperatureReading(clock.now_ns(), GEL_C), open=bench.pressure.open, close=bench.pressure.close,
        make_safe=bench.pressure.make_safe,
    )  # fmt: skip
    bench.devices = lambda: {**devices, "temperature": thermometer}
    controller = bench.controller()
    controller.start()
    assert gel_temperature(controller) == GelTemperature(GEL_C, "temperature")


def with_thermometer(clock, read):
    """A rig whose thermometer in the gel answers like this, and what its journal is told."""
    bench, reported = Bench(clock), []
    devices = bench.devices()
    cell = bench.pressure
    thermometer = SimpleNamespace(read=read, open=cell.open, close=cell.close, make_safe=cell.make_safe)
    bench.devices = lambda: {**devices, "temperature": thermometer}
    controller = bench.controller()
    controller.start()
    controller.journal = SimpleNamespace(append=lambda kind, data: reported.append((kind, data)))
    controller.wait(1.0)
    return controller, reported


@pytest.mark.parametrize(("celsius", "age_s"), [(85.0, 0.0), (-127.0, 0.0), (float("inf"), 0.0), (25.0, 600.0)])
def test_a_temperature_that_no_gel_has_or_of_long_ago_is_left_out_and_journalled(clock, celsius, age_s):
    controller, reported = with_thermometer(
        clock, lambda: TemperatureReading(clock.now_ns() - int(age_s * 1e9), celsius)
    )
    assert gel_temperature(controller) == GelTemperature(LINE_C, "pressure")
    assert [kind for kind, _ in reported] == ["temperature_left_out"] and reported[0][1]["role"] == "temperature"


def test_without_a_thermometer_the_pressure_cell_does_and_the_record_says_where_it_sits(bench, controller):
    found = gel_temperature(controller)
    assert found == GelTemperature(LINE_C, "pressure") and "not in the gel" in found.place


def test_a_gauge_that_knows_no_temperature_leaves_that_of_the_rig_file(bench, controller):
    read = bench.pressure.read
    bench.pressure.read = lambda: replace(read(), temperature_c=float("nan"))
    controller.rig.channels["pressure"]._read = bench.pressure.read
    assert gel_temperature(controller) == GelTemperature(None, "")


def test_a_hold_that_comes_during_a_pause_is_raised_when_the_pause_ends(bench, controller):
    touch(bench, pedal=True)
    with pytest.raises(HoldRequested):
        controller.wait(1.0)
    later(bench, 5.0, nerve=True)
    later(bench, 6.0, nerve=False)
    later(bench, 20.0, pedal=False)
    began_s = now_s(bench)
    with pytest.raises(HoldRequested) as held:
        controller.wait_out_pause()
    assert held.value.source == "nerve_contact"
    assert now_s(bench) - began_s >= 19.9
    controller.wait_out_pause()


def of_a_trial(bench, controller):
    reported = []
    trial = SimpleNamespace(
        controller=controller, log=SimpleNamespace(holds=[]), event=lambda kind, **data: reported.append((kind, data))
    )
    return trial, reported


def test_a_trial_answers_the_nerve_that_was_touched_while_the_pedal_was_down(bench, controller):
    trial, _ = of_a_trial(bench, controller)
    touch(bench, pedal=True)
    with pytest.raises(HoldRequested) as pedal:
        controller.wait(1.0)
    later(bench, 5.0, nerve=True)
    later(bench, 20.0, pedal=False)
    answered = []

    def reassess(trial, hold, state):
        answered.append((hold.source, now_s(bench)))
        return State.PLAN

    assert trials._answer(trial, pedal.value, State.ADVANCE, reassess) is State.PLAN
    ((source, at_s),) = answered
    assert source == "nerve_contact" and at_s >= 20.0
    assert trial.log.holds == ["pedal", "nerve_contact"]


def test_a_hold_in_a_pause_does_not_keep_the_needle_in_the_gel(bench, controller):
    trial, reported = of_a_trial(bench, controller)
    left = []

    def withdraw(trial):
        controller.scan()
        controller.require_no_pause()
        left.append(now_s(bench))

    bench.clock.sleep(1.0)
    touch(bench, pedal=True)
    bench.clock.sleep(1.0)
    later(bench, 5.0, nerve=True)
    later(bench, 20.0, pedal=False)
    assert trials._leave_phantom(trial, {State.WITHDRAW: withdraw, State.CHECKOUT: lambda trial: None}) is None
    assert len(left) == 1 and left[0] >= 20.0
    assert [data["source"] for kind, data in reported if kind == "hold"] == ["pedal", "nerve_contact"]
