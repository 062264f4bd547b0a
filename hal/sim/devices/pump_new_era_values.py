"""Numbers, units and limits of the New Era pump, as the pump applies them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

SLOWEST_CM_H = 0.004205
FASTEST_CM_MIN = 5.1005
"""Plunger speeds of the NE-1000 (manual)."""
DIAMETER_MM = (0.1, 50.0)
MICROLITRE_UP_TO_MM = 14.0
"""Default volume unit by syringe diameter (manual)."""
LAST_PHASE = 41
ML_MIN_PER_UNIT = {"UM": 1e-3, "MM": 1.0, "UH": 1e-3 / 60.0, "MH": 1.0 / 60.0}
ML_PER_UNIT = {"UL": 1e-3, "ML": 1.0}
_NUMBER = re.compile(r"(\d*)\.?(\d{0,3})")


class Refused(Exception):
    """The command is answered with this error text."""


@dataclass
class Phase:
    """One phase of the pumping program."""

    function: str = "RAT"
    rate: float = 1.0
    rate_unit: str = "MM"
    volume: float = 0.0
    """In the unit that holds for the whole program; 0 = continuous."""
    direction: str = "INF"

    @property
    def rate_ml_min(self) -> float:
        return self.rate * ML_MIN_PER_UNIT[self.rate_unit]


def parse(text: str) -> float:
    """A number of at most four digits, three of them decimals; raises ``Refused``."""
    match = _NUMBER.fullmatch(text)
    if match is None or not 1 <= len(match.group(1)) + len(match.group(2)) <= 4:
        raise Refused("?")
    return float(text)


def whole(text: str, low: int, high: int) -> int:
    """An integer within limits; raises ``Refused``."""
    if not text.isascii() or not text.isdigit():
        raise Refused("?")
    if not low <= int(text) <= high:
        raise Refused("?OOR")
    return int(text)


def shown(value: float) -> str:
    """Four digits and a point: ``0.015``, ``14.43``, ``3000.``."""
    for decimals in (3, 2, 1):
        if round(value, decimals) < 10 ** (4 - decimals):
            return f"{value:.{decimals}f}"
    return f"{min(value, 9999.0):.0f}."


def rate_limits_ml_min(diameter_mm: float) -> tuple[float, float]:
    """Slowest and fastest rate: plunger area times plunger speed."""
    area_cm2 = math.pi * (diameter_mm / 20.0) ** 2
    return area_cm2 * SLOWEST_CM_H / 60.0, area_cm2 * FASTEST_CM_MIN
