"""An infusion that does not go as planned: what went in is booked, written down and told once, however it ended."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import pytest
from tiny_devices import Bench

from hal.clock import VirtualClock
from hal.errors import DeviceError, SafetyStop
from rig.instruments.syringe import inject
from rig.safety.pressure import Verdict
from rig.safety.stop import HoldRequested, Severity, Trip

VOLUME_ML, RATE_ML_MIN = 0.2, 3.0
NOMINAL_S = VOLUME_ML / RATE_ML_MIN * 60.0


@pytest.fixture
def clock():
    return VirtualClock()


class Infusion:
    """One infusion of 0.2 mL in 4 s on devices in memory."""

    def __init__(self, clock: VirtualClock, **config: object) -> None:
        self.clock = clock
        self.bench = Bench(clock, **config)
        self.controller = self.bench.controller()
        self.controller.start()
        self.noted = []

    def after(self, seconds: float, act) -> None:
        self.clock.spawn("later", lambda: (self.clock.sleep(seconds), act()))

    def touch(self, **what: bool) -> None:
        self.bench.contact.reading = replace(self.bench.contact.reading, **what)

    def run(self, *, test: bool = False):
        return inject(self.controller, VOLUME_ML, RATE_ML_MIN, test=test, note=self.noted.append)

    def assert_booked_once(self, ml: float) -> None:
        (entry,) = self.bench.journal.of("infusion")
        (result,) = self.noted
        assert entry["pumped_ml"] == result.pumped_ml == pytest.approx(ml, abs=0.015)
        assert self.controller.volumes.injected_ml == pytest.approx(ml, abs=0.015)


def test_a_hold_without_an_infusion_has_nothing_partial_and_keeps_what_it_has_across_processes():
    hold = HoldRequested(Trip("pedal", Severity.HOLD, "the pedal is pressed"))
    assert hold.partial is None
    hold.partial = "half"
    again = pickle.loads(pickle.dumps(hold))
    assert (again.partial, again.source, str(again)) == ("half", "pedal", str(hold))


def test_a_hold_while_the_line_discharges_is_raised_with_the_whole_infusion_written_down(clock):
    infusion = Infusion(clock)
    infusion.after(NOMINAL_S + 0.3, lambda: infusion.touch(pedal=True))
    with pytest.raises(HoldRequested) as held:
        infusion.run()
    assert held.value.partial.verdict is Verdict.FLOWING
    infusion.assert_booked_once(VOLUME_ML)


def test_a_second_hold_while_the_count_is_read_loses_neither_the_volume_nor_the_first_hold(clock):
    infusion = Infusion(clock)
    stop = infusion.bench.pump.stop

    def stopped_and_touched() -> None:
        stop()
        infusion.bench.pump.latency_s = 0.2  # the count takes its time, and the vessel is touched meanwhile
        infusion.after(0.05, lambda: infusion.touch(vessel=True))

    infusion.bench.pump.stop = stopped_and_touched
    infusion.after(2.0, lambda: infusion.touch(nerve=True))
    with pytest.raises(HoldRequested) as held:
        infusion.run()
    assert held.value.source == "nerve_contact"
    assert {h["source"] for h in infusion.bench.journal.of("hold")} == {"nerve_contact", "vessel_contact"}
    assert held.value.partial.verdict is Verdict.STOPPED
    assert 0.08 < held.value.partial.pumped_ml < 0.12
    infusion.assert_booked_once(held.value.partial.pumped_ml)


def test_a_pressure_hold_keeps_its_verdict_although_the_pedal_is_pressed_right_after_it(clock):
    infusion = Infusion(clock)
    infusion.bench.pressure.blocked = True
    infusion.after(1.1, lambda: infusion.touch(pedal=True))
    with pytest.raises(HoldRequested) as held:
        infusion.run(test=True)
    assert held.value.source == "pedal"
    assert held.value.partial.verdict is Verdict.BLOCKED
    assert len(infusion.noted) == len(infusion.bench.journal.of("infusion")) == 1


def test_what_went_in_before_a_hard_stop_is_written_down_too(clock):
    infusion = Infusion(clock)
    infusion.after(2.0, lambda: setattr(infusion.bench.needle_force, "force_n", 11.0))
    with pytest.raises(SafetyStop, match="axial needle force"):
        infusion.run()
    infusion.assert_booked_once(0.1)
    assert infusion.noted[0].verdict is Verdict.STOPPED and "needle force" in infusion.noted[0].reason


def test_a_full_disk_does_not_hide_why_the_rig_stopped(clock):
    infusion = Infusion(clock)
    infusion.after(1.9, lambda: setattr(infusion.bench.journal, "full", True))
    infusion.after(2.0, lambda: setattr(infusion.bench.needle_force, "force_n", 11.0))
    with pytest.raises(SafetyStop, match="axial needle force"):
        infusion.run()
    assert isinstance(infusion.controller.record_error, DeviceError)
    assert infusion.controller.volumes.injected_ml == pytest.approx(0.1, abs=0.015)


def test_a_pump_that_was_stopped_at_its_own_keys_did_not_flow_to_the_end(clock):
    infusion = Infusion(clock)
    infusion.after(2.0, infusion.bench.pump._halt)
    result = infusion.run()
    assert result.verdict is Verdict.STOPPED
    assert "of 0.2 mL and nothing here stopped it" in result.reason
    assert "pump.stop" in infusion.bench.log, "a paused program could be resumed at the pump"
    infusion.assert_booked_once(0.1)


def test_without_a_pressure_sensor_a_stopped_pump_is_noticed_as_well(clock):
    infusion = Infusion(clock, without=("pressure",))
    infusion.after(2.0, infusion.bench.pump._halt)
    assert infusion.run().verdict is Verdict.STOPPED


def test_an_infusion_is_written_down_before_it_begins(clock):
    infusion = Infusion(clock)
    before = []
    infuse = infusion.bench.pump.infuse
    infusion.bench.pump.infuse = lambda *a: (before.extend(infusion.bench.journal.of("infusion.started")), infuse(*a))
    infusion.run(test=True)
    assert before == [{"volume_ml": VOLUME_ML, "rate_ml_min": RATE_ML_MIN, "test": True, "counted_ml": 0.0}]


def test_an_infusion_that_cannot_be_written_down_does_not_begin(clock):
    infusion = Infusion(clock)
    infusion.bench.journal.full = True
    with pytest.raises(DeviceError, match="disk full"):
        infusion.run()
    assert infusion.bench.pump.infusions == 0


def test_of_a_pump_that_was_lost_the_volume_is_known_within_bounds_only(clock):
    infusion = Infusion(clock)
    infusion.after(1.2, lambda: setattr(infusion.bench.pump, "dead", True))
    with pytest.raises(SafetyStop):
        infusion.run()
    (entry,) = infusion.bench.journal.of("infusion")
    (result,) = infusion.noted
    assert entry["pumped_ml"] is None and math.isnan(result.pumped_ml) and math.isnan(result.delivered_ml)
    assert entry["pumped_min_ml"] == pytest.approx(0.06, abs=0.015)
    truly_ml = infusion.bench.pump.dispensed_ml()
    assert entry["pumped_min_ml"] <= truly_ml <= entry["pumped_max_ml"] == VOLUME_ML
    assert infusion.controller.volumes.injected_ml == VOLUME_ML, "the limit holds for what may have gone in"


def test_a_pump_that_stands_by_itself_when_it_hears_nothing_bounds_the_volume_by_its_watchdog(clock):
    infusion = Infusion(clock)
    infusion.bench.pump.watchdog_s = 0.5
    infusion.after(0.4, lambda: setattr(infusion.bench.pump, "dead", True))
    with pytest.raises(SafetyStop):
        infusion.run()
    least, most = infusion.noted[0].pumped.min_ml, infusion.noted[0].pumped.max_ml
    assert 0.0 < least < 0.03 and least + 0.5 * RATE_ML_MIN / 60.0 < most < VOLUME_ML


def test_a_pump_that_is_stopped_hard_is_asked_for_its_count_once_it_stands(clock):
    infusion = Infusion(clock)
    infusion.bench.pump.latency_s = 0.15
    infusion.after(2.0, lambda: setattr(infusion.bench.needle_force, "force_n", 11.0))
    with pytest.raises(SafetyStop, match="axial needle force"):
        infusion.run()
    assert infusion.noted[0].pumped_ml == infusion.bench.pump.dispensed_ml()


def test_a_pump_that_lost_its_count_with_its_power_has_not_pumped_nothing(clock):
    infusion = Infusion(clock)
    pump = infusion.bench.pump

    truly = []

    def power_cycle() -> None:
        pump._halt()
        truly.append(pump.dispensed_ml())
        pump.clear()

    infusion.after(2.0, power_cycle)
    result = infusion.run()
    assert result.verdict is Verdict.STOPPED and "at least" in result.reason
    assert 0.08 < result.pumped.min_ml <= truly[0] <= result.pumped.max_ml < 0.11


def test_a_pump_whose_command_never_went_out_has_pumped_nothing(clock):
    infusion = Infusion(clock)
    infusion.bench.pump.infuse = lambda *a: (_ for _ in ()).throw(DeviceError("refused"))
    infusion.controller.command = lambda role, action, doing: (_ for _ in ()).throw(DeviceError("taken back"))
    with pytest.raises(DeviceError):
        infusion.run()
    assert infusion.noted[0].pumped_ml == 0.0


def test_every_pressure_reading_of_an_infusion_is_reported_at_once(clock):
    infusion = Infusion(clock)
    reported = []
    result = inject(infusion.controller, VOLUME_ML, RATE_ML_MIN, tell=lambda r: reported.append((clock.now_ns(), r)))
    assert [r.time_ns for _, r in reported] == result.time_ns.tolist()
    assert max(now_ns - r.time_ns for now_ns, r in reported) <= 50_000_000
