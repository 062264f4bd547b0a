"""Hydraulics from plunger to tissue: a compliance, a resistance, and the back-pressure of the tissue at the tip.

``C dP/dt = Q_in - (P - P_tissue) / R``, solved exactly over each step for constant inflow, so that any step is stable;
volume is conserved to rounding. Pressure in kPa gauge, volume in mL (microlitres inside), time in s, Phantom frame.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hal.phantom.materials import Material
from hal.sim.acoustics.states import Bolus
from hal.sim.fluid_line import LineSpec, end_loss_kpa_min2_ml2
from hal.sim.fluid_tissue import BLOCKED_KPA, Site

__all__ = ["Hydraulics", "InjectedBolus", "LineSpec"]

ML_MIN_PER_UL_S = 0.06
SAME_SITE_MM = 0.5
"""A tip that moved less than this, or stays within its own pool, injects into the same place."""
PENNY_ASPECT = 3.0
"""Crack in gel: three times wider than thick."""
VACUUM_KPA = -95.0
"""The fluid boils before the plunger can pull harder."""
NO_FLOW_ML_MIN = 1e-3
LEAKS_FROM_KPA = 0.02
"""A line that leaks drips while the pump runs, and hardly once it has emptied [A]."""
ATMOSPHERE_KPA = 101.325


@dataclass(frozen=True)
class InjectedBolus(Bolus):
    """A pool of injected fluid: where it is, its shape and its volume."""

    volume_ml: float = 0.0

    @property
    def radius_mm(self) -> float:
        """Radius of the sphere of this volume, or of the penny's disc."""
        return float(self.semi_axes_mm[0])


class _Pool:
    """A pool that may still grow."""

    def __init__(self, where_mm: tuple[float, float, float], normal: tuple[float, float, float], thin: bool) -> None:
        self.where_mm = where_mm
        self.normal = normal
        self.thin = thin
        self.volume_ml = 0.0
        self._shown: InjectedBolus | None = None

    @property
    def radius_mm(self) -> float:
        return float((3000.0 * self.volume_ml * (PENNY_ASPECT if self.thin else 1.0) / (4.0 * math.pi)) ** (1.0 / 3.0))

    def shown(self) -> InjectedBolus:
        if self._shown is None or self._shown.volume_ml != self.volume_ml:
            centre = np.array(self.where_mm)
            if self.thin:
                form = Bolus.penny(centre, self.volume_ml, np.array(self.normal), PENNY_ASPECT)
            else:
                form = Bolus.ball(centre, self.volume_ml)
            self._shown = InjectedBolus(form.centre_mm, form.semi_axes_mm, form.axes, self.volume_ml)
        return self._shown


