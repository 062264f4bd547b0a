"""Control charts of one figure of a device over time: Shewhart of individuals, EWMA, CUSUM.

Limits are designed once, before the points that they judge, and never recomputed here: a new design is a new value that
names the one it replaces and why. Phases (before and after a repair, a new reference) are kept apart: each begins with
an empty chart, and no rule, average or sum reaches across.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from analysis.qa.methods.readings import Readings, checked
from analysis.qa.methods.rules import BEYOND_3S, WESTERN_ELECTRIC, Rule, trailing
from hal.errors import ConfigError

D2_OF_TWO = 1.128
"""Mean range of two normal values, in standard deviations."""
FEW = 50
"""Limits from fewer points carry a remark: of charts from 25 points a quarter signals within 100 points, not 370."""
LEAST_PHASE_ONE = 10
EWMA_LAMBDA, EWMA_L = 0.2, 2.962
CUSUM_K, CUSUM_H = 0.5, 5.0


@dataclass(frozen=True)
class Design:
    """Centre and standard deviation of a healthy device, in the figure's unit."""

    centre: float
    sigma: float
    source: str
    """``maker``, ``within-run scatter``, ``phase I: 60 points of 2026``: where the numbers come from."""
    points_n: int = 0
    """Points that they were estimated from; 0: designed, not estimated."""
    replaces: Design | None = None
    reason: str = ""
    """Why an earlier design was replaced."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.centre) and np.isfinite(self.sigma) and self.sigma > 0.0):
            raise ConfigError(f"a chart needs a centre and a standard deviation above 0, got {self.sigma:g}")
        if not self.source:
            raise ConfigError("a chart needs the source of its limits")
        if (self.replaces is None) != (not self.reason):
            raise ConfigError("a design that replaces another says why, and only such a one does")

    @property
    def remarks(self) -> tuple[str, ...]:
        if 0 < self.points_n < FEW:
            return (
                f"limits from {self.points_n} points only: false alarms may be several times as frequent as designed",
            )
        return ()

    def replaced_by(self, centre: float, sigma: float, source: str, reason: str, points_n: int = 0) -> Design:
        """A new design that remembers this one. Raises ``ConfigError`` without a reason."""
        if not reason.strip():
            raise ConfigError("new limits need a reason: limits are never recomputed silently")
        return Design(centre, sigma, source, points_n, self, reason)


@dataclass(frozen=True)
class Signal:
    """A point at which a chart says that something changed."""

    index: int
    """Of the point, counted from 0 over all phases."""
    rule: str
    value: float


@dataclass(frozen=True)
class Chart:
    """One chart of a series."""

    kind: str
    centre: float
    value: Readings
    """What is plotted, in the figure's unit: the points, the average, or the larger sum, negative for the lower one."""
    lower: Readings
    upper: Readings
    """Limits at each point."""
    signals: tuple[Signal, ...]
    remarks: tuple[str, ...]

    @property
    def first(self) -> Signal | None:
        """The earliest signal."""
        return min(self.signals, key=lambda signal: signal.index) if self.signals else None


def phase_one(values: ArrayLike, source: str) -> Design:
    """Design from healthy points: their mean, and their mean moving range over 1.128. Raises ``ConfigError``."""
    found = checked(values, (-1,), "points of phase I", LEAST_PHASE_ONE)
    moving = float(np.abs(np.diff(found)).mean())
    if moving <= 0.0:
        raise ConfigError("points of phase I: all are equal, no limits can come from them")
    return Design(float(found.mean()), moving / D2_OF_TWO, source, len(found))


