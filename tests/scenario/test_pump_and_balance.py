"""A bench of a pump and a balance, no robot and no gauge: what leaves the needle is what the vessel gains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tiny_devices import MemoryJournal

import rig
from hal.clock import NS_PER_S, VirtualClock
from hal.errors import ConfigError, DeviceError, SafetyStop
from hal.types import Instruction, InstructionKind
from rig.config import parse_config
from rig.control.controller import Controller
from rig.instruments.syringe import inject
from rig.instruments.weighing import weigh, weighings
from rig.roles import BALANCE
from rig.safety.pressure import Verdict
from rig.setup.assemble import RigNotOpened, open_rig
from rig.setup.simulated import simulate

PUMP_AND_BALANCE = """
[rig]
name = "pump and balance"
simulated = true
[devices.pump]
driver = "new_era_pump"
url = "rigsim://pump"
diameter_mm = 14.43
[devices.balance]
driver = "mtsics_balance"
url = "rigsim://balance"
[safety]
estop_inputs = []
"""
UNPLUGGED = '[[sim.faults]]\ndevice = "balance"\nkind = "unplugged"\nfrom_s = 20.0\n'
Z = 1.00105
"""Buoyancy of water in air."""


class Bench:
    def __init__(self, more: str = "") -> None:
        config = parse_config(PUMP_AND_BALANCE + more)
        self.clock = VirtualClock()
        bench = simulate(config, self.clock, cartridge_seed=3, phantom="lumbar_ref", needle="22G_quincke_120")
        self.rig = open_rig(config, self.clock, bench.publish(), provided=bench.provided())
        self.world: Any = bench.world  # type: ignore[attr-defined]
        self.controller = Controller(self.rig, config.limits, self.clock, MemoryJournal())
        self.controller.start()

    def on_the_lane(self, action: str) -> Any:
        return self.controller.command("balance", getattr(self.rig.balance, action), f"{action} the balance")

    def weighed_ml(self, volume_ml: float, rate_ml_min: float) -> tuple[float, float]:
        """Gain of the balance, as a volume without the air's buoyancy, and the volume that truly left the tip."""
        before_ml = self.world.fluid.delivered_ml
        before_g = self.on_the_lane("read_stable").mass_g
        assert inject(self.controller, volume_ml, rate_ml_min).verdict is Verdict.UNMONITORED
        gained_g = self.on_the_lane("read_stable").mass_g - before_g
        return gained_g * Z / 0.99777, self.world.fluid.delivered_ml - before_ml


def test_a_pump_and_a_balance_open_without_a_robot(tmp_path):
    (tmp_path / "bench.toml").write_text(PUMP_AND_BALANCE)
    with rig.open(tmp_path / "bench.toml", out=tmp_path / "r") as bench:
        seen = bench.read()
        assert seen["balance.mass_g"] == pytest.approx(70.0, abs=0.1)
        assert seen["balance.unit"] == "g"
        assert seen["balance.stable"] is True


@pytest.mark.parametrize("rate_ml_min", [1.0, 4.0])
def test_the_vessel_gains_what_left_the_needle(rate_ml_min: float) -> None:
    bench = Bench()
    bench.on_the_lane("tare")
    weighed_ml, left_ml = bench.weighed_ml(0.5, rate_ml_min)
    assert left_ml > 0.45
    assert weighed_ml == pytest.approx(left_ml, abs=1e-3)


def test_off_a_free_tip_up_to_a_drop_hangs_back() -> None:
    bench = Bench('[sim.vessel]\noutlet = "free"\n')
    weighed_ml, left_ml = bench.weighed_ml(0.5, 1.0)
    assert -0.012 < weighed_ml - left_ml < 0.012
    assert abs(weighed_ml - left_ml) > 1e-4


def test_evaporation_goes_on_while_the_pump_stands() -> None:
    bench = Bench('[sim.vessel]\ncover = "open"\nhead_mm = 5.0\ndiameter_mm = 50.0\n')
    before = bench.on_the_lane("read_stable")
    bench.controller.wait(600.0)
    after = bench.on_the_lane("read_stable")
    hours = (after.time_ns - before.time_ns) / 3.6e12
    assert (before.mass_g - after.mass_g) / hours == pytest.approx(0.34, abs=0.02), "at 22 degC and half saturated air"


def test_what_goes_into_the_gel_is_not_weighed() -> None:
    bench = Bench()
    world = bench.world
    world.needle_source = _Held(np.array((0.0, 0.0, 0.0, 0.0, 30.0, 0.0)))
    bench.on_the_lane("read")
    assert world.needle.embedded_mm > 20.0
    weighed_ml, left_ml = bench.weighed_ml(0.3, 1.0)
    assert left_ml > 0.2
    assert weighed_ml == pytest.approx(0.0, abs=1e-3)


class _Held:
    """A needle in the block, held there."""

    def __init__(self, axes: Any) -> None:
        self.axes = axes

    def axes_at(self, now_ns: int) -> Any:
        return self.axes


