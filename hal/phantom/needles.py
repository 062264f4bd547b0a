"""Needles on the shelf: size, tip and how they bend; figures and their sources stand in ``data/needles.toml``."""

from __future__ import annotations

import difflib
import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hal.errors import ConfigError

STEEL_N_MM2 = 193_000.0
"""Young's modulus of AISI 304 stainless steel, 193 GPa."""
REFERENCE_OD_MM = 0.718
"""Forces of the material table are those of a 22G needle."""
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
    """Of the cut in reference gel (18 kPa), away from the bevel opening."""
    curvature_sd: float
    """Relative standard deviation between needles."""
    opening: bool
    """False for a pencil point, whose bending has no marked side."""

    @property
    def force_scale(self) -> float:
        """Forces grow with the diameter (22G = 1)."""
        return self.od_mm / REFERENCE_OD_MM

    @property
    def bending_stiffness_n_mm2(self) -> float:
        """E I of the tube."""
        return STEEL_N_MM2 * math.pi / 64.0 * (self.od_mm**4 - self.id_mm**4)

    def buckling_n(self, free_length_mm: float) -> float:
        """Euler load (N) of a free length, one end clamped and one pinned: P = 2.046 pi^2 E I / L^2."""
        return 2.046 * math.pi**2 * self.bending_stiffness_n_mm2 / max(free_length_mm, 5.0) ** 2


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(files("hal.phantom").joinpath("data/needles.toml").read_text())


def needle_names() -> tuple[str, ...]:
    """Needles on the shelf."""
    return tuple(_table()["needle"])


@cache
def load_needle(name: str) -> NeedleSpec:
    """Look up ``GAUGE_BEVEL_LENGTH``, e.g. ``22G_quincke_120``; raises ``ConfigError`` with the nearest names."""
    table = _table()
    row = table["needle"].get(name)
    if row is None:
        near = difflib.get_close_matches(name, needle_names(), n=3) or needle_names()
        raise ConfigError(f"unknown needle {name!r}; did you mean {', '.join(near)}?")
    gauge, bevel = table["gauge"][row["gauge"]], table["bevel"][row["bevel"]]
    deflection = bevel["deflection_80_mm"]
    return NeedleSpec(
        name=name,
        gauge=row["gauge"],
        bevel=row["bevel"],
        length_mm=float(row["length_mm"]),
        od_mm=gauge["od_mm"],
        id_mm=gauge["id_mm"],
        curvature_per_mm=2.0 * deflection / REFERENCE_DEPTH_MM**2 * gauge["curvature_factor"],
        curvature_sd=bevel["deflection_sd_mm"] / deflection,
        opening=bevel["opening"],
    )
