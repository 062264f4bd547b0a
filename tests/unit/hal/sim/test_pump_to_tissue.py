"""Pump, line, tissue and sensor together: what the drivers see of one infusion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hal.clock import NS_PER_S, VirtualClock
from hal.drivers import pressure_keller, pump_new_era
from hal.links.wire import Endpoint, publish, withdraw
from hal.phantom.materials import Material, materials
from hal.sim.devices.pressure_keller import KellerPressure
from hal.sim.devices.pump_new_era import NewEraPump
from hal.sim.devices.pump_plunger import PlungerFigures
from hal.sim.fluid import Hydraulics, LineSpec

STEP_NS = NS_PER_S // 200


class Syringe:
    """A pump on a line whose tip stays in one place; pulled like the world."""

    def __init__(self, material: Material | None, line: LineSpec) -> None:
        self.fluid = Hydraulics(line, seed=2)
        self.material = material
        self.pump = NewEraPump(self, seed=2, figures=PlungerFigures(flow_error=0.0))
        self.asked: list[float] = []
        self._time_ns = 0

    def line_pressure_kpa(self, now_ns: int) -> float:
        self.pump.displaced_ml(now_ns)  # the world looks ahead before it steps
        while self._time_ns < now_ns:
            to_ns = min(now_ns, self._time_ns + STEP_NS)
            self.fluid.step(
                (to_ns - self._time_ns) / NS_PER_S,
                self.pump.displaced_ml(to_ns),
                self.material,
                (0.0, 0.0, 30.0),
                self.material is not None,
            )
            self._time_ns = to_ns
            self.asked.append(self.fluid.line_pressure_kpa)
        return self.fluid.line_pressure_kpa

    def temperature_c(self, now_ns: int) -> float:
        return 22.0


class Bench:
    def __init__(self, material: Material | None, line: LineSpec) -> None:
        self.clock = VirtualClock()
        self.syringe = Syringe(material, line)
        publish("t-pump", Endpoint(self.syringe.pump, self.clock))
        publish("t-pressure", Endpoint(KellerPressure(self.syringe, seed=3), self.clock))
        # Nobody asks the pump while the pressure rises: its watchdog must bear that.
        settings = pump_new_era.Settings(url="rigsim://t-pump", diameter_mm=12.06, safe_mode_s=10)
        self.pump = pump_new_era.Driver(settings, self.clock)
        self.sensor = pressure_keller.Driver(pressure_keller.Settings(url="rigsim://t-pressure"), self.clock)
        self.pump.open()
        self.sensor.open()
        self.sensor.zero()

    def infuse(self, volume_ml: float, rate_ml_min: float, poll_s: float, seconds: float) -> list[float]:
        self.pump.infuse(volume_ml, rate_ml_min)
        readings = []
        end = self.clock.deadline(seconds)
        while not end.expired:
            self.pump.read()
            readings.append(self.sensor.read().pressure_kpa)
            self.clock.sleep(poll_s)
        return readings


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    withdraw("t-pump")
    withdraw("t-pressure")


def test_the_sensor_sees_the_loss_of_the_line_while_it_flows_into_air() -> None:
    bench = Bench(None, LineSpec(id_tolerance_mm=0.0))
    readings = bench.infuse(0.3, 3.0, 0.02, 9.0)
    fluid = bench.syringe.fluid
    assert sorted(readings)[-50] == pytest.approx(fluid.resistance_kpa_min_ml * 3.0, rel=0.2)
    assert readings[-1] == pytest.approx(0.0, abs=1.0)


@pytest.mark.parametrize("poll_s", [0.02, 0.5, 2.0])
def test_the_pressure_does_not_depend_on_how_often_somebody_looks(poll_s: float) -> None:
    peaks = []
    for interval_s in (0.005, poll_s):
        bench = Bench(materials()["perineural"], LineSpec())
        bench.infuse(0.5, 3.0, interval_s, 12.0)
        peaks.append(max(bench.syringe.asked))
    assert peaks[1] == pytest.approx(peaks[0], rel=0.02)


def test_a_tip_on_bone_shows_as_a_straight_rise_until_the_pump_is_stopped() -> None:
    bench = Bench(materials()["bone"], LineSpec(compliance_ul_kpa=2.0, compliance_sd=0.0))
    bench.pump.infuse(1.0, 3.0)
    bench.clock.sleep(0.5)
    times_s, readings = [], []
    while not readings or readings[-1] < 100.0:
        reading = bench.sensor.read()
        times_s.append(reading.time_ns / 1e9)
        readings.append(reading.pressure_kpa)
    bench.pump.stop()
    slope = (readings[-1] - readings[0]) / (times_s[-1] - times_s[0])
    assert slope == pytest.approx(25.0, rel=0.05)
    assert bench.sensor.read().pressure_kpa < 105.0
    assert bench.syringe.fluid.delivered_ml == 0.0


def test_what_the_pump_counts_is_more_than_what_arrives() -> None:
    """Play of the drive and what the line keeps under pressure are missing at the tip."""
    bench = Bench(materials()["perineural"], LineSpec(compliance_ul_kpa=2.0, compliance_sd=0.0))
    bench.infuse(0.2, 3.0, 0.05, 5.0)
    counted_ml = bench.pump.read().dispensed_ml
    fluid = bench.syringe.fluid
    assert counted_ml == pytest.approx(0.2)
    stored_ml = 2.0 * fluid.line_pressure_kpa / 1000.0
    assert fluid.delivered_ml < counted_ml - stored_ml
    assert fluid.delivered_ml + stored_ml == pytest.approx(bench.syringe.pump.displaced_ml(bench.clock.now_ns()))
