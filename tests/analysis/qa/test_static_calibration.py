"""Static calibration against the worked example of a pressure sensor (FS 200 kPa), drift, creep and classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress

from analysis.qa.methods.drift import creep, slope
from analysis.qa.methods.force_class import best_class
from analysis.qa.methods.static import static_calibration
from hal.errors import ConfigError

AT = [0, 40, 80, 120, 160, 200]
UP = [0.10, 40.22, 80.36, 120.46, 160.50, 200.52]
DOWN = [0.16, 40.34, 80.52, 120.62, 160.60, 200.52]
UP2 = [0.12, 40.26, 80.38, 120.48, 160.54, 200.54]


def worked():
    return static_calibration(AT, [UP, UP2], DOWN, unit="kPa")


@pytest.mark.parametrize(
    ("kind", "offset", "line_slope", "percent"),
    [
        ("terminal", 0.13, 1.00195, 0.0880),
        ("least squares", 0.20571, 1.0020429, 0.0471),
        ("minimax", 0.218, 1.00195, 0.0440),
        ("zero-based", 0.0, 1.0034455, 0.0845),
    ],
)
def test_each_named_line_of_the_worked_example(kind, offset, line_slope, percent):
    line = worked().line(kind)
    assert line.offset == pytest.approx(offset, abs=5e-6 if kind == "least squares" else 1e-9)
    assert line.slope == pytest.approx(line_slope, abs=5e-8)
    assert line.linearity_percent == pytest.approx(percent, abs=5e-5)


def test_hysteresis_repeatability_and_gain_of_the_worked_example():
    found = worked()
    assert found.hysteresis_percent == pytest.approx(0.080)
    assert found.repeatability_percent == pytest.approx(0.0100)
    assert found.line("least squares").gain_error_percent == pytest.approx(0.204, abs=5e-4)
    assert found.zero_error == pytest.approx(0.06)


def test_uncertainty_adds_resolution_zero_repeatability_and_hysteresis_as_rectangles():
    expected = 2 * np.sqrt(0.02**2 + (0.01**2 + 0.06**2 + 0.02**2 + 0.16**2) / 12)
    assert worked().expanded(0.02, 0.01) == pytest.approx(expected)


def test_what_was_not_measured_is_withheld_with_its_reason():
    figures = {f.name: f for f in static_calibration(AT, UP).figures()}
    assert figures["hysteresis_percent"].value is None and "down" in figures["hysteresis_percent"].why
    assert figures["repeatability_percent"].value is None and "one series" in figures["repeatability_percent"].why
    assert figures["expanded_uncertainty"].value is None


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1.0, 1.0), min_size=5, max_size=5),
    st.floats(0.9, 1.1),
    st.floats(-2.0, 2.0),
)
def test_a_change_of_gain_and_offset_leaves_linearity_alone_and_minimax_is_the_smallest(bend, gain, offset):
    at = np.linspace(0.0, 100.0, 5)
    plain = static_calibration(at, at + bend)
    moved = static_calibration(at, offset + gain * at + bend)
    for kind in ("terminal", "least squares", "minimax"):
        assert moved.line(kind).linearity_percent == pytest.approx(plain.line(kind).linearity_percent, abs=1e-6)
    least = plain.line("minimax").linearity_percent
    assert all(least <= line.linearity_percent + 1e-7 for line in plain.lines)


def test_planted_gain_and_hysteresis_come_out():
    at = np.linspace(0.0, 200.0, 6)
    found = static_calibration(at, 1.01 * at, 1.01 * at + 0.6)
    assert found.line("terminal").gain_error_percent == pytest.approx(1.0)
    assert found.hysteresis_percent == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("reference", "up", "down", "words"),
    [
        ([0, 2, 1], [0, 1, 2], None, "rise"),
        ([0, 1], [0, 1], None, "at least 3"),
        ([0, 1, 2], [0, 1], None, "series up"),
        ([0, 1, 2], [0, 1, np.nan], None, "missing"),
        ([0, 1, 2], [0, 1, 2], [[0, 1, 2], [0, 1, 2]], "follows one up"),
    ],
)
def test_readings_that_make_no_calibration_are_refused(reference, up, down, words):
    with pytest.raises(ConfigError, match=words):
        static_calibration(reference, up, down)


def test_zero_drift_is_the_slope_per_hour_within_its_uncertainty():
    hours = np.arange(0.0, 4.0, 0.05)
    noise = np.random.default_rng(2).normal(0.0, 0.02, len(hours))
    found = slope(hours, 3.0 + 0.5 * hours + noise)
    assert found.value == pytest.approx(0.5, abs=3 * found.u) and found.u < 0.01
    with pytest.raises(ConfigError, match="same time"):
        slope([1, 1, 1], [1, 2, 3])


def test_planted_creep_misses_the_best_class_of_force_transducers_and_meets_the_next():
    seconds = np.arange(0.0, 1900.0, 10.0)
    found = creep(seconds, 10.0 * (1 + 0.001 * (1 - np.exp(-seconds / 360))), 10.0)
    assert found == pytest.approx(0.049, abs=5e-4)
    assert best_class({"creep": found}) == "0.5"
    assert best_class({"creep": 0.3}) is None
    with pytest.raises(ConfigError, match="runs from"):
        creep([0, 100], [1, 1], 1.0)
    with pytest.raises(ConfigError, match="stickiness"):
        best_class({"stickiness": 1.0})


def test_the_uncertainty_of_a_slope_is_that_of_a_library():
    x, y = np.arange(5.0), np.array([0.0, 1.1, 1.9, 3.2, 3.8])
    found, library = slope(x, y), linregress(x, y)
    assert (found.value, found.u) == pytest.approx((library.slope, library.stderr))
