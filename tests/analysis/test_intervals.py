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


def test_the_mean_of_a_sample_has_the_interval_of_a_t_table() -> None:
    # t(0.975, 3 degrees of freedom) = 3.182 in every printed table; mean 2.5, s = 1.29099, n = 4.
    found = intervals.mean(np.array([1.0, 2.0, 3.0, 4.0]), "mm")
    half = 3.182446 * 1.290994 / 2.0
    assert (found.value, found.n, found.level) == (2.5, 4, 0.95)
    assert (found.lo, found.hi) == (pytest.approx(2.5 - half, abs=1e-5), pytest.approx(2.5 + half, abs=1e-5))


def test_two_values_have_an_interval_and_one_has_none() -> None:
    # t(0.975, 1) = 12.706
    two = intervals.mean(np.array([1.0, 3.0]), "mm")
    assert (two.lo, two.hi) == (pytest.approx(2.0 - 12.7062, abs=1e-3), pytest.approx(2.0 + 12.7062, abs=1e-3))
    one = intervals.mean(np.array([1.5]), "mm")
    assert (one.value, one.n, one.lo, one.hi) == (1.5, 1, None, None) and "n = 1" in one.note


@pytest.mark.parametrize(
    ("upper", "bound"), [(True, 2.5 + 2.353363 * 1.290994 / 2), (False, 2.5 - 2.353363 * 1.290994 / 2)]
)
def test_a_one_sided_bound_of_the_mean_takes_t_of_095(upper: bool, bound: float) -> None:
    # t(0.95, 3) = 2.353
    found = intervals.mean_bound(np.array([1.0, 2.0, 3.0, 4.0]), "mm", upper=upper)
    assert found.value == pytest.approx(bound, abs=1e-5)
    assert (found.level, found.n) == (0.95, 4)


@pytest.mark.parametrize(
    "of", [lambda x: intervals.mean_bound(x, "mm", upper=True), lambda x: intervals.spread(x, "mm")]
)
def test_two_values_are_enough_for_a_bound_and_for_a_spread_and_one_is_not(of: object) -> None:
    assert of(np.array([1.0, 3.0])).value is not None  # type: ignore[operator]
    refusal = of(np.array([1.0]))  # type: ignore[operator]
    assert refusal.value is None and "n = 1" in refusal.note and refusal.n == 1


def test_the_spread_has_the_interval_of_a_chi_squared_table() -> None:
    # chi2(0.025, 9) = 2.700 and chi2(0.975, 9) = 19.023; s of 0..9 = 3.02765.
    found = intervals.spread(np.arange(10.0), "mm")
    assert found.value == pytest.approx(3.027650, abs=1e-5)
    assert found.lo == pytest.approx(3.027650 * np.sqrt(9 / 19.0228), abs=1e-4)
    assert found.hi == pytest.approx(3.027650 * np.sqrt(9 / 2.70039), abs=1e-4)


def test_rms_is_the_root_of_the_mean_square_and_nothing_without_values() -> None:
    assert intervals.rms(np.array([3.0, 4.0]), "mm").value == pytest.approx(np.sqrt(12.5))
    assert intervals.rms(np.array([7.0]), "mm").value == 7.0
    nothing = intervals.rms(np.array([]), "mm")
    assert (nothing.value, nothing.n, nothing.note) == (None, 0, "not measured")


@pytest.mark.parametrize(("n", "given"), [(5, False), (6, True)])
def test_the_median_has_an_interval_from_six_values(n: int, given: bool) -> None:
    # The whole range of n values misses the median with probability 2 / 2^n: 0.0625 at 5, 0.03125 at 6.
    found = intervals.quantile(np.arange(1.0, n + 1.0), 0.5, "mm")
    assert found.value == (n + 1) / 2
    assert (found.lo, found.hi) == ((1.0, float(n)) if given else (None, None))
    assert ("distribution-free" in found.note) is not given


def test_an_upper_quantile_has_no_interval_that_is_open_at_one_side() -> None:
    found = intervals.quantile(np.arange(1.0, 41.0), 0.95, "mm")  # its lower end would exist, its upper would not
    assert found.value is not None and (found.lo, found.hi) == (None, None)
    nothing = intervals.quantile(np.array([]), 0.5, "mm")
    assert (nothing.value, nothing.n) == (None, 0)
    assert intervals.quantile(np.array([2.0]), 0.5, "mm").value == 2.0


