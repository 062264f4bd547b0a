"""Messages of a stop to the person, and the conditions of a release."""

from __future__ import annotations

import pytest
from tiny_devices import Bench

from hal.clock import VirtualClock
from hal.errors import SafetyStop
from rig.safety.stop import HoldRequested


@pytest.fixture
def clock():
    return VirtualClock()


def run(clock):
    bench = Bench(clock)
    controller = bench.controller()
    controller.start()
    return bench, controller


def test_a_sensor_that_is_still_silent_is_not_released(clock):
    """Its age alone says nothing just after a change of the age limit: it must answer."""
    bench, controller = run(clock)
    bench.pressure.dead = True
    with pytest.raises(SafetyStop, match="pressure: no reading"), controller.attending("pressure"):
        controller.wait(1.0)
    assert not controller.acknowledge()
    assert controller.stopped is not None and bench.journal.of("acknowledged") == []


def test_a_rig_whose_sensors_answer_again_is_released_on_fresh_values(clock):
    bench, controller = run(clock)
    bench.needle_force.force_n = 11.0
    with pytest.raises(SafetyStop):
        controller.wait(1.0)
    bench.needle_force.force_n = 0.2  # nobody has read this yet
    assert controller.acknowledge()
    controller.wait(0.5)


def test_a_silent_controller_is_not_called_a_pressed_button(clock):
    bench, controller = run(clock)
    bench.holder.dead = True
    with pytest.raises(SafetyStop, match=r"holder does not answer.*emergency-stop input counts as pressed"):
        controller.wait(3.0)


def test_the_person_learns_which_device_is_not_proven_safe(clock):
    bench, controller = run(clock)
    bench.pump.dead = True
    with pytest.raises(SafetyStop):
        controller.wait(3.0)
    (shown,) = [line for line in bench.log if line.startswith("operator.shown")]
    assert "pump NOT proven safe" in shown and "cut its power" in shown
    assert "carrier NOT" not in shown


def test_a_lost_link_to_the_scanner_is_a_hold_and_pictures_come_again(clock):
    bench, controller = run(clock)
    bench.ultrasound.dead = True
    with pytest.raises(HoldRequested) as held:
        controller.frame()
    assert held.value.source == "image_lost" and "ultrasound is silent" in held.value.reason
    bench.ultrasound.dead = False
    assert controller.frame().pixels.shape == (4, 4)
    assert controller.stopped is None


def test_every_stop_is_on_its_way_before_a_word_is_written_down(clock):
    bench, controller = run(clock)
    written = []
    append = bench.journal.append

    def spy(kind, data):
        written.append((kind, [line for line in bench.log if line.endswith(".make_safe")]))
        append(kind, data)

    bench.journal.append = spy
    bench.needle_force.force_n = 11.0
    with pytest.raises(SafetyStop):
        controller.wait(1.0)
    kind, event = written[0]
    assert kind == "trip" and {"pump.make_safe", "carrier.make_safe", "holder.make_safe"} <= set(event)


def test_a_terminal_that_hangs_delays_neither_the_stop_nor_its_proof(clock):
    bench, controller = run(clock)
    bench.operator.make_safe = bench.operator.show = lambda *_: clock.sleep(3600.0)
    bench.needle_force.force_n = 11.0
    began_ns = clock.now_ns()
    with pytest.raises(SafetyStop):
        controller.wait(1.0)
    reports = {r["device"]: r["safe"] for r in bench.journal.of("make_safe")[0]["reports"]}
    assert reports == {"pump": True, "carrier": True, "holder": True, "operator": False}
    assert (clock.now_ns() - began_ns) / 1e9 < 4.5


def test_a_terminal_that_is_lost_does_not_change_a_stop(clock):
    bench, controller = run(clock)

    def lost(*_):
        raise OSError(5, "Input/output error")

    bench.operator.make_safe = bench.operator.show = lost
    bench.needle_force.force_n = 11.0
    with pytest.raises(SafetyStop, match="axial needle force"):
        controller.wait(1.0)
    assert "holder.make_safe" in bench.log


def test_while_anything_depends_on_the_rig_an_emergency_stop_input_that_falls_silent_is_judged_strictly(clock):
    bench, controller = run(clock)
    with pytest.raises(SafetyStop, match="holder: no reading for"), controller.attending("pump", "pressure"):
        controller.wait(0.3)
        bench.holder.latency_s = 1.5
        controller.wait(1.0)
