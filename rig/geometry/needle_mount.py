"""Seat of the needle in its carrier: the one place that maps a carrier pose to a tip, and a line to a carrier pose.

A needle that is not quite on the carrier's axis has its tip ``offset_mm`` away from where the axes say (needle frame,
``from_needle_pose``), and a part ``run_out_mm`` of it that turns with the bevel. Its shaft stays parallel to the axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hal.types import Matrix, NeedlePose, Vector
from rig.geometry.transforms import from_needle_pose


@dataclass(frozen=True)
class NeedleMount:
    """Offset of the tip at any bevel (3) and run-out at bevel 0 (2), mm, in the needle frame."""

    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    run_out_mm: tuple[float, float] = (0.0, 0.0)

    def local_mm(self, bevel_deg: float) -> Vector:
        """The tip in the needle frame, shape (3,)."""
        c, s = math.cos(math.radians(bevel_deg)), math.sin(math.radians(bevel_deg))
        x, y, z = self.offset_mm
        a, b = self.run_out_mm
        return np.array([x + c * a - s * b, y + s * a + c * b, z])

    def frame(self, pose: NeedlePose) -> Matrix:
        """``NeedleToCarrier`` with its origin at the tip of the unbent needle."""
        matrix = from_needle_pose(pose)
        matrix[:3, 3] = matrix[:3, 3] + matrix[:3, :3] @ self.local_mm(pose.bevel_deg)
        return matrix

    def aside_mm(self, lateral_deg: float, tilt_deg: float, bevel_deg: float) -> tuple[Vector, float]:
        """Where the shaft meets the carrier's plane z = 0, beside the entry point (3,), and how far the tip is ahead
        of the feed, counted from there."""
        matrix = from_needle_pose(NeedlePose(0.0, 0.0, lateral_deg, tilt_deg, 0.0))
        local = self.local_mm(bevel_deg)
        shift = matrix[:3, :2] @ local[:2]
        direction = matrix[:3, 2]
        down = float(shift[2] / direction[2])
        return np.asarray(shift - down * direction), float(local[2]) + down

    def ahead_mm(self, pose: NeedlePose) -> float:
        """Distance of the tip from the plane z = 0 along the shaft, less ``feed_mm``."""
        return self.aside_mm(pose.lateral_deg, pose.tilt_deg, pose.bevel_deg)[1]

    def pose_on(
        self, entry_mm: Vector, lateral_deg: float, tilt_deg: float, bevel_deg: float, depth_mm: float
    ) -> NeedlePose:
        """The carrier pose that brings the tip ``depth_mm`` beyond a point of the plane z = 0 (carrier frame)."""
        aside, ahead = self.aside_mm(lateral_deg, tilt_deg, bevel_deg)
        x, y = float(entry_mm[0]) - float(aside[0]), float(entry_mm[1]) - float(aside[1])
        return NeedlePose(x, y, lateral_deg, tilt_deg, depth_mm - ahead, bevel_deg)


ON_AXIS = NeedleMount()
"""A needle that sits as the carrier's axes say."""
