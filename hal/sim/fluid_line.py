"""Syringe, extension line and needle as one compliance and one resistance.

Sources: Hagen-Poiseuille ``dP = 128 mu L Q / (pi d^4)`` with an inertial end loss ``K rho v^2 / 2``
(``facts/domain.md`` 3.1; its table is reproduced with K = 2.0); needle bores: public gauge table, regular wall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

NEEDLE_ID_MM = {20: 0.603, 21: 0.514, 22: 0.413, 23: 0.337, 25: 0.260, 27: 0.210}
"""Inner diameter by gauge, regular wall."""
END_LOSS = 2.0
"""K of the inertial loss at entry and exit."""
M3_S_PER_ML_MIN = 1e-6 / 60.0


def poiseuille_kpa_min_ml(length_mm: float, bore_mm: float, viscosity_mpa_s: float) -> float:
    """Laminar resistance of a tube, kPa per mL/min."""
    pa_s_m3 = 128.0 * viscosity_mpa_s * 1e-3 * length_mm * 1e-3 / (math.pi * (bore_mm * 1e-3) ** 4)
    return pa_s_m3 * M3_S_PER_ML_MIN / 1000.0


def end_loss_kpa_min2_ml2(bore_mm: float, density_kg_m3: float) -> float:
    """Inertial loss, kPa per (mL/min)^2."""
    speed_m_s = M3_S_PER_ML_MIN / (math.pi * (bore_mm * 1e-3) ** 2 / 4.0)
    return END_LOSS * density_kg_m3 * speed_m_s**2 / 2.0 / 1000.0


@dataclass(frozen=True)
class LineSpec:
    """The parts screwed together between plunger and tip."""

    compliance_ul_kpa: float = 0.5
    """Syringe, line and air bubbles together: 0.3 (small syringe, pressure line) to 5 (20 mL plastic, soft line)."""
    compliance_sd: float = 0.12
    """Relative standard deviation of syringe and line about what a rig file states: known to about 25 % [A]."""
    gauge: int = 22
    needle_mm: float = 90.0
    needle_id_mm: float | None = None
    """Bore of a thin-wall needle; None = regular wall of the gauge."""
    id_tolerance_mm: float = 0.019
    """Half width of the maker's tolerance; the needle at hand is drawn from it. 0 = nominal."""
    extension_mm: float = 500.0
    extension_id_mm: float = 1.0
    viscosity_mpa_s: float = 1.0
    """Water at 20 C 1.0, lidocaine 1 % about 1.0, steroid suspension 1.2-3."""
    density_kg_m3: float = 1000.0
    k_line: float = 1.5
    """Measured systems against theory: 1.3-1.6 (connectors, bends, real bores)."""
    leak_ml_h: float = 0.0
    """Lost before the needle while the line is under pressure."""
    air_ml: float = 0.0
    """Air in the line, at atmospheric pressure."""

    def __post_init__(self) -> None:
        if self.needle_id_mm is None and self.gauge not in NEEDLE_ID_MM:
            raise ValueError(f"no bore known for {self.gauge}G; give needle_id_mm")
        if min(self.compliance_ul_kpa, self.needle_mm, self.viscosity_mpa_s, self.k_line) <= 0.0:
            raise ValueError("compliance, needle length, viscosity and k_line must be positive")

    @property
    def bore_mm(self) -> float:
        return NEEDLE_ID_MM[self.gauge] if self.needle_id_mm is None else self.needle_id_mm

    def resistance_kpa_min_ml(self, bore_error_mm: float = 0.0) -> float:
        """Needle and extension, ``k_line`` included, for a needle that is wider than nominal by ``bore_error_mm``."""
        needle = poiseuille_kpa_min_ml(self.needle_mm, self.bore_mm + bore_error_mm, self.viscosity_mpa_s)
        extension = poiseuille_kpa_min_ml(self.extension_mm, self.extension_id_mm, self.viscosity_mpa_s)
        return self.k_line * (needle + extension)
