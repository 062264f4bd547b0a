"""Axial force on a needle: membranes to break, cutting at the tip, friction along the shaft, bone.

``F = sum of membranes + cutting + friction x embedded + eta v`` (facts: additive model after Barnett 2015,
good to 0.2 N in steady cutting there), times the gauge's scale. Positive pushes the needle back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hal.phantom.materials import Material

REFERENCE_SPEED_MM_S = 5.0
"""Speed at which the material table's cutting forces hold."""
RATE_N_PER_MM_S = 0.01
"""Growth of cutting force with speed (assumed; the literature gives only the sign)."""
REST_SHARE = 0.5
"""Share of cutting and friction force that stays after the needle has rested (assumed)."""
REST_TIME_S = 0.5
"""Time constant of that relaxation: far shorter than the bulk gel's 30 to 620 s (assumed)."""
PEAK_SPREAD = 0.2
"""Standard deviation of the logarithm of a membrane's strength, from place to place (assumed from the ranges)."""
BONE_N_MM = (20.0, 60.0)
"""Axial stiffness of needle and carrier against bone."""


@dataclass(frozen=True)
class Membrane:
    """A layer's surface that the tip presses on: force grows with the square of the indentation until it breaks."""

    at_mm: float
    """Arc length at which it was touched."""
    peak_n: float
    travel_mm: float
    name: str = ""

    def force_n(self, arc_mm: float) -> float:
        share = (arc_mm - self.at_mm) / self.travel_mm
        return self.peak_n * share * share if 0.0 < share < 1.0 else 0.0

    def broken(self, arc_mm: float) -> bool:
        return arc_mm - self.at_mm >= self.travel_mm


class AxialForce:
    """Force of one needle over time; values for 22G, scaled at the end."""

    def __init__(self, scale: float, rng: np.random.Generator) -> None:
        self._scale = scale
        self._rng = rng
        self._membranes: tuple[Membrane, ...] = ()
        self._drag_n = 0.0
        self._rest_n = 0.0
        self.bone_n_mm = float(rng.uniform(*BONE_N_MM))
        self.settled = True
        self.total_n = 0.0

    def clear(self) -> None:
        """Out of the phantom."""
        self._membranes, self._drag_n, self._rest_n, self.total_n, self.settled = (), 0.0, 0.0, 0.0, True

    def touch(self, material: Material, arc_mm: float) -> None:
        """The tip reaches the surface of a material in uncut gel.

        A thin oblique sheet of voxels may be met several times: it is one membrane until it breaks.
        """
        if material.puncture_n > 0.0 and all(m.name != material.name for m in self._membranes):
            peak = material.puncture_n * math.exp(PEAK_SPREAD * float(self._rng.standard_normal()))
            self._membranes += (Membrane(arc_mm, peak, max(material.puncture_mm, 0.05), material.name),)

    def update(
        self, arc_mm: float, travel_mm: float, cutting_n: float, friction_n: float, bone_n: float, dt_s: float
    ) -> None:
        """One step: ``travel_mm`` signed; ``cutting_n`` 0 in an open track; ``bone_n`` as it is, not scaled."""
        if travel_mm > 1e-9:
            speed = travel_mm / dt_s if dt_s > 0.0 else REFERENCE_SPEED_MM_S
            rate = RATE_N_PER_MM_S * (speed - REFERENCE_SPEED_MM_S) if cutting_n > 0.0 else 0.0
            self._drag_n = max(0.5 * cutting_n, cutting_n + rate) + friction_n
            self._rest_n = REST_SHARE * (cutting_n + friction_n)
            self.settled = False
        elif travel_mm < -1e-9:
            self._drag_n = -friction_n
            self._rest_n = -REST_SHARE * friction_n
            self.settled = False
        elif not self.settled:
            self._drag_n = self._rest_n + (self._drag_n - self._rest_n) * math.exp(-dt_s / REST_TIME_S)
            self.settled = abs(self._drag_n - self._rest_n) < 1e-3
        press = 0.0
        if self._membranes:
            if travel_mm > 0.0:
                self._membranes = tuple(m for m in self._membranes if not m.broken(arc_mm))
            for membrane in self._membranes:
                press += membrane.force_n(arc_mm)
        self.total_n = self._scale * (self._drag_n + press) + bone_n
