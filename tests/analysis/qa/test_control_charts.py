"""Each named rule on the shortest series that fires it, phases, designed limits, and charts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.qa.methods.charts import Design, cusum, ewma, individuals, phase_one
from analysis.qa.methods.rules import (
    ALTERNATING_14,
    AWAY_8,
    BEYOND_3S,
    FOUR_OF_5,
    NELSON,
    QUIET_15,
    RULES,
    RUN_OF_8,
    RUN_OF_9,
    TREND_OF_6,
    TWO_OF_3,
)
from hal.errors import ConfigError

UNIT = Design(0.0, 1.0, "test")
SHORTEST = {
    BEYOND_3S.name: [3.1],
    TWO_OF_3.name: [2.1, -0.5, 2.2],
    FOUR_OF_5.name: [1.1, 1.2, -0.1, 1.3, 1.4],
    RUN_OF_8.name: [0.1] * 8,
    RUN_OF_9.name: [-0.1] * 9,
    TREND_OF_6.name: [-0.5, -0.3, -0.1, 0.1, 0.3, 0.5],
    ALTERNATING_14.name: [0.2, -0.2] * 7,
    QUIET_15.name: [0.9, -0.9, 0.8] * 5,
    AWAY_8.name: [1.1, -1.1] * 4,
}


@pytest.mark.parametrize("name", RULES)
def test_each_rule_fires_at_the_last_point_of_its_shortest_series_and_not_before(name):
    chart = individuals(SHORTEST[name], UNIT, (RULES[name],))
    assert [(s.index, s.rule) for s in chart.signals] == [(len(SHORTEST[name]) - 1, name)]
    assert individuals(SHORTEST[name][1:] or [0.0], UNIT, (RULES[name],)).signals == ()


def test_two_of_three_needs_the_same_side_and_its_last_point():
    assert individuals([2.1, 0.0, -2.1], UNIT, (TWO_OF_3,)).signals == ()
    assert [s.index for s in individuals([2.1, 2.1, 0.0], UNIT, (TWO_OF_3,)).signals] == [1]


def test_points_are_judged_in_the_unit_of_the_figure():
    design = Design(10.0, 0.2, "maker")
    chart = individuals([10.0, 10.61], design)
    assert chart.first.index == 1 and chart.first.value == 10.61
    assert chart.upper[0] == pytest.approx(10.6) and chart.lower[0] == pytest.approx(9.4)


def test_no_rule_reaches_across_phases():
    values = [0.1] * 7 + [0.1] * 7
    assert individuals(values, UNIT, (RUN_OF_8,)).first.index == 7
    apart = ["old"] * 7 + ["new"] * 7
    assert individuals(values, UNIT, (RUN_OF_8,), apart).signals == ()
    drift = [1.0] * 10
    halves = ["a"] * 5 + ["b"] * 5
    assert ewma(drift, UNIT, phases=halves).value[5] == pytest.approx(0.2)
    assert cusum(drift, UNIT, phases=halves).value[5] == pytest.approx(0.5)
    with pytest.raises(ConfigError, match="each point needs"):
        individuals(values, UNIT, phases=["old"])


def test_ewma_by_hand_with_both_kinds_of_limits():
    chart = ewma([1.0, 2.0], UNIT, weight=0.2, width=3.0)
    assert chart.value == pytest.approx([0.2, 0.56]) and chart.upper == pytest.approx([1.0, 1.0])
    widening = ewma([1.0, 2.0], UNIT, weight=0.2, width=3.0, steady=False)
    assert widening.upper == pytest.approx([0.6, 0.6 * 1.64**0.5])


def test_cusum_by_hand():
    chart = cusum([1.0, 3.0, 3.0, -2.0], UNIT, k=0.5, h=5.0)
    assert chart.value == pytest.approx([0.5, 3.0, 5.5, 3.0])
    assert [s.index for s in chart.signals] == [2]
    down = cusum([-3.0, -4.0], Design(0.0, 2.0, "test"), k=0.5, h=1.5)
    assert down.value == pytest.approx([-2.0, -5.0]) and down.first.index == 1


def test_limits_are_designed_once_and_replaced_with_a_reason_only():
    first = Design(0.0, 1.0, "maker")
    before = individuals([0.0] * 3 + [5.0] * 30, first, (BEYOND_3S,))
    assert len(before.signals) == 30, "points never move the limits that judge them"
    second = first.replaced_by(0.1, 1.1, "phase I: 60 points", "new spindle on 3 May", 60)
    assert second.replaces == first and second.reason
    with pytest.raises(ConfigError, match="never recomputed silently"):
        first.replaced_by(0.1, 1.1, "phase I", " ")
    with pytest.raises(ConfigError, match="says why"):
        Design(0.0, 1.0, "maker", replaces=first)


def test_limits_from_few_points_carry_a_remark():
    values = np.random.default_rng(1).normal(5.0, 0.1, 60)
    assert "25 points only" in phase_one(values[:25], "phase I").remarks[0]
    found = phase_one(values, "phase I")
    assert found.remarks == () and found.centre == pytest.approx(5.0, abs=0.05)
    assert found.sigma == pytest.approx(np.abs(np.diff(values)).mean() / 1.128)
    assert individuals(values, phase_one(values[:25], "phase I")).remarks


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: phase_one([1.0] * 20, "x"), "all are equal"),
        (lambda: phase_one([1.0, 2.0], "x"), "at least 10"),
        (lambda: Design(0.0, 0.0, "x"), "above 0"),
        (lambda: Design(0.0, 1.0, ""), "source"),
        (lambda: individuals([0.0, np.nan], UNIT), "missing"),
        (lambda: individuals([0.0], UNIT, NELSON, width=3.5), "belong to limits"),
        (lambda: ewma([0.0], UNIT, weight=1.5), "weight"),
    ],
)
def test_what_makes_no_chart_is_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_wider_limits_move_the_one_rule_that_goes_with_them():
    chart = individuals([3.4, 3.6], UNIT, (BEYOND_3S,), width=3.5)
    assert [(s.index, s.rule) for s in chart.signals] == [(1, "beyond 3.5 s")]


def test_a_step_of_two_standard_deviations_at_month_13_is_found_within_a_few_months():
    found = []
    for seed in range(100):
        values = np.random.default_rng(seed).normal(0.0, 1.0, 40)
        values[12:] += 2.0
        charts = (individuals(values, UNIT, (BEYOND_3S,)), ewma(values, UNIT), cusum(values, UNIT))
        signals = [s.index - 11 for chart in charts for s in chart.signals if s.index >= 12]
        found.append(min(signals))
    assert 2.5 <= np.mean(found) <= 3.7
