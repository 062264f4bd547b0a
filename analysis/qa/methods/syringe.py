"""Whether a syringe lasts for a flow test, and which one would; and its inner diameter by weighing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hal.errors import ConfigError

PRIMING_ML = 0.5
FIRST_HOURS = 2.0
"""Start-up and first analysis hour."""
USABLE_ML: Mapping[float, float] = {3: 2.5, 5: 4.0, 10: 8.0, 20: 15.0, 30: 25.0, 50: 50.0}
"""Nominal size to the volume that a pump delivers of it [A]: state those of the syringe and the pump at hand."""


@dataclass(frozen=True)
class SyringeNeed:
    """What a flow test takes."""

    rate_ml_h: float
    priming_ml: float = PRIMING_ML
    first_hours: float = FIRST_HOURS

    def __post_init__(self) -> None:
        if self.rate_ml_h <= 0.0:
            raise ConfigError(f"set rate: must be above 0, got {self.rate_ml_h:g} mL/h")

    def volume_ml(self, hours: float) -> float:
        """Needed for so many hours, with priming."""
        return self.rate_ml_h * hours + self.priming_ml

    def lasts_h(self, usable_ml: float) -> float:
        """How long a syringe lasts after priming."""
        return max(0.0, usable_ml - self.priming_ml) / self.rate_ml_h

    def refusal(
        self, nominal_ml: float, hours: float | None = None, usable_ml: Mapping[float, float] = USABLE_ML
    ) -> str:
        """Why a syringe does not last, with the one that would do; empty when it does.

        ``hours``: of the whole test, change interval included; the first two hours unless stated. ``usable_ml``: usable
        volume by nominal size. Raises ``ConfigError`` for a size whose usable volume is not stated.
        """
        if nominal_ml not in usable_ml:
            sizes = ", ".join(f"{size:g}" for size in sorted(usable_ml))
            raise ConfigError(f"the usable volume of a {nominal_ml:g} mL syringe is not stated; there are {sizes} mL")
        lasting = self.first_hours if hours is None else hours
        needed, has = self.volume_ml(lasting), usable_ml[nominal_ml]
        if has >= needed:
            return ""
        enough = [size for size in sorted(usable_ml) if usable_ml[size] >= needed]
        instead = f"a {enough[0]:g} mL syringe would do" if enough else "no listed syringe would do: take a lower rate"
        return (
            f"{lasting:g} h at {self.rate_ml_h:g} mL/h take {needed:g} mL with {self.priming_ml:g} mL for priming; "
            f"a {nominal_ml:g} mL syringe gives {has:g} mL; {instead}"
        )


def inner_diameter_mm(volume_ml: float, travel_mm: float) -> float:
    """Inner diameter of a barrel whose plunger delivered a volume over a travel."""
    if volume_ml <= 0.0 or travel_mm <= 0.0:
        raise ConfigError("the diameter of a syringe needs a volume and a travel above 0")
    return math.sqrt(4000.0 * volume_ml / (math.pi * travel_mm))
