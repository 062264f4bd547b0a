"""Uncertainty budgets: worked examples, shares, rows that nobody stated, Monte Carlo."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.uncertainty.budget import Part, combine, coverage, one_sided, pooled
from analysis.uncertainty.draws import check_lengths, check_region, digit_tolerance, draws, region_limit, summed


def _scalar(name: str, u: float, sensitivity: float, dof: float | None) -> Part:
    return Part(name, None, "", u, "", "normal", dof, (sensitivity * u) ** 2, "example", "GUM")


def _axes(u: float | None, how: str = "normal", dof: float | None = None, name: str = "place") -> Part:
    if u is None:
        return Part(name, None, "", None, "mm", how, None, None, "not known", "nobody")
    return Part(name, None, "", u, "mm", how, dof, u**2, "rig file", "stated", u**2 * np.eye(3))


def test_the_end_gauge_of_the_gum_comes_out_as_printed() -> None:
    """JCGM 100:2008, H.1: u_c = 32 nm, 16 degrees of freedom, U99 = 93 nm with k = 2.92."""
    length_nm = 50_000_623.0
    alpha = 11.5e-6
    rows = [
        _scalar("calibration of the standard", 25.0, 1.0, 18.0),
        _scalar("difference of the end gauges", 9.7, 1.0, 25.6),
        _scalar("thermal expansion of the standard", 1.2e-6, 0.0, None),
        _scalar("temperature of the bed", 0.41, 0.0, None),
        _scalar("difference of the expansions", 0.58e-6, -length_nm * -0.1, 50.0),
        _scalar("difference of the temperatures", 0.029, -length_nm * alpha, 2.0),
    ]
    budget = combine(rows, measurand="length of an end gauge", unit="nm", level=0.99)
    assert budget.combined == pytest.approx(32.0, abs=0.5)
    assert budget.dof is not None and math.floor(budget.dof) == 16
    assert budget.coverage_factor == pytest.approx(2.92, abs=0.005)
    assert budget.expanded == pytest.approx(93.0, abs=1.0)
    assert [round(r.contribution or 0.0, 1) for r in budget.rows] == [25.0, 9.7, 0.0, 0.0, 2.9, 16.7]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-3, 50.0), st.floats(-5.0, 5.0)), min_size=1, max_size=9))
def test_shares_sum_to_one_and_contributions_to_the_whole(rows: list[tuple[float, float]]) -> None:
    budget = combine([_scalar("a", u, c, None) for u, c in rows], measurand="m")
    assert budget.combined is not None
    if budget.combined > 0.0:
        assert sum(r.share or 0.0 for r in budget.rows) == pytest.approx(1.0)
    assert math.sqrt(sum((r.contribution or 0.0) ** 2 for r in budget.rows)) == pytest.approx(budget.combined)
    for row in budget.rows:
        assert row.standard_uncertainty is not None and row.sensitivity is not None
        assert row.sensitivity * row.standard_uncertainty == pytest.approx(row.contribution)


def test_a_row_that_nobody_stated_makes_the_budget_incomplete_and_is_not_zero() -> None:
    budget = combine([_axes(0.3), _axes(None, name="phantom")], measurand="m")
    assert not budget.complete and budget.missing == ("phantom",)
    assert budget.rows[1].contribution is None and budget.rows[1].share is None
    assert budget.combined == pytest.approx(0.3)


def test_a_budget_of_which_nothing_is_known_gives_no_number() -> None:
    budget = combine([_axes(None), _axes(None)], measurand="m")
    assert budget.combined is None and budget.expanded is None and not budget.complete


def test_a_part_that_one_trial_lacks_is_not_known_of_the_approach() -> None:
    (part,) = pooled([[_axes(0.3)], [_axes(None)]])
    assert part.u is None and part.variance is None and part.kind == "not known"


def test_trials_are_pooled_by_their_variances() -> None:
    (part,) = pooled([[_axes(0.3, dof=10.0)], [_axes(0.4, dof=4.0)]])
    assert part.variance == pytest.approx((0.09 + 0.16) / 2)
    assert part.dof == 4.0
    assert part.covariance_mm2 is not None and np.allclose(part.covariance_mm2, 0.125 * np.eye(3))


def test_the_factors_are_students() -> None:
    assert coverage(None) == pytest.approx(1.960, abs=1e-3)
    assert coverage(16.7, 0.99) == pytest.approx(2.921, abs=1e-3)
    assert one_sided(None) == pytest.approx(1.645, abs=1e-3)


@pytest.mark.parametrize(("u", "tolerance"), [(0.31, 0.005), (0.0999, 0.005), (1.4, 0.05), (0.096, 0.0005)])
def test_the_tolerance_is_half_of_the_second_digit(u: float, tolerance: float) -> None:
    assert digit_tolerance(u) == pytest.approx(tolerance)


def test_draws_have_the_covariances_that_were_summed() -> None:
    line = Part(
        "l", None, "", 1.0, "s", "rectangular", None, 0.25, "a", "b", np.outer([0.0, 0.3, 0.4], [0.0, 0.3, 0.4])
    )
    parts = [_axes(0.5), line, _axes(None)]
    samples = draws(parts, 200_000, np.random.default_rng(3))
    assert np.allclose(np.cov(samples.T), summed(parts), atol=0.005)


def test_far_from_zero_the_linear_form_of_a_length_holds_and_near_zero_it_does_not() -> None:
    far, near = check_lengths([_axes(0.3)], [("far", 60.0), ("near", 0.4)])
    assert far.agrees and far.u_mm == pytest.approx(0.3, abs=0.002)
    assert not near.agrees
    assert near.mean_mm > 0.55  # noise of three axes lengthens it
    assert near.linear_mm[0] < 0.0 < near.symmetric_mm[0]


def test_a_length_from_noise_alone_is_maxwells() -> None:
    (check,) = check_lengths([_axes(0.5)], [("nothing", 0.0)])
    assert check.mean_mm == pytest.approx(0.5 * math.sqrt(8.0 / math.pi), abs=0.002)
    assert check.shortest_mm[1] - check.shortest_mm[0] < check.symmetric_mm[1] - check.symmetric_mm[0]


def test_the_ellipsoid_holds_95_percent_of_normal_errors_and_draws_show_when_it_does_not() -> None:
    good = check_region([_axes(0.5), _axes(0.8)], np.zeros((1, 3)))
    assert good is not None and good.agrees and good.inside == pytest.approx(0.95, abs=0.003)
    assert good.median_mm == pytest.approx(math.hypot(0.5, 0.8) * 1.5382, abs=0.01)  # median of chi with 3
    along = Part("l", None, "", 1.0, "mm", "rectangular", None, 1.0, "a", "b", np.diag([1.0, 1e-8, 1e-8]))
    flat = check_region([along, Part("t", None, "", 1e-3, "mm", "normal", None, 1e-6, "a", "b", 1e-8 * np.eye(3))],
                        np.zeros((1, 3)))  # fmt: skip
    assert flat is not None and not flat.agrees


def test_no_region_is_checked_with_a_part_that_nobody_stated() -> None:
    assert check_region([_axes(0.5), _axes(None)], np.zeros((1, 3))) is None


def test_few_degrees_of_freedom_widen_the_region() -> None:
    assert region_limit(None) == pytest.approx(7.815, abs=1e-3)
    assert region_limit(1e6) == pytest.approx(7.815, abs=1e-2)
    assert region_limit(10.0) > 14.0