class Hydraulics:
    """One line from the syringe to the tip. Cheap: a few microseconds per step."""

    def __init__(self, line: LineSpec, seed: int) -> None:
        self.line = line
        self._draw = random.Random(seed)
        bore_error_mm = self._draw.uniform(-line.id_tolerance_mm, line.id_tolerance_mm)
        self.resistance_kpa_min_ml = line.resistance_kpa_min_ml(bore_error_mm)
        """Resistance of the present needle; it differs from the nominal one by the tolerance of its bore."""
        self.end_loss_kpa_min2_ml2 = end_loss_kpa_min2_ml2(line.bore_mm + bore_error_mm, line.density_kg_m3)
        error = random.Random(f"compliance {seed}").gauss(0.0, line.compliance_sd)
        self.compliance_ul_kpa = line.compliance_ul_kpa * min(max(1.0 + error, 0.5), 1.5)
        """Compliance of the present syringe and line."""
        self.line_pressure_kpa = 0.0
        """At the sensor, between syringe and line."""
        self.tip_pressure_kpa = 0.0
        self.outflow_ml_min = 0.0
        """Out of the tip; negative while blood or liquor comes back."""
        self.delivered_ml = 0.0
        """Out of the tip since the start, less what came back."""
        self.crack_normal = (0.0, 0.0, 1.0)
        """Normal of the plane in which gel cracks: that of the bevel, when the world knows better than this."""
        self._displaced_ml = 0.0
        self._time_s = 0.0
        self._site = Site(None, (0.0, 0.0, 0.0), None)
        self._pools: list[_Pool] = []
        self._pool: _Pool | None = None

    @property
    def boluses(self) -> tuple[InjectedBolus, ...]:
        """Pools in the gel, oldest first; fluid that went into vessels, liquor or air is not among them."""
        return tuple(pool.shown() for pool in self._pools if pool.volume_ml > 0.0)

    def forget_pools(self) -> None:
        """Start a fresh cartridge."""
        self._pools.clear()
        self._pool = None
        self._site = Site(None, (0.0, 0.0, 0.0), None)

    def step(
        self,
        dt_s: float,
        displaced_ml: float,
        material: Material | None,
        tip_mm: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]],
        tip_in_gel: bool,
        blocked: bool = False,
    ) -> None:
        """Advance by ``dt_s`` to the moment at which the plunger has pushed out ``displaced_ml`` in all.

        ``material`` is what the tip is in (None or not ``tip_in_gel`` = air); ``blocked``: the bevel is covered.
        """
        pushed_ul = (displaced_ml - self._displaced_ml) * 1000.0
        self._displaced_ml = displaced_ml
        self._time_s += dt_s
        site = self._at(material if tip_in_gel else None, tip_mm)
        tissue_kpa = site.pressure_kpa(self._time_s)
        capacity = self.compliance_ul_kpa
        if self.line.air_ml > 0.0:  # isothermal
            absolute_kpa = ATMOSPHERE_KPA + self.line_pressure_kpa
            capacity += 1000.0 * self.line.air_ml * ATMOSPHERE_KPA / absolute_kpa**2
        if self.line.leak_ml_h > 0.0 and self.line_pressure_kpa > LEAKS_FROM_KPA:
            pushed_ul -= self.line.leak_ml_h * dt_s / 3.6
        before_kpa = self.line_pressure_kpa
        still_kpa = max(VACUUM_KPA, before_kpa + pushed_ul / capacity)
        """Pressure at the end if nothing leaves."""
        if not site.opened:
            threshold_kpa = site.opening_kpa
        elif site.context.gives_back:
            threshold_kpa = -math.inf
        else:
            threshold_kpa = tissue_kpa
        highest_kpa = max(before_kpa, still_kpa)
        if blocked or threshold_kpa >= BLOCKED_KPA or highest_kpa < threshold_kpa or dt_s <= 0.0:
            self._still(still_kpa, dt_s, site)
            return
        share = 1.0
        if before_kpa < threshold_kpa:  # part of the step only raises the pressure
            share = (still_kpa - threshold_kpa) / (still_kpa - before_kpa)
            before_kpa = threshold_kpa
        if not site.opened:
            site.opened = True
            tissue_kpa = min(tissue_kpa, before_kpa)
        if share <= 0.0:
            self._still(still_kpa, dt_s, site)
            return
        flow_dt_s, pushed_ul = dt_s * share, pushed_ul * share
        resistance = (
            self.resistance_kpa_min_ml + self.end_loss_kpa_min2_ml2 * abs(self.outflow_ml_min)
        ) * ML_MIN_PER_UL_S
        final_kpa = tissue_kpa + resistance * pushed_ul / flow_dt_s
        after_kpa = final_kpa + (before_kpa - final_kpa) * math.exp(-flow_dt_s / (resistance * capacity))
        out_ul = pushed_ul - capacity * (after_kpa - before_kpa)
        if out_ul < 0.0 and not site.context.gives_back:
            self._still(still_kpa, dt_s, site)
            return
        self.line_pressure_kpa = max(VACUUM_KPA, after_kpa)
        self.tip_pressure_kpa = tissue_kpa
        self.outflow_ml_min = (after_kpa - tissue_kpa) / resistance * ML_MIN_PER_UL_S
        self._deliver(out_ul / 1000.0, site)
        if abs(self.outflow_ml_min) < NO_FLOW_ML_MIN:
            site.rest(dt_s)

    def _still(self, pressure_kpa: float, dt_s: float, site: Site) -> None:
        """Step without flow: the tip feels the line's pressure."""
        self.line_pressure_kpa = self.tip_pressure_kpa = pressure_kpa
        self.outflow_ml_min = 0.0
        if site.opened:
            site.rest(dt_s)

    def _deliver(self, volume_ml: float, site: Site) -> None:
        self.delivered_ml += volume_ml
        if volume_ml <= 0.0:
            return
        site.take(volume_ml)
        if not site.context.keeps_pool:
            return
        if self._pool is None:
            self._pool = _Pool(site.where_mm, self.crack_normal, site.context.thin_pool)
            self._pools.append(self._pool)
        self._pool.volume_ml += volume_ml

    def _at(
        self, material: Material | None, tip_mm: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]
    ) -> Site:
        """The present site, or a new one when the tip has left it."""
        site = self._site
        if material is site.material:
            if material is None:
                return site
            x, y, z = site.where_mm
            reach_mm = SAME_SITE_MM if self._pool is None else max(SAME_SITE_MM, self._pool.radius_mm)
            if (tip_mm[0] - x) ** 2 + (tip_mm[1] - y) ** 2 + (tip_mm[2] - z) ** 2 <= reach_mm * reach_mm:
                return site
        where = (float(tip_mm[0]), float(tip_mm[1]), float(tip_mm[2]))
        self._site = Site(material, where, self._draw if material is not None else None)
        self._pool = None
        return self._site
