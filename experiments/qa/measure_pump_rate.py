"""One infusion at each bench rate, weighed while it flows and at rest before and after."""

from __future__ import annotations

from analysis.qa.evaluation import Parameters
from analysis.qa.kinds import weighed
from experiments.calibrations.clear_way import require_no_needle
from experiments.qa.measure_pump_bolus import FLOW_PERIOD_S, REST_PERIOD_S, refill
from experiments.qa.measure_pump_trumpet import prime, too_large
from experiments.qa.station import Station
from hal.clock import NS_PER_S
from hal.errors import DeviceError
from hal.types import BalanceReading
from rig.config import RigConfig
from rig.instruments.syringe import inject
from rig.instruments.weighing import weigh, weighings
from rig.safety.pressure import Verdict

ROLES = ("pump", "balance")
S_PER_MIN = 60.0


def refusal(parameters: Parameters, config: RigConfig) -> str:
    """Why this rig cannot deliver at these rates; empty when it can."""
    rates = parameters["rates_ml_min"]
    assert isinstance(rates, tuple)
    highest, most = max(rates, default=0.0), config.limits.volume.rate_ml_min
    if not rates or min(rates) <= 0.0:
        return "rates_ml_min: rates above 0 mL/min are needed"
    if highest > most:
        return f"a rate of {highest:g} mL/min, and limits.volume.rate_ml_min of this rig is {most:g} mL/min"
    volume_ml = highest * weighed.value(parameters, "seconds") / S_PER_MIN
    usable_ml = weighed.value(parameters, "usable_ml") - weighed.value(parameters, "priming_ml")
    if volume_ml > usable_ml:
        return (
            f"{volume_ml:g} mL are needed at {highest:g} mL/min, and the syringe gives {usable_ml:g} mL after priming"
        )
    return too_large(config, volume_ml)


def measure(station: Station) -> None:
    """Every rate once. Raises ``DeviceError`` when an infusion does not come to its end."""
    controller, rates, seconds = station.controller, station.numbers("rates_ml_min"), station.number("seconds")
    require_no_needle(controller, "the flow is weighed")
    if controller.rig.operator is not None:
        total_ml = sum(rates) * seconds / S_PER_MIN
        station.ask(
            "Rates on a balance: the vessel stands on the pan under an oil film, the tip of the needle is under the "
            f"surface, the syringe is full, line and needle are primed. {total_ml:g} mL flow into it. Ready?"
        )

    def note(reading: BalanceReading) -> None:
        station.sample("weighings", reading.time_ns, (reading.mass_g, float(reading.stable)))

    prime(station)
    weigh(controller)
    with weighings(controller, REST_PERIOD_S, note):
        controller.wait(S_PER_MIN * station.number("rest_min") + REST_PERIOD_S)
    used_ml = station.number("priming_ml")
    for left_n, rate in zip(reversed(range(len(rates))), rates, strict=True):
        volume_ml = rate * seconds / S_PER_MIN
        used_ml += volume_ml
        if used_ml > station.number("usable_ml"):
            refill(station)
            used_ml = volume_ml + station.number("priming_ml")
        before = weigh(controller)
        controller.volumes.reset()  # nothing goes into a block
        begin_s = controller.clock.now_ns() / NS_PER_S
        with weighings(controller, FLOW_PERIOD_S, note):
            done = inject(controller, volume_ml, rate)
        if done.verdict not in (Verdict.FLOWING, Verdict.UNMONITORED):
            raise DeviceError(f"the infusion at {rate:g} mL/min ended: {done.reason}", device="pump")
        after = weigh(controller)
        row = (rate, volume_ml, done.pumped_ml, before.time_ns / NS_PER_S, before.mass_g, begin_s, begin_s + seconds,
               after.time_ns / NS_PER_S, after.mass_g)  # fmt: skip
        station.sample("runs", controller.clock.now_ns(), row)
        station.tell(f"{rate:g} mL/min: {after.mass_g - before.mass_g:.4f} g; {left_n * seconds / 60:.0f} min left")
