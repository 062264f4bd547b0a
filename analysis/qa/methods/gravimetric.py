"""From weighed grams to delivered millilitres: density of water, buoyancy, immersed needle, budget of a result."""

from __future__ import annotations

from dataclasses import dataclass

from hal.errors import ConfigError

AIR_KG_M3 = 1.2
WEIGHTS_KG_M3 = 8000.0
"""Density that a balance is adjusted to by convention."""
IEC_DENSITY_KG_M3 = 998.0
"""Density that the infusion-pump standard computes with, without buoyancy: 0.084 % less than with both at 20 degC."""
WATER_C = (0.0, 40.0)
_TANAKA = (-3.983035, 301.797, 522528.9, 69.34881, 999.974950)


def water_density_kg_m3(temperature_c: float) -> float:
    """Density of air-free water at one atmosphere (Tanaka et al. 2001, Metrologia 38:301), 0 to 40 degC."""
    low, high = WATER_C
    if not low <= temperature_c <= high:
        raise ConfigError(f"density of water: {temperature_c:g} degC is outside {low:g} to {high:g} degC")
    a1, a2, a3, a4, a5 = _TANAKA
    return a5 * (1.0 - (temperature_c + a1) ** 2 * (temperature_c + a2) / (a3 * (temperature_c + a4)))


@dataclass(frozen=True)
class Conversion:
    """How weighed grams become millilitres; ``words`` is printed with every result."""

    density_kg_m3: float
    buoyancy: bool = True
    needle_mm: float = 0.0
    """Outer diameter of a needle whose tip is under the surface; 0: none."""
    vessel_mm: float = 0.0
    """Inner diameter of the vessel, where a needle is in the liquid."""
    air_kg_m3: float = AIR_KG_M3

    def __post_init__(self) -> None:
        if self.needle_mm > 0.0 and self.vessel_mm <= self.needle_mm:
            raise ConfigError(f"a needle of {self.needle_mm:g} mm cannot be in a vessel of {self.vessel_mm:g} mm")

    @property
    def buoyancy_factor(self) -> float:
        """Z: true mass over what the balance shows."""
        if not self.buoyancy:
            return 1.0
        return (1.0 - self.air_kg_m3 / WEIGHTS_KG_M3) / (1.0 - self.air_kg_m3 / self.density_kg_m3)

    @property
    def immersed_share(self) -> float:
        """Area of needle over vessel: the rising liquid covers more needle, which lifts as if it were liquid."""
        return (self.needle_mm / self.vessel_mm) ** 2 if self.needle_mm > 0.0 else 0.0

    @property
    def ml_per_g(self) -> float:
        return 1000.0 * self.buoyancy_factor * (1.0 - self.immersed_share) / self.density_kg_m3

    @property
    def words(self) -> str:
        lift = f"buoyancy in air corrected (Z = {self.buoyancy_factor:.6f})" if self.buoyancy else "no buoyancy in air"
        needle = f"immersed needle {100 * self.immersed_share:.3f} %" if self.needle_mm else "no immersed needle"
        return f"density {self.density_kg_m3:.3f} kg/m3, {lift}, {needle}"


IEC_CONVERSION = Conversion(IEC_DENSITY_KG_M3, buoyancy=False)


@dataclass(frozen=True)
class WeighingBudget:
    """Uncertainty of a delivered mass by two weighings; defaults are those of a 0.1 mg balance under an oil film."""

    mass_mg: float
    hours: float
    """Between the two weighings."""
    repeatability_mg: float = 0.1
    readability_mg: float = 0.1
    linearity_mg: float = 0.2
    """Half width."""
    evaporation_mg_h: float = 2.0
    evaporation_share: float = 0.3
    """Half width of what is not known of the evaporation, as a share of it."""
    drift_mg_h: float = 0.2
    buoyancy_share: float = 0.05
    """Standard uncertainty of Z - 1, as a share of it."""
    temperature_k: float = 0.5
    """Half width of the temperature of the water."""
    immersed_share: float = 0.000645
    """Area of needle over vessel: 18 G in 50 mm."""
    immersed_unknown: float = 0.10
    meniscus_mg: float = 0.2
    stamp_s: float = 0.02
    """Standard uncertainty of the time of one weighing."""

    EXPANSION_PER_K = 0.00021
    """Of water at 20 degC."""

    def __post_init__(self) -> None:
        if self.mass_mg <= 0.0 or self.hours <= 0.0:
            raise ConfigError("a weighing budget needs a mass and a time above 0")

    @property
    def parts_mg(self) -> dict[str, float]:
        """Standard uncertainty of each row, mg."""
        third = 3.0**-0.5
        buoyancy = Conversion(998.2).buoyancy_factor - 1.0
        return {
            "repeatability": 2**0.5 * self.repeatability_mg,
            "readability": self.readability_mg * (2 / 12) ** 0.5,
            "linearity": self.linearity_mg * third,
            "evaporation": self.evaporation_mg_h * self.hours * self.evaporation_share * third,
            "drift": self.drift_mg_h * self.hours * third,
            "buoyancy": self.mass_mg * buoyancy * self.buoyancy_share,
            "density": self.mass_mg * self.EXPANSION_PER_K * self.temperature_k * third,
            "immersed needle": self.mass_mg * self.immersed_share * self.immersed_unknown,
            "meniscus": self.meniscus_mg,
            "time stamps": 2**0.5 * self.stamp_s * self.mass_mg / (3600.0 * self.hours),
        }

    @property
    def u_percent(self) -> float:
        """Combined standard uncertainty, percent of the mass."""
        return float(100.0 * sum(part**2 for part in self.parts_mg.values()) ** 0.5 / self.mass_mg)

    @property
    def expanded_percent(self) -> float:
        """k = 2."""
        return 2.0 * self.u_percent
