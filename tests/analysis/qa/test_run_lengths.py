"""Average run lengths by Markov chain against the tables, and by simulation within its standard error."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.qa.methods.charts import Design, individuals
from analysis.qa.methods.rules import (
    AWAY_8,
    BEYOND_3S,
    FOUR_OF_5,
    NELSON,
    QUIET_15,
    RUN_OF_8,
    RUN_OF_9,
    TREND_OF_6,
    TWO_OF_3,
    WESTERN_ELECTRIC,
)
from analysis.qa.methods.run_length import COMBINED, MONTHLY, Scheme, cusum_arl, ewma_arl, rules_arl, simulated
from hal.errors import ConfigError

SHIFTS = (0, 0.5, 1, 1.5, 2, 3)


@pytest.mark.parametrize(
    ("rules", "lengths"),
    [
        ((BEYOND_3S,), (370.40, 155.22, 43.89, 14.97, 6.30, 2.00)),
        ((BEYOND_3S, TWO_OF_3), (225.44, 77.72, 20.01, 7.30, 3.65, 1.68)),
        ((BEYOND_3S, FOUR_OF_5), (166.05, 46.18, 12.66, 5.86, 3.68, 1.89)),
        ((BEYOND_3S, RUN_OF_8), (152.73, 44.28, 14.58, 7.75, 4.89, 1.99)),
        ((BEYOND_3S, RUN_OF_9), (216.70, 57.78, 17.05, 8.51, 5.14, 2.00)),
        (WESTERN_ELECTRIC, (91.75, 27.33, 9.22, 4.87, 3.13, 1.67)),
        ((BEYOND_3S, RUN_OF_9, TWO_OF_3, FOUR_OF_5), (109.05, 30.59, 9.70, 4.95, 3.13, 1.67)),
    ],
    ids=["3s", "2of3", "4of5", "8", "9", "western-electric", "nelson-1256"],
)
def test_rules_of_zones_against_the_table(rules, lengths):
    assert [rules_arl(rules, shift) for shift in SHIFTS] == pytest.approx(lengths, abs=0.006)


@pytest.mark.parametrize(
    ("rules", "length"),
    [
        ((TWO_OF_3,), 510.7),
        ((FOUR_OF_5,), 291.3),
        ((RUN_OF_8,), 255),
        ((RUN_OF_9,), 511),
        ((QUIET_15,), 963.27),  # (p^-15 - 1) / (1 - p), p = 0.68269
        ((AWAY_8,), 14253),
        ((BEYOND_3S, TWO_OF_3, FOUR_OF_5), 132.89),
        ((BEYOND_3S, TWO_OF_3, RUN_OF_8), 122.05),
        ((BEYOND_3S, FOUR_OF_5, RUN_OF_8), 105.78),
    ],
)
def test_single_rules_and_triples_of_a_healthy_device(rules, length):
    assert rules_arl(rules) == pytest.approx(length, rel=5e-4)


def test_rules_that_compare_neighbours_have_no_chain_of_zones():
    with pytest.raises(ConfigError, match="6 rising"):
        rules_arl((BEYOND_3S, TREND_OF_6))


EWMA_SHIFTS = (0, 0.25, 0.5, 1, 1.5, 2, 3)


@pytest.mark.parametrize(
    ("weight", "width", "lengths"),
    [
        (0.05, 2.490, (370.4, 73.2, 26.5, 10.7, 6.75, 4.98, 3.35)),
        (0.10, 2.814, (500, 106.4, 31.3, 10.33, 6.09, 4.36, 2.87)),
        (0.20, 2.859, (370.4, 121.1, 36.2, 9.80, 5.23, 3.59, 2.31)),
        (0.20, 2.962, (500, 150.3, 41.8, 10.54, 5.50, 3.74, 2.38)),
        (0.25, 2.898, (370.4, 135.5, 41.1, 10.25, 5.18, 3.46, 2.19)),
        (0.40, 3.054, (500, 223.8, 71.2, 14.3, 5.88, 3.52, 2.02)),
    ],
)
def test_ewma_against_the_table(weight, width, lengths):
    assert [ewma_arl(weight, width, shift) for shift in EWMA_SHIFTS] == pytest.approx(lengths, rel=4e-3)


def test_ewma_of_three_limits_by_lucas_and_saccucci():
    found = [ewma_arl(0.2, 3.0, shift) for shift in (0, 0.5, 1, 2)]
    assert found == pytest.approx((559.8, 44.1, 10.84, 3.80), rel=2e-3)


@pytest.mark.parametrize(
    ("k", "h", "lengths"),
    [
        (0.25, 8.01, (370.3, 83.8, 28.8, 11.4, 7.12, 5.22, 3.48)),
        (0.5, 4, (167.7, 74.2, 26.6, 8.38, 4.75, 3.34, 2.19)),
        (0.5, 4.775, (370.4, 121.7, 35.3, 9.93, 5.52, 3.86, 2.49)),
        (0.5, 5, (465.4, 139.5, 38.0, 10.4, 5.75, 4.01, 2.57)),
        (1, 2.517, (370.4, 197, 69.1, 13.6, 5.45, 3.26, 1.86)),
    ],
)
def test_cusum_against_the_table(k, h, lengths):
    assert [cusum_arl(k, h, shift) for shift in EWMA_SHIFTS] == pytest.approx(lengths, rel=5e-3)
    assert cusum_arl(k, h, one_sided=True) == pytest.approx(2 * lengths[0], rel=5e-3)


@pytest.mark.parametrize("k, h", [(0.25, 8.585), (0.375, 6.389), (0.5, 5.071), (0.75, 3.538), (1.0, 2.665)])
def test_intervals_that_give_five_hundred(k, h):
    assert cusum_arl(k, h) == pytest.approx(500.0, rel=2e-3)


@pytest.mark.parametrize("shift, length", [(0, 91.75), (1, 9.22), (2, 3.13)])
def test_simulated_western_electric_rules_agree_with_the_chain(shift, length):
    found = simulated(Scheme(WESTERN_ELECTRIC), shift, n=4000, seed=3)
    assert found.mean == pytest.approx(length, abs=4 * found.error)
    assert found.error < 0.02 * length


def test_all_eight_nelson_rules_are_not_370():
    found = simulated(Scheme(NELSON), n=4000, seed=4)
    assert found.mean == pytest.approx(73.9, abs=4 * found.error)
    assert simulated(Scheme(NELSON), 2.0, n=4000, seed=5).mean == pytest.approx(3.14, abs=0.15)


@pytest.mark.parametrize("shift, length", [(0, 200.4), (1, 9.34), (2, 3.30)])
def test_the_combined_scheme(shift, length):
    found = simulated(COMBINED, shift, n=4000, seed=6)
    assert found.mean == pytest.approx(length, abs=4 * found.error)


def test_a_slow_drift_of_two_standard_deviations_in_the_combined_scheme():
    found = simulated(COMBINED, 2.0, n=4000, seed=7, ramp_n=24)
    assert found.mean == pytest.approx(14.9, abs=4 * found.error + 0.1)
    assert (found.p5, found.p95) == pytest.approx((8, 21), abs=1)


def test_the_wider_scheme_for_monthly_figures():
    found = simulated(MONTHLY, n=4000, seed=8)
    assert found.mean == pytest.approx(516, abs=4 * found.error)
    assert simulated(MONTHLY, 2.0, n=4000, seed=9).mean == pytest.approx(3.90, abs=0.12)


def test_limits_that_widen_from_the_start_have_another_table():
    widening = Scheme(rules=(), ewma=(0.1, 2.814), steady=False)
    assert simulated(widening, 1.0, n=4000, seed=10).mean == pytest.approx(8.1, abs=0.4)
    assert ewma_arl(0.1, 2.814, 1.0) == pytest.approx(10.33, abs=0.02)


def test_a_chart_and_the_simulation_fire_at_the_same_points():
    lengths = []
    for seed in range(400):
        values = np.random.default_rng(seed).normal(1.0, 1.0, 400)
        lengths.append(individuals(values, Design(0.0, 1.0, "test")).first.index + 1)
    assert np.mean(lengths) == pytest.approx(9.22, abs=4 * np.std(lengths) / 20)
