"""Targets of the needle: a nerve root, and the aim point beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hal.errors import ConfigError
from hal.types import Vector

AIM_GAP_MM = 1.5
"""Distance of the aim point from the nerve surface on the approach side (design.md, Words)."""


@dataclass(frozen=True)
class Cylinder:
    """A bony channel: from the rim to the inner end."""

    rim_mm: Vector
    inner_mm: Vector
    radius_mm: float

    @property
    def axis(self) -> Vector:
        """Unit vector into the channel."""
        along: Vector = self.inner_mm - self.rim_mm
        return along / float(np.linalg.norm(along))

    def depth_and_offset_mm(self, point_mm: Vector) -> tuple[float, float]:
        """Depth past the rim along the axis and distance from the axis."""
        from_rim = np.asarray(point_mm, dtype=np.float64) - self.rim_mm
        depth = float(from_rim @ self.axis)
        return depth, float(np.linalg.norm(from_rim - depth * self.axis))


@dataclass(frozen=True)
class Target:
    """One nerve root and its target (Phantom frame, mm)."""

    level: str
    side: str
    nerve_centre_mm: Vector
    nerve_axis: Vector
    """Unit vector along the nerve, proximal to distal."""
    nerve_radius_mm: float
    channel: Cylinder | None = None
    """S1: the dorsal channel in which the tip must lie (facts 7.2)."""

    def aim_mm(self, approach_direction: Vector) -> Vector:
        """Point 1.5 mm outside the nerve surface on the side from which the needle comes.

        ``approach_direction`` (3,) is the direction of needle travel; only its part across the nerve counts.
        Raises ``ConfigError`` when the needle would run along the nerve.
        """
        direction = np.asarray(approach_direction, dtype=np.float64)
        across = direction - self.nerve_axis * float(direction @ self.nerve_axis)
        length = float(np.linalg.norm(across))
        if length < 0.05 * float(np.linalg.norm(direction)) or length == 0.0:
            raise ConfigError(f"approach to {self.level} {self.side} runs along the nerve: it has no approach side")
        aim: Vector = self.nerve_centre_mm - across / length * (self.nerve_radius_mm + AIM_GAP_MM)
        return aim

    def gap_mm(self, point_mm: Vector) -> float:
        """Distance of a point from the nerve surface near the target (negative inside), nerve taken as straight."""
        from_centre = np.asarray(point_mm, dtype=np.float64) - self.nerve_centre_mm
        across = from_centre - self.nerve_axis * float(from_centre @ self.nerve_axis)
        return float(np.linalg.norm(across)) - self.nerve_radius_mm
