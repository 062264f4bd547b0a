"""Materials of the phantom: acoustic, mechanical and hydraulic properties by label.

The label number is the value in the world's label volume. Figures and their sources stand in
``data/materials.toml``; a value marked assumed there is a parameter, not a fact.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Material:
    """One material."""

    name: str
    label: int
    sound_speed_m_s: float
    attenuation_db_cm_mhz: float
    impedance_mrayl: float
    backscatter_db: float
    """Speckle level relative to muscle gel; -60 or lower is anechoic."""
    youngs_kpa: float
    puncture_n: float
    """Peak force of a 22G needle when it enters this material from above (0 = no membrane)."""
    puncture_mm: float
    """Indentation before that rupture."""
    cutting_n: float
    friction_n_mm: float
    opening_kpa: float
    """Tip pressure needed to start flow into the material."""
    plateau_kpa: float
    """Tip pressure that sustains flow."""
    context: str
    """Pressure signature (``facts/domain.md`` 3.3)."""


@cache
def materials() -> dict[str, Material]:
    """All materials by name."""
    text = files("hal.phantom").joinpath("data/materials.toml").read_text()
    return {name: Material(name=name, **row) for name, row in tomllib.loads(text)["material"].items()}


@cache
def by_label() -> dict[int, Material]:
    """All materials by label."""
    return {m.label: m for m in materials().values()}
