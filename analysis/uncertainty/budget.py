"""An uncertainty budget: its rows, their combination, and the inputs that are not known.

GUM (JCGM 100:2008) 5.1.2 for independent inputs: the variances add; the effective degrees of freedom by Welch and
Satterthwaite (G.4.1), truncated down; the coverage factor is Student's. A row that nobody stated keeps its place as
``not known``: the sum is then that of the other rows, and the budget says that it is incomplete.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.quantity import Proportion, Quantity

LEVEL = 0.95
NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Part:
    """One source of uncertainty before it is combined."""

    quantity: str
    value: float | None
    """Estimate of the quantity, where it has one."""
    value_unit: str
    u: float | None
    """Standard uncertainty in ``unit``; None when nobody stated it."""
    unit: str
    distribution: str
    """normal or rectangular."""
    dof: float | None
    """None: without limit."""
    variance: float | None
    """Contribution to the variance of the measurand, in the square of its unit."""
    kind: str
    """certificate, rig file, this run, default [A], not known."""
    source: str
    covariance_mm2: NDArray[np.float64] | None = field(default=None, repr=False)
    """(3, 3) of what it does to a place."""
    alone_mm: float | None = None
    """Effect on the tip alone, for a source that aim point and tip share."""

    @property
    def sensitivity(self) -> float | None:
        """Contribution over uncertainty: unit of the measurand per ``unit``."""
        if self.u is None or self.variance is None:
            return None
        return math.sqrt(self.variance) / self.u if self.u > 0.0 else 0.0


@dataclass(frozen=True)
class BudgetRow:
    """One row as the report shows it."""

    quantity: str
    value: float | None
    value_unit: str
    standard_uncertainty: float | None
    unit: str
    distribution: str
    dof: float | None
    """None: without limit, or not known."""
    sensitivity: float | None
    contribution: float | None
    """Sensitivity times standard uncertainty, in the unit of the measurand."""
    share: float | None
    """Share of the combined variance."""
    kind: str
    source: str
    alone: float | None = None
    """Contribution if aim point and tip did not share the source."""


@dataclass(frozen=True)
class LengthCheck:
    """Monte Carlo of a length (JCGM 101) against the linear form, at one true length."""

    about: str
    at_mm: float
    draws_n: int
    mean_mm: float
    u_mm: float
    symmetric_mm: tuple[float, float]
    """Probabilistically symmetric 95 % interval."""
    shortest_mm: tuple[float, float]
    linear_mm: tuple[float, float]
    """Interval of the budget: value plus and minus the expanded uncertainty."""
    tolerance_mm: float
    """Half a unit of the last of two significant digits of the standard uncertainty (JCGM 101, 7.9.2 and 8.1)."""
    agrees: bool
    """Both ends of the linear interval lie within the tolerance of the symmetric one."""


@dataclass(frozen=True)
class RegionCheck:
    """Monte Carlo of an error vector (JCGM 102) against the ellipsoid of the linear form."""

    draws_n: int
    inside: float
    """Share of the draws inside the ellipsoid, which is to hold 95 %."""
    tolerance: float
    agrees: bool
    median_mm: float
    """Median of the length of the predicted error, including what is seen of it."""
    p95_mm: float


@dataclass(frozen=True)
class Budget:
    """One budget of one approach."""

    key: str
    label: str
    plane: str
    measurand: str
    unit: str
    trials_n: int
    rows: tuple[BudgetRow, ...]
    complete: bool
    missing: tuple[str, ...]
    """Quantities that nobody stated."""
    combined: float | None
    """Combined standard uncertainty; of the known rows only when not complete."""
    dof: float | None
    """Effective degrees of freedom; None: without limit."""
    coverage_factor: float | None
    expanded: float | None
    """95 %."""
    lengths: tuple[LengthCheck, ...] = ()
    region: RegionCheck | None = None


@dataclass(frozen=True)
class Comparison:
    """Predicted errors against those that were found."""

    label: str
    plane: str
    trials_n: int
    inside: Proportion
    """Trials whose error lies in their own predicted 95 % region, with the exact interval."""
    size: Quantity
    """Root mean square of the found errors in units of the predicted ones; ``lo`` to ``hi``: where it lies in 95 % of
    runs if the prediction holds."""
    predicted_rms_mm: float | None
    found_rms_mm: float | None
    finding: str
    """By rule: what the two numbers say."""
    contradicted: bool


@dataclass(frozen=True)
class Guard:
    """The guard band of one criterion on an error that the reference instrument measures (ILAC-G8:09/2019)."""

    identity: str
    u_mm: float | None
    """Largest standard uncertainty of the measurement among the approaches of the criterion."""
    complete: bool
    factor: float | None
    """One-sided 95 %."""
    band_mm: float | None
    acceptance_limit_mm: float | None
    compared_mm: float | None
    """The bound (or largest value) that the verdict compares with the limit."""
    standing: str
    changes: bool
    """True when acceptance would not hold if the guard band were part of the rule."""


@dataclass(frozen=True)
class UncertaintyResults:
    """Results of the section on uncertainty."""

    measurement: tuple[Budget, ...]
    prediction: tuple[Budget, ...]
    comparisons: tuple[Comparison, ...]
    """Per approach, then all together."""
    guards: tuple[Guard, ...]


def effective_dof(parts: Sequence[Part]) -> float | None:
    """Welch-Satterthwaite, not truncated; None when no row limits it."""
    known = [p for p in parts if p.variance is not None]
    total = sum(p.variance or 0.0 for p in known)
    limited = sum((p.variance or 0.0) ** 2 / p.dof for p in known if p.dof is not None)
    return total**2 / limited if limited > 0.0 else None


def coverage(dof: float | None, level: float = LEVEL) -> float:
    """Two-sided coverage factor; the degrees of freedom are truncated down (GUM G.4.2)."""
    if dof is None:
        return float(stats.norm.ppf(0.5 + level / 2))
    return float(stats.t.ppf(0.5 + level / 2, max(1.0, math.floor(dof))))


def one_sided(dof: float | None, level: float = LEVEL) -> float:
    """Factor of a guard band."""
    return coverage(dof, 2.0 * level - 1.0)


def combine(
    parts: Sequence[Part],
    *,
    key: str = "",
    label: str = "",
    plane: str = "",
    measurand: str,
    unit: str = "mm",
    trials_n: int = 0,
    level: float = LEVEL,
) -> Budget:
    """Combine independent parts. Shares are of the known variance; nothing known gives no number at all."""
    total = sum(p.variance for p in parts if p.variance is not None)
    some = any(p.variance is not None for p in parts)
    missing = tuple(p.quantity for p in parts if p.variance is None)
    rows = tuple(_row(p, total) for p in parts)
    dof = effective_dof(parts)
    combined = math.sqrt(total) if some else None
    factor = coverage(dof, level) if some else None
    expanded = None if combined is None or factor is None else factor * combined
    return Budget(
        key, label, plane, measurand, unit, trials_n, rows, not missing, missing, combined, dof, factor, expanded
    )


def _row(part: Part, total: float) -> BudgetRow:
    contribution = None if part.variance is None else math.sqrt(part.variance)
    share = None if part.variance is None else (part.variance / total if total > 0.0 else 0.0)
    return BudgetRow(
        part.quantity, part.value, part.value_unit, part.u, part.unit, part.distribution, part.dof, part.sensitivity,
        contribution, share, part.kind, part.source, part.alone_mm,
    )  # fmt: skip


def pooled(trials: Sequence[Sequence[Part]]) -> tuple[Part, ...]:
    """The parts of several trials of one approach as one list: mean variances, root-mean-square uncertainties.

    Every trial has the same quantities in the same order. A part that one trial lacks is not known of the approach.
    Degrees of freedom: the fewest of any trial.
    """
    out = []
    for same in zip(*trials, strict=True):
        first = same[0]
        variances = [p.variance for p in same if p.variance is not None]
        squares = [p.u**2 for p in same if p.u is not None]
        covariances = [p.covariance_mm2 for p in same if p.covariance_mm2 is not None]
        known = len(variances) == len(same) and len(squares) == len(same)
        values = [p.value for p in same if p.value is not None]
        limits = [p.dof for p in same if p.dof is not None]
        alone = [p.alone_mm**2 for p in same if p.alone_mm is not None]
        out.append(
            Part(
                first.quantity,
                float(np.mean(values)) if len(values) == len(same) else None,
                first.value_unit,
                math.sqrt(float(np.mean(squares))) if known else None,
                first.unit,
                first.distribution,
                min(limits) if limits else None,
                float(np.mean(variances)) if known else None,
                first.kind if known else NOT_KNOWN,
                "; ".join(sorted({p.source for p in same})),
                np.asarray(np.mean(covariances, axis=0)) if known and len(covariances) == len(same) else None,
                math.sqrt(float(np.mean(alone))) if alone else None,
            )
        )
    return tuple(out)
