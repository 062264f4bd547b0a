"""Pose characteristics of a manipulator after ISO 9283: accuracy, repeatability, directions, distance, drift.

Positions are in mm and in one frame, angles in degrees about the axes of that frame. AP and RP are given for each pose
and never averaged over poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.qa.methods.readings import Readings, checked
from analysis.qa.outcome import Figure
from hal.errors import ConfigError

CYCLES = 30
DRAWS = 2000
SEED = 20260101
"""Fixed, so that the same readings give the same interval."""
LEAST_FOR_INTERVAL = 8
STEADY_SHARE = 0.10
"""Drift may end when its rate is below this share of the rate in the first hour."""
Three = tuple[float, float, float]


@dataclass(frozen=True)
class PoseFigures:
    """Accuracy and repeatability of one pose."""

    n: int
    error_mm: Three
    """Barycentre minus commanded, per axis: AP_x, AP_y, AP_z."""
    ap_mm: float
    mean_l_mm: float
    """Mean distance from the barycentre."""
    s_l_mm: float
    rp_mm: float
    """Mean distance plus three standard deviations."""
    s_mm: Three
    """Standard deviation per axis."""

    def figures(self, name: str, u_rp_mm: float | None = None) -> tuple[Figure, ...]:
        """Figures of the pose ``name`` (``p1``); AP's uncertainty is that of the mean of n cycles alone."""
        u_ap = float(np.linalg.norm(self.s_mm)) / (3 * self.n) ** 0.5
        rows = [
            Figure(f"ap_{name}_mm", f"pose accuracy AP at {name}", self.ap_mm, "mm", u_ap, self.n),
            Figure(f"rp_{name}_mm", f"pose repeatability RP at {name}", self.rp_mm, "mm", u_rp_mm, self.n),
        ]
        for axis, error, s in zip("xyz", self.error_mm, self.s_mm, strict=True):
            words = f"pose accuracy along {axis} at {name}"
            rows.append(Figure(f"ap_{axis}_{name}_mm", words, error, "mm", s / self.n**0.5, self.n))
        return tuple(rows)


@dataclass(frozen=True)
class OrientationFigures:
    """Accuracy and repeatability of the three angles at one pose."""

    n: int
    error_deg: Three
    rp_deg: Three
    """Three standard deviations, to be read as plus or minus."""


@dataclass(frozen=True)
class DirectionFigures:
    """How far the barycentres of one pose lie apart when it is reached from several directions: vAP."""

    vap_mm: float
    pair: tuple[int, int]
    """The two directions that are the furthest apart, counted from 0."""
    axis_mm: Three
    """Largest difference per axis."""


@dataclass(frozen=True)
class DistanceFigures:
    """Accuracy and repeatability of the distance between two poses."""

    n: int
    commanded_mm: float
    ad_mm: float
    rd_mm: float
    """Three standard deviations, to be read as plus or minus."""
    ad_axis_mm: Three
    rd_axis_mm: Three

    def figures(self) -> tuple[Figure, ...]:
        """AD and RD with the uncertainty of n cycles."""
        s = self.rd_mm / 3.0
        over = (2 * (self.n - 1)) ** 0.5
        return (
            Figure("ad_mm", "distance accuracy AD", self.ad_mm, "mm", s / self.n**0.5, self.n),
            Figure("rd_mm", "distance repeatability RD", self.rd_mm, "mm", self.rd_mm / over, self.n),
        )


@dataclass(frozen=True)
class DriftFigures:
    """Change of accuracy and repeatability of one pose over time."""

    dap_mm: float
    """Largest change of AP against the first block; blind to a barycentre that moves at constant distance."""
    drp_mm: float
    moved_mm: float
    """Largest distance of a barycentre from that of the first block: our own figure beside dAP."""
    steady: bool
    """Whether the barycentre moved in the last hour less than a tenth as fast as in the first."""
    hours: float


def pose(attained_mm: ArrayLike, commanded_mm: ArrayLike) -> PoseFigures:
    """AP and RP of one pose.

    Args:
        attained_mm: shape (n, 3), one direction of approach; the standard takes 30 cycles.
        commanded_mm: shape (3,).

    Raises:
        ConfigError: fewer than two cycles, other shapes, missing readings.
    """
    at = checked(attained_mm, (-1, 3), "attained positions", 2)
    error = at.mean(axis=0) - checked(commanded_mm, (3,), "commanded position")
    away = np.linalg.norm(at - at.mean(axis=0), axis=1)
    mean_l, s_l = float(away.mean()), float(away.std(ddof=1))
    return PoseFigures(
        n=len(at),
        error_mm=_three(error),
        ap_mm=float(np.linalg.norm(error)),
        mean_l_mm=mean_l,
        s_l_mm=s_l,
        rp_mm=mean_l + 3.0 * s_l,
        s_mm=_three(at.std(axis=0, ddof=1)),
    )


