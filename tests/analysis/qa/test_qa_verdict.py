"""Figures of a QA test against their limits, by the decision rule of the acceptance file."""

from __future__ import annotations

import pytest

from analysis.qa.acceptance import Acceptance
from analysis.qa.outcome import Figure, Outcome, share_of
from analysis.qa.report import number
from analysis.qa.verdict import judge, reference_faults


def acceptance(*criteria: dict[str, object], rule: str = "guarded", **reference: object) -> Acceptance:
    return Acceptance.model_validate(
        {
            "id": "t", "test": "tracker_still", "title": "t", "method": {"document": "own"},
            "reference": {"name": "gauge", **reference}, "criteria": criteria, "decision_rule": rule,
        }
    )  # fmt: skip


def limit(comparison: str, value: float | None, unit: str = "mm") -> dict[str, object]:
    return {"id": "C", "figure": "f", "comparison": comparison, "limit": value, "unit": unit}


def found(value: float | None, u: float | None = 0.01, unit: str = "mm") -> Outcome:
    return Outcome((Figure("f", "a figure", value, unit, u),))


@pytest.mark.parametrize(
    ("comparison", "bound", "value", "verdict"),
    [
        ("<=", 1.0, 0.97, "PASS"), ("<=", 1.0, 0.99, "MARGINAL"), ("<=", 1.0, 1.001, "FAIL"),
        (">=", 1.0, 1.03, "PASS"), (">=", 1.0, 1.01, "MARGINAL"), (">=", 1.0, 0.99, "FAIL"),
        ("within", 1.0, -0.97, "PASS"), ("within", 1.0, -0.99, "MARGINAL"), ("within", 1.0, -1.01, "FAIL"),
    ],
)  # fmt: skip
def test_a_figure_passes_when_it_meets_its_limit_by_its_expanded_uncertainty(comparison, bound, value, verdict):
    assert judge(acceptance(limit(comparison, bound)), found(value), simulated=False).word == verdict


@pytest.mark.parametrize("comparison", ["<=", ">=", "within"])
def test_a_figure_at_its_limit_meets_it(comparison):
    assert judge(acceptance(limit(comparison, 1.0), rule="simple"), found(1.0), simulated=False).word == "PASS"
    assert judge(acceptance(limit(comparison, 1.0)), found(1.0, 0.0), simulated=False).word == "PASS"


def test_a_figure_that_fails_is_not_hidden_by_one_that_was_not_evaluated():
    both = acceptance(limit("<=", 1.0), {**limit("<=", 1.0), "id": "D", "figure": "g"})
    verdict = judge(both, found(1.5), simulated=False)
    assert verdict.word == "FAIL" and [j.verdict for j in verdict.judged] == ["FAIL", "NOT EVALUATED"]


def test_data_that_allow_no_figure_are_not_reported_even_without_a_limit():
    for criteria in ((), (limit("<=", None),)):
        verdict = judge(acceptance(*criteria), Outcome((), invalid="a gap"), simulated=False)
        assert (verdict.word, verdict.reason) == ("NOT EVALUATED", "a gap")


def test_a_simulated_device_would_pass_and_never_passes():
    assert judge(acceptance(limit("<=", 1.0)), found(0.5), simulated=True).word == "WOULD PASS"
    assert judge(acceptance(limit("<=", 1.0)), found(1.5), simulated=True).word == "WOULD FAIL"


def test_without_an_uncertainty_a_guarded_figure_is_marginal_and_a_simple_one_passes():
    assert judge(acceptance(limit("<=", 1.0)), found(0.5, None), simulated=False).word == "MARGINAL"
    assert judge(acceptance(limit("<=", 1.0), rule="simple"), found(0.5, None), simulated=False).word == "PASS"


def test_what_was_not_evaluated_is_no_pass_and_says_why():
    nothing = Outcome((Figure("f", "a figure", None, "mm", why="only one direction was recorded"),))
    verdict = judge(acceptance(limit("<=", 1.0)), nothing, simulated=False)
    assert verdict.word == "NOT EVALUATED" and "only one direction" in verdict.reason
    assert judge(acceptance(limit("<=", 1.0)), Outcome((), invalid="a gap"), simulated=False).word == "NOT EVALUATED"
    assert judge(acceptance(limit("<=", 1.0, "um")), found(0.5), simulated=False).word == "NOT EVALUATED"


def test_the_worst_criterion_is_the_verdict_and_one_without_a_limit_is_reported():
    both = acceptance(limit("<=", 1.0), {**limit("<=", 0.1), "id": "D"}, {**limit("<=", None), "id": "E"})
    verdict = judge(both, found(0.5), simulated=False)
    assert verdict.word == "FAIL" and [j.verdict for j in verdict.judged] == ["PASS", "FAIL", "REPORTED"]
    assert judge(acceptance(limit("<=", None)), found(0.5), simulated=False).word == "REPORTED"


def test_a_reference_that_is_too_uncertain_for_a_limit_is_refused_with_one_that_would_do():
    outcome = acceptance(limit("<=", 0.05), expanded_uncertainty=0.3, unit="mm", instead="a laser tracker (15 um)")
    (fault,) = reference_faults(outcome.reference, outcome.criteria)
    assert "U = 0.3 mm" in fault and "25 %" in fault and "a laser tracker (15 um) would do" in fault
    assert "dial gauge" in fault, "instruments that would do are named"
    fine = acceptance(limit("<=", 0.05), expanded_uncertainty=0.0125, unit="mm")
    assert reference_faults(fine.reference, fine.criteria) == []
    small = acceptance({**limit("<=", 0.05), "expected": 0.01}, expanded_uncertainty=0.0125, unit="mm")
    assert "0.0025 mm is allowed" in reference_faults(small.reference, small.criteria)[0]
    unknown = acceptance(limit("<=", 0.05), unit="mm")
    assert "nobody has stated" in reference_faults(unknown.reference, unknown.criteria)[0]


def test_the_uncertainty_of_no_event_in_many_is_not_zero():
    none = share_of("s", "s", 0, 100)
    assert none.value == 0.0 and none.u == pytest.approx(0.0098, abs=2e-4)


@pytest.mark.parametrize(
    ("value", "expanded", "text"),
    [(-0.004554, 0.0549, "-0.005 %"), (15.2538, 0.6123, "15.25 %"), (0.3493, None, "0.3493 %"), (312.4, 29.0, "312 %")],
)
def test_a_figure_is_printed_to_two_digits_of_its_uncertainty(value, expanded, text):
    assert number(value, "%", expanded) == text
