"""Kinematic chain of the lumbar spine in the sagittal plane: the frame of each bone in the phantom."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix, Vector

LEVELS = ("L1", "L2", "L3", "L4", "L5")


@dataclass(frozen=True)
class BoneFrame:
    """``rotation`` (3, 3) and ``origin_mm`` (3,) take points of a bone's frame to Phantom coordinates."""

    rotation: NDArray[np.float64]
    origin_mm: Vector

    def to_phantom(self, local_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (3,) or (n, 3) of the bone's frame in Phantom coordinates, mm."""
        out: NDArray[np.float64] = np.asarray(local_mm, dtype=np.float64) @ self.rotation.T + self.origin_mm
        return out

    def turned(self, error: NDArray[np.float64], shift_mm: Vector) -> BoneFrame:
        """The frame after a small rotation (3, 3) about its own origin and a shift, both in Phantom axes."""
        return BoneFrame(error @ self.rotation, self.origin_mm + shift_mm)

    @property
    def BoneToPhantom(self) -> Matrix:
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation
        matrix[:3, 3] = self.origin_mm
        return matrix


def axes(tilt_deg: float) -> NDArray[np.float64]:
    """Rotation of a bone tilted by ``tilt_deg`` (negative = anterior end caudal); columns are its x, y, z axes."""
    s, c = math.sin(math.radians(tilt_deg)), math.cos(math.radians(tilt_deg))
    return np.array([[0.0, 1.0, 0.0], [s, 0.0, c], [c, 0.0, -s]])


def _up(tilt_deg: float) -> NDArray[np.float64]:
    """Cranial axis of a bone in (Y, Z)."""
    return np.array([math.cos(math.radians(tilt_deg)), -math.sin(math.radians(tilt_deg))])


def pose_chain(
    tilt_deg: Mapping[str, float],
    height_mm: Mapping[str, float],
    disc_mm: Mapping[str, float],
    bones: tuple[str, ...],
) -> dict[str, BoneFrame]:
    """Frames of ``bones`` (cranial to caudal; the last one is the sacrum, whose origin is its endplate).

    ``disc_mm[k]`` is the disc under bone k. Y = 0 is the centre of the L4-5 disc, Z = 0 the centre of L3.
    """
    centre = np.zeros(2)
    at = {bones[0]: centre}
    origin_y = 0.0
    for upper, lower in pairwise(bones):
        disc_axis = _up(0.5 * (tilt_deg[upper] + tilt_deg[lower]))
        under = centre - _up(tilt_deg[upper]) * height_mm[upper] / 2
        if upper == "L4":
            origin_y = float((under - disc_axis * disc_mm[upper] / 2)[0])
        centre = under - disc_axis * disc_mm[upper] - _up(tilt_deg[lower]) * height_mm.get(lower, 0.0) / 2
        at[lower] = centre
    depth = at["L3"][1]
    return {
        name: BoneFrame(axes(tilt_deg[name]), np.array([0.0, yz[0] - origin_y, yz[1] - depth]))
        for name, yz in at.items()
    }