def rp_interval(attained_mm: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Lower and upper end of the BCa bootstrap interval of RP, and its bootstrap standard error, all in mm.

    The standard gives RP without an interval. Of normal scatter in 30 cycles the 95 % interval holds the true RP in
    about nine of ten cases. Raises ``ConfigError`` for fewer than eight cycles, of which no interval can be given, and
    when all positions are the same.
    """
    at = checked(attained_mm, (-1, 3), "attained positions", LEAST_FOR_INTERVAL)
    if not np.any(np.ptp(at, axis=0) > 0.0):
        raise ConfigError("attained positions: all are equal to the last digit, so RP has no interval")
    found = stats.bootstrap(
        (at[:, 0], at[:, 1], at[:, 2]), _rp, paired=True, vectorized=True, n_resamples=DRAWS,
        confidence_level=level, method="BCa", rng=np.random.default_rng(SEED),
    )  # fmt: skip
    low, high = found.confidence_interval
    return float(low), float(high), float(found.standard_error)


def _rp(x: Readings, y: Readings, z: Readings, axis: int = -1) -> Readings:
    square = sum((v - v.mean(axis=axis, keepdims=True)) ** 2 for v in (x, y, z))
    away = np.sqrt(square)
    found: Readings = away.mean(axis=axis) + 3.0 * away.std(axis=axis, ddof=1)
    return found


def orientation(attained_deg: ArrayLike, commanded_deg: ArrayLike) -> OrientationFigures:
    """Accuracy and repeatability of the angles a, b, c of one pose, shapes (n, 3) and (3,); 359 deg is near 0."""
    at = checked(attained_deg, (-1, 3), "attained angles", 2)
    wanted = checked(commanded_deg, (3,), "commanded angles")
    error = (at - wanted + 180.0) % 360.0 - 180.0
    return OrientationFigures(len(at), _three(error.mean(axis=0)), _three(3.0 * error.std(axis=0, ddof=1)))


def directions(barycentres_mm: ArrayLike) -> DirectionFigures:
    """Multi-directional variation vAP from the barycentre of each direction of approach, shape (directions, 3)."""
    at = checked(barycentres_mm, (-1, 3), "barycentres", 2)
    pairs = list(combinations(range(len(at)), 2))
    gaps = [float(np.linalg.norm(at[h] - at[k])) for h, k in pairs]
    most = int(np.argmax(gaps))
    return DirectionFigures(gaps[most], pairs[most], _three(np.ptp(at, axis=0)))


def distance(first_mm: ArrayLike, second_mm: ArrayLike, commanded_mm: ArrayLike) -> DistanceFigures:
    """Distance between two poses that were attained one after the other.

    Args:
        first_mm, second_mm: shape (n, 3), cycle by cycle.
        commanded_mm: the two commanded positions, shape (2, 3).
    """
    one = checked(first_mm, (-1, 3), "positions of the first pose", 2)
    two = checked(second_mm, (len(one), 3), "positions of the second pose", 2)
    wanted = checked(commanded_mm, (2, 3), "commanded positions")
    apart, asked = np.abs(two - one), np.abs(wanted[1] - wanted[0])
    length, wished = np.linalg.norm(two - one, axis=1), float(np.linalg.norm(asked))
    return DistanceFigures(
        n=len(one),
        commanded_mm=wished,
        ad_mm=float(length.mean() - wished),
        rd_mm=3.0 * float(length.std(ddof=1)),
        ad_axis_mm=_three(apart.mean(axis=0) - asked),
        rd_axis_mm=_three(3.0 * apart.std(axis=0, ddof=1)),
    )


def drift(blocks_mm: Sequence[ArrayLike], hours: ArrayLike, commanded_mm: ArrayLike) -> DriftFigures:
    """Drift of one pose.

    Args:
        blocks_mm: attained positions of each block of cycles, each of shape (n, 3); the standard takes 10 cycles.
        hours: time of each block, rising; every ten minutes for at most eight hours in the standard.
        commanded_mm: shape (3,).
    """
    at = checked(hours, (len(blocks_mm),), "times of the blocks", 2)
    if np.any(np.diff(at) <= 0.0):
        raise ConfigError("times of the blocks: must rise")
    found = [pose(block, commanded_mm) for block in blocks_mm]
    ap, rp = np.array([f.ap_mm for f in found]), np.array([f.rp_mm for f in found])
    moved = np.linalg.norm(np.array([f.error_mm for f in found]) - found[0].error_mm, axis=1)
    return DriftFigures(
        dap_mm=float(np.max(np.abs(ap - ap[0]))),
        drp_mm=float(np.max(np.abs(rp - rp[0]))),
        moved_mm=float(np.max(moved)),
        steady=_steady(at, np.array([f.error_mm for f in found])),
        hours=float(at[-1] - at[0]),
    )


def _steady(hours: Readings, error: Readings) -> bool:
    """False while less than two hours were recorded, since first and last hour would overlap."""
    if hours[-1] - hours[0] < 2.0:
        return False
    first, last = hours <= hours[0] + 1.0, hours >= hours[-1] - 1.0
    begin, end = error[first], error[last]
    early = np.linalg.norm(begin[-1] - begin[0]) / np.ptp(hours[first])
    late = np.linalg.norm(end[-1] - end[0]) / np.ptp(hours[last])
    return bool(late < STEADY_SHARE * early)


def _three(values: Readings) -> Three:
    x, y, z = (float(v) for v in values)
    return x, y, z
