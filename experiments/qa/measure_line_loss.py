"""Injections into air at several rates, with the plateau that the pressure sensor showed."""

from __future__ import annotations

from experiments.calibrations.clear_way import require_no_needle
from experiments.qa.station import Station
from hal.errors import DeviceError
from rig.instruments.syringe import inject, line_drop_kpa
from rig.safety.pressure import Verdict

ROLES = ("pump", "pressure")
REST_S = 3.0
"""Between two injections: the line discharges."""


def measure(station: Station) -> None:
    """Every rate in turn, so that a drift is no difference between rates; a person watches that the needle is free.

    Raises ``ConfigError`` for a needle in the gel, and ``DeviceError`` when an injection is stopped: a blocked line has
    no resistance.
    """
    controller = station.controller
    rates, volume_ml = station.numbers("rates_ml_min"), station.number("volume_ml")
    repeats_n = int(station.number("repeats"))
    require_no_needle(controller, "the line is tested in air")
    if controller.rig.operator is not None:
        total_ml = len(rates) * repeats_n * volume_ml
        station.ask(
            f"Line loss: the needle hangs free over a cup, the line is primed; {total_ml:g} mL flow out. Ready?"
        )
    assert controller.rig.pressure is not None
    controller.command("pressure", controller.rig.pressure.zero, "zero the pressure sensor")
    controller.line_at_rest.zeroed()
    left_n = len(rates) * repeats_n
    for _ in range(repeats_n):
        for rate_ml_min in rates:
            controller.volumes.reset()  # nothing goes into a block
            done = inject(controller, volume_ml, rate_ml_min)
            if done.verdict is not Verdict.FLOWING:
                raise DeviceError(f"the injection at {rate_ml_min:g} mL/min ended: {done.reason}", device="pump")
            plateau_kpa = line_drop_kpa(done)
            station.sample("plateaus", controller.clock.now_ns(), (rate_ml_min, plateau_kpa, done.pumped_ml))
            left_n -= 1
            station.tell(f"{rate_ml_min:g} mL/min: {plateau_kpa:.2f} kPa; injections left: {left_n}")
            controller.wait(REST_S)
