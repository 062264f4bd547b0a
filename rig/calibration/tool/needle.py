"""Needle-tip calibration on the rig: the true place of the tip against the place that the carrier's axes give.

A reference (touching known divots, a tracked tip in air, a camera) gives tip positions in its own frame for carrier
poses of different entry points, angles, feeds and bevel turns. Fitted together: where the carrier stands
(``CarrierToReference``, 6), the tip's offset from the carrier's zero (3, needle frame) and the run-out that turns with
the bevel (2). Gauss-Newton; the covariance is that of the least squares with the residual's own scatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from hal.errors import CalibrationRefused
from hal.types import NeedlePose, Vector
from rig.geometry.needle_mount import NeedleMount
from rig.geometry.transforms import from_needle_pose
from rig.geometry.tre import fit_rigid_many
from rig.geometry.uncertain import UncertainTransform, cross_matrix

MIN_TIPS_N = 8
MAX_OFFSET_SD_MM = 0.3
"""Standard uncertainty beyond which a component of the offset counts as not seen [A]."""


@dataclass(frozen=True)
class NeedleTipCalibration:
    """Result of ``calibrate_needle_tip``."""

    CarrierToReference: UncertainTransform = field(repr=False)
    offset_mm: Vector
    """Tip in the needle frame (``from_needle_pose``) at any bevel; z is an error of length or feed zero."""
    run_out_mm: NDArray[np.float64]
    """(2,) in the needle frame at bevel 0, turns with the bevel; NaN when the bevel was not turned."""
    covariance: NDArray[np.float64] = field(repr=False)
    """(3, 3) of the offset."""
    joint: NDArray[np.float64] = field(repr=False)
    """(11, 11), or (9, 9) without run-out: turn and shift of the carrier (about its origin in the reference), offset,
    run-out; their errors belong together."""
    rms_mm: float
    residuals_mm: NDArray[np.float64] = field(repr=False)
    poses_n: int

    @property
    def mount(self) -> NeedleMount:
        """Seat of the needle in the carrier; no run-out when the bevel was not turned."""
        x, y, z = (float(v) for v in self.offset_mm)
        a, b = (float(v) if np.isfinite(v) else 0.0 for v in self.run_out_mm)
        return NeedleMount((x, y, z), (a, b))

    def tip_mm(self, pose: NeedlePose) -> Vector:
        """Calibrated tip in the carrier's frame."""
        return np.asarray(self.mount.frame(pose)[:3, 3])

    def predicted(self, pose: NeedlePose) -> tuple[Vector, NDArray[np.float64]]:
        """The tip of a pose in the reference's frame (3,), and the covariance (3, 3) that the fit leaves it."""
        CarrierToReference = self.CarrierToReference.matrix
        turn = CarrierToReference[:3, :3]
        moved = turn @ self.tip_mm(pose)
        axes = turn @ from_needle_pose(pose)[:3, :3]
        jac = np.hstack([-cross_matrix(moved), np.eye(3), axes, axes[:, :2] @ _turned(pose.bevel_deg)])
        jac = jac[:, : len(self.joint)]
        return np.asarray(moved + CarrierToReference[:3, 3]), np.asarray(jac @ self.joint @ jac.T)

    def as_json(self) -> dict[str, object]:
        return {
            "ok": True,
            "CarrierToReference": self.CarrierToReference.matrix.tolist(),
            "CarrierToReference_covariance": self.CarrierToReference.covariance.tolist(),
            "offset_mm": self.offset_mm.tolist(),
            "offset_sd_mm": np.sqrt(np.diag(self.covariance)).tolist(),
            "run_out_mm": [None if np.isnan(v) else float(v) for v in self.run_out_mm],
            "run_out_sd_mm": [None, None] if len(self.joint) < 11 else np.sqrt(np.diag(self.joint)[9:]).tolist(),
            "rms_mm": self.rms_mm,
            "poses_n": self.poses_n,
        }


