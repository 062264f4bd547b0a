"""What tests by balance share: weighings, grams to millilitres, evaporation at rest, budget of a weighed mass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.qa.evaluation import Parameters, Tables, Value
from analysis.qa.methods.drift import Slope
from analysis.qa.methods.evaporation import Evaporation, evaporation, still
from analysis.qa.methods.gravimetric import Conversion, WeighingBudget, water_density_kg_m3
from analysis.tables import DataFrame
from hal.errors import ConfigError
from rig.record import Field

WEIGHINGS = (Field("mass_g", "g"), Field("stable", ""))
PARAMETERS: dict[str, tuple[Value, str]] = {
    "temperature_c": (20.0, "of the water (degC): its density"),
    "needle_mm": (0.0, "outer diameter of a needle whose tip is under the surface; 0: none"),
    "vessel_mm": (30.0, "inner diameter of the vessel"),
    "rest_min": (15.0, "weighed without flow before, and in long tests after, for the evaporation; at least 15"),
    "repeatability_mg": (0.1, "standard deviation of one weighing"),
    "readability_mg": (0.1, "one digit of the balance"),
    "linearity_mg": (0.2, "half width"),
}
"""Of every test by balance."""
LEAST = {"vessel_mm": 2.0}
SETTLED_S = 60.0
"""After a flow: the line has emptied, and what is weighed is the vessel at rest [A]."""


def value(parameters: Parameters, name: str) -> float:
    """A parameter that is a number."""
    found = parameters[name]
    assert isinstance(found, int | float)
    return float(found)


def conversion(parameters: Parameters) -> Conversion:
    """Grams as shown to millilitres at the temperature of the water; raises ``ConfigError``."""
    density = water_density_kg_m3(value(parameters, "temperature_c"))
    return Conversion(
        density, needle_mm=value(parameters, "needle_mm"), vessel_mm=value(parameters, "vessel_mm")
    )  # fmt: skip


@dataclass(frozen=True)
class Rest:
    """Loss of the vessel at rest, as far as it is known."""

    loss: Evaporation | None
    words: str
    """For the notes of the report."""

    @property
    def g_s(self) -> float:
        """Mass that is lost in a second; 0 where it is not known."""
        return 0.0 if self.loss is None else self.loss.g_h / 3600.0


def at_rest(weighed: DataFrame, begin_s: float, end_s: float | None = None) -> Rest:
    """Evaporation from the weighings before ``begin_s`` and, if given, those after ``end_s``.

    A record at rest that is too short corrects nothing, and ``words`` says so.
    """
    weighed = weighed[np.isfinite(weighed.mass_g)]
    try:
        before = _slope(weighed[weighed.time_s < begin_s])
    except ConfigError as error:
        return Rest(None, f"evaporation not corrected: {error}")
    after = None
    if end_s is not None:
        try:
            after = _slope(weighed[weighed.time_s > end_s + SETTLED_S])
        except ConfigError:
            after = None
    loss = evaporation(before, after)
    return Rest(loss, f"corrected for {loss.words}")


def _slope(weighed: DataFrame) -> Slope:
    return still(weighed.time_s.to_numpy(float), weighed.mass_g.to_numpy(float))


def budget(
    mass_g: float, seconds: float, parameters: Parameters, rest: Rest, *, flowing: bool = True
) -> WeighingBudget:
    """Uncertainty of a mass that came within so many seconds, with what this test knows of balance and vessel.

    ``flowing``: weighed while it flows, so that the time of a weighing counts.

    Where the evaporation was measured its uncertainty is that of the slopes, else the vessel's default stands.
    """
    conversion_ = conversion(parameters)
    lost = {} if rest.loss is None else {"evaporation_mg_h": 1000.0 * rest.loss.u_g_h, "evaporation_share": 3**0.5}
    return WeighingBudget(
        mass_mg=1000.0 * mass_g,
        hours=seconds / 3600.0,
        repeatability_mg=value(parameters, "repeatability_mg"),
        readability_mg=value(parameters, "readability_mg"),
        linearity_mg=value(parameters, "linearity_mg"),
        immersed_share=conversion_.immersed_share,
        stamp_s=WeighingBudget.stamp_s if flowing else 0.0,
        **lost,
    )


def not_measured(table: DataFrame, columns: Sequence[str]) -> str:
    """Why a table cannot be used; empty when every cell of these columns is a number."""
    for name in columns:
        wrong = np.flatnonzero(~np.isfinite(table[name].to_numpy(float)))
        if len(wrong):
            return f"row {wrong[0] + 1} has no {name}: not measured, beyond the range, or not stable"
    return ""


def weighings_of(tables: Tables) -> DataFrame:
    """The weighings in the order of their times; those beyond the range are left out."""
    weighed = tables["weighings"]
    return weighed[np.isfinite(weighed.mass_g)].sort_values("time_s")
