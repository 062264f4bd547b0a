"""Intervals and bounds for small samples; each function returns a ``Quantity`` and refuses with a reason.

Two-sided 95 % intervals unless said otherwise. Sources: Clopper & Pearson 1934; Newcombe 1998; Hotelling 1931;
Hahn & Meeker, Statistical Intervals (tolerance bounds); Efron 1987 (BCa).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multivariate import test_mvmean
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from analysis.quantity import Proportion, Quantity

Sample = NDArray[np.float64]

LEVEL = 0.95
TOLERANCE_MIN_N = 5
"""Below this the normal tolerance factor exceeds 4.2 and no model can be looked at; tables begin here."""
SHAPIRO_P = 0.05


def refused(unit: str, n: int, why: str, method: str = "") -> Quantity:
    """A number that is not given, with the reason."""
    return Quantity(None, unit, n, method=method, note=why)


def sample(values: object) -> Sample:
    """The measured values, shape (n,): missing ones are left out."""
    found = np.asarray(values, dtype=np.float64)
    return found[np.isfinite(found)]


def mean(x: Sample, unit: str) -> Quantity:
    """Mean with Student's interval; x of shape (n,)."""
    n = len(x)
    if n == 0:
        return refused(unit, 0, "not measured")
    value = float(np.mean(x))
    if n < 2:
        return Quantity(value, unit, n, note="no interval: n = 1")
    half = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1) * np.std(x, ddof=1) / math.sqrt(n))
    return Quantity(value, unit, n, value - half, value + half, LEVEL, "Student t")


def mean_bound(x: Sample, unit: str, *, upper: bool) -> Quantity:
    """One-sided 95 % bound of the mean."""
    n = len(x)
    if n < 2:
        return refused(unit, n, f"n = {n}: a bound of the mean needs at least 2")
    half = float(stats.t.ppf(LEVEL, n - 1) * np.std(x, ddof=1) / math.sqrt(n))
    value = float(np.mean(x)) + (half if upper else -half)
    return Quantity(value, unit, n, level=LEVEL, method="one-sided Student t")


def spread(x: Sample, unit: str) -> Quantity:
    """Standard deviation (n - 1) with its chi-squared interval."""
    n = len(x)
    if n < 2:
        return refused(unit, n, f"n = {n}: a standard deviation needs at least 2")
    value = float(np.std(x, ddof=1))
    lo, hi = (value * math.sqrt((n - 1) / stats.chi2.ppf(p, n - 1)) for p in (0.5 + LEVEL / 2, 0.5 - LEVEL / 2))
    return Quantity(value, unit, n, float(lo), float(hi), LEVEL, "chi-squared")


def rms(x: Sample, unit: str) -> Quantity:
    """Root of the mean square; no interval is given, since no model is assumed."""
    if len(x) == 0:
        return refused(unit, 0, "not measured")
    return Quantity(float(np.sqrt(np.mean(x**2))), unit, len(x))


def quantile(x: Sample, p: float, unit: str) -> Quantity:
    """Quantile with the distribution-free interval of its order statistics, where n allows one."""
    n = len(x)
    if n == 0:
        return refused(unit, 0, "not measured")
    value = float(np.quantile(x, p))
    interval = stats.quantile_test(x, q=value, p=p).confidence_interval(confidence_level=LEVEL)
    lo, hi = float(interval.low), float(interval.high)
    if not (math.isfinite(lo) and math.isfinite(hi)):
        return Quantity(value, unit, n, note=f"no distribution-free 95 % interval with n = {n}")
    return Quantity(value, unit, n, lo, hi, LEVEL, "order statistics")


def quantile_bound(x: Sample, p: float, unit: str, *, upper: bool) -> Quantity:
    """One-sided 95 % distribution-free bound of a quantile."""
    n = len(x)
    alternative = "less" if upper else "greater"
    if n:
        interval = stats.quantile_test(x, q=0.0, p=p, alternative=alternative).confidence_interval(LEVEL)
        value = float(interval.high if upper else interval.low)
        if math.isfinite(value):
            return Quantity(value, unit, n, level=LEVEL, method="one-sided order statistics")
    return refused(unit, n, f"n = {n}: no distribution-free 95 % bound of the {100 * p:g} % quantile")


def largest(x: Sample, unit: str) -> Quantity:
    """The largest value seen: a fact about this sample, with no claim beyond it."""
    return Quantity(float(np.max(x)), unit, len(x)) if len(x) else refused(unit, 0, "not measured")


def tolerance_factor(n: int, share: float = 0.95, level: float = LEVEL) -> float:
    """One-sided normal tolerance factor k: ``t'_level(n - 1, z_share sqrt(n)) / sqrt(n)``."""
    return float(stats.nct.ppf(level, n - 1, stats.norm.ppf(share) * math.sqrt(n)) / math.sqrt(n))