def individuals(
    values: ArrayLike,
    design: Design,
    rules: Sequence[Rule] = WESTERN_ELECTRIC,
    phases: Sequence[str] | None = None,
    width: float = 3.0,
) -> Chart:
    """Shewhart chart of individuals.

    Args:
        values: shape (n,), in order of time.
        design: limits, fixed before.
        rules: those that may fire; all are in units of ``design.sigma`` and the first limit is ``width``.
        phases: name of the phase of each point; None: one phase.
        width: distance of the limits; other than 3 only the rule of the limits is used with it.

    Raises:
        ConfigError: missing values, phases of another length, rules beside limits that are not at 3 s.
    """
    points = checked(values, (-1,), "points of the chart")
    if width != 3.0 and tuple(rules) != (BEYOND_3S,):
        raise ConfigError("rules of zones belong to limits at 3 s: with other limits only 'beyond 3 s' may be used")
    z = (points - design.centre) / design.sigma
    scaled = z * 3.0 / width
    signals = []
    for begin, end in _phases(len(points), phases):
        for rule in rules:
            fired = np.flatnonzero(rule.fires(trailing(scaled[begin:end], rule.points_n)))
            name = rule.name if width == 3.0 else f"beyond {width:g} s"
            signals += [Signal(begin + int(k), name, float(points[begin + k])) for k in fired]
    signals.sort(key=lambda signal: signal.index)
    half = np.full(len(points), width * design.sigma)
    return Chart(
        "individuals", design.centre, points, design.centre - half, design.centre + half, tuple(signals), design.remarks
    )


def ewma(
    values: ArrayLike,
    design: Design,
    *,
    weight: float = EWMA_LAMBDA,
    width: float = EWMA_L,
    steady: bool = True,
    phases: Sequence[str] | None = None,
) -> Chart:
    """Exponentially weighted moving average, which begins at the centre.

    ``steady``: the limits of long series from the first point on (their run lengths are those of the tables); otherwise
    limits that widen from the start, which have other run lengths. ``width`` in standard deviations of the average.
    """
    if not 0.0 < weight <= 1.0:
        raise ConfigError(f"weight of an EWMA: must be above 0 and at most 1, got {weight:g}")
    points = checked(values, (-1,), "points of the chart")
    average, half = np.empty(len(points)), np.empty(len(points))
    signals = []
    for begin, end in _phases(len(points), phases):
        held = design.centre
        for k in range(begin, end):
            held = weight * points[k] + (1.0 - weight) * held
            average[k] = held
        age = np.arange(1, end - begin + 1)
        grown = 1.0 if steady else 1.0 - (1.0 - weight) ** (2 * age)
        half[begin:end] = width * design.sigma * np.sqrt(weight / (2.0 - weight) * grown)
        off = np.flatnonzero(np.abs(average[begin:end] - design.centre) > half[begin:end])
        signals += [Signal(begin + int(k), f"EWMA {weight:g}, {width:g}", float(average[begin + k])) for k in off]
    return Chart(
        "EWMA", design.centre, average, design.centre - half, design.centre + half, tuple(signals), design.remarks
    )


def cusum(
    values: ArrayLike,
    design: Design,
    *,
    k: float = CUSUM_K,
    h: float = CUSUM_H,
    phases: Sequence[str] | None = None,
) -> Chart:
    """Two-sided tabular CUSUM with reference value ``k`` and decision interval ``h``, both in standard deviations.

    The chart's value is the larger of both sums in the figure's unit, the lower one negative; its centre is 0. After a
    signal the sums run on: the earliest signal is what counts.
    """
    points = checked(values, (-1,), "points of the chart")
    z = (points - design.centre) / design.sigma
    sums = np.empty(len(points))
    signals = []
    for begin, end in _phases(len(points), phases):
        high = low = 0.0
        for n in range(begin, end):
            high, low = max(0.0, high + z[n] - k), max(0.0, low - z[n] - k)
            sums[n] = design.sigma * (high if high >= low else -low)
            if max(high, low) > h:
                signals.append(Signal(n, f"CUSUM {k:g}, {h:g}", float(sums[n])))
    half = np.full(len(points), h * design.sigma)
    return Chart("CUSUM", 0.0, sums, -half, half, tuple(signals), design.remarks)


def _phases(n: int, names: Sequence[str] | None) -> list[tuple[int, int]]:
    """Begin and end of each run of equal names."""
    if names is None:
        return [(0, n)]
    if len(names) != n:
        raise ConfigError(f"{len(names)} phases for {n} points: each point needs its phase")
    edges = [0, *(k for k in range(1, n) if names[k] != names[k - 1]), n]
    return [(begin, end) for begin, end in pairwise(edges) if end > begin]
