"""Bounds over benches: as exact as before where benches do not differ, wider where they do."""

import numpy as np
import pytest

from analysis import clusters, intervals


def benches(m: int, each: int, sd_between: float, seed: int = 1) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    values = np.repeat(rng.normal(0.0, sd_between, m), each) + rng.normal(0.0, 1.0, m * each)
    return values, [f"B{k // each:02d}" for k in range(m * each)]


def test_the_two_spreads_are_distinguished() -> None:
    parts = clusters.between(*benches(400, 4, 2.0))
    assert parts.between == pytest.approx(2.0, rel=0.1)
    assert parts.within == pytest.approx(1.0, rel=0.05)
    assert parts.effective_n == pytest.approx(400 * 4 / (1 + 3 * 0.8), rel=0.1), "n / (1 + (k - 1) icc)"


def test_one_trial_on_each_bench_counts_as_one() -> None:
    parts = clusters.between(*benches(30, 1, 1.0))
    assert parts.between == 0.0 and parts.effective_n == 30.0


def test_the_bound_of_a_mean_over_benches_is_right_in_95_of_100() -> None:
    covered = sum(
        bool(clusters.mean_bound(*benches(12, 5, 1.0, seed), "mm", upper=True).value >= 0.0) for seed in range(400)
    )
    plain = sum(
        bool(intervals.mean_bound(benches(12, 5, 1.0, seed)[0], "mm", upper=True).value >= 0.0) for seed in range(400)
    )
    assert 0.92 <= covered / 400 <= 0.98
    assert plain / 400 < 0.90, "taken as independent the bound is too low"


def test_a_share_over_single_trials_is_bounded_as_by_clopper_and_pearson() -> None:
    hits = [True] * 27 + [False] * 3
    alone = clusters.share_bound(hits, [f"B{k}" for k in range(30)], lower=True).value
    exact = intervals.proportion_bound(27, 30, lower=True).value
    assert alone == pytest.approx(exact, abs=0.015)


def test_without_a_failure_only_the_benches_count() -> None:
    bound = clusters.share_bound([True] * 60, [f"B{k // 6}" for k in range(60)], lower=True)
    assert bound.value == pytest.approx(intervals.proportion_bound(10, 10, lower=True).value)


def test_failures_that_sit_on_one_bench_widen_the_bound() -> None:
    names = [f"B{k // 6}" for k in range(60)]
    together = clusters.share_bound([k >= 6 for k in range(60)], names, lower=True).value
    apart = clusters.share_bound([k % 6 != 0 or k >= 36 for k in range(60)], names, lower=True).value
    assert together < apart - 0.1


def test_few_benches_say_nothing_of_benches() -> None:
    assert clusters.share_bound([True] * 8, ["B01", "B02"] * 4, lower=True).note == (
        "2 benches: a bound over benches needs at least 5"
    )


def test_a_tolerance_bound_holds_for_one_more_trial_on_one_more_bench() -> None:
    good = 0
    for seed in range(200):
        x, names = benches(15, 3, 0.7, seed)
        bound = clusters.tolerance_bound(np.exp(0.5 * x), names, "mm")
        true = np.exp(0.5 * 1.6448536 * np.hypot(0.7, 1.0))
        good += bound.value is None or bound.value >= true
    assert good / 200 >= 0.92


def test_a_quantile_without_a_model_needs_enough_independent_values() -> None:
    x, names = benches(8, 2, 1.0)
    bound = clusters.quantile_bound(x, names, 0.95, "mm", upper=True)
    assert bound.value is None and "no bound of the 95 % quantile without a model" in bound.note


def test_a_median_is_bounded_from_both_sides() -> None:
    x, names = benches(40, 2, 0.5)
    low = clusters.quantile_bound(x, names, 0.5, "mm", upper=False).value
    high = clusters.quantile_bound(x, names, 0.5, "mm", upper=True).value
    assert low < np.median(x) < high
