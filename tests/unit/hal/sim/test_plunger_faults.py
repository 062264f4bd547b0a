"""Faults of pump and line that a rig file can plant: eccentric screw, wrong bore, stuck stopper, leak, air."""

from __future__ import annotations

import numpy as np
import pytest

from hal.errors import ConfigError
from hal.sim.devices.pump_harvard import HarvardPump
from hal.sim.devices.pump_new_era import NewEraPump
from hal.sim.devices.pump_plunger import Plunger, PlungerFigures, PlungerPath
from hal.sim.fluid import Hydraulics, LineSpec
from hal.sim.settings import sim_settings

SET_MM = 19.13
AREA_MM2 = np.pi * SET_MM**2 / 4.0
NS = 1_000_000_000
EXACT = {"flow_error": 0.0, "play_mm": 0.0, "relax_mm": 0.0}
AIR = (0.0, 0.0, -1.0)


def pumped(plunger: Plunger, volume_ml: float, seconds: float, steps: int = 100) -> np.ndarray:
    path, out = PlungerPath(), []
    for k in range(steps):
        begin, end = int(k * seconds / steps * NS), int((k + 1) * seconds / steps * NS)
        path.move(plunger, volume_ml / steps, SET_MM, begin, end)
        out.append(path.displaced_ml(end))
    return np.array(out)


def test_an_eccentric_screw_swings_within_its_turn_and_delivers_the_same_over_whole_ones():
    plunger = Plunger(PlungerFigures(**EXACT, eccentric=0.05, lead_mm=0.8), 1, None)
    turn_ml = 0.8 * AREA_MM2 / 1000.0
    volume = pumped(plunger, turn_ml, 100.0)
    assert volume[-1] == pytest.approx(turn_ml, rel=1e-9)
    rate = np.diff(volume) / (turn_ml / 100.0)
    assert rate.max() == pytest.approx(1.05, abs=0.002) and rate.min() == pytest.approx(0.95, abs=0.002)


def test_a_wider_bore_delivers_more_by_its_area():
    assert pumped(Plunger(PlungerFigures(**EXACT), 1, 19.5), 1.0, 10.0)[-1] == pytest.approx((19.5 / SET_MM) ** 2)


def test_a_stuck_stopper_stands_and_then_goes_after_its_pusher():
    plunger = Plunger(PlungerFigures(**EXACT), 1, None)
    plunger.stuck = True
    assert pumped(plunger, 0.5, 60.0)[-1] == 0.0
    plunger.stuck = False
    assert pumped(plunger, 0.1, 3.0)[-1] == pytest.approx(0.1 + 0.5 * (1 - np.exp(-1.0)), abs=0.01)
    assert pumped(plunger, 0.4, 60.0)[-1] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("pump", [NewEraPump, HarvardPump])
def test_both_pumps_can_stick(pump):
    device = pump()
    device.stick(True, NS)
    assert device.motor.plunger.stuck
    device.stick(False, 2 * NS)
    assert not device.motor.plunger.stuck


def delivered(line: LineSpec, rate_ml_min: float = 0.1, seconds: float = 600.0, blocked: bool = False) -> Hydraulics:
    fluid = Hydraulics(line, 1)
    for k in range(1, int(seconds / 0.5) + 1):
        fluid.step(0.5, rate_ml_min / 60.0 * 0.5 * k, None, AIR, False, blocked)
    return fluid


def test_a_leak_takes_its_volume_in_every_hour_that_the_pump_runs():
    lost = delivered(LineSpec()).delivered_ml - delivered(LineSpec(leak_ml_h=0.6)).delivered_ml
    assert lost == pytest.approx(0.1, abs=0.003)


def test_a_closed_line_rises_by_its_compliance_and_air_makes_it_soft():
    stiff = delivered(LineSpec(compliance_sd=0.0), seconds=10.0, blocked=True)
    assert stiff.delivered_ml == 0.0
    assert stiff.line_pressure_kpa == pytest.approx(1000 * 0.1 / 6 / 0.5, rel=1e-6)
    soft = delivered(LineSpec(compliance_sd=0.0, air_ml=0.5), seconds=60.0, blocked=True)
    # V = C p + air p / (p0 + p), isothermal.
    p = soft.line_pressure_kpa
    assert 0.5 * p + 500.0 * p / (101.325 + p) == pytest.approx(100.0, rel=0.02)


@pytest.mark.parametrize(
    "table",
    [
        {"plunger": {"lead": 1.0}},
        {"plunger": {"eccentric": 2.0}},
        {"line": {"leak_ml_h": -1.0}},
        {"line": {"air": 1.0}},
    ],
)
def test_a_fault_that_cannot_be_is_refused(table):
    with pytest.raises(ConfigError):
        sim_settings(table)
