"""Two hours of a syringe pump on a balance: at rest, flowing, at rest again."""

from __future__ import annotations

from analysis.qa.evaluation import Parameters
from analysis.qa.kinds import weighed
from analysis.qa.methods.syringe import SyringeNeed
from experiments.calibrations.clear_way import require_no_needle
from experiments.qa.station import Station
from hal.clock import NS_PER_S
from hal.errors import DeviceError
from hal.types import BalanceReading
from rig.config import RigConfig
from rig.instruments.syringe import inject
from rig.instruments.weighing import weigh, weighings
from rig.roles import PUMP
from rig.safety.pressure import Verdict

ROLES = ("pump", "balance")
LEAST_ML_H = 1.0
"""The lowest rate of the method for syringe pumps."""
OVER_MIN = 0.5
"""The pump runs so much longer, so that the last sample is a whole one."""
TELL_S = 600.0
MIN_PER_H = 60.0


def refusal(parameters: Parameters, config: RigConfig) -> str:
    """Why syringe or rig do not last for the whole curve; empty when they do."""
    rate, minutes = (weighed.value(parameters, name) for name in ("rate_ml_h", "to_min"))
    if rate < LEAST_ML_H:
        return f"a rate of {rate:g} mL/h; the method goes down to {LEAST_ML_H:g} mL/h for syringe pumps"
    need = SyringeNeed(rate, weighed.value(parameters, "priming_ml"))
    return need.refusal(weighed.value(parameters, "syringe_ml"), (minutes + OVER_MIN) / MIN_PER_H) or too_large(
        config, rate * (minutes + OVER_MIN) / MIN_PER_H
    )


def too_large(config: RigConfig, volume_ml: float) -> str:
    """Why this rig file does not allow one infusion of this volume; empty when it does."""
    settings = config.driver_settings("pump")
    for name, most_ml in (
        ("limits.volume.injection_ml", config.limits.volume.injection_ml),
        ("max_volume_ml of the pump", getattr(settings, "max_volume_ml", volume_ml)),
    ):
        if volume_ml > most_ml:
            return f"one infusion of {volume_ml:.3g} mL is needed, and {name} of this rig is {most_ml:g} mL"
    return ""


def measure(station: Station) -> None:
    """Weigh at every sample while the pump runs in one infusion, and without flow before and after.

    Raises ``DeviceError`` when the infusion does not come to its end: a curve of half of it would look like one.
    """
    controller = station.controller
    require_no_needle(controller, "the flow is weighed")
    rate_ml_min = station.number("rate_ml_h") / MIN_PER_H
    flow_min, rest_s = (
        station.number("to_min") + OVER_MIN,
        60.0 * station.number("rest_min") + station.number("sample_s"),
    )
    if controller.rig.operator is not None:
        station.ask(
            "Pump on a balance: the vessel stands on the pan under an oil film or an evaporation trap, the tip of the "
            "needle is under the surface at the height of the outlet, line and syringe are primed without a bubble, "
            f"the draught shield is closed. It takes {(2 * rest_s / 60 + flow_min) / 60:.1f} h. Ready?"
        )
    ends_ns = controller.clock.now_ns() + int((2.0 * rest_s + 60.0 * flow_min) * NS_PER_S)
    told_ns = 0

    def note(reading: BalanceReading) -> None:
        nonlocal told_ns
        station.sample("weighings", reading.time_ns, (reading.mass_g, float(reading.stable)))
        if reading.time_ns - told_ns >= TELL_S * NS_PER_S:
            told_ns = reading.time_ns
            left_min = max(0.0, (ends_ns - reading.time_ns) / NS_PER_S / 60.0)
            station.tell(f"{reading.mass_g:.4f} g; {left_min:.0f} min left")

    prime(station)
    weigh(controller)  # steady before the record at rest begins
    with weighings(controller, station.number("sample_s"), note):
        controller.wait(rest_s)
        controller.volumes.reset()  # nothing goes into a block
        station.sample("delivery", controller.clock.now_ns(), (1.0, controller.read(PUMP).dispensed_ml))
        done = inject(controller, rate_ml_min * flow_min, rate_ml_min)
        station.sample("delivery", controller.clock.now_ns(), (0.0, controller.read(PUMP).dispensed_ml))
        if done.verdict not in (Verdict.FLOWING, Verdict.UNMONITORED):
            raise DeviceError(f"the infusion ended: {done.reason}", device="pump")
        controller.wait(rest_s + 60.0)


def prime(station: Station) -> None:
    """Deliver the priming volume at a bench rate; what the drive had of play is taken up by it."""
    volume_ml = station.number("priming_ml")
    if volume_ml <= 0.0:
        return
    station.controller.volumes.reset()
    done = inject(station.controller, volume_ml, min(1.0, station.controller.limits.volume.rate_ml_min))
    if done.verdict not in (Verdict.FLOWING, Verdict.UNMONITORED):
        raise DeviceError(f"priming ended: {done.reason}", device="pump")
    station.controller.wait(5.0)
