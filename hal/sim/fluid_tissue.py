"""Back-pressure of the tissue at the tip: it opens at one pressure and then keeps another, by context.

Contexts and figures: ``facts/domain.md`` 3.3. The material gives opening and plateau in kPa; the shapes between them
are assumptions of this model. A site is one place of the tip; its figures vary by a seeded factor.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from hal.phantom.materials import Material

SITE_SD = 0.15
"""Relative scatter of opening pressure from place to place (measured perineural: 42 +- 14 kPa, gel is more even)."""
SITE_LIMITS = (0.7, 1.4)
PULSE_HZ = 1.2
HELD_FRACTION = 0.3
"""Part of the plateau that a pool still holds long after the flow stopped (assumed)."""
HELD_TAU_S = 20.0
"""Leak-off and creep of gel after the flow stopped (assumed)."""
BLOCKED_KPA = 1e5
"""An opening pressure above this never opens (bone)."""

Shape = Callable[[float, float, float, float, float], float]
"""(opening kPa, plateau kPa, volume mL at the site, time s, phase of the site) -> kPa that the tissue keeps."""


def _free(opening: float, plateau: float, volume: float, time: float, phase: float) -> float:
    return plateau


def _loose(opening: float, plateau: float, volume: float, time: float, phase: float) -> float:
    """Peak, then a plateau after a twentieth of a millilitre."""
    return plateau + (opening - plateau) * math.exp(-volume / 0.05)


def _bumpy(opening: float, plateau: float, volume: float, time: float, phase: float) -> float:
    """Fibre by fibre."""
    return _loose(opening, plateau, volume, time, phase) + 0.2 * plateau * math.sin(volume / 0.008 + phase)


def _sawtooth(opening: float, plateau: float, volume: float, time: float, phase: float) -> float:
    """A crack that runs on in jumps: pressure builds up over 0.03 mL and drops."""
    return _loose(opening, plateau, volume, time, phase) + 0.3 * plateau * ((volume / 0.03 + phase) % 1.0 - 0.5)


def _tough(opening: float, plateau: float, volume: float, time: float, phase: float) -> float:
    """Stays high."""
    return plateau + (opening - plateau) * math.exp(-volume / 0.3)


def _steep(opening: float, plateau: float, volume: float, time: float, phase: float) -> float:
    """A nerve: no plateau, rises with volume until the sheath tears at twice the opening pressure."""
    return min(2.0 * opening, opening + 400.0 * volume)


def _epidural(opening: float, plateau: float, volume: float, time: float, phase: float) -> float:
    """Low and pulsatile, filling slowly."""
    return plateau + 0.3 * volume + 0.15 * plateau * math.sin(2.0 * math.pi * PULSE_HZ * time + phase)


def _artery(opening: float, plateau: float, volume: float, time: float, phase: float) -> float:
    """Pulse of 40 % peak to peak (12 kPa mean, 4-6 kPa)."""
    return plateau * (1.0 + 0.2 * math.sin(2.0 * math.pi * PULSE_HZ * time + phase))


def _joint(opening: float, plateau: float, volume: float, time: float, phase: float) -> float:
    """Soft until 1.5 mL, its capacity, then steep."""
    return _loose(opening, plateau, volume, time, phase) + 150.0 * max(0.0, volume - 1.5)


@dataclass(frozen=True)
class Context:
    """Response of one kind of tissue."""

    shape: Shape
    gives_back: bool = False
    """Fluid can be aspirated, and flows back when the line is at lower pressure."""
    keeps_pool: bool = True
    """Injected fluid stays where it is (not washed away by blood or liquor)."""
    thin_pool: bool = False
    """The pool is a penny-shaped crack rather than a ball."""


CONTEXTS = {
    "air": Context(_free, gives_back=True, keeps_pool=False),
    "fat_loose": Context(_loose),
    "perineural": Context(_loose),
    "perineural_arm": Context(_loose),
    "muscle": Context(_bumpy, thin_pool=True),
    "gel": Context(_sawtooth, thin_pool=True),
    "ligament": Context(_tough, thin_pool=True),
    "intraneural": Context(_steep),
    "nerve_contact": Context(_tough),
    "bone_contact": Context(_free),
    "epidural": Context(_epidural),
    "intrathecal": Context(_free, gives_back=True, keeps_pool=False),
    "vein": Context(_free, gives_back=True, keeps_pool=False),
    "artery": Context(_artery, gives_back=True, keeps_pool=False),
    "joint": Context(_joint),
}


class Site:
    """One place of the tip in one material (None = outside the gel)."""

    def __init__(
        self, material: Material | None, where_mm: tuple[float, float, float], draw: random.Random | None
    ) -> None:
        """Raises ``ValueError`` for a context that this model does not know."""
        name = "air" if material is None else material.context
        if name not in CONTEXTS:
            raise ValueError(f"material {material.name if material else '?'}: unknown pressure context {name!r}")
        self.context = CONTEXTS[name]
        self.material = material
        self.where_mm = where_mm
        factor = 1.0
        if draw is not None:
            factor = min(SITE_LIMITS[1], max(SITE_LIMITS[0], draw.gauss(1.0, SITE_SD)))
        self.phase = draw.random() if draw is not None else 0.0
        self.opening_kpa = factor * material.opening_kpa if material else 0.0
        self.plateau_kpa = factor * material.plateau_kpa if material else 0.0
        self.opened = self.context.gives_back
        self.volume_ml = 0.0
        self.held = 1.0

    def pressure_kpa(self, time_s: float) -> float:
        """Pressure that the tissue keeps at the tip once it is open."""
        return self.held * self.context.shape(self.opening_kpa, self.plateau_kpa, self.volume_ml, time_s, self.phase)

    def rest(self, dt_s: float) -> None:
        """Time without flow: the pool sinks in."""
        if self.context.gives_back:
            return  # blood and liquor have their own pressure
        self.held = HELD_FRACTION + (self.held - HELD_FRACTION) * math.exp(-dt_s / HELD_TAU_S)

    def take(self, volume_ml: float) -> None:
        self.volume_ml += volume_ml
        if self.held < 1.0:  # 0.02 mL fill the pool up again
            self.held = min(1.0, self.held + volume_ml / 0.02 * (1.0 - HELD_FRACTION))
