"""A vessel under the needle, on the pan of a balance: what it catches, loses to the air, and seems to weigh.

Water of the bench's temperature. Sources: density of water by Tanaka et al. 2001; evaporation by diffusion through the
still air above the liquid; drops by Tate's law; buoyancy for weights of 8000 kg/m3 in air of 1.2 kg/m3.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from hal.clock import NS_PER_S

AIR_KG_M3, WEIGHTS_KG_M3 = 1.2, 8000.0
SURFACE_TENSION_N_M = 0.0728
"""Water at 20 degC."""
DROP_FACTOR = 0.65
"""Part of a pendant drop that falls (Harkins and Brown), for needles of 0.5 to 1.3 mm."""
DROP_SD = 0.02
"""Relative, from drop to drop [A]."""
DROPS_S = 1.5
"""Drops closer than this leave a balance no time to settle [A]."""
GRAVITY_M_S2 = 9.81
DIFFUSION_M2_S = 2.5e-5
"""Diffusivity of water vapour in air."""
FILM_MG_H = 1.5
"""Through a film of oil or out of an evaporation trap: 0.5 to 3 mg/h, recalled."""
GAS_J_KG_K = 461.5
"""Gas constant of water vapour."""


@dataclass(frozen=True)
class VesselSpec:
    """``[sim.vessel]``: the vessel, as it was put there."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    weight_g: Annotated[float, Field(ge=0.0, le=2000.0)] = 60.0
    """Empty."""
    liquid_g: Annotated[float, Field(ge=0.0, le=2000.0)] = 10.0
    """In it from the beginning."""
    diameter_mm: Annotated[float, Field(ge=2.0, le=200.0)] = 30.0
    """Inside."""
    head_mm: Annotated[float, Field(ge=1.0, le=200.0)] = 30.0
    """Still air between the liquid and the room: 5 for a full open beaker, 30 for one that is half full."""
    cover: Literal["open", "film"] = "film"
    """``film``: oil on the liquid, or an evaporation trap."""
    humidity_percent: Annotated[float, Field(ge=0.0, le=100.0)] = 50.0
    outlet: Literal["immersed", "free"] = "immersed"
    """The needle's tip below the surface, or above it: then it drips."""


class Vessel:
    """One vessel; asked for moments that do not go back."""

    def __init__(self, spec: VesselSpec, needle_od_mm: float, temperature_c: float, seed: int) -> None:
        self.spec = spec
        self._density_g_ml = water_g_ml(temperature_c)
        self.evaporation_g_h = evaporation_g_h(spec, temperature_c)
        self.drop_g = drop_g(needle_od_mm)
        water_kg_m3 = 1000.0 * self._density_g_ml
        self._shown = (1.0 - AIR_KG_M3 / water_kg_m3) / (1.0 - AIR_KG_M3 / WEIGHTS_KG_M3)
        """Weight that a gram of water shows."""
        if spec.outlet == "immersed":  # the level rises along the needle, which then displaces more
            self._shown /= 1.0 - (needle_od_mm / spec.diameter_mm) ** 2
        self._draw = random.Random(f"drops {seed}")
        self._fallen_g = 0.0
        self._next_g = self._draw.gauss(self.drop_g, DROP_SD * self.drop_g)

    def weight_g(self, caught_ml: float, now_ns: int) -> float:
        """Reading of a perfect balance with the vessel on it, once ``caught_ml`` in all have left the needle."""
        came_g = caught_ml * self._density_g_ml
        if self.spec.outlet == "free":
            while came_g - self._fallen_g >= self._next_g:
                self._fallen_g += self._next_g
                self._next_g = self._draw.gauss(self.drop_g, DROP_SD * self.drop_g)
            came_g = self._fallen_g
        lost_g = self.evaporation_g_h * now_ns / (3600.0 * NS_PER_S)
        liquid_g = max(0.0, self.spec.liquid_g + came_g - lost_g)
        return self.spec.weight_g + liquid_g * self._shown

    def rate_g_s(self, outflow_ml_min: float) -> float:
        """How fast that grows now; between two drops, unless they are so fast that a balance sees a flow."""
        flow_g_s = outflow_ml_min / 60.0 * self._density_g_ml
        if self.spec.outlet == "free" and flow_g_s * DROPS_S < self.drop_g:
            flow_g_s = 0.0
        return (flow_g_s - self.evaporation_g_h / 3600.0) * self._shown


def water_g_ml(temperature_c: float) -> float:
    """Density of air-free water, Tanaka et al. 2001 eq. 1 (0 to 40 degC)."""
    t = temperature_c
    return 0.999974950 * (1.0 - (t - 3.983035) ** 2 * (t + 301.797) / (522528.9 * (t + 69.34881)))


def drop_g(od_mm: float) -> float:
    """Mass of a drop off the end of a needle, Tate's law."""
    return DROP_FACTOR * math.pi * od_mm * 1e-3 * SURFACE_TENSION_N_M / GRAVITY_M_S2 * 1000.0


def evaporation_g_h(spec: VesselSpec, temperature_c: float) -> float:
    """Diffusion of vapour through ``head_mm`` of still air, saturated below, the room's humidity above."""
    if spec.cover == "film":
        return FILM_MG_H / 1000.0
    saturated_pa = 611.2 * math.exp(17.62 * temperature_c / (243.12 + temperature_c))  # Magnus
    saturated_g_m3 = 1000.0 * saturated_pa / (GAS_J_KG_K * (temperature_c + 273.15))
    area_m2 = math.pi / 4.0 * (spec.diameter_mm * 1e-3) ** 2
    dry = 1.0 - spec.humidity_percent / 100.0
    return 3600.0 * area_m2 * DIFFUSION_M2_S * saturated_g_m3 * dry / (spec.head_mm * 1e-3)
