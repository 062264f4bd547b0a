"""A sensor against a reference that a person applies: steps up and down, read at rest."""

from __future__ import annotations

import numpy as np

from experiments.qa.station import ANSWER_S, Station
from hal.errors import ConfigError, SafetyStop
from hal.types import Instruction, InstructionKind
from rig.roles import Role

SENSORS = {"pressure": ("pressure_kpa", "kPa"), "needle_force": ("force_n", "N"), "probe_force": ("force_n", "N")}
"""Field of the reading and its unit, by role."""
ROLES = ("operator",)
PERIOD_S = 0.1


def measure(station: Station) -> None:
    """Ask for every step of every cycle, and keep the reference's value beside the mean reading of the sensor.

    Cycles are 1 up, 2 down, 3 up again and so on. Raises ``ConfigError`` for a role that the rig does not have, and
    ``SafetyStop`` when the person declines.
    """
    controller, role = station.controller, station.text("sensor")
    if role not in SENSORS or role not in controller.rig.channels:
        raise ConfigError(
            f"this rig has no sensor {role!r} that a reference can act on; there are {', '.join(SENSORS)}"
        )
    field, unit = SENSORS[role]
    levels, cycles_n = station.numbers("levels"), int(station.number("cycles"))
    station.ask(
        f"Static calibration of {role}: connect the reference to the sensor, and load it once to the top. Ready?"
    )
    left_n = cycles_n * len(levels)
    for cycle in range(1, cycles_n + 1):
        up = cycle % 2 == 1
        for wanted in levels if up else levels[::-1]:
            shown = _apply(station, role, wanted, unit)
            controller.wait(station.number("hold_s"))
            readings = []
            for _ in range(int(station.number("readings"))):
                readings.append(float(getattr(controller.read(Role[object](role)), field)))
                controller.wait(PERIOD_S)
            mean, sd = float(np.mean(readings)), float(np.std(readings, ddof=1))
            row = (float(cycle), 1.0 if up else -1.0, wanted, shown, mean, sd, float(len(readings)))
            station.sample("points", controller.clock.now_ns(), row)
            left_n -= 1
            station.tell(f"cycle {cycle}: reference {shown:g} {unit}, sensor {mean:.4g} {unit}; steps left: {left_n}")
    controller.ask(
        Instruction(InstructionKind.APPLY, f"Take the reference off the {role}", manner=(role, "off")), ANSWER_S
    )


def _apply(station: Station, role: str, wanted: float, unit: str) -> float:
    """Value of the reference, as a person types it."""
    span = 0.2 * abs(wanted) + 5.0
    text = f"Apply {wanted:g} {unit} to the {role} and type what the reference shows ({unit})"
    ask = Instruction(InstructionKind.APPLY, text, wanted, manner=(role,), within=(wanted - span, wanted + span))
    answer = station.controller.ask(ask, ANSWER_S)
    if not answer.done or answer.value is None:
        raise SafetyStop(f"the operator gave no value for {wanted:g} {unit}", source="operator")
    return answer.value
