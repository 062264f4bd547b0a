"""Temperature at which trials and calibrations take the gel's speed of sound: the thermometer's, else the pressure
cell's."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hal.clock import NS_PER_S
from hal.ranges import GEL_C, within
from hal.types import PressureReading, TemperatureReading
from rig.control.controller import Controller
from rig.instruments.at_rest import read_at_rest
from rig.roles import PRESSURE, TEMPERATURE, Role

OLD_S = 60.0
"""A reading from longer ago is an old one, sent again; a gel warms by less than 0.1 degC in this time [A]."""
THERMOMETERS: tuple[Role[TemperatureReading | PressureReading], ...] = (TEMPERATURE, PRESSURE)
"""Roles that tell a temperature, the better one first."""
PLACES: dict[str, str] = {TEMPERATURE: "in the gel", PRESSURE: "in the line, not in the gel"}
"""Where they measure it."""


@dataclass(frozen=True)
class GelTemperature:
    """One reading and its role; ``celsius`` is None where nobody measures."""

    celsius: float | None
    by: str
    """Role of the device; empty when there is none."""

    @property
    def place(self) -> str:
        return PLACES.get(self.by, "")


def gel_temperature(controller: Controller) -> GelTemperature:
    """Read the best thermometer of the rig; a hold that comes meanwhile is waited out.

    The pressure cell's own temperature is that of the fluid line at the bench, which the gel follows in hours. One that
    no gel can have, or that is not of now, is left out and journalled (``temperature_left_out``). Raises ``SafetyStop``
    for a device that does not answer.
    """
    for role in THERMOMETERS:
        if role not in controller.rig.channels:
            continue
        asked_ns = controller.clock.now_ns()
        reading = read_at_rest(controller, role)
        celsius = float(reading.temperature_c)
        if math.isnan(celsius):  # a gauge that a person reads has no temperature
            continue
        why = _why_left_out(celsius, (asked_ns - reading.time_ns) / NS_PER_S)
        if not why:
            return GelTemperature(celsius, str(role))
        controller.journal.append("temperature_left_out", {"role": role, "temperature_c": celsius, "reason": why})
    return GelTemperature(None, "")


def _why_left_out(celsius: float, age_s: float) -> str:
    if not within(celsius, GEL_C):
        return f"{celsius:g} degC is no temperature of a gel ({GEL_C[0]:g} to {GEL_C[1]:g} degC); is it unplugged?"
    if age_s > OLD_S:
        return f"it was taken {age_s:.0f} s before it was asked for; has the thermometer stopped measuring?"
    return ""
