"""A check weight on and off a balance, and then an hour without a change."""

from __future__ import annotations

from experiments.qa.station import ANSWER_S, Station
from hal.clock import NS_PER_S
from hal.errors import SafetyStop
from hal.types import BalanceReading, Instruction, InstructionKind
from rig.instruments.weighing import weigh, weighings

ROLES = ("balance", "operator")
TELL_S = 600.0


def measure(station: Station) -> None:
    """Ask for every loading; the zero is weighed before and after each.

    Raises ``SafetyStop`` when the person declines.
    """
    controller, nominal_g = station.controller, station.number("weight_g")
    loadings_n, drift_s = int(station.number("loadings")), 60.0 * station.number("drift_min")
    station.ask(
        f"Balance: levelled, switched on for an hour, adjusted, draught shield closed; the check weight ("
        f"{nominal_g:g} g) has the temperature of the room, tweezers are at hand. Ready?"
    )
    before = weigh(controller)
    for left_n in reversed(range(loadings_n)):
        _weight(
            station,
            nominal_g,
            f"Put the check weight in the middle of the pan, close the shield, type its value (g): {nominal_g:g}",
        )
        loaded = weigh(controller)
        _weight(station, None, "Take the check weight off, close the shield, type 0 (g)")
        after = weigh(controller)
        row = (nominal_g, before.mass_g, loaded.mass_g, after.mass_g)
        station.sample("loadings", controller.clock.now_ns(), row)
        station.tell(f"{loaded.mass_g - (before.mass_g + after.mass_g) / 2:.4f} g; {left_n} loadings left")
        before = after
    station.ask("Leave the balance alone from now on; nobody leans on its table. Ready?")
    end_ns = controller.clock.now_ns() + int(drift_s * NS_PER_S)
    told_ns = 0

    def note(reading: BalanceReading) -> None:
        nonlocal told_ns
        station.sample("weighings", reading.time_ns, (reading.mass_g, float(reading.stable)))
        if reading.time_ns - told_ns >= TELL_S * NS_PER_S:
            told_ns = reading.time_ns
            left_min = max(0.0, (end_ns - reading.time_ns) / NS_PER_S / 60.0)
            station.tell(f"drift: {reading.mass_g:.4f} g; {left_min:.0f} min left")

    with weighings(controller, station.number("period_s"), note):
        controller.wait(drift_s)


def _weight(station: Station, grams: float | None, text: str) -> None:
    manner = ("balance",) if grams is not None else ("balance", "off")
    wanted = grams or 0.0
    ask = Instruction(InstructionKind.APPLY, text, wanted, manner=manner, within=(wanted, wanted))
    if not station.controller.ask(ask, ANSWER_S).done:
        raise SafetyStop(f"the operator declined: {text}", source="operator")
