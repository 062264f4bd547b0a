"""Check of the scale of ranges in the image: the speed of sound, judged from the bone alone.

A wrong speed stretches every frame along its beams. A common shift in depth is taken up by the pose; what is left are
bones of different depth, and bone that neighbouring frames see under different angles. One factor is fitted beside the
pose, and its uncertainty holds what else could look like it (pour, calibration of the image, noise).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix
from rig.calibration.phantom.bone_points import BonePoints
from rig.calibration.phantom.budget import Places, Spreads, every_cause, fit_weights
from rig.geometry.registration import Surface, apply_transform, rigid_matrix

STEPS_N = 15
SOUND = "speed of sound"


@dataclass(frozen=True)
class RangeScale:
    """Factor on the ranges that fits best, the pose free."""

    scale: float
    standard_uncertainty: float
    """Standard uncertainty of the factor as measured here; that of the stated speed of sound is not in it."""
    stated_uncertainty: float
    """u(c) / c."""

    @property
    def sigmas(self) -> float:
        return abs(self.scale - 1.0) / float(np.hypot(self.standard_uncertainty, self.stated_uncertainty))

    def as_json(self) -> dict[str, object]:
        return {
            "scale": self.scale,
            "standard_uncertainty": self.standard_uncertainty,
            "stated_uncertainty": self.stated_uncertainty,
            "sigmas": self.sigmas,
        }


def range_scale(
    points: BonePoints,
    RigToPhantom: Matrix,
    surface: Surface,
    surface_bones: NDArray[np.str_],
    places: Places,
    spreads: Spreads,
) -> RangeScale:
    """Fit the factor by Gauss-Newton on the tangent planes from a fitted pose. ``surface_bones``: of the surface."""
    pose, factor = RigToPhantom.copy(), 1.0
    stretched = points
    for _ in range(STEPS_N):
        p, jac, weights, plane = _system(stretched, points, pose, surface)
        g = _gain(jac, weights)
        step = -g @ plane
        centre = np.average(p, axis=0, weights=weights)
        turn = rigid_matrix(step[:3], np.zeros(3))
        turn[:3, 3] = centre - turn[:3, :3] @ centre + step[3:6]
        pose, factor = turn @ pose, factor + float(step[6])
        stretched = _stretched(points, factor)
        if abs(step[6]) < 1e-6:
            break
    p, jac, weights, _ = _system(stretched, points, pose, surface)
    _, index = surface.tree.query(p)
    row = _gain(jac, weights)[6]
    normals = surface.normals[index]
    variance = 0.0
    for cause in every_cause(stretched, pose, surface, surface_bones[index], places, spreads):
        if cause.name != SOUND:
            variance += float(((row @ np.einsum("ni,nik->nk", normals, cause.points)) ** 2).sum())
    return RangeScale(factor, float(np.sqrt(variance)), spreads.sound_speed_share)


def _stretched(points: BonePoints, factor: float) -> BonePoints:
    moved = points.points_mm + (factor - 1.0) * points.range_mm[:, None] * points.beams
    return BonePoints(moved, points.beams, factor * points.range_mm, points.frame, points.line, points.ProbeToRig)


def _system(
    stretched: BonePoints, points: BonePoints, pose: Matrix, surface: Surface
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Points in the Phantom frame, (n, 7) derivatives of their plane distances, weights and the distances."""
    p = apply_transform(pose, stretched.points_mm)
    weights, normals, plane = fit_weights(p, surface)
    centre = np.average(p, axis=0, weights=weights)
    along = points.range_mm * np.einsum("ni,ni->n", normals, points.beams @ pose[:3, :3].T)
    return p, np.column_stack([np.cross(p - centre, normals), normals, along]), weights, plane


def _gain(jac: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.solve((jac.T * weights) @ jac + 1e-9 * np.eye(7), jac.T * weights))
