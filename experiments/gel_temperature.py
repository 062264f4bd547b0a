"""Temperature at which the gel's speed of sound is taken: the thermometer's, else that of the pressure cell."""

from __future__ import annotations

import math
from dataclasses import dataclass

from experiments.between_trials import read_at_rest
from rig.controller import Controller

PLACES = {"temperature": "in the gel", "pressure": "in the line, not in the gel"}
"""Roles that tell a temperature, the better one first, and where they measure it."""


@dataclass(frozen=True)
class GelTemperature:
    """One reading and who gave it; ``celsius`` is None where nobody measures."""

    celsius: float | None
    by: str
    """Role of the device; empty when there is none."""

    @property
    def place(self) -> str:
        return PLACES.get(self.by, "")


def gel_temperature(controller: Controller) -> GelTemperature:
    """Read the best thermometer of the rig; a hold that comes meanwhile is waited out.

    The pressure cell's own temperature is that of the fluid line at the bench, which the gel follows in hours. Raises
    ``SafetyStop`` for a device that does not answer.
    """
    for role in PLACES:
        if role in controller.rig.channels:
            celsius = float(read_at_rest(controller, role).temperature_c)
            if math.isfinite(celsius):  # a gauge that a person reads has no temperature
                return GelTemperature(celsius, role)
    return GelTemperature(None, "")
