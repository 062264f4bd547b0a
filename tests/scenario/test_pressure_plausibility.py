"""A pressure sensor that lies, before and during an infusion: refused or stopped, on either side."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tiny_devices import Bench

from hal.clock import VirtualClock
from rig.instruments.syringe import inject
from rig.safety.pressure import Verdict
from rig.safety.stop import HoldRequested


def lying(tissue_kpa, lie):
    """A running controller whose sensor shows ``lie(time since the start in s, true kPa)``."""
    clock = VirtualClock()
    bench = Bench(clock)
    bench.pressure.back_kpa = tissue_kpa
    read = bench.pressure.read

    def shown():
        reading = read()
        return replace(reading, pressure_kpa=lie(clock.now_ns() / 1e9, reading.pressure_kpa))

    bench.pressure.read = shown
    controller = bench.controller()
    controller.start()
    return bench, controller


def noise(t_s):
    return 0.1 * math.sin(37.0 * t_s)


@pytest.mark.parametrize("tissue_kpa", [20.0, 85.0, 120.0])
@pytest.mark.parametrize("off_kpa", [-60.0, -40.0, -6.0, 6.0, 30.0])
def test_a_zero_that_has_drifted_is_refused_before_anything_is_pumped(tissue_kpa, off_kpa):
    bench, controller = lying(tissue_kpa, lambda t, kpa: kpa + off_kpa)
    with pytest.raises(HoldRequested, match=r"zero has drifted") as held:
        inject(controller, 0.5, 3.0)
    assert held.value.source in ("pressure_zero", "pressure_at_rest")
    assert bench.pump.infusions == 0


@pytest.mark.parametrize("off_kpa", [-3.0, 0.0, 3.0])
def test_what_a_good_sensor_may_drift_is_let_pass(off_kpa):
    _, controller = lying(20.0, lambda t, kpa: kpa + off_kpa)
    assert inject(controller, 0.5, 3.0).verdict is Verdict.FLOWING
    assert inject(controller, 0.5, 3.0).verdict is Verdict.FLOWING


def test_a_zero_that_drifts_slowly_is_found_at_the_next_infusion_and_not_taken_for_the_new_zero():
    _, controller = lying(5.0, lambda t, kpa: kpa - 0.5 * t)
    with pytest.raises(HoldRequested) as held:
        for _ in range(8):
            inject(controller, 0.2, 3.0)
            controller.wait(5.0)
    assert held.value.source == "pressure_zero"
    assert controller.volumes.injected_ml < 0.7


def test_a_zero_that_falls_while_the_pump_runs_stops_it():
    bench, controller = lying(5.0, lambda t, kpa: kpa - max(0.0, 10.0 * (t - 3.0)))
    with pytest.raises(HoldRequested) as held:
        inject(controller, 0.8, 3.0)
    assert held.value.source in ("pressure_zero", "pressure_silent")
    assert held.value.partial.pumped_ml < 0.3 and not bench.pump.rate_now()


@pytest.mark.parametrize("stuck_kpa", [0.0, 3.0])
def test_a_value_that_hangs_behind_its_noise_stops_the_pump(stuck_kpa):
    _, controller = lying(20.0, lambda t, kpa: stuck_kpa + noise(t))
    with pytest.raises(HoldRequested, match="does not respond to the pump") as held:
        inject(controller, 0.5, 3.0)
    assert held.value.partial.pumped_ml < 0.2


def test_a_value_that_hangs_at_what_the_last_infusion_left_stops_the_pump():
    bench, controller = lying(20.0, lambda t, kpa: kpa)
    inject(controller, 0.2, 3.0)
    left = bench.pressure.read()

    def stuck():
        now_ns = controller.clock.now_ns()
        return replace(left, time_ns=now_ns, pressure_kpa=left.pressure_kpa + noise(now_ns / 1e9))

    controller.rig.channels["pressure"]._read = stuck
    with pytest.raises(HoldRequested, match="does not respond to the pump"):
        inject(controller, 0.5, 3.0)


def test_a_gain_that_is_far_too_low_is_found_by_the_loss_of_the_line_itself():
    _, controller = lying(60.0, lambda t, kpa: 0.3 * kpa)
    with pytest.raises(HoldRequested, match=r"fell by .* when the pump stopped|does not answer") as held:
        inject(controller, 0.5, 3.0)
    assert held.value.source in ("pressure_fall", "pressure_silent")


def test_a_line_that_still_holds_what_the_last_infusion_left_is_no_drift():
    _, controller = lying(60.0, lambda t, kpa: kpa)
    assert inject(controller, 0.2, 3.0).verdict is Verdict.FLOWING
    assert controller.line_at_rest.left_kpa > 30.0
    assert inject(controller, 0.2, 3.0).verdict is Verdict.FLOWING


def test_the_self_test_proves_what_judges_the_sensor():
    _, controller = lying(20.0, lambda t, kpa: kpa)
    names = {p.name for p in controller.self_test()}
    assert {"pressure_zero", "pressure_silent", "pressure_at_rest"} <= names
