"""Judging the criteria that the study file fixed beforehand.

Decision rule: PASS when the one-sided 95 % bound meets the limit (risk of a false pass at most 5 %, trials taken as
independent), MARGINAL when only the estimate meets it, FAIL when the estimate does not, NOT EVALUATED when the
statistic cannot be computed. A maximum has no bound: it is compared as it is and promises nothing. Data of a simulator
are judged in the conditional.

With more than one bench all bounds go by the bench (``analysis.clusters``): trials on one bench share its errors.

Four things take a verdict away. An exploratory study has none: what it would be judged by was not fixed before its
first trial (``exploratory``). A study that did not go to its planned end has none, since who stops when the figures
please has another risk than the 5 % (``shortfall``). And a number that some of the trials do not have is not known of
all of them: what was measured can fail the limit, but not meet it (``docs/decisions/0008``). And an arm of which device
faults ended more than one trial in twenty: whoever loses so many no longer knows that they were lost at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis import clusters, intervals
from analysis.criterion import Criterion
from analysis.group import PLANES, benches, closed, column, faulted, holds_true, not_evaluated
from analysis.quantity import Quantity
from analysis.results import Accounting, CriterionResult
from analysis.tables import DataFrame, concat, measured

PASS, MARGINAL, FAIL, NOT_EVALUATED = "PASS", "MARGINAL", "FAIL", "NOT EVALUATED"
CONDITIONAL = {PASS: "WOULD PASS", MARGINAL: "WOULD BE MARGINAL", FAIL: "WOULD FAIL", NOT_EVALUATED: NOT_EVALUATED}
RESTS_ON_VIOLATIONS = ("success", "first_pass_success")
FAULT_SHARE_MAX = 0.05
"""Share of an arm's trials that device faults may end; above it there is no verdict (project default)."""
TOO_FAULTY = f"device faults ended more than {FAULT_SHARE_MAX:.0%} of an arm"
BY_CONSTRUCTION = "by construction: the phantom stands within millimetres of where the rig file has it"
"""Note on the right level, unless the study shifts its cartridges by a level (``design.level_shift``)."""
GRAVE = ("V1", "V2", "V3", "V5", "V6")
"""Codes that forfeit success and that a phantom can show (V4 has no surrogate in any)."""


def exploratory(study: Mapping[str, Any]) -> str:
    """Reason why a study (``study.toml``) can judge nothing; empty where criteria were fixed before the first trial."""
    stated = str(study.get("study", {}).get("exploratory", ""))
    return stated or ("" if study.get("criteria") else "no criterion was fixed before the first trial")


def shortfall(account: Accounting, ended: str) -> str:
    """Reason why the plan was not carried out as written, with the run's own reason for ending; empty when it was."""
    if not account.planned_n:
        return "the record holds no plan of its trials"
    interrupted_n = account.interrupted_n - account.interrupted_repeated_n
    lost = len(account.never_closed) + interrupted_n + len(account.not_repeated)
    if lost:
        how = f"{len(account.never_closed)} never closed, {interrupted_n} interrupted and not repeated"
        if account.not_repeated:
            how += f", {len(account.not_repeated)} ended by a device fault and not repeated"
        why = f"; the run ended: {ended.removeprefix('ended early: ')}" if ended else ""
        return f"{lost} of {account.planned_n} planned trials are missing ({how}){why}"
    if account.unplanned:
        return f"{len(account.unplanned)} trials are not in the plan"
    many = [
        f"{n} of {of} {PLANES.get(arm, arm)} trials"
        for arm, (n, of) in account.device_fault_arms.items()
        if n > FAULT_SHARE_MAX * of
    ]
    return f"{TOO_FAULTY}: {', '.join(many)}" if many else ""


def judge(
    criterion: Criterion,
    trials: DataFrame,
    *,
    simulated: bool,
    short: str = "",
    level_shift: bool = False,
    explores: str = "",
) -> CriterionResult:
    """Judge one criterion on all trials of the run (interrupted ones do not count).

    ``short`` is the study's ``shortfall``, ``explores`` why it is exploratory: with one there is a number, but no
    verdict. ``level_shift``: the phantom
    stood on a level that nobody knew; else the right level was given with the fixture.
    """
    chosen, lost = criterion.chosen(closed(trials)), criterion.chosen(faulted(trials))
    estimate, bound = _statistic(criterion, chosen)
    estimate_all, bound_all = _statistic(criterion, concat([chosen, lost])) if len(lost) else (estimate, bound)
    verdict, reason = _verdict(criterion, estimate, bound)
    if len(lost):
        other, _ = _verdict(criterion, estimate_all, bound_all)
        says = "the same" if other == verdict else (CONDITIONAL[other] if simulated else other)
        reason += f"; with the {len(lost)} trials that device faults ended: {says}"
    unmeasured = 0 if criterion.statistic == "success_lower_95" else len(chosen) - estimate.n
    if unmeasured:
        words = f"{unmeasured} of {len(chosen)} trials have no {criterion.metric}"
        if verdict in (PASS, MARGINAL):
            verdict, reason = NOT_EVALUATED, f"{words}: what the others show is not known of all"
        else:
            reason += f"; {words}"
    if criterion.metric == "level_correct" and not level_shift:
        reason += f"; {BY_CONSTRUCTION}"
    if criterion.metric in RESTS_ON_VIOLATIONS:
        reason += _unseen(criterion, chosen)
    if short:
        faulty = short.startswith(TOO_FAULTY)
        verdict, reason = NOT_EVALUATED, short if faulty else "the study was not carried out as planned"
    if explores:
        verdict, reason = NOT_EVALUATED, "the study is exploratory"
    return CriterionResult(
        identity=criterion.id,
        text=criterion.text,
        metric=criterion.metric,
        statistic=criterion.statistic,
        comparison=criterion.comparison,
        limit=criterion.limit,
        unit=criterion.unit,
        select=", ".join(f"{key} = {' or '.join(values)}" for key, values in sorted(criterion.choices.items()))
        or "all trials",
        source=criterion.source,
        estimate=estimate,
        bound=bound,
        verdict=CONDITIONAL[verdict] if simulated else verdict,
        reason=reason,
        estimate_with_faults=estimate_all,
        bound_with_faults=bound_all,
    )