def calibrate_needle_tip(
    poses: Sequence[NeedlePose],
    tips_mm: ArrayLike,
    *,
    tip_sd_mm: float,
    repeat_sd_mm: float | None = None,
    max_offset_sd_mm: float = MAX_OFFSET_SD_MM,
) -> NeedleTipCalibration:
    """Fit carrier poses to measured tips (n, 3); ``tip_sd_mm`` is the reference's standard uncertainty per axis.

    ``repeat_sd_mm``: the part of it that differs from pose to pose, below which no scatter is believed (default: all of
    it). What is common to all poses is no part of the covariance: it shifts the tip as a whole.

    Raises ``CalibrationRefused`` with code ``too few``, ``not separable`` (the angles hardly differ, so that offset and
    place of the carrier are one) or ``residual`` (beyond the reference's uncertainty).
    """
    measured = np.asarray(tips_mm, dtype=np.float64)
    if measured.shape != (len(poses), 3) or not np.all(np.isfinite(measured)):
        raise CalibrationRefused(
            "bad tips", f"{len(poses)} poses need finite ({len(poses)}, 3) tips, got {measured.shape}"
        )
    if len(poses) < MIN_TIPS_N:
        raise CalibrationRefused("too few", f"{len(poses)} tips, at least {MIN_TIPS_N} needed")
    frames = np.array([from_needle_pose(p) for p in poses])
    bevel = np.array([_turned(p.bevel_deg) for p in poses])
    turned = np.linalg.norm(bevel.mean(axis=0)) < 0.9 * np.sqrt(2.0)
    local = np.zeros(5)
    rotation, shift = fit_rigid_many(frames[None, :, :3, 3], measured[None])
    r, s = rotation[0], shift[0]
    jac = np.zeros((len(poses), 3, 11 if turned else 9))
    rest = np.zeros_like(measured)
    for _ in range(20):
        points = (
            np.concatenate([np.einsum("nij,j->ni", bevel, local[3:]), np.zeros((len(poses), 1))], axis=1) + local[:3]
        )
        carrier = np.einsum("nij,nj->ni", frames[:, :3, :3], points) + frames[:, :3, 3]
        moved = carrier @ r.T
        rest = measured - moved - s
        jac[:, :, :3] = np.array([-cross_matrix(v) for v in moved])
        jac[:, :, 3:6] = np.eye(3)
        jac[:, :, 6:9] = r @ frames[:, :3, :3]
        if turned:
            jac[:, :, 9:] = (r @ frames[:, :3, :3])[:, :, :2] @ bevel
        flat = jac.reshape(-1, jac.shape[2])
        step = np.linalg.lstsq(flat, rest.ravel(), rcond=None)[0]
        r = Rotation.from_rotvec(step[:3]).as_matrix() @ r
        s = s + step[3:6]  # small: the turn is taken about the reference's origin shifted by s
        local[: len(step) - 6] += step[6:]
        if np.linalg.norm(step) < 1e-10:
            break
    normal = flat.T @ flat
    scale = np.sqrt(np.diag(normal))
    weakest = float(np.linalg.eigvalsh(normal / np.outer(scale, scale))[0])
    freedom = rest.size - flat.shape[1]
    floor = tip_sd_mm if repeat_sd_mm is None else repeat_sd_mm
    variance = max(float((rest**2).sum()) / freedom, floor**2)
    covariance = np.asarray(variance * np.linalg.pinv(normal), dtype=np.float64)
    offset_sd = np.sqrt(np.diag(covariance)[6:9])
    rms = float(np.sqrt((rest**2).sum(axis=1).mean()))
    expected = tip_sd_mm * np.sqrt(3.0 * freedom / rest.size)
    open_ = weakest < 1e-9
    beyond = float((rest**2).sum()) / tip_sd_mm**2 > freedom + 4.0 * np.sqrt(2.0 * freedom)
    # poses that would tell the offset, were it not for what is left
    spoilt = float(offset_sd.max()) > max_offset_sd_mm >= float(offset_sd.max()) * floor / np.sqrt(variance)
    if not open_ and (beyond or spoilt):
        raise CalibrationRefused(
            "residual",
            f"the tips miss the carrier's poses by {rms:.2f} mm (rms), "
            + (
                f"{expected:.2f} mm was to be expected from the reference"
                if beyond
                else f"too much to know the offset ({offset_sd.max():.2f} mm, limit {max_offset_sd_mm:g})"
            ),
            advice="A bent needle, play in the guide or a wrong angle zero; see the residuals by axis",
            figures={"rms_mm": rms, "expected_mm": float(expected)},
        )
    if open_ or float(offset_sd.max()) > max_offset_sd_mm:
        axis = "xyz"[int(np.argmax(offset_sd))]
        what = (
            "the tip's offset is not seen at all"
            if open_
            else (f"the tip's {axis} offset is known to {offset_sd.max():.2f} mm only (limit {max_offset_sd_mm:g})")
        )
        raise CalibrationRefused(
            "not separable",
            f"{what}: the poses hardly differ in angle, so offset and place of the carrier cannot be distinguished",
            advice="Add poses with lateral and tilt angles of +-15 deg or more and several feeds",
            figures={"offset_sd_mm": offset_sd.tolist()},
        )
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = r, s
    # the fit turned about s; the graph's covariance turns about the reference's origin
    placed = UncertainTransform.about(matrix, covariance[:6, :6], s)
    run_out = local[3:].copy() if turned else np.full(2, np.nan)
    offset = local[:3].copy()
    return NeedleTipCalibration(placed, offset, run_out, covariance[6:9, 6:9], covariance, rms, rest, len(poses))


def _turned(bevel_deg: float) -> NDArray[np.float64]:
    c, s = np.cos(np.radians(bevel_deg)), np.sin(np.radians(bevel_deg))
    return np.array([[c, -s], [s, c]])
