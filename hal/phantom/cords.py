"""Nerves, vessels and the spinal canal as centre lines with radii."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from hal.phantom.chain import BoneFrame
from hal.types import Vector

SIDES = ("left", "right")


@dataclass(frozen=True)
class Cord:
    """A tube: centre line (n, 3) in mm with a radius at each point."""

    name: str
    kind: str
    """``nerve``, ``artery`` or ``vein``."""
    level: str
    side: str
    line_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]

    def moved(self, shift_mm: Vector, factor: float = 1.0) -> Cord:
        """The cord shifted, then scaled about the origin with all its radii."""
        return Cord(
            self.name, self.kind, self.level, self.side, (self.line_mm + shift_mm) * factor, self.radius_mm * factor
        )


@dataclass(frozen=True)
class Canal:
    """Vertebral canal and dural sac: centre line (n, 3) and half axes; sections are ellipses across the line."""

    line_mm: NDArray[np.float64]
    half_ap_mm: float
    half_width_mm: float
    sac_half_ap_mm: float
    sac_half_width_mm: float
    dura_mm: float
    flavum_mm: float


def smooth_line(points_mm: NDArray[np.float64], step_mm: float = 1.0) -> NDArray[np.float64]:
    """Cubic spline through points (k, 3), resampled about every ``step_mm``; returns (n, 3)."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points_mm, axis=0), axis=1))])
    spline = CubicSpline(along, points_mm, bc_type="natural")
    out: NDArray[np.float64] = spline(np.linspace(0.0, along[-1], max(int(along[-1] / step_mm) + 1, 2)))
    return out


def mirrored(local_mm: NDArray[np.float64], side: str) -> NDArray[np.float64]:
    """Points of a bone's frame on the left (+) or right side."""
    out: NDArray[np.float64] = local_mm * np.array([1.0, 1.0 if side == "left" else -1.0, 1.0])
    return out


def root_cord(
    name: str,
    level: str,
    side: str,
    frame: BoneFrame,
    waypoints_mm: NDArray[np.float64],
    radius_mm: float,
    drg_mm: NDArray[np.float64] | None,
    drg_half_mm: NDArray[np.float64] | None,
    proximal_share: float = 1.0,
) -> Cord:
    """A nerve root through waypoints of its vertebra's frame, thicker at the ganglion and thinner before it."""
    local = smooth_line(waypoints_mm)
    radius = np.full(len(local), radius_mm)
    if drg_mm is not None and drg_half_mm is not None:
        radius[: int(np.argmin(np.linalg.norm(local - drg_mm, axis=1)))] *= proximal_share
        along = np.linalg.norm(local - drg_mm, axis=1) / float(drg_half_mm[2])
        thick = float(np.mean(drg_half_mm[:2]))
        bulge = np.sqrt(np.clip(1.0 - along**2, 0.0, 1.0))
        radius = np.maximum(radius, radius_mm + (thick - radius_mm) * bulge)
    return Cord(name, "nerve", level, side, frame.to_phantom(mirrored(local, side)), radius)


def axis_at(line_mm: NDArray[np.float64], point_mm: Vector) -> Vector:
    """Unit tangent of a line (n, 3) at the place nearest to a point, proximal to distal."""
    i = int(np.argmin(np.linalg.norm(line_mm - point_mm, axis=1)))
    along = line_mm[min(i + 2, len(line_mm) - 1)] - line_mm[max(i - 2, 0)]
    unit: Vector = along / float(np.linalg.norm(along))
    return unit


def canal_line(frames: Mapping[str, BoneFrame], offset_mm: float) -> NDArray[np.float64]:
    """Centre line of the canal behind the vertebral bodies, down into the sacrum."""
    points = []
    for name, frame in frames.items():
        if name == "sacrum":
            for x, z in ((-19.5, -2.0), (-19.5, -20.0), (-18.0, -42.0), (-18.5, -62.0), (-19.0, -80.0)):
                points.append(frame.to_phantom(np.array([x, 0.0, z])))
        elif name != "ilium":
            points.append(frame.to_phantom(np.array([-18.6 - offset_mm, 0.0, 0.0])))
    return smooth_line(np.array(points), 2.0)
