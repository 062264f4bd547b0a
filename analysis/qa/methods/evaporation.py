"""Evaporation of the weighed vessel, from the balance before and after the flow, and when it may be corrected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.qa.methods.drift import Slope, slope
from hal.errors import ConfigError

LEAST_MIN = 15.0
"""Shortest record without flow [A]."""
LARGEST_SHARE = 0.05
"""A correction of more than this share of the flow is refused: cover the vessel instead [A]."""


@dataclass(frozen=True)
class Evaporation:
    """Loss of the vessel while nothing flows."""

    g_h: float
    """Above 0 when mass is lost."""
    u_g_h: float
    """Standard uncertainty: scatter of the slopes, and half of their difference as a rectangle where there are two."""
    before: Slope
    after: Slope | None

    @property
    def words(self) -> str:
        where = "before the flow only" if self.after is None else "before and after the flow"
        return f"evaporation {1000 * self.g_h:.1f} mg/h (u = {1000 * self.u_g_h:.1f} mg/h), measured {where}"

    def share_of(self, rate_ml_h: float) -> float:
        """Loss as a share of a flow of water."""
        return self.g_h / rate_ml_h

    def refusal(self, rate_ml_h: float) -> str:
        """Why a flow of this rate is not corrected; empty when it may be."""
        share = self.share_of(rate_ml_h)
        if abs(share) <= LARGEST_SHARE:
            return ""
        return (
            f"the vessel changes by {1000 * self.g_h:.0f} mg/h without flow, {100 * abs(share):.1f} % of {rate_ml_h:g} "
            f"mL/h; at most {100 * LARGEST_SHARE:.0f} % is corrected: cover it, or use an oil film"
        )


def still(time_s: ArrayLike, mass_g: ArrayLike) -> Slope:
    """Slope of the balance in g/h while nothing flows. Raises ``ConfigError`` for less than a quarter of an hour."""
    hours = np.asarray(time_s, np.float64) / 3600.0
    if hours.ndim != 1 or len(hours) < 3 or np.ptp(hours) * 60.0 < LEAST_MIN - 1e-9:
        lasted = 60.0 * float(np.ptp(hours)) if hours.size else 0.0
        raise ConfigError(f"evaporation: the record without flow lasts {lasted:.1f} min; {LEAST_MIN:g} min are needed")
    return slope(hours, mass_g)


def evaporation(before: Slope, after: Slope | None = None) -> Evaporation:
    """Loss from the slopes (g/h) of the records without flow before, and where there is one after, the flow."""
    if after is None:
        return Evaporation(-before.value, before.u, before, None)
    spread = abs(before.value - after.value) / 2.0 / 3**0.5
    u = float(np.hypot(np.hypot(before.u, after.u) / 2.0, spread))
    return Evaporation(-(before.value + after.value) / 2.0, u, before, after)
