"""Needles on the shelf: size, tip and bending. Figures and their sources are in ``data/needles.toml``."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hal.errors import ConfigError
from hal.files import data_file, read, validated, within

STEEL_N_MM2 = 193_000.0
"""Young's modulus of AISI 304 stainless steel, 193 GPa."""
REFERENCE_OD_MM = 0.718
"""Forces of the material table are those of a 22G needle."""
HUB_MARGIN_MM = 10.0
"""Shaft that stays outside: the hub, and what holds it, does not touch the skin [A]."""
REFERENCE_DEPTH_MM = 80.0
"""Depth at which the deflections of the bevel table were measured."""


@dataclass(frozen=True)
class NeedleSpec:
    """One kind of needle."""

    name: str
    gauge: str
    bevel: str
    length_mm: float
    od_mm: float
    id_mm: float
    curvature_per_mm: float
    """Curvature of the cut in reference gel (18 kPa), away from the bevel opening."""
    curvature_sd: float
    """Relative standard deviation between needles."""
    opening: bool
    """False for a pencil point, whose bending has no marked side."""

    @property
    def usable_mm(self) -> float:
        """Largest depth of the tip along the needle; it is always less than the needle's length."""
        return self.length_mm - HUB_MARGIN_MM

    @property
    def force_scale(self) -> float:
        """Factor of forces, which grow with the diameter (22G = 1)."""
        return self.od_mm / REFERENCE_OD_MM

    @property
    def bending_stiffness_n_mm2(self) -> float:
        """E I of the tube."""
        return STEEL_N_MM2 * math.pi / 64.0 * (self.od_mm**4 - self.id_mm**4)

    def buckling_n(self, free_length_mm: float) -> float:
        """Euler load (N) of a free length, one end clamped and one pinned: P = 2.046 pi^2 E I / L^2."""
        return 2.046 * math.pi**2 * self.bending_stiffness_n_mm2 / max(free_length_mm, 5.0) ** 2


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GaugeRow(_Strict):
    """Tubing of one gauge."""

    od_mm: float = within(0.2, 3.0)
    id_mm: float = within(0.1, 2.8)
    curvature_factor: float = within(0.1, 5.0)


class BevelRow(_Strict):
    """Deflection of a tip of one kind."""

    deflection_80_mm: float = within(0.0, 40.0)
    deflection_sd_mm: float = within(0.0, 10.0)
    opening: bool


class NeedleRow(_Strict):
    """One needle on the shelf."""

    gauge: str
    bevel: str
    length_mm: float = within(20.0, 300.0)


class NeedleFile(_Strict):
    """``data/needles.toml``."""

    gauge: dict[str, GaugeRow]
    bevel: dict[str, BevelRow]
    needle: dict[Annotated[str, Field(max_length=64)], NeedleRow]


@cache
def _table() -> NeedleFile:
    return validated(read(data_file("hal.phantom", "needles.toml")), NeedleFile)


def needle_names() -> tuple[str, ...]:
    """Needles on the shelf."""
    return tuple(_table().needle)


@cache
def load_needle(name: str) -> NeedleSpec:
    """Look up ``GAUGE_BEVEL_LENGTH``, e.g. ``22G_quincke_120``; raises ``ConfigError`` with the nearest names."""
    table = _table()
    row = table.needle.get(name)
    if row is None:
        near = difflib.get_close_matches(name, needle_names(), n=3) or needle_names()
        raise ConfigError(f"unknown needle {name!r}; did you mean {', '.join(near)}?")
    gauge, bevel = table.gauge[row.gauge], table.bevel[row.bevel]
    deflection = bevel.deflection_80_mm
    return NeedleSpec(
        name=name,
        gauge=row.gauge,
        bevel=row.bevel,
        length_mm=row.length_mm,
        od_mm=gauge.od_mm,
        id_mm=gauge.id_mm,
        curvature_per_mm=2.0 * deflection / REFERENCE_DEPTH_MM**2 * gauge.curvature_factor,
        curvature_sd=bevel.deflection_sd_mm / deflection,
        opening=bevel.opening,
    )
