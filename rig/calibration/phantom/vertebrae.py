"""Residual of a registration by bone, vertebra by vertebra: the bones of the pour that deviate from the design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix
from rig.calibration.phantom.bone_points import BonePoints
from rig.calibration.phantom.budget import Cause, fit_weights, gain
from rig.geometry.registration import Surface, apply_transform

LEAST_N = 20
CLOSE_MM = 4.0
"""Points further off are no bone of this vertebra; nearer ones count even where the fit left them out."""
FAR = 2.5
"""A residual this many times what is expected is marked [A]."""


@dataclass(frozen=True)
class VertebraResidual:
    """Residual of one bone; mm across the surface, positive = measured deeper than designed."""

    bone: str
    points_n: int
    mean_mm: float
    rms_mm: float
    expected_mm: float
    """Root mean square that pour, calibrations and noise let be expected after the fit."""

    @property
    def far(self) -> bool:
        return self.rms_mm > FAR * self.expected_mm

    def as_json(self) -> dict[str, object]:
        return {
            "bone": self.bone,
            "points_n": self.points_n,
            "mean_mm": self.mean_mm,
            "rms_mm": self.rms_mm,
            "expected_mm": self.expected_mm,
        }


def signed_residuals(
    points: BonePoints, RigToPhantom: Matrix, surface: Surface
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n,) distance behind the drawn surface as the probe sees it, mm, and which points took part in the fit."""
    weights, normals, plane = fit_weights(apply_transform(RigToPhantom, points.points_mm), surface)
    inward = np.sign(np.einsum("ni,ni->n", normals, points.beams @ RigToPhantom[:3, :3].T))
    return plane * inward, weights > 0.0


def vertebra_residuals(
    points: BonePoints, RigToPhantom: Matrix, surface: Surface, bones: NDArray[np.str_], causes: Sequence[Cause]
) -> tuple[VertebraResidual, ...]:
    """One row per bone that was seen often enough, cranial ones first (``L1`` before ``sacrum``)."""
    p = apply_transform(RigToPhantom, points.points_mm)
    weights, normals, _ = fit_weights(p, surface)
    centre = np.asarray(np.average(p, axis=0, weights=weights))
    jac = np.hstack([np.cross(p - centre, normals), normals])
    g = gain(p, normals, weights, centre)
    variance = np.zeros(len(p))
    for cause in causes:
        moved = np.einsum("ni,nik->nk", normals, cause.points)
        variance += ((moved - jac @ (g @ moved)) ** 2).sum(axis=1)
    rest, _ = signed_residuals(points, RigToPhantom, surface)
    out = []
    for bone in sorted(set(bones.tolist())):
        on = (bones == bone) & (np.abs(rest) < CLOSE_MM)
        if on.sum() >= LEAST_N:
            rms = float(np.sqrt(np.mean(rest[on] ** 2)))
            out.append(
                VertebraResidual(bone, int(on.sum()), float(rest[on].mean()), rms, float(np.sqrt(variance[on].mean())))
            )
    return tuple(out)