def _verdict(criterion: Criterion, estimate: Quantity, bound: Quantity) -> tuple[str, str]:
    """Verdict by the numbers alone."""
    if criterion.statistic == "max":
        if estimate.value is None:
            return NOT_EVALUATED, estimate.note
        if criterion.meets(estimate.value):
            return PASS, "the largest value seen meets the limit; nothing is claimed beyond these trials"
        return FAIL, "the largest value seen does not meet the limit"
    if bound.value is None or estimate.value is None:
        return NOT_EVALUATED, bound.note or estimate.note
    if criterion.meets(bound.value):
        return PASS, "the 95 % bound meets the limit"
    if criterion.meets(estimate.value):
        return MARGINAL, "the estimate meets the limit, its 95 % bound does not"
    return FAIL, "the estimate does not meet the limit"


def _unseen(criterion: Criterion, trials: DataFrame) -> str:
    """Violations that could not be evaluated in successful trials, because nothing on the bench could show them."""
    good = trials[holds_true(trials, criterion.metric)]
    found = {code: n for code, n in not_evaluated(good).items() if code.split()[0] in GRAVE}
    if not found:
        return ""
    return f"; not looked for in {max(found.values())} of {len(good)} successes: {', '.join(found)}"


def _statistic(criterion: Criterion, trials: DataFrame) -> tuple[Quantity, Quantity]:
    """Estimate, and the bound that is compared with the limit; computed over benches where there are several."""
    upper = criterion.comparison == "<="
    names = benches(trials)
    several = len(set(names)) > 1
    if criterion.statistic == "success_lower_95":
        hits = holds_true(trials, criterion.metric)
        estimate = intervals.proportion(int(hits.sum()), len(hits)).share
        if several:
            return estimate, clusters.share_bound(hits, names, lower=True)
        return estimate, intervals.proportion_bound(int(hits.sum()), len(hits), lower=True)
    x, unit = column(trials, criterion.metric), criterion.unit
    names = benches(measured(trials, criterion.metric))
    if criterion.statistic == "mean":
        bound = clusters.mean_bound(x, names, unit, upper=upper) if several else None
        return intervals.mean(x, unit), bound or intervals.mean_bound(x, unit, upper=upper)
    if criterion.statistic == "max":
        return intervals.largest(x, unit), intervals.refused(unit, len(x), "a largest value has no bound")
    if criterion.statistic == "tolerance_95_95":
        bound = clusters.tolerance_bound(x, names, unit) if several else None
        return _tolerance_estimate(x, unit), bound or intervals.tolerance_bound(x, unit)
    p = 0.5 if criterion.statistic == "median" else 0.95
    bound = clusters.quantile_bound(x, names, p, unit, upper=upper) if several else None
    return intervals.quantile(x, p, unit), bound or intervals.quantile_bound(x, p, unit, upper=upper)


def _tolerance_estimate(x: intervals.Sample, unit: str) -> Quantity:
    """The 95 % quantile by the same model as the bound, without its confidence."""
    bound = intervals.tolerance_bound(x, unit)
    if bound.value is not None and "log-normal" in bound.method:
        logs = np.log(x)
        value = float(np.exp(np.mean(logs) + 1.6448536 * np.std(logs, ddof=1)))  # z of 95 %
        return Quantity(value, unit, len(x), method="95 % quantile, log-normal")
    return intervals.quantile(x, 0.95, unit)


def overall(
    results: Sequence[CriterionResult], faults: Sequence[str], *, simulated: bool, short: str = "", explores: str = ""
) -> tuple[str, str]:
    """One verdict for the run and the reason for it; ``short`` and ``explores`` as for ``judge``."""
    if faults:
        return NOT_EVALUATED, "the record is not intact"
    if explores:
        return NOT_EVALUATED, f"exploratory: {explores}"
    if not results:
        return NOT_EVALUATED, "there is no criterion"
    if short:
        return NOT_EVALUATED, short
    names = CONDITIONAL if simulated else {name: name for name in CONDITIONAL}
    for verdict in (FAIL, NOT_EVALUATED, MARGINAL):
        hit = [result.identity for result in results if result.verdict == names[verdict]]
        if hit:
            return names[verdict], f"criterion {', '.join(hit)}"
    return names[PASS], "all criteria"