def tolerance_rank(n: int, share: float = 0.95, level: float = LEVEL) -> int:
    """Rank (1 = smallest) of the order statistic that bounds ``share`` of the population; 0 when n is too small."""
    ranks = np.arange(1, n + 1)
    good = ranks[stats.binom.cdf(ranks - 1, n, share) >= level]
    return int(good[0]) if len(good) else 0


def tolerance_bound(x: Sample, unit: str) -> Quantity:
    """Upper one-sided 95/95 tolerance bound of positive values.

    From 59 values: the order statistic (no model). From 5: log-normal, unless Shapiro-Wilk speaks against it
    (p < 0.05); a zero among the values refuses the logarithm. Otherwise refused.
    """
    n = len(x)
    rank = tolerance_rank(n)
    if rank:
        return Quantity(float(np.sort(x)[rank - 1]), unit, n, level=LEVEL, method="95/95 bound, order statistic")
    if n < TOLERANCE_MIN_N:
        return refused(unit, n, f"n = {n}: a 95/95 bound needs at least {TOLERANCE_MIN_N} (59 without a model)")
    if np.min(x) <= 0.0:
        return refused(unit, n, "a value is not positive: no log-normal bound, and n < 59 for one without a model")
    logs = np.log(x)
    if np.ptp(logs) == 0.0:
        return refused(unit, n, "all values are equal: no spread to build a bound on")
    p = float(stats.shapiro(logs).pvalue)
    if p < SHAPIRO_P:
        why = f"the logarithms are not normal (Shapiro-Wilk p = {p:.3f}) and n = {n} < 59 for a bound without a model"
        return refused(unit, n, why)
    k = tolerance_factor(n)
    value = float(np.exp(np.mean(logs) + k * np.std(logs, ddof=1)))
    note = f"k = {k:.3f}; Shapiro-Wilk of the logarithms p = {p:.2f}"
    return Quantity(value, unit, n, level=LEVEL, method="95/95 bound, log-normal", note=note)


def proportion(count: int, n: int) -> Proportion:
    """Share with the Clopper-Pearson interval."""
    if n == 0:
        return Proportion(0, 0, refused("", 0, "no trial to judge"))
    lo, hi = proportion_confint(count, n, alpha=1 - LEVEL, method="beta")
    return Proportion(count, n, Quantity(count / n, "", n, float(lo), float(hi), LEVEL, "Clopper-Pearson"))


def proportion_bound(count: int, n: int, *, lower: bool) -> Quantity:
    """One-sided 95 % Clopper-Pearson bound."""
    if n == 0:
        return refused("", 0, "no trial to judge")
    lo, hi = proportion_confint(count, n, alpha=2 * (1 - LEVEL), method="beta")
    return Quantity(float(lo if lower else hi), "", n, level=LEVEL, method="one-sided Clopper-Pearson")


def proportion_difference(a: tuple[int, int], b: tuple[int, int]) -> Quantity:
    """First minus second share of (count, n), with Newcombe's interval; trials taken as independent."""
    if a[1] == 0 or b[1] == 0:
        return refused("", min(a[1], b[1]), "an arm has no trial to judge")
    lo, hi = confint_proportions_2indep(*a, *b, method="newcomb", compare="diff", alpha=1 - LEVEL)
    value = a[0] / a[1] - b[0] / b[1]
    return Quantity(value, "", a[1] + b[1], float(lo), float(hi), LEVEL, "Newcombe, trials independent")


def bias_vector(e: NDArray[np.float64], unit: str) -> tuple[tuple[Quantity, Quantity, Quantity], Quantity]:
    """Mean of error vectors, shape (n, 3), with Hotelling's simultaneous intervals, and the p value of zero bias.

    Needs n >= 5 for the three axes together (with 4 the F distribution has one degree of freedom and says
    nothing); below that the axes get Student's intervals one by one.
    """
    n = len(e)
    axes = (e[:, 0], e[:, 1], e[:, 2])
    if n < 5 or np.linalg.matrix_rank(e - e.mean(axis=0)) < 3:
        single = (mean(axes[0], unit), mean(axes[1], unit), mean(axes[2], unit))
        why = f"n = {n}: a test of three axes together needs at least 5"
        if n >= 5:
            why = "an axis does not vary by itself: no test of three axes together"
        return single, refused("", n, why, "Hotelling T2")
    # Johnson & Wichern, Applied Multivariate Statistical Analysis, result 5.3. (statsmodels' confint_mvmean divides the
    # covariance by n instead of n - 1 there, which makes the intervals of small samples too narrow.)
    scale = 3 * (n - 1) / (n - 3) * float(stats.f.ppf(LEVEL, 3, n - 3))
    half = np.sqrt(scale * np.var(e, axis=0, ddof=1) / n)
    found = [
        Quantity(float(c), unit, n, float(c - h), float(c + h), LEVEL, "Hotelling, simultaneous")
        for c, h in zip(e.mean(axis=0), half, strict=True)
    ]
    p = float(test_mvmean(e, np.zeros(3)).pvalue)
    return (found[0], found[1], found[2]), Quantity(p, "", n, method="Hotelling T2, p value")
