"""The host dies in the middle of an infusion or of a move: what the simulated devices do by themselves afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tiny_devices import MemoryJournal

from hal.clock import NS_PER_S, VirtualClock
from rig.config import load_config
from rig.control.controller import Controller
from rig.devices import Rig
from rig.instruments.jogs import QUEUE_S, move_needle, move_probe
from rig.instruments.syringe import inject
from rig.safety.run_on import DOSE_ML
from rig.setup.assemble import open_rig
from rig.setup.simulated import simulate

RATE_ML_MIN = 3.0
SPEED_MM_S = 4.0
RAMP_MM = 0.2
"""Distance that the axes need to come to rest from this speed at the end of the queue, and its jogs' rounding."""


class Died(BaseException):
    """Nothing of the host runs any more."""


class Dying:
    """The shipped simulated bench, in air, with a host that dies at a moment."""

    def __init__(self) -> None:
        self.config, self.clock = load_config("simulated"), VirtualClock()
        bench = simulate(self.config, self.clock, cartridge_seed=3, phantom="lumbar_ref", needle="22G_quincke_120")
        self.rig: Rig = open_rig(self.config, self.clock, bench.publish(), provided=bench.provided())
        self.world: Any = bench.world  # type: ignore[attr-defined]
        self.cores: dict[str, Any] = {d.role: d.core for d in bench.cores()}  # type: ignore[attr-defined]
        self.controller = Controller(self.rig, self.config.limits, self.clock, MemoryJournal())
        self.controller.start()

    def die_after(self, seconds: float) -> Any:
        at_ns = self.clock.now_ns() + int(seconds * NS_PER_S)

        def rule(now_ns: int) -> None:
            if now_ns >= at_ns:
                for lane in set(self.rig.lanes.values()):
                    lane._task.stop()  # type: ignore[union-attr]
                raise Died

        return self.controller.watching(rule)

    def watch(self, seconds: float) -> float:
        """Highest line pressure (kPa) while nobody watches."""
        top = 0.0
        for _ in range(int(seconds / 0.01)):
            self.clock.sleep(0.01)
            self.world.advance(self.clock.now_ns())
            top = max(top, self.world.fluid.line_pressure_kpa)
        return top


@pytest.fixture(scope="module")
def pumping():
    """Killed in the middle of the shipped infusion, the needle blocked at the same moment."""
    host = Dying()
    host.controller.make_safe = lambda *_, **__: ()  # a dead host makes nothing safe
    with pytest.raises(Died), host.die_after(4.0):
        inject(host.controller, 0.5, RATE_ML_MIN)
    host.world.fluid.resistance_kpa_min_ml *= 1e6
    before_ml = host.world.plunger.displaced_ml(host.clock.now_ns())
    top_kpa = host.watch(10.0)
    return host, host.world.plunger.displaced_ml(host.clock.now_ns()) - before_ml, top_kpa


def test_the_pump_stops_by_its_watchdog_within_0_3_ml(pumping):
    host, more_ml, _ = pumping
    assert 0.02 < more_ml <= RATE_ML_MIN / 60.0 * (host.rig.pump.watchdog_s + 0.1) <= DOSE_ML


def test_the_line_stays_below_its_rating_although_the_needle_is_blocked(pumping):
    host, _, top_kpa = pumping
    assert 50.0 < top_kpa < host.config.line.rating_kpa


@pytest.mark.parametrize("role", ["carrier", "holder"])
def test_an_axis_runs_on_for_at_most_200_ms(role):
    host = Dying()
    at = host.controller.read(role).pose
    with pytest.raises(Died), host.die_after(1.0):
        if role == "carrier":
            move_needle(host.controller, replace(at, x_mm=at.x_mm + 30.0), SPEED_MM_S)
        else:
            move_probe(host.controller, replace(at, x_mm=at.x_mm + 30.0), SPEED_MM_S)
    before = np.array(host.cores[role].axes_at(host.clock.now_ns()))
    host.clock.sleep(5.0)
    further_mm = float(np.abs(np.array(host.cores[role].axes_at(host.clock.now_ns())) - before).max())
    assert 0.0 < further_mm <= SPEED_MM_S * QUEUE_S + RAMP_MM
