"""Boluses onto a balance, each weighed at rest before and after."""

from __future__ import annotations

from analysis.qa.evaluation import Parameters
from analysis.qa.kinds import weighed
from analysis.qa.kinds.pump_bolus import SIZES_ML
from experiments.calibrations.clear_way import require_no_needle
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
REST_PERIOD_S = 10.0
FLOW_PERIOD_S = 0.2
DIAMETER_MM = 0.005


def refusal(parameters: Parameters, config: RigConfig) -> str:
    """Why this rig cannot deliver these boluses, or why its pump is set to another syringe; empty when it can."""
    sizes, stated = parameters["sizes_ml"], weighed.value(parameters, "diameter_mm")
    assert isinstance(sizes, tuple)
    if not sizes or not set(sizes) <= set(SIZES_ML):
        return f"sizes_ml: some of {', '.join(f'{s:g}' for s in SIZES_ML)} mL, not {sizes}"
    set_mm = getattr(config.driver_settings("pump"), "diameter_mm", stated)
    if abs(set_mm - stated) > DIAMETER_MM:
        return f"diameter_mm = {stated:g} is stated, and the pump of this rig is set to {set_mm:g} mm"
    return too_large(config, max(sizes))


def measure(station: Station) -> None:
    """All sizes in turn, so that a slow change is no difference between them; the syringe is refilled by a person.

    Raises ``DeviceError`` when a bolus does not come to its end.
    """
    controller = station.controller
    require_no_needle(controller, "boluses are weighed")
    sizes, repeats_n, rate = station.numbers("sizes_ml"), int(station.number("repeats")), station.number("rate_ml_min")
    if controller.rig.operator is not None:
        station.ask(
            "Boluses on a balance: the vessel stands on the pan under an oil film, the tip of the needle is "
            f"under the surface, the syringe holds {station.number('usable_ml'):g} mL and line and needle are primed. "
            f"{repeats_n * sum(sizes):g} mL flow into it. Ready?"
        )

    def note(reading: BalanceReading) -> None:
        station.sample("weighings", reading.time_ns, (reading.mass_g, float(reading.stable)))

    prime(station)
    weigh(controller)
    with weighings(controller, REST_PERIOD_S, note):
        controller.wait(60.0 * station.number("rest_min") + REST_PERIOD_S)
    used_ml, left_n = station.number("priming_ml"), repeats_n * len(sizes)
    for _ in range(repeats_n):
        for size in sizes:
            used_ml += size
            if used_ml > station.number("usable_ml"):
                refill(station)
                used_ml = size + station.number("priming_ml")
            before = weigh(controller)
            controller.volumes.reset()  # nothing goes into a block
            begin_ns = controller.clock.now_ns()
            if size == max(sizes):
                with weighings(controller, FLOW_PERIOD_S, note):
                    done = inject(controller, size, rate)
            else:
                done = inject(controller, size, rate)
            if done.verdict not in (Verdict.FLOWING, Verdict.UNMONITORED):
                raise DeviceError(f"a bolus of {size:g} mL ended: {done.reason}", device="pump")
            after = weigh(controller)
            row = (size, rate, done.pumped_ml, before.time_ns / NS_PER_S, before.mass_g, begin_ns / NS_PER_S,
                   after.time_ns / NS_PER_S, after.mass_g)  # fmt: skip
            station.sample("boluses", controller.clock.now_ns(), row)
            left_n -= 1
            took_s = (controller.clock.now_ns() - before.time_ns) / NS_PER_S
            station.tell(
                f"{size:g} mL: {after.mass_g - before.mass_g:.4f} g; about {left_n * took_s / 60:.0f} min left"
            )


def refill(station: Station) -> None:
    """Have a person refill the syringe; the drive's play is taken up again by priming."""
    if station.controller.rig.operator is None:
        raise DeviceError("the syringe is empty, and this rig has no operator to refill it", device="operator")
    station.ask("The syringe is used up: refill it without a bubble, connect it, close the shield. Ready?")
    prime(station)
