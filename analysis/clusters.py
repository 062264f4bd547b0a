"""Bounds for clustered data: trials on one bench, or confirmations in one trial, share errors and count for fewer.

With more than one bench the criteria and the differences go by the bench. How much the trials of a cluster are alike
is read from the data: as many independent trials as would leave the same variance stand in place of their number.
Shares: Korn & Graubard 1998, Survey Methodology 24:193 (exact bound with the effective number). Quantiles: Woodruff
1952, J Am Stat Assoc 47:635 (bound of the share below, read off the sample). Tolerance: Mee & Owen 1983,
J Am Stat Assoc 78:901 (one-way random effects).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.intervals import LEVEL, SHAPIRO_P, Sample, refused
from analysis.quantity import Quantity
from analysis.tables import Series

Hits = Sequence[bool] | NDArray[np.bool_]

CLUSTERS_MIN = 5
"""With fewer benches nothing can be said of benches."""


@dataclass(frozen=True)
class Between:
    """Variance between clusters and variance within them."""

    clusters_n: int
    between: float
    """Standard deviation of the cluster's own share; 0 where none is seen."""
    within: float
    effective_n: float
    """Independent values that would know the mean as well."""
    total_dof: float
    """Degrees of freedom of the total variance (Satterthwaite)."""

    @property
    def total(self) -> float:
        return math.hypot(self.between, self.within)


def _grouped(values: Sample, names: Sequence[str]) -> list[Sample]:
    """The values of each cluster, by its name."""
    return [group.to_numpy() for _, group in Series(values).groupby(np.asarray(names))]


def between(values: Sample, names: Sequence[str]) -> Between:
    """One-way random effects by the analysis of variance; values of shape (n,) and the cluster of each.

    With one value in every cluster nothing distinguishes the two: all of it is called within, and each value counts.
    """
    groups = _grouped(values, names)
    n, m = len(values), len(groups)
    sizes = np.array([len(g) for g in groups], dtype=np.float64)
    means = np.array([g.mean() for g in groups])
    grand = float(values.mean())
    ms_between = float(np.sum(sizes * (means - grand) ** 2)) / max(m - 1, 1)
    if n == m:
        sd = math.sqrt(ms_between)
        return Between(m, 0.0, sd, float(n), float(n - 1))
    ms_within = sum(float(np.sum((g - g.mean()) ** 2)) for g in groups) / (n - m)
    typical = (n - float(np.sum(sizes**2)) / n) / max(m - 1, 1)
    var_between = max(0.0, (ms_between - ms_within) / typical)
    total = var_between + ms_within
    if total == 0.0:
        return Between(m, 0.0, 0.0, float(n), float(n - 1))
    effective = total / (var_between * float(np.sum(sizes**2)) / n**2 + ms_within / n)
    # The total is a weighted sum of the two mean squares; its degrees of freedom after Satterthwaite 1946.
    a, b = ms_between / typical, ms_within * (1.0 - 1.0 / typical)
    dof = (a + b) ** 2 / (a**2 / max(m - 1, 1) + b**2 / (n - m)) if var_between else float(n - 1)
    return Between(m, math.sqrt(var_between), math.sqrt(ms_within), min(effective, float(n)), min(dof, float(n - 1)))


