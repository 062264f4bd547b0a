"""Spin calibration: the axis of a straight tool, from turning it about itself.

The axis ``a`` (marker frame) points the same way in every pose: ``(R_i - mean R) a = 0``, the smallest singular vector
of the stack. The pivot calibration gives the sign: the axis runs from the marker to the tip.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hal.errors import CalibrationRefused
from hal.types import Matrix, Vector
from rig.calibration.tool.pivot import MIN_POSES_N, PivotCalibration, Poses, checked_poses

MIN_SPIN_DEG = 60.0
"""[A] A third of a half turn; below it the wobble of the hand passes for the axis."""
MAX_WOBBLE_DEG = 3.0
SIDE_COSINE = 0.2
"""Nearer to a right angle than this, the line from marker to tip does not say which way the axis points [A]."""


@dataclass(frozen=True)
class SpinCalibration:
    """Result of ``calibrate_spin``."""

    axis: Vector
    """Unit, marker frame, towards the tip."""
    axis_sd_deg: float
    """Standard uncertainty of its direction (root of the summed variances of two angles)."""
    spin_deg: float
    """Range of the turn about the axis."""
    wobble_rms_deg: float
    """How far the axis moved in the tracker's frame; a residual."""
    TipToMarker: Matrix = field(repr=False)
    """z along the axis out of the tip, origin at the tip, x nearest the marker's x (y when that is within 20 deg)."""

    def as_json(self) -> dict[str, object]:
        return {
            "ok": True,
            "axis": self.axis.tolist(),
            "axis_sd_deg": self.axis_sd_deg,
            "spin_deg": self.spin_deg,
            "wobble_rms_deg": self.wobble_rms_deg,
            "TipToMarker": self.TipToMarker.tolist(),
        }


def calibrate_spin(poses: Poses, pivot: PivotCalibration, *, draws: int = 100, seed: int = 1) -> SpinCalibration:
    """Axis of a tool from poses (n, 4, 4) while it turned about itself.

    Raises ``CalibrationRefused`` with code ``too few``, ``no rotation``, ``no motion``, ``little spin``, ``wobble``,
    ``no axis`` (the turn was not about one axis) or ``no side`` (the axis is no shaft that ends in the tip).
    """
    m = checked_poses(poses)
    if len(m) < MIN_POSES_N:
        raise CalibrationRefused("too few", f"{len(m)} poses, at least {MIN_POSES_N} needed")
    r = m[:, :3, :3]
    axis, sizes = _axis(r)
    if sizes[1] < np.sin(np.radians(1.0)):
        raise CalibrationRefused("no motion", "the tool did not turn: any axis would fit")
    side = float(axis @ pivot.tip_mm) / max(float(np.linalg.norm(pivot.tip_mm)), 1e-9)
    if side < 0:
        axis = -axis
    shaft = r @ axis
    mean = shaft.mean(axis=0)
    wobble = np.degrees(np.arccos(np.clip(shaft @ (mean / np.linalg.norm(mean)), -1.0, 1.0)))
    rms = float(np.sqrt(np.mean(wobble**2)))
    if sizes[2] > 0.2 * sizes[1]:
        raise CalibrationRefused(
            "no axis",
            f"the tool did not turn about one axis: {rms:.1f} deg of wobble against the turn itself",
            advice="Spin the tool about its own shaft in a guide",
            figures={"wobble_rms_deg": rms},
        )
    spin = _spin_range(r, axis)
    if spin < MIN_SPIN_DEG:
        raise CalibrationRefused(
            "little spin",
            f"the tool turned by {spin:.0f} deg about its axis, at least {MIN_SPIN_DEG:g} needed",
            figures={"spin_deg": spin},
        )
    if rms > MAX_WOBBLE_DEG:
        raise CalibrationRefused(
            "wobble",
            f"the shaft wobbled by {rms:.1f} deg (rms), limit {MAX_WOBBLE_DEG} deg",
            advice="Guide the shaft while it turns",
            figures={"wobble_rms_deg": rms},
        )
    if abs(side) < SIDE_COSINE:
        raise CalibrationRefused(
            "no side",
            f"the axis lies {np.degrees(np.arccos(abs(side))):.0f} deg from the line that joins marker and tip: which "
            "way it points is unknown, and a shaft does not turn about such an axis",
            advice="Spin the tool about its own shaft; give pivot and spin of the same tool",
            figures={"cosine": abs(side)},
        )
    rng = np.random.default_rng(seed)
    block = max(1, round(len(m) ** (1.0 / 3.0)))
    starts = np.arange(len(m) - block + 1)
    sampled = np.zeros((draws, 3))
    for k in range(draws):
        pick = (rng.choice(starts, -(-len(m) // block))[:, None] + np.arange(block)).ravel()
        a, _ = _axis(r[pick])
        sampled[k] = a if a @ axis > 0 else -a
    sd = float(np.degrees(np.sqrt(np.mean(np.sum((sampled - (sampled @ axis)[:, None] * axis) ** 2, axis=1)))))
    return SpinCalibration(axis, sd, spin, rms, _tip_frame(axis, pivot.tip_mm))


def _axis(r: NDArray[np.float64]) -> tuple[Vector, NDArray[np.float64]]:
    """Smallest right singular vector of the stack, and the three sizes (rms, largest first)."""
    stack = (r - r.mean(axis=0)).reshape(-1, 3)
    _, s, vt = np.linalg.svd(stack, full_matrices=False)
    return vt[2], s / np.sqrt(len(r))


def _spin_range(r: NDArray[np.float64], axis: Vector) -> float:
    """Range of the twist about the axis, deg; a full turn counts as 360."""
    relative = Rotation.from_matrix(np.swapaxes(r[:1], 1, 2) @ r).as_quat()
    twist = np.degrees(2.0 * np.arctan2(relative[:, :3] @ axis, relative[:, 3]))
    order = np.sort(np.mod(twist, 360.0))
    gaps = np.diff(np.append(order, order[0] + 360.0))
    return float(360.0 - gaps.max()) if gaps.max() > 30.0 else 360.0


def _tip_frame(axis: Vector, tip_mm: Vector) -> Matrix:
    near = np.array([1.0, 0.0, 0.0]) if abs(axis[0]) < np.cos(np.radians(20.0)) else np.array([0.0, 1.0, 0.0])
    x = near - (near @ axis) * axis
    x /= np.linalg.norm(x)
    out = np.eye(4)
    out[:3, :3] = np.column_stack([x, np.cross(axis, x), axis])
    out[:3, 3] = tip_mm
    return out
