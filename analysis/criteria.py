"""Judging the criteria that the study file fixed beforehand.

Decision rule, the same for all: PASS when the one-sided 95 % bound meets the limit (risk of a false pass at most
5 %), MARGINAL when only the estimate meets it, FAIL when the estimate does not, NOT EVALUATED when the statistic
cannot be computed. A maximum has no bound: it is compared as it is. Data of a simulator are judged in the conditional.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis import intervals
from analysis.group import closed, column
from analysis.results import CriterionResult, Quantity
from hal.errors import ConfigError
from rig.record import NAMES, Row

PASS, MARGINAL, FAIL, NOT_EVALUATED = "PASS", "MARGINAL", "FAIL", "NOT EVALUATED"
CONDITIONAL = {PASS: "WOULD PASS", MARGINAL: "WOULD BE MARGINAL", FAIL: "WOULD FAIL", NOT_EVALUATED: NOT_EVALUATED}
STATISTICS = ("tolerance_95_95", "mean", "median", "p95", "success_lower_95", "max")


@dataclass(frozen=True)
class Criterion:
    """One ``[[criteria]]`` table of ``study.toml``."""

    identity: str
    text: str
    metric: str
    statistic: str
    select: dict[str, str]
    comparison: str
    limit: float
    unit: str
    source: str

    @staticmethod
    def from_toml(table: dict[str, Any]) -> Criterion:
        """Read one table; raises ``ConfigError`` naming what is wrong with it."""
        name = str(table.get("id", "?"))
        try:
            criterion = Criterion(
                name,
                str(table.get("text", name)),
                str(table["metric"]),
                str(table["statistic"]),
                {str(key): str(value) for key, value in dict(table.get("select", {})).items()},
                str(table["comparison"]),
                float(table["limit"]),
                str(table.get("unit", "")),
                str(table.get("source", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"study.toml, criterion {name}: {error}") from error
        if criterion.statistic not in STATISTICS:
            raise ConfigError(f"study.toml, criterion {name}: unknown statistic {criterion.statistic!r}")
        if criterion.comparison not in ("<=", ">="):
            raise ConfigError(f"study.toml, criterion {name}: comparison must be <= or >=")
        unknown = sorted({criterion.metric, *criterion.select} - set(NAMES))
        if unknown:
            raise ConfigError(f"study.toml, criterion {name}: unknown column {', '.join(unknown)}")
        return criterion

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        return [row for row in rows if all(str(row[key]) == value for key, value in self.select.items())]

    def meets(self, value: float) -> bool:
        return value <= self.limit if self.comparison == "<=" else value >= self.limit


def judge(criterion: Criterion, rows: Sequence[Row], *, simulated: bool) -> CriterionResult:
    """Judge one criterion on all trials of the run (interrupted ones do not count)."""
    chosen = criterion.rows(closed(rows))
    estimate, bound = _statistic(criterion, chosen)
    if bound.value is None or estimate.value is None:
        verdict, reason = NOT_EVALUATED, bound.note or estimate.note
    elif criterion.meets(bound.value):
        verdict, reason = PASS, "the 95 % bound meets the limit"
    elif criterion.meets(estimate.value):
        verdict, reason = MARGINAL, "the estimate meets the limit, its 95 % bound does not"
    else:
        verdict, reason = FAIL, "the estimate does not meet the limit"
    missing = len(chosen) - bound.n
    if missing and criterion.statistic != "success_lower_95":
        reason += f"; {missing} of {len(chosen)} trials have no {criterion.metric}"
    return CriterionResult(
        identity=criterion.identity,
        text=criterion.text,
        metric=criterion.metric,
        statistic=criterion.statistic,
        comparison=criterion.comparison,
        limit=criterion.limit,
        unit=criterion.unit,
        select=", ".join(f"{key} = {value}" for key, value in sorted(criterion.select.items())) or "all trials",
        source=criterion.source,
        estimate=estimate,
        bound=bound,
        verdict=CONDITIONAL[verdict] if simulated else verdict,
        reason=reason,
    )


def _statistic(criterion: Criterion, rows: Sequence[Row]) -> tuple[Quantity, Quantity]:
    """Estimate, and the bound that the limit is compared with."""
    upper = criterion.comparison == "<="
    if criterion.statistic == "success_lower_95":
        count = sum(row[criterion.metric] is True for row in rows)
        return intervals.proportion(count, len(rows)).share, intervals.proportion_bound(count, len(rows), lower=True)
    x = column(rows, criterion.metric)
    unit = criterion.unit
    if criterion.statistic == "mean":
        return intervals.mean(x, unit), intervals.mean_bound(x, unit, upper=upper)
    if criterion.statistic == "max":
        return intervals.largest(x, unit), intervals.largest(x, unit)
    if criterion.statistic == "tolerance_95_95":
        if not upper:
            return intervals.quantile(x, 0.05, unit), intervals.refused(unit, len(x), "only upper bounds are made")
        return _tolerance_estimate(x, unit), intervals.tolerance_bound(x, unit)
    p = 0.5 if criterion.statistic == "median" else 0.95
    return intervals.quantile(x, p, unit), intervals.quantile_bound(x, p, unit, upper=upper)


def _tolerance_estimate(x: intervals.Sample, unit: str) -> Quantity:
    """The 95 % quantile by the same model as the bound, without its confidence."""
    bound = intervals.tolerance_bound(x, unit)
    if bound.value is not None and "log-normal" in bound.method:
        logs = np.log(x)
        value = float(np.exp(np.mean(logs) + 1.6448536 * np.std(logs, ddof=1)))  # z of 95 %
        return Quantity(value, unit, len(x), method="95 % quantile, log-normal")
    return intervals.quantile(x, 0.95, unit)


def overall(results: Sequence[CriterionResult], faults: Sequence[str], *, simulated: bool) -> tuple[str, str]:
    """One verdict for the run and the reason for it."""
    if faults:
        return NOT_EVALUATED, "the record is not intact"
    if not results:
        return NOT_EVALUATED, "the study file holds no criterion"
    names = CONDITIONAL if simulated else {name: name for name in CONDITIONAL}
    for verdict in (FAIL, NOT_EVALUATED, MARGINAL):
        hit = [result.identity for result in results if result.verdict == names[verdict]]
        if hit:
            return names[verdict], f"criterion {', '.join(hit)}"
    return names[PASS], "all criteria"