def effective_share_n(counts: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    """Number of independent trials that would determine a share equally well; hits and trials per cluster, shape (m,).

    All hits or none show no variance: then only the clusters count, which is the safe side.
    """
    m, n = len(sizes), float(sizes.sum())
    share = float(counts.sum()) / n
    if share in (0.0, 1.0):
        return float(m)
    variance = m / (m - 1) * float(np.sum((counts - share * sizes) ** 2)) / n**2
    if variance == 0.0:
        return n
    few = (stats.t.ppf(LEVEL, n - 1) / stats.t.ppf(LEVEL, m - 1)) ** 2 if n > 1 else 1.0
    return float(min(n, share * (1.0 - share) / variance * few))


def _counted(hits: Hits, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hits and trials of each cluster, shape (m,)."""
    each = Series(np.asarray(hits, dtype=np.float64)).groupby(np.asarray(names)).agg(["sum", "count"])
    return each["sum"].to_numpy(dtype=np.float64), each["count"].to_numpy(dtype=np.float64)


def share_bound(hits: Hits, names: Sequence[str], *, lower: bool, what: str = "benches") -> Quantity:
    """One-sided 95 % bound of a share over clusters, ``what`` they are; hits of shape (n,), the cluster of each."""
    return counted_bound(*_counted(hits, names), lower=lower, what=what)


def counted_bound(
    counts: NDArray[np.float64], sizes: NDArray[np.float64], *, lower: bool, what: str = "benches"
) -> Quantity:
    """The same from hits and trials of each cluster, shape (m,)."""
    n, m = int(sizes.sum()), len(sizes)
    if m < CLUSTERS_MIN:
        return _few("", n, m, what)
    effective = effective_share_n(counts, sizes)
    x = float(counts.sum()) / n * effective
    if lower:
        value = float(stats.beta.ppf(1 - LEVEL, x, effective - x + 1)) if x > 0.0 else 0.0
    else:
        value = float(stats.beta.ppf(LEVEL, x + 1, effective - x)) if x < effective else 1.0
    method = f"one-sided, Korn-Graubard over {m} {what}, effective n = {effective:.1f}"
    return Quantity(value, "", n, level=LEVEL, method=method)


def mean_bound(x: Sample, names: Sequence[str], unit: str, *, upper: bool) -> Quantity:
    """One-sided 95 % bound of a mean over benches: Student on the sums of the benches."""
    groups = _grouped(x, names)
    m, n = len(groups), len(x)
    if m < CLUSTERS_MIN:
        return _few(unit, n, m)
    centre = float(x.mean())
    sums = np.array([float(np.sum(g - centre)) for g in groups])
    error = math.sqrt(m / (m - 1) * float(np.sum(sums**2))) / n
    half = float(stats.t.ppf(LEVEL, m - 1)) * error
    return Quantity(centre + (half if upper else -half), unit, n, level=LEVEL, method=f"one-sided, over {m} benches")


def quantile_bound(x: Sample, names: Sequence[str], p: float, unit: str, *, upper: bool) -> Quantity:
    """One-sided 95 % bound of a quantile over benches, without a model of the values.

    As with order statistics of independent values, of which there are as many as would know the share below as well.
    """
    n, m = len(x), len(set(names))
    if m < CLUSTERS_MIN:
        return _few(unit, n, m)
    below = [bool(b) for b in x <= np.quantile(x, p)]
    effective = math.floor(effective_share_n(*_counted(below, names)))
    ranks = np.arange(1, effective + 1)
    chance = stats.binom.cdf(ranks - 1, effective, p)
    good = ranks[chance >= LEVEL][:1] if upper else ranks[chance <= 1 - LEVEL][-1:]
    if not len(good):
        why = f"effective n = {effective} over {m} benches: no bound of the {100 * p:g} % quantile without a model"
        return refused(unit, n, why)
    share = float(good[0]) / effective
    rank = math.ceil(share * n) if upper else max(1, math.floor(share * n))
    method = f"one-sided order statistics over {m} benches, effective n = {effective}"
    return Quantity(float(np.sort(x)[rank - 1]), unit, n, level=LEVEL, method=method)


def tolerance_bound(x: Sample, names: Sequence[str], unit: str) -> Quantity:
    """Upper one-sided 95/95 tolerance bound over benches: of one more trial on one more bench.

    Without a model where the effective number allows it, else log-normal with a share of its own for each bench.
    """
    n, m = len(x), len(set(names))
    free = quantile_bound(x, names, 0.95, unit, upper=True)
    if free.value is not None or m < CLUSTERS_MIN:
        return free
    if np.min(x) <= 0.0:
        return refused(unit, n, "a value is not positive: no log-normal bound, and too few for one without a model")
    logs = np.log(x)
    parts = between(logs, names)
    if parts.total == 0.0:
        return refused(unit, n, "all values are equal: no spread to build a bound on")
    p = float(stats.shapiro(logs).pvalue)
    if p < SHAPIRO_P:
        return refused(unit, n, f"the logarithms are not normal (Shapiro-Wilk p = {p:.3f}); {free.note}")
    root = math.sqrt(parts.effective_n)
    k = float(stats.nct.ppf(LEVEL, parts.total_dof, stats.norm.ppf(0.95) * root)) / root
    value = float(np.exp(np.mean(logs) + k * parts.total))
    note = f"k = {k:.3f}, effective n = {parts.effective_n:.1f}"
    return Quantity(value, unit, n, level=LEVEL, method=f"95/95 bound, log-normal over {m} benches", note=note)


def _few(unit: str, n: int, m: int, what: str = "benches") -> Quantity:
    return refused(unit, n, f"{m} {what}: a bound over {what} needs at least {CLUSTERS_MIN}")
