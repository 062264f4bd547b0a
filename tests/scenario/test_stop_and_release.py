"""What a stop says to the person, and when the rig lets itself be released."""

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


def test_the_person_is_told_which_device_is_not_proven_safe(clock):
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