def test_a_bound_of_a_quantile_is_an_order_statistic_of_the_side_asked_for() -> None:
    # P(X(1) > q05) = 0.95^59 = 0.0485: the smallest of 59 is a lower bound of the 5 % quantile, the largest of 59 an
    # upper bound of the 95 % quantile; with 58 there is none.
    x = np.arange(1.0, 60.0)
    assert intervals.quantile_bound(x, 0.05, "mm", upper=False).value == 1.0
    assert intervals.quantile_bound(x, 0.95, "mm", upper=True).value == 59.0
    assert intervals.quantile_bound(x, 0.95, "mm", upper=True).level == 0.95
    few = intervals.quantile_bound(x[:58], 0.95, "mm", upper=True)
    assert few.value is None and "n = 58" in few.note and "95 %" in few.note
    assert intervals.quantile_bound(np.array([]), 0.5, "mm", upper=True).value is None


def test_a_bound_of_the_median_of_few_values_is_the_published_rank() -> None:
    # Binomial(5, 1/2): P(0) = 1/32 = 0.031, so that the extremes bound the median one-sidedly from n = 5.
    x = np.array([-2.0, -1.0, 0.5, 3.0, 9.0])
    assert intervals.quantile_bound(x, 0.5, "mm", upper=True).value == 9.0
    assert intervals.quantile_bound(x, 0.5, "mm", upper=False).value == -2.0
    assert intervals.quantile_bound(x[:4], 0.5, "mm", upper=True).value is None


def test_the_largest_is_the_largest_and_claims_nothing() -> None:
    found = intervals.largest(np.array([1.0, 5.0, 2.0]), "mm")
    assert (found.value, found.n, found.lo, found.hi) == (5.0, 3, None, None)
    assert intervals.largest(np.array([4.0]), "mm").value == 4.0
    assert intervals.largest(np.array([]), "mm").value is None


@pytest.mark.parametrize(
    ("share", "level", "n", "rank"), [(0.9, 0.95, 28, 0), (0.9, 0.95, 29, 29), (0.95, 0.9, 45, 45)]
)
def test_ranks_for_other_shares_and_levels(share: float, level: float, n: int, rank: int) -> None:
    # 0.9^29 = 0.047, 0.95^45 = 0.0994
    assert intervals.tolerance_rank(n, share, level) == rank


def test_with_93_values_the_second_largest_bounds_95_percent() -> None:
    assert intervals.tolerance_rank(93) == 92  # Hahn & Meeker: the second largest from n = 93
    x = np.arange(1.0, 94.0)
    found = intervals.tolerance_bound(x, "mm")
    assert found.value == 92.0 and "order statistic" in found.method and found.n == 93


def test_from_59_values_no_model_is_asked_not_even_of_zeros() -> None:
    x = np.r_[np.zeros(30), np.ones(28), 7.0]
    assert intervals.tolerance_bound(x, "mm").value == 7.0


def test_five_positive_values_have_a_log_normal_bound_with_the_factor_of_the_table() -> None:
    logs = np.array([-1.0, -0.4, 0.0, 0.4, 1.0])
    found = intervals.tolerance_bound(np.exp(logs), "mm")
    assert found.value == pytest.approx(np.exp(4.203 * np.std(logs, ddof=1)), rel=1e-3)
    assert found.n == 5 and "4.203" in found.note
    four = intervals.tolerance_bound(np.exp(logs[:4]), "mm")
    assert four.value is None and "n = 4" in four.note and "at least 5" in four.note
    assert "not positive" in intervals.tolerance_bound(np.r_[-1.0, 1.0, 2.0, 3.0, 4.0], "mm").note


def test_a_share_of_one_trial_is_a_share() -> None:
    one = intervals.proportion(1, 1)
    assert (one.count, one.n, one.share.value) == (1, 1, 1.0)
    assert (one.share.lo, one.share.hi) == (pytest.approx(0.025), pytest.approx(1.0))  # 0.025^(1/1)
    nothing = intervals.proportion(0, 0)
    assert (nothing.count, nothing.n, nothing.share.n) == (0, 0, 0) and "no trial" in nothing.share.note


