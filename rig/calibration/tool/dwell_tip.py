"""Check of the tip offset with which landmarks were touched, from the swivel of the shaft.

With a wrong offset ``d`` every sample of a dwell lies at ``q - R_i d`` instead of ``q``: all points are shifted nearly
alike, fit the phantom well, and are wrong together. The turn of the shaft within the dwells shows ``d`` - when the tip
truly rested. A tip that slides in its divot as the shaft turns draws the same arc with a right offset; then the
landmarks, put where the "better" offset has them, no longer fit the phantom: the direct evidence of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.errors import CalibrationRefused
from hal.types import Vector
from rig.calibration.tool.dwell import MAX_MOVE_MM, Dwell, find_dwells, name_dwells
from rig.calibration.tool.pivot import Poses
from rig.geometry.fiducials import Fiducials

MAX_OFF_MM = 1.0
"""A tip offset that is wrong by more is refused when the swivel shows it [A]."""
_SIGMAS = 4.0
_SHARED_S = 0.5
"""Samples this near in time share an error: the hand's sway and the tracker's drift [A]."""
_WORSE = 1.5
"""The phantom contradicts an offset that fits its landmarks this many times worse than the one in use [A]."""


@dataclass(frozen=True)
class TipCheck:
    """Distance of the tip from its stated place, stylus frame."""

    off_mm: Vector
    """True tip minus used tip, as the swivel shows it."""
    covariance: NDArray[np.float64] = field(repr=False)
    """(3, 3), mm^2; that of the tip in use is in it."""
    samples_n: int
    contradicted_mm: tuple[float, float] | None = None
    """Residual of the landmarks with the tip in use and with the one that the swivel asks for, when the second is so
    much larger that the swivel is not believed; None when it is, or when it asks for nothing."""

    @property
    def size_mm(self) -> float:
        return float(np.linalg.norm(self.off_mm))

    @property
    def worst_sd_mm(self) -> float:
        """Standard uncertainty in the direction that the swivel shows least."""
        return float(np.sqrt(np.linalg.eigvalsh(self.covariance)[-1]))

    @property
    def tells(self) -> bool:
        """True when a wrong offset of ``MAX_OFF_MM`` would show in every direction."""
        return _SIGMAS * self.worst_sd_mm < MAX_OFF_MM

    @property
    def sigmas(self) -> float:
        return float(np.sqrt(self.off_mm @ np.linalg.solve(self.covariance, self.off_mm)))

    @property
    def note(self) -> str:
        """Note for a person on a swivel that was not accepted; empty otherwise."""
        if self.contradicted_mm is None:
            return ""
        given, moved = self.contradicted_mm
        return (
            f"the shaft swivels about a point {self.size_mm:.1f} mm from the tip given, but with the tip there the "
            f"landmarks would fit the phantom to {moved:.2f} mm instead of {given:.2f} mm: the tip slid in its divots, "
            "and the tip given is kept"
        )

    def wrong(self, limit_mm: float = MAX_OFF_MM) -> bool:
        """True when the swivel contradicts the offset."""
        return self.size_mm > limit_mm and self.sigmas > _SIGMAS

    def refuse_wrong(self, source: str = "the offset given", limit_mm: float = MAX_OFF_MM, code: str = "tip") -> None:
        """Raise ``CalibrationRefused`` (``code``) when the offset is plainly wrong and nothing supports it."""
        if self.wrong(limit_mm) and self.contradicted_mm is None:
            x, y, z = self.off_mm
            raise CalibrationRefused(
                code,
                f"the tip does not rest while the shaft swivels: it lies {self.size_mm:.1f} mm from {source} "
                f"({x:+.1f}, {y:+.1f}, {z:+.1f} in the stylus frame), and so do all landmarks",
                advice="Repeat the pivot calibration of this stylus; is it bent, or another one?",
                figures=self.as_json() | {"worst_sd_mm": self.worst_sd_mm},
            )

    def as_json(self) -> dict[str, object]:
        return {
            "off_mm": self.off_mm.tolist(),
            "covariance_mm2": self.covariance.tolist(),
            "sigmas": self.sigmas,
            "samples_n": self.samples_n,
            "contradicted_mm": self.contradicted_mm,
        }


def check_tip(
    times_ns: ArrayLike,
    poses: Poses,
    tip_mm: ArrayLike,
    dwells: Sequence[Dwell],
    tip_covariance: NDArray[np.float64] | None = None,
) -> TipCheck:
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
    shared_n = max(1.0, round(_SHARED_S / float(np.median(np.diff(t)))))
    scatter = float((b - a @ off) @ (b - a @ off)) / freedom
    covariance = np.linalg.inv(normal) * max(scatter, 1e-12) * shared_n
    if tip_covariance is not None:
        covariance = covariance + tip_covariance
    return TipCheck(np.asarray(off, dtype=np.float64), np.asarray(covariance, dtype=np.float64), len(b) // 3)


def against_phantom(
    check: TipCheck, times_ns: ArrayLike, poses: Poses, tip_mm: ArrayLike, nominal: Fiducials, tolerance_mm: float
) -> TipCheck:
    """The check beside the phantom: do the landmarks fit with the tip where the swivel has it?

    Raises nothing: landmarks that cannot be named with the tip in use speak for nothing.
    """
    tip = np.asarray(tip_mm, dtype=np.float64)
    residual = []
    for offset in (tip, tip + check.off_mm):
        try:
            dwells = find_dwells(times_ns, poses, offset)
            residual.append(name_dwells(nominal, [d.point_mm for d in dwells], tolerance_mm=tolerance_mm).rms_mm)
        except CalibrationRefused:
            residual.append(float("inf"))
    given, moved = residual
    return replace(check, contradicted_mm=(given, moved)) if moved > _WORSE * given else check
