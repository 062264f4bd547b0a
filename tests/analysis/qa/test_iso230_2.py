"""A linear axis against the worked example, planted faults, what pure noise gives, and one direction alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.qa.methods.axis import AxisBudget, axis, targets
from hal.errors import ConfigError

AT = [0.0, 12.3, 24.9, 36.8, 49.5]
UP = [[1, 2, 1.5, 0.5, 1], [3, 4, 3.5, 3, 2.5], [5, 6, 5.5, 6.5, 5], [8, 7.5, 8.5, 9, 8], [10, 11, 10.5, 9.5, 10]]
DOWN = [
    [-3, -2, -2.5, -3.5, -3], [-1.5, -0.5, -1, -2, -1], [0.5, 1.5, 1, 2, 1.5], [3, 2.5, 4, 3.5, 3],
    [5.5, 6, 6.5, 5, 6],
]  # fmt: skip


def test_all_figures_of_the_worked_example():
    found = axis(AT, UP, DOWN)
    assert found.up.mean_um == pytest.approx([1.2, 3.2, 5.6, 8.2, 10.2])
    assert found.down.mean_um == pytest.approx([-2.8, -1.2, 1.3, 3.2, 5.8])
    assert found.up.s_um == pytest.approx([0.5701, 0.5701, 0.6519, 0.5701, 0.5701], abs=5e-5)
    both = found.both
    assert both.reversal_um == pytest.approx([4.0, 4.4, 4.3, 5.0, 4.4])
    assert (both.b_um, both.mean_b_um, both.e_um, both.m_um) == pytest.approx((5.0, 4.42, 13.0, 8.8))
    assert (both.r_um, both.a_um) == pytest.approx((7.2804, 15.2804), abs=5e-5)
    assert (found.up.r_um, found.down.r_um) == pytest.approx((2.6077, 2.2804), abs=5e-5)
    assert (found.up.e_um, found.down.e_um) == pytest.approx((9.0, 8.6))
    assert (found.up.a_um, found.down.a_um) == pytest.approx((11.2804, 10.8804), abs=5e-5)
    assert found.remarks == ()


def test_one_direction_gives_its_figures_and_withholds_the_others():
    found = axis(AT, UP, None)
    assert found.both is None and found.down is None
    assert found.up.a_um == pytest.approx(11.2804, abs=5e-5)
    figures = {f.name: f for f in found.figures()}
    for name in ("a_um", "r_um", "e_um", "m_um", "b_um", "mean_b_um"):
        assert figures[name].value is None and "withheld" in figures[name].why
    assert figures["r_up_um"].value == pytest.approx(2.6077, abs=5e-5) and figures["r_down_um"].value is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(-50.0, 50.0))
def test_a_shift_changes_nothing_and_the_figures_keep_their_order(seed, shift):
    rng = np.random.default_rng(seed)
    up, down = rng.normal(0.0, 2.0, (5, 5)), rng.normal(1.0, 2.0, (5, 5))
    plain, moved = axis(AT, up, down), axis(AT, up + shift, down + shift)
    for name in ("a_um", "r_um", "e_um", "m_um", "b_um"):
        assert getattr(moved.both, name) == pytest.approx(getattr(plain.both, name), abs=1e-9)
    assert plain.both.a_um >= max(plain.up.a_um, plain.down.a_um) - 1e-12
    assert plain.both.r_um >= max(plain.up.r_um, plain.down.r_um) - 1e-12
    assert plain.both.e_um >= plain.both.m_um - 1e-12 and plain.both.e_um >= max(plain.up.e_um, plain.down.e_um) - 1e-12


def test_pure_noise_gives_the_figures_of_a_healthy_axis():
    rng = np.random.default_rng(3)
    found = [axis(AT, *rng.normal(0.0, 1.0, (2, 5, 5))) for _ in range(2000)]
    means = {
        "b": 1.00, "r": 6.11, "a": 6.38, "e": 1.38, "m": 0.74,
    }  # fmt: skip
    for name, mean in means.items():
        assert np.mean([getattr(f.both, f"{name}_um") for f in found]) == pytest.approx(mean, abs=0.06), name
    assert np.mean([f.up.r_um for f in found]) == pytest.approx(5.42, abs=0.08)
    assert np.mean([f.up.a_um for f in found]) == pytest.approx(5.71, abs=0.08)
    assert np.quantile([f.both.r_um for f in found], 0.95) == pytest.approx(7.74, abs=0.2)


def test_planted_backlash_adds_itself_to_reversal_accuracy_and_repeatability():
    noise = np.random.default_rng(4).normal(0.0, 0.5, (2, 5, 5))
    healthy, slack = axis(AT, *noise), axis(AT, noise[0] + 100.0, noise[1])
    assert slack.both.b_um == pytest.approx(100.0, abs=2.0)
    assert slack.both.r_um - healthy.both.r_um == pytest.approx(100.0, abs=2.0)
    assert slack.both.a_um - healthy.both.a_um == pytest.approx(100.0, abs=2.0)
    assert slack.up.r_um == pytest.approx(healthy.up.r_um)


def test_a_periodic_error_of_the_screw_is_found_with_random_targets_only():
    even = np.arange(0.0, 51.0, 10.0)
    random = targets(50.0, 20, 2.0, np.random.default_rng(1))
    lead = lambda at: np.tile(1000 * (0.001 * at + 0.01 * np.sin(np.pi * at))[:, None], (1, 5))  # noqa: E731
    plain = axis(even, lead(even), None)
    assert plain.slope_um_per_m == pytest.approx(1000.0) and "equal steps" in " ".join(plain.remarks)
    found = axis(random, lead(random), None)
    residual = found.up.mean_um - np.polyval(np.polyfit(random, found.up.mean_um, 1), random)
    assert np.max(np.abs(residual)) == pytest.approx(10.0, abs=4.0)
    assert found.up.e_um - 50.0 > 5.0
    assert random[0] >= 0.0 and random[-1] <= 50.0 and np.all(np.diff(random) > 0)


def test_rows_of_the_uncertainty_by_hand():
    budget = AxisBudget(device_um_per_m=0.5, misalignment_mrad=1.0, u_temperature_k=0.5, drift_um=1.2)
    parts = budget.parts_um(50.0)
    assert parts["misalignment"] == pytest.approx(0.025)
    assert parts["temperature"] == pytest.approx(0.29, abs=0.005)
    assert parts["environment"] == pytest.approx(1.2 / 12**0.5)
    length = parts["device"] ** 2 + parts["misalignment"] ** 2 + parts["temperature"] ** 2
    assert budget.u_um("m", 50.0, 5) == pytest.approx((length + parts["environment"] ** 2 / 5) ** 0.5)
    assert 2 * budget.u_um("r", 50.0, 5) == pytest.approx(2 * 2 * parts["environment"])
    figures = {f.name: f for f in axis(AT, UP, DOWN).figures(budget)}
    assert figures["r_um"].expanded == pytest.approx(4 * parts["environment"])
    assert not AxisBudget.verified


@pytest.mark.parametrize(
    ("at", "up", "down", "words"),
    [
        (AT[:4], UP[:4], None, "at least 5"),
        (AT[::-1], UP, None, "rise"),
        (AT, None, None, "one direction"),
        (AT, UP, [row[:4] for row in DOWN], "same number"),
        (AT, [row[:1] for row in UP], None, "at least 2"),
        (AT, UP[:4], None, "array of 5"),
    ],
)
def test_deviations_that_make_no_axis_are_refused(at, up, down, words):
    with pytest.raises(ConfigError, match=words):
        axis(at, up, down)


def test_fewer_runs_than_five_are_remarked():
    found = axis(AT, [row[:3] for row in UP], [row[:3] for row in DOWN])
    assert found.remarks == ("3 runs in each direction instead of 5",)
    long = axis(np.array(AT) * 100, UP, DOWN)
    assert "5 targets over 4.95 m: fewer than 5 per metre" in long.remarks
