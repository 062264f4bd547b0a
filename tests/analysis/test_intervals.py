from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis import intervals
from analysis.bootstrap import clustered_difference


@pytest.mark.parametrize(
    ("n", "k"), [(5, 4.203), (10, 2.911), (15, 2.566), (20, 2.396), (30, 2.220), (50, 2.065), (100, 1.927)]
)
def test_tolerance_factors_are_those_of_the_published_table(n: int, k: float) -> None:
    assert intervals.tolerance_factor(n) == pytest.approx(k, abs=6e-4)


@pytest.mark.parametrize(("n", "rank"), [(58, 0), (59, 59), (92, 92), (93, 92)])
def test_the_largest_of_59_is_the_first_bound_without_a_model(n: int, rank: int) -> None:
    assert intervals.tolerance_rank(n) == rank


@pytest.mark.parametrize(
    ("count", "n", "lo", "hi"),
    [(18, 20, 0.683, 0.988), (27, 30, 0.735, 0.979), (54, 60, 0.795, 0.962), (30, 30, 0.884, 1.0), (0, 3, 0.0, 0.708)],
)
def test_clopper_pearson_matches_published_intervals(count: int, n: int, lo: float, hi: float) -> None:
    share = intervals.proportion(count, n).share
    assert (share.lo, share.hi) == (pytest.approx(lo, abs=6e-4), pytest.approx(hi, abs=6e-4))


@pytest.mark.parametrize(("n", "bound"), [(59, 0.95), (29, 0.90), (22, 0.873), (30, 0.905)])
def test_no_failure_in_59_shows_95_percent_one_sided(n: int, bound: float) -> None:
    assert intervals.proportion_bound(n, n, lower=True).value == pytest.approx(bound, abs=2e-3)


def test_newcombe_difference_matches_his_worked_example() -> None:
    # Newcombe 1998, Stat Med 17:873, table II: 56/70 against 48/80, method 10.
    found = intervals.proportion_difference((56, 70), (48, 80))
    assert found.value == pytest.approx(0.2)
    assert (found.lo, found.hi) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_hotelling_matches_the_sweat_data() -> None:
    # Johnson & Wichern, Applied Multivariate Statistical Analysis, table 5.1: mean (4, 50, 10), T2 = 9.74, p 0.065.
    rate = [3.7, 5.7, 3.8, 3.2, 3.1, 4.6, 2.4, 7.2, 6.7, 5.4, 3.9, 4.5, 3.5, 4.5, 1.5, 8.5, 4.5, 6.5, 4.1, 5.5]
    sodium = [
        48.5,
        65.1,
        47.2,
        53.2,
        55.5,
        36.1,
        24.8,
        33.1,
        47.4,
        54.1,
        36.9,
        58.8,
        27.8,
        40.2,
        13.5,
        56.4,
        71.6,
        52.8,
    ]
    sodium += [44.1, 40.9]
    potassium = [9.3, 8.0, 10.9, 12.0, 9.7, 7.9, 14.0, 7.6, 8.5, 11.3, 12.7, 12.3, 9.8, 8.4, 10.1, 7.1, 8.2, 10.9]
    potassium += [11.2, 9.4]
    sweat = np.array([rate, sodium, potassium]).T
    bias, test = intervals.bias_vector(sweat - np.array([4.0, 50.0, 10.0]), "")
    assert test.value == pytest.approx(0.0649, abs=2e-4)
    # Simultaneous T2 interval of sodium by the book's result 5.3: 45.4 +- 3.274 * sqrt(199.788 / 20).
    assert (bias[1].lo, bias[1].hi) == (pytest.approx(35.052 - 50, abs=0.02), pytest.approx(55.748 - 50, abs=0.02))


def test_the_median_of_thirty_lies_between_ranks_ten_and_twentyone() -> None:
    x = np.arange(1.0, 31.0)
    found = intervals.quantile(x, 0.5, "mm")
    assert (found.lo, found.hi) == (10.0, 21.0)


def test_the_log_normal_bound_covers_95_percent_in_95_of_100_samples() -> None:
    rng = np.random.default_rng(1)
    truth = float(np.exp(0.3 + 0.5 * stats.norm.ppf(0.95)))
    bounds = [intervals.tolerance_bound(np.exp(rng.normal(0.3, 0.5, 12)), "mm").value for _ in range(1500)]
    kept = [bound for bound in bounds if bound is not None]
    assert len(kept) > 1350  # the normality check speaks against about one sample in twenty
    assert np.mean(np.array(kept) >= truth) == pytest.approx(0.95, abs=0.02)


def test_bounds_are_refused_with_a_reason() -> None:
    assert "needs at least 5" in intervals.tolerance_bound(np.array([1.0, 2.0, 3.0]), "mm").note
    assert "not positive" in intervals.tolerance_bound(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), "mm").note
    assert "all values are equal" in intervals.tolerance_bound(np.ones(9), "mm").note
    two_humps = np.array([1.0, 1.01, 1.02, 0.99, 1.0, 50.0, 51.0, 50.5, 49.0, 50.0])
    assert "not normal" in intervals.tolerance_bound(two_humps, "mm").note
    assert intervals.mean(np.array([]), "mm").value is None
    assert intervals.proportion(0, 0).share.value is None
    assert intervals.bias_vector(np.zeros((0, 3)), "mm")[0][0].note == "not measured"


def test_bca_agrees_with_scipy_where_every_cartridge_holds_both_arms() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.gamma(2.0, 1.0, 24), rng.gamma(2.0, 2.0, 24)
    names = [f"C{k:02}" for k in range(24)]
    own = clustered_difference(a, names, b, names, "mm")
    other = stats.bootstrap(
        (a - b,), np.mean, n_resamples=20000, method="BCa", rng=np.random.default_rng(2)
    ).confidence_interval
    assert own.value == pytest.approx(np.mean(a) - np.mean(b))
    assert (own.lo, own.hi) == (pytest.approx(other.low, abs=0.08), pytest.approx(other.high, abs=0.08))


def test_the_bootstrap_refuses_what_it_cannot_carry() -> None:
    x = np.array([1.0, 2.0, 3.0])
    assert "cartridges, 4 needed" in clustered_difference(x, ["a", "b", "c"], x, ["a", "b", "c"], "mm").note
    assert "too few cartridges" in clustered_difference(x, ["a"] * 3, x, ["b", "c", "d"], "mm").note
    assert clustered_difference(np.array([]), [], x, ["a", "b", "c"], "mm").value is None
