"""Predicted tip from the commands: a bevelled needle bends away from its opening.

Prior: constant curvature in the direction opposite to the bevel opening, integrated over the feed
(``facts/domain.md`` 3.5: y = kappa s^2 / 2; Rand 2016 for 22G in ballistic gel, +- 40 % for other gels assumed).
Posterior: confirmed tips correct, by linear least squares with the prior, the curvature factor, the two
angle errors of the guide and the two offsets of the entry. Later predictions use them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hal.phantom.needles import NeedleSpec
from hal.types import Vector
from rig.guidance.needle_line import NeedleLine

FACTOR_SD = 0.4
"""Gel differs from the ballistic gel of the source [A]."""
ANGLE_SD_DEG = 0.4
OFFSET_SD_MM = 0.4
"""Guide and entry: the clearance of a guide bush and the carrier's own calibration [A]."""


@dataclass(frozen=True)
class BevelSegment:
    """Feed from ``start_mm`` on was made with this bevel angle."""

    start_mm: float
    bevel_deg: float


@dataclass(frozen=True)
class TipPrediction:
    """Predicted tip, Rig frame."""

    tip_mm: Vector = field(repr=False)
    covariance: NDArray[np.float64] = field(repr=False)
    """3x3, mm^2."""
    direction: Vector = field(repr=False)
    """Tangent at the tip."""
    deflection_mm: float
    """Distance from the straight axis."""

    @property
    def sd_mm(self) -> float:
        """Largest standard deviation in any direction."""
        return float(np.sqrt(np.max(np.linalg.eigvalsh(self.covariance))))


