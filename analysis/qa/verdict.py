"""Figures against the limits of the acceptance file, by the decision rule that it states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.qa.acceptance import Acceptance, Limit, Reference
from analysis.qa.methods.reference import ReferenceRule, may_decide
from analysis.qa.outcome import Figure, Outcome

PASS, MARGINAL, FAIL = "PASS", "MARGINAL", "FAIL"
NOT_EVALUATED, REPORTED = "NOT EVALUATED", "REPORTED"
_ORDER = (FAIL, NOT_EVALUATED, MARGINAL, PASS)
"""The worst one is the verdict of the test."""


@dataclass(frozen=True)
class Judged:
    """One criterion with its figure and its verdict."""

    limit: Limit
    figure: Figure | None
    verdict: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """Verdict of a whole test."""

    word: str
    """``WOULD PASS`` and the like when a simulated device took part."""
    reason: str
    judged: tuple[Judged, ...]


def judge(acceptance: Acceptance, outcome: Outcome, simulated: bool) -> Verdict:
    """Judge every criterion; the test has the worst verdict of those with a limit."""
    judged = tuple(_one(acceptance, limit, outcome) for limit in acceptance.criteria)
    words = {j.verdict for j in judged if j.verdict != REPORTED}
    word = next((w for w in _ORDER if w in words), REPORTED)
    if outcome.invalid:
        return Verdict(NOT_EVALUATED, outcome.invalid, judged)
    reason = "; ".join(f"{j.limit.id}: {j.reason}" for j in judged if j.verdict == word and word != PASS)
    if word == REPORTED:
        reason = "no criterion has a limit: the figures are reported"
    would = "WOULD " if simulated and word in (PASS, FAIL) else ""
    return Verdict(would + word, reason or "all criteria", judged)


def _one(acceptance: Acceptance, limit: Limit, outcome: Outcome) -> Judged:
    figure = outcome.figure(limit.figure)
    if outcome.invalid:
        return Judged(limit, None, NOT_EVALUATED, outcome.invalid)
    if figure is None:
        return Judged(limit, None, NOT_EVALUATED, f"the test gives no figure {limit.figure!r}")
    if figure.value is None:
        return Judged(limit, figure, NOT_EVALUATED, figure.why or "not evaluated")
    if limit.unit != figure.unit:
        why = f"the limit is in {limit.unit or 'no unit'}, the figure in {figure.unit or 'no unit'}"
        return Judged(limit, figure, NOT_EVALUATED, why)
    if limit.limit is None:
        return Judged(limit, figure, REPORTED, "no limit stated")
    return Judged(limit, figure, *_decide(acceptance, limit, figure))


def _decide(acceptance: Acceptance, limit: Limit, figure: Figure) -> tuple[str, str]:
    assert figure.value is not None
    meets = limit.meets(figure.value)
    if not meets:
        return FAIL, f"{figure.value:.4g} {figure.unit} does not meet {limit.words}".replace("  ", " ")
    if acceptance.decision_rule == "simple":
        return PASS, "the figure meets the limit"
    if figure.expanded is None:
        return MARGINAL, "the figure meets the limit, and its uncertainty is not known"
    worst = figure.value + figure.expanded if limit.comparison == "<=" else figure.value - figure.expanded
    if limit.comparison == "within":
        worst = abs(figure.value) + figure.expanded
    if limit.meets(worst):
        return PASS, f"meets the limit by more than its expanded uncertainty ({figure.expanded:.2g} {figure.unit})"
    return MARGINAL, f"meets the limit by less than its expanded uncertainty ({figure.expanded:.2g} {figure.unit})"


def reference_faults(reference: Reference, criteria: Sequence[Limit]) -> list[str]:
    """Limits that this reference may not decide, each with the reason and an instrument that would do.

    Only limits in the unit of the reference are compared: a share in percent says nothing of millimetres by itself.
    """
    share = reference.share_max
    rule = ReferenceRule("acceptance file", f"at most {100 * share:.0f} % of limit or expected figure", share, True)
    faults = []
    for limit in criteria:
        if limit.limit is None or limit.unit != reference.unit or not reference.unit:
            continue
        found = may_decide(
            rule, reference.expanded_uncertainty, unit=limit.unit, limit=limit.limit, expected=limit.expected
        )
        if not found.allowed:
            instead = f"; {reference.instead} would do" if reference.instead else ""
            faults.append(f"{limit.id}: {reference.name}: {found.words}{instead}")
    return faults