@pytest.mark.parametrize(("span_ppm", "off_mg"), [(0.0, 0.0), (20.0, 1.0)])
def test_a_check_weight_that_the_operator_puts_on_is_weighed_and_taken_off_again(
    span_ppm: float, off_mg: float
) -> None:
    bench = Bench(f"[sim.balance]\nspan_ppm = {span_ppm}\nrepeatability_mg = 0.0\n")
    bench.on_the_lane("tare")
    for manner, expected_g in ((("balance",), 50.0 + off_mg / 1000.0), (("balance", "off"), 0.0)):
        put = Instruction(InstructionKind.APPLY, "50 g, class E2, beside the vessel", 50.0, manner=manner)
        answer = bench.controller.ask(put, 600.0)
        assert answer.value == (50.0 if expected_g else 0.0)
        assert bench.on_the_lane("read_stable").mass_g == pytest.approx(expected_g, abs=3e-4)


def test_a_balance_that_is_unplugged_in_the_middle_stops_the_rig_with_one_clear_sentence() -> None:
    bench = Bench(UNPLUGGED)
    bench.on_the_lane("read_stable")
    with pytest.raises(SafetyStop, match=r"balance: .*check that the cable is plugged in") as caught:
        while bench.clock.now_ns() < 60 * NS_PER_S:
            bench.controller.read("balance")
            bench.controller.wait(1.0)
    assert caught.value.source == "balance_fault"
    assert 20.0 <= bench.clock.now_ns() / NS_PER_S < 30.0


def test_zero_tracking_left_on_keeps_the_rig_shut_and_says_why() -> None:
    with pytest.raises(RigNotOpened, match="swallows slow flows"):
        Bench("[sim.balance]\nzero_tracking = true\n")


def test_zero_tracking_that_somebody_switches_on_swallows_a_slow_flow() -> None:
    switched = '[[sim.faults]]\ndevice = "balance"\nkind = "zero_tracking"\nfrom_s = 10.0\n'
    gained_g = {}
    for name, more in (("as it was", ""), ("switched on", switched)):
        bench = Bench(f'[sim.balance]\nrepeatability_mg = 0.0\n[sim.vessel]\ncover = "open"\n{more}')
        bench.on_the_lane("tare")
        for _ in range(120):  # the evaporation, -0.14 digits/s, is a slow flow
            bench.controller.wait(5.0)
            gained_g[name] = bench.controller.read(BALANCE).mass_g
    assert gained_g["as it was"] < -2e-3
    assert abs(gained_g["switched on"]) <= 1e-4


@pytest.mark.parametrize(
    ("kind", "moves", "stable"),
    [(None, False, True), (None, True, False), ("stuck_flag", True, True), ("draught", False, False)],
)
def test_draught_and_a_stuck_flag_can_be_planted(kind: str | None, moves: bool, stable: bool) -> None:
    bench = Bench(f'[[sim.faults]]\ndevice = "balance"\nkind = "{kind}"\nfrom_s = 10.0\n' if kind else "")
    assert bench.on_the_lane("read_stable").stable
    bench.controller.wait(12.0)
    flags = []
    for _ in range(20):
        bench.controller.wait(0.5)
        bench.world.applied["balance"] = bench.world.applied.get("balance", 0.0) + (0.005 if moves else 0.0)
        flags.append(bench.controller.read("balance").stable)
    assert all(flags) is stable


def test_a_fault_of_a_balance_that_is_not_there_is_refused() -> None:
    config = parse_config(PUMP_AND_BALANCE.replace("[devices.balance]", "[devices.pressure]").replace(
        "mtsics_balance", "keller_pressure").replace("rigsim://balance", "rigsim://pressure") + UNPLUGGED)  # fmt: skip
    with pytest.raises(ConfigError, match="there is no balance on this bench"):
        simulate(config, VirtualClock(), cartridge_seed=3, phantom="lumbar_ref", needle="22G_quincke_120")


def test_a_row_of_weighings_goes_on_while_the_pump_runs() -> None:
    bench, seen = Bench(), []
    with weighings(bench.controller, 0.5, seen.append):
        inject(bench.controller, 0.5, 1.0)
    assert 55 <= len(seen) <= 75, "half a minute, and the preparation"
    steps = np.diff([reading.time_ns for reading in seen]) / NS_PER_S
    assert steps[:-1].min() > 0.4 and steps.max() < 0.7, "the last one is that of the end"
    assert seen[-1].mass_g - seen[0].mass_g == pytest.approx(0.5, abs=0.02)
    bench.controller.wait(5.0)
    assert len(seen) <= 75, "nothing is noted after the block"


def test_a_balance_that_fails_during_a_flow_stops_the_pump() -> None:
    bench = Bench(UNPLUGGED)
    with pytest.raises(SafetyStop, match="cable is plugged in"), weighings(bench.controller, 1.0, lambda _: None):
        inject(bench.controller, 1.0, 1.0)
    bench.clock.sleep(2.0)
    bench.world.advance(bench.clock.now_ns())
    assert bench.world.fluid.outflow_ml_min < 0.01
    assert bench.world.fluid.delivered_ml < 0.5


def test_a_load_beyond_the_range_is_no_weight() -> None:
    bench = Bench()
    bench.world.applied["balance"] = 300.0
    with pytest.raises(DeviceError, match="overloaded"):
        weigh(bench.controller)
