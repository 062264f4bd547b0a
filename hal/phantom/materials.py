"""Materials of the phantom: acoustic, mechanical and hydraulic properties by label.

The label number is the value in the world's label volume. Figures and their sources stand in
``data/materials.toml``; a value marked assumed there is a parameter, not a fact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, ClassVar

from pydantic import Field

from hal.files import data_file, read, validated


@dataclass(frozen=True)
class Material:
    """One material."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    label: Annotated[int, Field(ge=0, le=255)]
    sound_speed_m_s: Annotated[float, Field(ge=300.0, le=7000.0)]
    attenuation_db_cm_mhz: Annotated[float, Field(ge=0.0, le=100.0)]
    impedance_mrayl: Annotated[float, Field(ge=0.0, le=100.0)]
    backscatter_db: Annotated[float, Field(ge=-200.0, le=40.0)]
    """Speckle level relative to muscle gel; -60 or lower is anechoic."""
    youngs_kpa: Annotated[float, Field(ge=0.0, le=1e9)]
    puncture_n: Annotated[float, Field(ge=0.0, le=1000.0)]
    """Peak force of a 22G needle when it enters this material from above (0 = no membrane)."""
    puncture_mm: Annotated[float, Field(ge=0.0, le=50.0)]
    """Indentation before that rupture."""
    cutting_n: Annotated[float, Field(ge=0.0, le=1000.0)]
    friction_n_mm: Annotated[float, Field(ge=0.0, le=10.0)]
    opening_kpa: Annotated[float, Field(ge=0.0, le=1e6)]
    """Tip pressure needed to start flow into the material."""
    plateau_kpa: Annotated[float, Field(ge=0.0, le=1e6)]
    """Tip pressure that sustains flow."""
    context: str
    """Pressure signature (``facts/domain.md`` 3.3)."""


@dataclass(frozen=True)
class MaterialFile:
    """``data/materials.toml``."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    material: dict[str, Material]


@cache
def materials() -> dict[str, Material]:
    """All materials by name."""
    document = read(data_file("hal.phantom", "materials.toml"))
    named = {name: {"name": name, **row} for name, row in document.data["material"].items()}
    return validated(replace(document, data={"material": named}), MaterialFile).material


@cache
def by_label() -> dict[int, Material]:
    """All materials by label."""
    return {m.label: m for m in materials().values()}