@pytest.mark.parametrize(
    ("count", "n", "upper"), [(0, 1, 0.95), (0, 3, 0.631597), (0, 59, 0.049507), (1, 10, 0.394163)]
)
def test_upper_bounds_of_a_rate_match_the_closed_form(count: int, n: int, upper: float) -> None:
    # 1 - 0.05^(1/n) without an event; 1 of 10: the tabled 0.3942.
    found = intervals.proportion_bound(count, n, lower=False)
    assert found.value == pytest.approx(upper, abs=1e-5)
    assert (found.n, found.level) == (n, 0.95)
    assert intervals.proportion_bound(0, 0, lower=True).value is None
    assert intervals.proportion_bound(1, 1, lower=True).value == pytest.approx(0.05)


@pytest.mark.parametrize(("a", "b"), [((0, 0), (1, 2)), ((1, 2), (0, 0))])
def test_a_difference_needs_a_trial_in_both_arms(a: tuple[int, int], b: tuple[int, int]) -> None:
    refusal = intervals.proportion_difference(a, b)
    assert refusal.value is None and refusal.n == 0 and "no trial" in refusal.note


def test_a_difference_of_single_trials_is_given() -> None:
    found = intervals.proportion_difference((1, 1), (0, 1))
    assert (found.value, found.n) == (1.0, 2)
    assert intervals.proportion_difference((1, 4), (3, 4)).value == -0.5
    assert intervals.proportion_difference((56, 70), (48, 80)).n == 150


def test_hotelling_needs_five_vectors_that_span_all_axes() -> None:
    five = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.2, 0.1], [0.3, -1.0, -0.4]])
    axes, test = intervals.bias_vector(five, "mm")
    assert test.value is not None and all("Hotelling" in axis.method for axis in axes)
    # Result 5.3 by hand: F(0.95; 3, 2) = 19.164, half = sqrt(3 * 4 / 2 * 19.164 * s^2 / 5)
    for k, axis in enumerate(axes):
        half = np.sqrt(3 * 4 / 2 * 19.16429 * np.var(five[:, k], ddof=1) / 5)
        assert axis.value == pytest.approx(five[:, k].mean()) and axis.hi - axis.value == pytest.approx(half, rel=1e-4)
    axes, test = intervals.bias_vector(five[:4], "mm")
    assert test.value is None and "n = 4" in test.note and all("Student" in axis.method for axis in axes)
    flat = five.copy()
    flat[:, 2] = 0.5  # one axis that never varies: the covariance cannot be inverted
    axes, test = intervals.bias_vector(flat, "mm")
    assert test.value is None and "does not vary" in test.note
    assert [axis.value for axis in axes] == [pytest.approx(v) for v in flat.mean(axis=0)]


def test_missing_values_are_left_out_of_a_sample() -> None:
    assert intervals.sample([1.0, None, float("nan"), float("inf"), 2.0]).tolist() == [1.0, 2.0]


def test_a_refusal_says_that_there_was_nothing() -> None:
    none = np.array([])
    for refusal in (
        intervals.mean(none, "mm"), intervals.largest(none, "mm"), intervals.rms(none, "mm"),
        intervals.quantile(none, 0.5, "mm"), intervals.mean_bound(none, "mm", upper=True),
        intervals.spread(none, "mm"), intervals.quantile_bound(none, 0.5, "mm", upper=False),
        intervals.tolerance_bound(none, "mm"), intervals.proportion(0, 0).share,
        intervals.proportion_bound(0, 0, lower=True), intervals.bias_vector(np.zeros((0, 3)), "mm")[1],
        intervals.proportion_difference((0, 0), (1, 2)),
    ):  # fmt: skip
        assert (refusal.value, refusal.n) == (None, 0) and refusal.note


def test_the_smallest_of_one_bounds_a_hundredth_of_the_population() -> None:
    assert intervals.tolerance_rank(1, 0.01) == 1  # it lies above with probability 0.99
    assert intervals.tolerance_rank(2, 0.02) == 1  # 0.98^2 = 0.9604
    assert intervals.tolerance_rank(2, 0.03) == 2  # 0.97^2 = 0.9409
