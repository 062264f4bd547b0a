"""A rig with the Harvard pump: what one line of the rig file gives, and what goes in when the host dies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tiny_devices import MemoryJournal

import rig
from hal.clock import NS_PER_S, VirtualClock
from hal.errors import ConfigError
from rig.config import RigConfig, parse_config
from rig.control.controller import Controller
from rig.instruments.syringe import inject
from rig.safety.pressure import Verdict
from rig.safety.run_on import DOSE_ML
from rig.setup.assemble import open_rig
from rig.setup.simulated import simulate

PUMP_AND_GAUGE = """
[rig]
name = "Harvard pump and gauge"
simulated = true
[devices.pump]
driver = "harvard_pump"
url = "rigsim://pump"
diameter_mm = 12.06
[devices.pressure]
driver = "keller_pressure"
url = "rigsim://pressure"
[safety]
estop_inputs = []
"""


class Died(BaseException):
    """Nothing of the host runs any more."""


class Bench:
    def __init__(self, config: RigConfig) -> None:
        self.config, self.clock = config, VirtualClock()
        bench = simulate(config, self.clock, cartridge_seed=3, phantom="lumbar_ref", needle="22G_quincke_120")
        self.rig = open_rig(config, self.clock, bench.publish(), provided=bench.provided())
        self.world: Any = bench.world  # type: ignore[attr-defined]
        self.controller = Controller(self.rig, config.limits, self.clock, MemoryJournal())
        self.controller.start()

    def displaced_ml(self) -> float:
        return float(self.world.plunger.displaced_ml(self.clock.now_ns()))


def test_the_syringe_of_a_rig_with_the_harvard_pump_infuses(tmp_path):
    (tmp_path / "pump.toml").write_text(PUMP_AND_GAUGE)
    with rig.open(tmp_path / "pump.toml", out=tmp_path / "r") as bench:
        assert 0.099 < bench.syringe.infuse(0.1).pumped.min_ml <= 0.101


def test_the_shipped_infusion_flows_in_portions_with_little_between_them():
    bench = Bench(parse_config(PUMP_AND_GAUGE))
    before_ml, begun_ns = bench.displaced_ml(), bench.clock.now_ns()
    result = inject(bench.controller, 0.5, 3.0)
    assert result.verdict is Verdict.FLOWING
    assert result.pumped_ml == pytest.approx(0.5, abs=1e-3)
    assert bench.displaced_ml() - before_ml == pytest.approx(0.5, rel=0.04)
    seconds = (bench.clock.now_ns() - begun_ns) / NS_PER_S
    assert seconds < 10.0 * 1.05 + 1.5, "ten seconds of flow, nine pauses, and the line's discharge"
    late = result.sensor_kpa[(result.time_ns > begun_ns + 2 * NS_PER_S) & (result.time_ns < begun_ns + 9 * NS_PER_S)]
    assert np.min(late) > 0.75 * np.median(late), "the line hardly relaxes between two portions"


def test_after_the_hosts_death_a_portion_goes_in_and_the_line_bears_it():
    bench = Bench(parse_config(PUMP_AND_GAUGE))
    at_ns = bench.clock.now_ns() + int(4.0 * NS_PER_S)

    def die(now_ns: int) -> None:
        if now_ns >= at_ns:
            for lane in set(bench.rig.lanes.values()):
                lane._task.stop()  # type: ignore[union-attr]
            raise Died

    bench.controller.make_safe = lambda *_, **__: ()  # type: ignore[method-assign] # a dead host makes nothing safe
    with pytest.raises(Died), bench.controller.watching(die):
        inject(bench.controller, 0.5, 3.0)
    bench.world.fluid.resistance_kpa_min_ml *= 1e6
    before_ml, top_kpa = bench.displaced_ml(), 0.0
    for _ in range(1000):
        bench.clock.sleep(0.01)
        bench.world.advance(bench.clock.now_ns())
        top_kpa = max(top_kpa, bench.world.fluid.line_pressure_kpa)
    watchdog_s = bench.rig.pump.watchdog_s
    assert watchdog_s == 1.0
    assert 0.0 < bench.displaced_ml() - before_ml <= 3.0 / 60.0 * (watchdog_s + 0.1) <= DOSE_ML
    assert top_kpa < bench.config.line.rating_kpa


def test_all_at_once_is_refused_where_a_dead_host_would_leave_too_much():
    at_once = PUMP_AND_GAUGE.replace("diameter_mm = 12.06", "diameter_mm = 12.06\nportion_s = 0")
    with pytest.raises(ConfigError, match="has no watchdog"):
        parse_config(at_once)
    parse_config(at_once + "[limits.volume]\ninjection_ml = 0.3\n")
