"""Check of the prediction against the errors found, and effect of the measurement's uncertainty on a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis import intervals
from analysis.quantity import Quantity
from analysis.results import CriterionResult
from analysis.uncertainty.budget import LEVEL, Budget, Comparison, Guard, one_sided
from analysis.uncertainty.draws import region_limit

JUDGED = ("tte_mm", "tte_lat_mm", "tte_axial_mm")
"""Errors whose tip comes from the reference instrument (as ``experiments.decidable``)."""
PARTLY = ", as far as it is known"
"""Behind the standing of an incomplete guard band."""
ACCEPTED = ("PASS", "WOULD PASS")


@dataclass(frozen=True)
class Predicted:
    """One trial: error found, error seen when the needle stood, and the covariance of their difference."""

    found_mm: NDArray[np.float64]
    seen_mm: NDArray[np.float64]
    covariance_mm2: NDArray[np.float64]
    """Covariance of the prediction and of the measurement together."""
    dof: float | None
    shared: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Part of the covariance that other trials share, by cause: roots (3, k); trials i and j have the covariance
    B_i B_j' (``uncertainty_budget_parts.shared_roots``)."""

    @property
    def square(self) -> float:
        """Squared distance in units of the covariance."""
        away = self.found_mm - self.seen_mm
        return float(away @ np.linalg.solve(self.covariance_mm2, away))

    @property
    def inside(self) -> bool:
        return self.square <= region_limit(self.dof)


def joint_square(trials: Sequence[Predicted]) -> float:
    """Squared distance of all errors together in units of their joint covariance: chi-squared with 3 n degrees of
    freedom if the prediction holds, however much the trials share.

    The joint covariance is D + S S' with the trials' own parts on the blocks of D and the shared roots in S; its
    inverse by Woodbury's identity, so that the cost grows with n alone.
    """
    widths = {key: root.shape[1] for t in trials for key, root in t.shared.items()}
    starts = dict(zip(sorted(widths), np.cumsum([0, *(widths[k] for k in sorted(widths))]), strict=False))
    m = sum(widths.values())
    square, pull, weight = 0.0, np.zeros(m), np.eye(m)
    for t in trials:
        root = np.zeros((3, m))
        for key, own in t.shared.items():
            root[:, starts[key] : starts[key] + own.shape[1]] = own
        inverse = np.linalg.inv(t.covariance_mm2 - root @ root.T)
        away = t.found_mm - t.seen_mm
        square += float(away @ inverse @ away)
        pull += root.T @ inverse @ away
        weight += root.T @ inverse @ root
    return square - float(pull @ np.linalg.solve(weight, pull))


def compare(label: str, plane: str, trials: Sequence[Predicted]) -> Comparison:
    """Share inside the predicted regions, and the size of the errors in units of the predicted ones."""
    n = len(trials)
    inside = intervals.proportion(sum(t.inside for t in trials), n)
    if not n:
        empty = intervals.refused("", 0, "no trial with a prediction and a measured tip")
        return Comparison(label, plane, 0, inside, empty, None, None, "Nothing to compare.", False)
    size = math.sqrt(joint_square(trials) / (3 * n))
    lo, hi = (math.sqrt(float(stats.chi2.ppf(p, 3 * n)) / (3 * n)) for p in (0.5 - LEVEL / 2, 0.5 + LEVEL / 2))
    found = math.sqrt(float(np.mean([t.found_mm @ t.found_mm for t in trials])))
    predicted = math.sqrt(float(np.mean([t.seen_mm @ t.seen_mm + np.trace(t.covariance_mm2) for t in trials])))
    finding, contradicted = _finding(n, inside.share, size, lo, hi)
    quantity = Quantity(size, "", n, lo, hi, LEVEL, "chi-squared, if the prediction holds")
    return Comparison(label, plane, n, inside, quantity, predicted, found, finding, contradicted)


def _finding(n: int, share: Quantity, size: float, lo: float, hi: float) -> tuple[str, bool]:
    """The rule: the prediction is wrong when 95 % lies outside the interval of the share, or the size outside its
    own."""
    below = share.hi is not None and share.hi < LEVEL
    above = share.lo is not None and share.lo > LEVEL
    if below or size > hi:
        return f"The prediction is too small: errors are {size:.2f} times as large as their budget.", True
    if above or size < lo:
        return f"The prediction is too wide: errors are {size:.2f} times as large as their budget.", True
    least = f"{share.lo:.2f}" if share.lo is not None else "any"
    return f"No contradiction; with n = {n} a true share of {least} inside would look the same.", False


def guard(criterion: CriterionResult, budgets: Sequence[Budget]) -> Guard | None:
    """The guard band of a criterion on a measured error, by the largest uncertainty among its approaches' budgets.

    None for a criterion that the reference instrument does not decide.
    """
    if criterion.metric not in JUDGED or criterion.unit != "mm":
        return None
    compared = criterion.bound.value if criterion.statistic != "max" else criterion.estimate.value
    known = [b for b in budgets if b.combined is not None]
    if not known:
        standing = "the uncertainty of the measurement is not known: no guard band"
        accepted = criterion.verdict in ACCEPTED
        return Guard(criterion.identity, None, False, None, None, None, compared, standing, accepted)
    widest = max(known, key=lambda b: one_sided(b.dof) * (b.combined or 0.0))
    u, factor = widest.combined or 0.0, one_sided(widest.dof)
    band = factor * u
    complete = len(known) == len(budgets) and all(b.complete for b in known)
    upper = criterion.comparison == "<="
    accept = criterion.limit - band if upper else criterion.limit + band
    standing, inside = _standing(criterion, compared, accept, band, upper)
    if not complete and compared is not None:
        standing += PARTLY
    changes = criterion.verdict in ACCEPTED and inside
    return Guard(criterion.identity, u, complete, factor, band, accept, compared, standing, changes)


def _standing(
    criterion: CriterionResult, compared: float | None, accept: float, band: float, upper: bool
) -> tuple[str, bool]:
    """ILAC-G8:09/2019, 4.2.3: four answers instead of two; and whether it is the conditional acceptance."""
    if compared is None:
        return "there is no bound to compare", False
    sign = 1.0 if upper else -1.0
    over = sign * (compared - criterion.limit)
    if sign * (compared - accept) <= 0.0:
        return "meets the limit with its guard band", False
    if over <= 0.0:
        return "meets the limit, but within its guard band", True
    if over <= band:
        return "misses the limit, but within its guard band", False
    return "misses the limit with its guard band", False
