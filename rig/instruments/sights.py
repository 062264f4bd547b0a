"""Value of a look at a tracker: whether a pose is new, recent and possible, and which of several belong together.

Mathematics without a rig: ``rig.instruments.reference`` and the calibrations that listen to a tracker use it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi, chi2

from hal.clock import NS_PER_S
from hal.poses import why_no_pose
from hal.types import TrackedPose, Vector

TOGETHER_NS = 100_000_000
"""A pose of the body this old still belongs to one of a tool: neither phantom nor tracker moves [A]."""
AHEAD_NS = 20_000_000
"""A stamp may lie this far in the future: what two clocks that are kept together differ by [A]."""
LEFT_OUT_MAX = 0.25
"""Largest share of readings that may be left out; with more nobody knows which ones are right."""
CHANCE = 1e-3
"""Chance that twelve sound readings hold one that counts as an outlier, and that they scatter beyond the limit [A]."""
STUCK_MM = 0.02
"""A tip that is seen to move less than this while the needle moves ``STUCK_STEP_MM`` is an old one, repeated."""
STUCK_STEP_MM = 5.0


class Look(enum.Enum):
    """Result of one look at one tool."""

    NEW = "new"
    OLD = "old"
    """Nothing that is newer than what was known."""
    UNSEEN = "not seen"
    IMPOSSIBLE = "impossible"
    """Numbers that no pose has, or a stamp that no clock explains."""


@dataclass(frozen=True)
class Judged:
    """A look and the reason why it is no reading; empty for a new one."""

    look: Look
    why: str = ""


def judge(pose: TrackedPose | None, newer_than_ns: int, now_ns: int) -> Judged:
    """Judge the newest pose of a tool; ``newer_than_ns``: the last one, or the moment from which the tool rests."""
    if pose is None:
        return Judged(Look.UNSEEN, "is not reported")
    ahead_s = (pose.time_ns - now_ns) / NS_PER_S
    if not pose.valid:
        if pose.impossible:
            return Judged(Look.IMPOSSIBLE, pose.why)
        return Judged(Look.OLD if pose.why else Look.UNSEEN, pose.why or "is not seen")
    if pose.time_ns > now_ns + AHEAD_NS:
        return Judged(Look.IMPOSSIBLE, f"is dated {ahead_s:.3g} s ahead of the rig's clock")
    if pose.time_ns <= newer_than_ns:
        return Judged(Look.OLD, f"is {-ahead_s:.3g} s old")
    why = "" if pose.typed else why_no_pose(pose.matrix)  # drivers of third parties may not have judged
    return Judged(Look.IMPOSSIBLE, why) if why else Judged(Look.NEW)


@dataclass(frozen=True)
class Together:
    """Positions that belong together, and the number of those that do not."""

    kept: NDArray[np.bool_] = field(repr=False)
    mean_mm: Vector = field(repr=False)
    spread_mm: float
    """Root mean square distance of those kept from their mean; 0 for a single one."""

    @property
    def outliers_n(self) -> int:
        return int(np.sum(~self.kept))


def together(points_mm: NDArray[np.float64], u_mm: float) -> Together:
    """Positions (n, 3) of one resting tip, without those that its instrument cannot have given.

    ``u_mm``: what the instrument claims, standard, per axis. An outlier lies further from the median of all than one
    sound set in ``1 / CHANCE`` would have any reading.
    """
    n = len(points_mm)
    away = np.linalg.norm(points_mm - np.median(points_mm, axis=0), axis=1)
    kept = away <= u_mm * float(chi.ppf((1.0 - CHANCE) ** (1.0 / n), 3))
    if not kept.any():
        kept[:] = True  # scattered all over: the spread tells
    mean = points_mm[kept].mean(axis=0)
    spread = float(np.sqrt(np.mean(np.sum((points_mm[kept] - mean) ** 2, axis=1))))
    return Together(kept, mean, spread)


def spread_limit_mm(u_mm: float, n: int) -> float:
    """Largest spread of ``n`` readings (``Together.spread_mm``) that an instrument of standard uncertainty ``u_mm`` per
    axis gives of a resting tip but once in ``1 / CHANCE``."""
    return 0.0 if n < 2 else u_mm * float(np.sqrt(chi2.ppf(1.0 - CHANCE, 3 * (n - 1)) / n))


def stuck(before_mm: Vector, after_mm: Vector) -> bool:
    """True when a tracker shows the tip unmoved although the needle moved by ``STUCK_STEP_MM`` or more."""
    return float(np.linalg.norm(after_mm - before_mm)) < STUCK_MM
