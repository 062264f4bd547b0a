"""The needle as commanded: straight axis in the Rig frame, from the carrier's angles or from two points."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hal.types import Matrix, NeedlePose, Vector
from rig.geometry.needle_mount import ON_AXIS, NeedleMount


def direction_from_angles(lateral_deg: float, tilt_deg: float) -> Vector:
    """Unit direction into the phantom of a needle with these carrier angles (see ``hal.types.NeedlePose``)."""
    a, b = np.radians(lateral_deg), np.radians(tilt_deg)
    return np.array([-np.sin(a), -np.sin(b) * np.cos(a), np.cos(a) * np.cos(b)])


def angles_from_direction(direction: Vector) -> tuple[float, float]:
    """``(lateral_deg, tilt_deg)`` of a direction that points into the phantom."""
    d = direction / np.linalg.norm(direction)
    return float(np.degrees(np.arcsin(-d[0]))), float(np.degrees(np.arctan2(-d[1], d[2])))


@dataclass(frozen=True)
class NeedleLine:
    """Straight needle axis in the Rig frame."""

    entry_mm: Vector = field(repr=False)
    direction: Vector = field(repr=False)
    """Unit vector into the phantom."""

    @staticmethod
    def from_pose(pose: NeedlePose, CarrierToRig: Matrix, mount: NeedleMount = ON_AXIS) -> NeedleLine:
        """Shaft of a carrier pose; the entry point lies on the plane z = 0 of the carrier frame."""
        aside, _ = mount.aside_mm(pose.lateral_deg, pose.tilt_deg, pose.bevel_deg)
        on_plane = np.array([pose.x_mm + aside[0], pose.y_mm + aside[1], 0.0])
        entry = CarrierToRig[:3, :3] @ on_plane + CarrierToRig[:3, 3]
        return NeedleLine(entry, CarrierToRig[:3, :3] @ direction_from_angles(pose.lateral_deg, pose.tilt_deg))

    def at(self, feed_mm: float) -> Vector:
        return np.asarray(self.entry_mm + feed_mm * self.direction)

    def lateral_axes(self) -> tuple[Vector, Vector]:
        """Axes x, y of the needle frame: x lies in the plane of the lateral angle, y is tilted only."""
        lateral, tilt = (np.radians(v) for v in angles_from_direction(self.direction))
        x = np.array([np.cos(lateral), -np.sin(tilt) * np.sin(lateral), np.cos(tilt) * np.sin(lateral)])
        return x, np.array([0.0, np.cos(tilt), np.sin(tilt)])