@dataclass(frozen=True)
class Bending:
    """Curvature model of one insertion; immutable, every change is a new one."""

    line: NeedleLine
    kappa_per_m: float
    bevel: tuple[BevelSegment, ...] = (BevelSegment(0.0, 0.0),)
    mean: NDArray[np.float64] = field(default_factory=lambda: np.array([1.0, 0.0, 0.0, 0.0, 0.0]), repr=False)
    """Curvature factor; angle errors (rad) and offsets (mm) along needle x and y."""
    covariance: NDArray[np.float64] = field(
        default_factory=lambda: np.diag([FACTOR_SD**2, *[np.radians(ANGLE_SD_DEG) ** 2] * 2, *[OFFSET_SD_MM**2] * 2]),
        repr=False,
    )
    confirmed_n: int = 0

    def with_bevel(self, feed_mm: float, bevel_deg: float) -> Bending:
        """Model whose bevel opening points to ``bevel_deg`` from ``feed_mm`` on."""
        kept = tuple(s for s in self.bevel if s.start_mm < feed_mm)
        return replace(self, bevel=(*kept, BevelSegment(feed_mm, bevel_deg)))

    def _nominal(self, feed_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Deflection (2,) mm, slope (2,) rad in the needle axes for factor 1, and the axial shortening."""
        offset, slope, lost = np.zeros(2), np.zeros(2), 0.0
        starts = [s.start_mm for s in self.bevel] + [feed_mm]
        for segment, stop in zip(self.bevel, starts[1:], strict=True):
            a, b = max(segment.start_mm, 0.0), min(stop, feed_mm)
            if b <= a:
                continue
            angle = np.radians(segment.bevel_deg)
            bend = -1e-3 * self.kappa_per_m * np.array([np.cos(angle), np.sin(angle)])
            run = b - a
            end = slope + bend * run
            lost += float(run * (slope @ slope + slope @ end + end @ end) / 6.0)
            offset = offset + slope * run + 0.5 * bend * run**2
            slope = end
        return offset, slope, lost

    def _design(self, feed_mm: float) -> NDArray[np.float64]:
        nominal, _, _ = self._nominal(feed_mm)
        feed = max(feed_mm, 0.0)
        return np.array([[nominal[0], feed, 0.0, 1.0, 0.0], [nominal[1], 0.0, feed, 0.0, 1.0]])

    def predict(self, feed_mm: float, feed_sd_mm: float = 0.2) -> TipPrediction:
        """Tip for a commanded feed (mm of needle below the entry point)."""
        x, y = self.line.lateral_axes()
        design = self._design(feed_mm)
        lateral = design @ self.mean
        _, slope, lost = self._nominal(feed_mm)
        slope = slope * self.mean[0] + self.mean[1:3]
        lost *= self.mean[0] ** 2
        tip = self.line.at(feed_mm - lost) + lateral[0] * x + lateral[1] * y
        axes = np.stack([x, y], axis=1)
        spread = axes @ (design @ self.covariance @ design.T) @ axes.T
        spread = spread + feed_sd_mm**2 * np.outer(self.line.direction, self.line.direction)
        tangent = self.line.direction + slope[0] * x + slope[1] * y
        return TipPrediction(tip, spread, tangent / np.linalg.norm(tangent), float(np.linalg.norm(lateral)))

    def curve(self, feed_mm: float, step_mm: float = 1.0) -> NDArray[np.float64]:
        """Predicted shaft, shape (n, 3), Rig frame, from the entry to the tip."""
        feeds = np.append(np.arange(0.0, max(feed_mm, 0.0), step_mm), feed_mm)
        return np.stack([self.predict(float(f)).tip_mm for f in feeds])

    def updated(self, feed_mm: float, tip_mm: Vector, covariance: NDArray[np.float64]) -> Bending:
        """The model after a confirmed tip at this feed; ``covariance`` is that of the confirmation (3x3, mm^2)."""
        x, y = self.line.lateral_axes()
        axes = np.stack([x, y], axis=1)
        design = self._design(feed_mm)
        measured = axes.T @ (tip_mm - self.line.at(feed_mm))
        noise = axes.T @ covariance @ axes
        gain = self.covariance @ design.T @ np.linalg.inv(design @ self.covariance @ design.T + noise)
        mean = self.mean + gain @ (measured - design @ self.mean)
        mean[0] = float(np.clip(mean[0], 0.0, 3.0))
        return replace(self, mean=mean, covariance=(np.eye(5) - gain @ design) @ self.covariance,
                       confirmed_n=self.confirmed_n + 1)  # fmt: skip


def bevel_in_plane(line: NeedleLine, plane_normal: Vector, bend_towards: Vector) -> float:
    """Bevel angle (deg) that keeps the bending in the image plane, with the bend on the side of ``bend_towards`` (Rig).

    A needle that bends out of the slice is lost from view; one that bends within it is seen and corrected.
    """
    x, y = line.lateral_axes()
    angle = np.arctan2(-float(x @ plane_normal), float(y @ plane_normal))
    bend = -(np.cos(angle) * x + np.sin(angle) * y)
    if float(bend @ bend_towards) < 0:
        angle += np.pi
    return float(np.degrees(angle) % 360.0)


@dataclass(frozen=True)
class BevelAdvice:
    """Advice whether to turn the bevel, and to which angle."""

    flip: bool
    bevel_deg: float
    miss_without_mm: float
    miss_with_mm: float
    reason: str


def advise_bevel(bending: Bending, feed_now_mm: float, aim_mm: Vector, gain_mm: float = 0.5) -> BevelAdvice:
    """Bevel angle for the rest of the way that brings the predicted end nearest to ``aim_mm`` (Rig frame)."""
    remaining = float((aim_mm - bending.line.entry_mm) @ bending.line.direction)
    if remaining <= feed_now_mm + 1.0:
        return BevelAdvice(False, bending.bevel[-1].bevel_deg, 0.0, 0.0, "less than 1 mm to go")
    stay = float(np.linalg.norm(bending.predict(remaining).tip_mm - aim_mm))
    best, angle = stay, bending.bevel[-1].bevel_deg
    for turn in range(0, 360, 15):
        end = bending.with_bevel(feed_now_mm, float(turn)).predict(remaining).tip_mm
        miss = float(np.linalg.norm(end - aim_mm))
        if miss < best:
            best, angle = miss, float(turn)
    if stay - best < gain_mm:
        return BevelAdvice(False, bending.bevel[-1].bevel_deg, stay, best, f"a turn gains only {stay - best:.1f} mm")
    return BevelAdvice(True, angle, stay, best, f"turning the bevel brings the end from {stay:.1f} to {best:.1f} mm")


def nominal_bending(line: NeedleLine, needle: NeedleSpec, youngs_kpa: float = 18.0, bevel_deg: float = 0.0) -> Bending:
    """Prior model of a needle on the shelf: curvature by Rand 2016 and gauge (``hal/phantom/data/needles.toml``)."""
    stiffness = float(np.clip(youngs_kpa / 18.0, 0.4, 1.5))
    return Bending(line, 1000.0 * needle.curvature_per_mm * stiffness, (BevelSegment(0.0, bevel_deg),))
