"""Was the tip offset right with which landmarks were touched? A swivelled shaft tells.

With a wrong offset ``d`` every sample of a dwell lies at ``q - R_i d`` instead of ``q``: all points are shifted nearly
alike, fit the phantom well, and are wrong together. The turn of the shaft within the dwells shows ``d``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.types import Vector
from rig.calibration.certificate_refusal import CalibrationRefused
from rig.calibration.dwell import MAX_MOVE_MM, Dwell
from rig.calibration.pivot import Poses

MAX_OFF_MM = 1.0
"""A tip offset that is wrong by more is refused when the swivel shows it [A]."""
_SIGMAS = 4.0


@dataclass(frozen=True)
class TipCheck:
    """How far the tip lies from where it was said to be, stylus frame."""

    off_mm: Vector
    covariance: NDArray[np.float64] = field(repr=False)
    """(3, 3), mm^2."""

    @property
    def size_mm(self) -> float:
        return float(np.linalg.norm(self.off_mm))

    @property
    def worst_sd_mm(self) -> float:
        """Standard uncertainty in the direction that the swivel shows least."""
        return float(np.sqrt(np.linalg.eigvalsh(self.covariance)[-1]))

    @property
    def tells(self) -> bool:
        """Whether a wrong offset of ``MAX_OFF_MM`` would show in every direction."""
        return _SIGMAS * self.worst_sd_mm < MAX_OFF_MM

    def refuse_wrong(self) -> None:
        """Raise ``CalibrationRefused`` (``tip``) when the offset is plainly wrong."""
        distance = float(np.sqrt(self.off_mm @ np.linalg.solve(self.covariance, self.off_mm)))
        if self.size_mm > MAX_OFF_MM and distance > _SIGMAS:
            x, y, z = self.off_mm
            raise CalibrationRefused(
                "tip",
                f"the tip does not rest while the shaft swivels: it lies {self.size_mm:.1f} mm from the offset given "
                f"({x:+.1f}, {y:+.1f}, {z:+.1f} in the stylus frame), and so do all landmarks",
                advice="Repeat the pivot calibration of this stylus",
                figures={"off_mm": self.off_mm.tolist(), "worst_sd_mm": self.worst_sd_mm},
            )


def check_tip(times_ns: ArrayLike, poses: Poses, tip_mm: ArrayLike, dwells: Sequence[Dwell]) -> TipCheck:
    """Tip error from all dwells together: ``(R_i - mean R) d = -(x_i - mean x)`` with ``x`` the tip as given."""
    t = np.asarray(times_ns, dtype=np.float64) / 1e9
    t = t - t[0]
    at = poses[:, :3, :3] @ np.asarray(tip_mm, dtype=np.float64) + poses[:, :3, 3]
    turns, moves, runs = [np.zeros((0, 3, 3))], [np.zeros((0, 3))], 0
    for dwell in dwells:
        near = np.linalg.norm(at - dwell.point_mm, axis=1) < 2.0 * MAX_MOVE_MM
        held = near & (t >= dwell.start_s) & (t <= dwell.end_s)
        if held.sum() < 3:
            continue
        turns.append(poses[held, :3, :3] - poses[held, :3, :3].mean(axis=0))
        moves.append(at[held] - at[held].mean(axis=0))
        runs += 1
    a, b = np.concatenate(turns).reshape(-1, 3), -np.concatenate(moves).reshape(-1)
    normal = a.T @ a + 1e-9 * np.eye(3)
    off = np.linalg.solve(normal, a.T @ b)
    freedom = max(len(b) - 3 * runs - 3, 1)
    widen = max(1.0, round((len(b) / 3) ** (1.0 / 3.0)))  # neighbouring samples share their error
    scatter = float((b - a @ off) @ (b - a @ off)) / freedom
    covariance = np.linalg.inv(normal) * max(scatter, 1e-12) * widen
    return TipCheck(np.asarray(off, dtype=np.float64), np.asarray(covariance, dtype=np.float64))
