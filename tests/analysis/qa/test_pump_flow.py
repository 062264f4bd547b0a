"""Trumpet and start-up of an analytic flow, what noise alone gives, and planted faults of pump, vessel and log."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.qa.methods.drops import plateaus, whole_drops_g
from analysis.qa.methods.evaporation import evaporation, still
from analysis.qa.methods.flow import flow, start_up, trumpet
from analysis.qa.methods.gravimetric import IEC_CONVERSION
from analysis.qa.methods.weights import weights
from hal.errors import ConfigError

WINDOWS = (1, 2, 5, 11, 19, 31)
GRID_MIN = np.arange(0.0, 120.01, 0.5)
DENSITY = 0.998


def volume(t_min, r=5.0, e=-0.012, a=0.05, period=8.0):
    swing = a * period / (2 * np.pi) * (1 - np.cos(2 * np.pi * t_min / period))
    return r / 60 * ((1 + e) * t_min + swing)


def flow_of(volume_ml, time_min=GRID_MIN, **options):
    return flow(weights(60 * np.asarray(time_min), DENSITY * np.asarray(volume_ml), **options), IEC_CONVERSION)


def test_the_trumpet_of_the_worked_example():
    found = trumpet(flow_of(volume(GRID_MIN)), 5.0, windows_min=WINDOWS)
    assert found.max_percent == pytest.approx([3.6725, 3.3016, 1.1526, -0.1306, -0.5809, -1.0428], abs=5e-5)
    assert found.min_percent == pytest.approx([-6.0725, -5.7016, -3.5526, -2.2694, -1.8191, -1.3572], abs=5e-5)
    assert found.mean_percent == pytest.approx(-1.4122, abs=5e-5)
    assert found.windows_n[1:] == (117, 111, 99, 83, 59)
    figures = {f.name: f for f in found.figures()}
    assert figures["a_percent"].value == pytest.approx(-1.4122, abs=5e-5)
    assert figures["ep_max_11_min_a_percent"].value == pytest.approx(-0.1306, abs=5e-5)


@settings(max_examples=40, deadline=None)
@given(st.floats(-0.1, 0.1), st.floats(0.0, 0.1), st.floats(2.0, 40.0), st.floats(1.0, 20.0))
def test_the_envelope_never_leaves_that_of_the_sinc_formula_and_holds_the_mean(e, a, period, rate):
    found = trumpet(flow_of(volume(GRID_MIN, rate, e, a, period)), rate)
    p = np.array(found.windows_min)
    outer = 100 * a * np.abs(np.sinc(p / period))
    assert np.all(found.max_percent <= 100 * e + outer + 1e-6) and np.all(found.min_percent >= 100 * e - outer - 1e-6)
    assert np.all(found.max_percent >= found.min_percent)


def test_the_envelope_closes_where_the_window_is_the_period_of_the_screw():
    found = trumpet(flow_of(volume(GRID_MIN, period=5.0)), 5.0, windows_min=(2, 5, 10))
    width = found.max_percent - found.min_percent
    assert width[1] == pytest.approx(0.0, abs=1e-6) and width[2] == pytest.approx(0.0, abs=1e-6) and width[0] > 5.0


@pytest.mark.parametrize(
    ("rate", "extremes"), [(1.0, (1.09, 0.43, 0.19, 0.11, 0.06)), (5.0, (0.22, 0.087, 0.038, 0.022, 0.013))]
)
def test_noise_of_a_tenth_of_a_milligram_alone_opens_the_trumpet_as_computed(rate, extremes):
    rng = np.random.default_rng(4)
    found = [
        trumpet(flow_of(rate / 60 * GRID_MIN + rng.normal(0.0, 1e-4, len(GRID_MIN)) / DENSITY), rate).max_percent
        for _ in range(200)
    ]
    assert np.mean(found, axis=0) == pytest.approx(extremes, rel=0.08)


@pytest.mark.parametrize(("true_mm", "percent"), [(14.57, 1.95), (14.60, 2.37)])
def test_a_wrong_syringe_diameter_is_the_same_error_at_every_rate_and_window(true_mm, percent):
    for rate in (1.0, 5.0):
        found = trumpet(flow_of(rate / 60 * GRID_MIN * (true_mm / 14.43) ** 2), rate)
        assert found.mean_percent == pytest.approx(percent, abs=0.005)
        assert found.max_percent == pytest.approx([found.mean_percent] * 5)


def test_a_leak_is_one_percent_at_five_and_five_percent_at_one():
    for rate, percent in ((5.0, -1.0), (1.0, -5.0)):
        assert trumpet(flow_of((rate - 0.05) / 60 * GRID_MIN), rate).mean_percent == pytest.approx(percent)


def test_a_plunger_that_sticks_for_three_minutes_opens_the_trumpet_and_leaves_the_mean():
    healthy = 5.0 / 60 * GRID_MIN
    stuck = np.where((GRID_MIN > 80.0) & (GRID_MIN < 83.0), 5.0 / 60 * 80.0, healthy)
    found = trumpet(flow_of(stuck), 5.0)
    assert found.max_percent == pytest.approx([125.0, 50.0, 22.7, 13.2, 8.06], abs=0.06)
    assert found.min_percent == pytest.approx([-100.0, -50.0, -22.7, -13.2, 0.0], abs=0.06)
    assert found.mean_percent == pytest.approx(0.0, abs=1e-9)


def test_a_hole_of_38_minutes_gives_no_trumpet_and_a_start_up_with_the_hole():
    keep = (GRID_MIN <= 70.0) | (GRID_MIN >= 108.0)
    of = flow_of(volume(GRID_MIN)[keep], GRID_MIN[keep])
    found = trumpet(of, 5.0)
    assert found.mean_percent is None and np.all(np.isnan(found.max_percent)) and "not bridged" in found.why
    assert all(f.value is None and f.why for f in found.figures())
    drawn = start_up(of, 5.0)
    assert np.sum(np.isnan(drawn.q_ml_h)) == 76 and drawn.deficit_ml is None and drawn.delay_min == 0.0
    assert any("minute 70.0 to 108.0" in remark for remark in of.remarks)


def test_a_record_that_ends_early_gives_no_trumpet():
    found = trumpet(flow_of(volume(GRID_MIN)[:200], GRID_MIN[:200]), 5.0)
    assert found.mean_percent is None and "ends after" in found.why


def test_a_touched_balance_is_named_and_no_flow_is_computed_across_it():
    grams = volume(GRID_MIN)
    grams[180:] -= 0.5
    of = flow_of(grams)
    assert trumpet(of, 5.0).mean_percent is None
    assert any("less at minute 90.0" in remark for remark in of.remarks)
    assert np.sum(np.isnan(of.q_ml_h)) == 1
    assert trumpet(of, 5.0, from_min=30.0, to_min=89.5).mean_percent is not None


def test_readings_between_the_samples_are_interpolated_and_unstable_ones_left_out():
    time_min = np.arange(0.0, 120.2, 1 / 7)
    grams = volume(time_min)
    grams[500:503] = np.nan
    found = trumpet(flow_of(grams, time_min), 5.0)
    assert found.mean_percent == pytest.approx(-1.4122, abs=0.002)


def test_of_readings_with_one_stamp_the_last_one_counts():
    log = weights([0.0, 30.0, 30.0, 60.0], [0.0, 1.0, 1.2, 2.0])
    assert log.mass_g == pytest.approx([0.0, 1.2, 2.0]) and log.falls == ()


def test_times_that_go_back_are_refused_with_the_reading():
    with pytest.raises(ConfigError, match="reading 3 is earlier"):
        weights([0.0, 1.0, 0.9], [0.0, 1.0, 2.0])
    with pytest.raises(ConfigError, match="does not fit"):
        trumpet(flow_of(volume(GRID_MIN)), 5.0, windows_min=(2.3,))


def test_evaporation_uncorrected_is_the_error_and_corrected_it_is_gone():
    seconds, rest = 60 * GRID_MIN, np.arange(0.0, 1000.0, 10.0)
    lost = 0.2 / 3600
    log = weights(seconds, 5.0 / 3600 * DENSITY * seconds - lost * seconds)
    loss = evaporation(still(rest, 7.0 - lost * rest), still(rest, 9.0 - lost * rest))
    assert loss.g_h == pytest.approx(0.2) and "before and after" in loss.words
    assert trumpet(flow(log, IEC_CONVERSION), 5.0).mean_percent == pytest.approx(-4.0, abs=0.01)
    corrected = flow(log, IEC_CONVERSION, loss, 5.0)
    assert trumpet(corrected, 5.0).mean_percent == pytest.approx(0.0, abs=1e-6)
    assert any("corrected for evaporation 200.0 mg/h" in remark for remark in corrected.remarks)


def test_evaporation_is_not_corrected_where_it_is_a_large_part_of_the_flow():
    rest = np.arange(0.0, 1000.0, 10.0)
    loss = evaporation(still(rest, -0.2 / 3600 * rest))
    assert loss.refusal(5.0) == "" and "20.0 % of 1 mL/h" in loss.refusal(1.0)
    with pytest.raises(ConfigError, match="at most 5 %"):
        flow(weights([0, 30, 60], [0, 1, 2]), IEC_CONVERSION, loss, 1.0)
    with pytest.raises(ConfigError, match="15 min are needed"):
        still(rest[:50], rest[:50])


def test_slopes_that_differ_make_the_correction_uncertain():
    rest = np.arange(0.0, 1000.0, 10.0)
    loss = evaporation(still(rest, -0.001 / 3600 * rest), still(rest, -0.003 / 3600 * rest))
    assert loss.g_h == pytest.approx(0.002) and loss.u_g_h == pytest.approx(0.001 / 3**0.5, rel=1e-3)


@pytest.mark.parametrize(("rate", "window"), [(5.0, (4.1, -7.4)), (1.0, (15.7, -42.2))])
def test_drops_off_a_free_needle_are_recognised_and_give_no_trumpet(rate, window):
    drop_ml = 0.01925 / DENSITY
    fallen = np.floor(rate / 60 * GRID_MIN / drop_ml) * drop_ml
    found = trumpet(flow_of(fallen), rate)
    assert found.mean_percent is None and "19." in found.why and "drops" in found.why
    q = np.diff(fallen)[120:]
    two = np.convolve(q, np.ones(4), "valid") * 30 / rate * 100 - 100
    assert (two.max(), two.min()) == pytest.approx(window, abs=0.6)


def test_an_even_or_a_swinging_flow_is_not_taken_for_drops():
    rng = np.random.default_rng(1)
    assert whole_drops_g(np.full(120, 0.0417)) is None
    assert whole_drops_g(np.diff(volume(GRID_MIN))[:120] + rng.normal(0, 1e-4, 120)) is None
    assert whole_drops_g(rng.normal(0.0417, 0.02, 120)) is None
    assert whole_drops_g(0.0193 * rng.integers(0, 3, 120) + rng.normal(0, 1e-4, 120)) == pytest.approx(0.0193, abs=1e-4)


def test_a_balance_that_holds_its_zero_shows_plateaus():
    seconds = np.arange(0.0, 3600.0, 1.0)
    true = seconds / 3600.0
    held = np.where(seconds < 60.0, 0.0, true)
    found = plateaus(seconds, np.round(held, 4), 1.0, 1e-4)
    assert len(found) == 1 and found[0].end_s == pytest.approx(59.0)
    assert found[0].missed_g == pytest.approx(59 / 3600)
    assert plateaus(seconds, np.round(true, 4), 1.0, 1e-4) == ()


def test_start_up_of_a_first_order_pump_reaches_ninety_percent_after_two_and_a_third_time_constants():
    tau = 6.0
    of = flow_of(5.0 / 60 * (GRID_MIN - tau * (1 - np.exp(-GRID_MIN / tau))))
    found = start_up(of, 5.0)
    assert found.delay_min == pytest.approx(2.30 * tau, abs=0.5)
    assert found.deficit_ml == pytest.approx(5.0 * tau / 60, abs=1e-3)


def test_slack_is_a_delay_without_flow():
    delay = 0.06 * (np.pi * 26.59**2 / 4) * 0.1 / 1.0
    found = start_up(flow_of(np.maximum(0.0, GRID_MIN - delay) / 60), 1.0)
    assert delay == pytest.approx(3.3, abs=0.05) and found.delay_min == pytest.approx(3.5)
    assert start_up(flow_of(0.5 * GRID_MIN / 60), 1.0).why.startswith("the flow never stayed")


def test_a_day_of_readings_every_second_takes_less_than_a_second():
    seconds = np.arange(0.0, 86_400.0)
    began = time.perf_counter()
    of = flow_of(volume(seconds / 60), seconds / 60)
    assert trumpet(of, 5.0, from_min=1380.0, to_min=1440.0 - 0.5).why == ""
    assert time.perf_counter() - began < 1.0


def test_before_the_first_reading_there_is_no_flow():
    log = weights([20.0, 40.0, 60.0, 90.0], [1.0, 1.1, 1.2, 1.3])
    assert np.isnan(log.mass_g).tolist() == [True, False, False, False]
    late = weights([300.0, 330.0], [1.0, 1.1])
    assert late.gaps[0].words == "no readings from minute 0.0 to 5.0" and np.isnan(late.mass_g).sum() == 10


def test_a_start_up_whose_rise_lies_in_a_gap_has_no_delay():
    keep = (GRID_MIN <= 1.0) | (GRID_MIN >= 10.0)
    rising = 5.0 / 60 * np.maximum(0.0, GRID_MIN - 5.0)
    assert start_up(flow_of(rising, GRID_MIN), 5.0).delay_min == pytest.approx(5.0)
    assert start_up(flow_of(rising[keep], GRID_MIN[keep]), 5.0).delay_min is None


def test_an_even_flow_with_one_stop_or_few_stops_is_not_taken_for_drops():
    once = np.full(120, 0.0208)
    once[40:54] = 0.0
    assert whole_drops_g(once) is None
    seldom = np.full(120, 0.0208)
    seldom[[5, 50, 60, 100]] = 0.0
    assert whole_drops_g(seldom) is None


@pytest.mark.parametrize(("rate", "percent"), [(5.0, -0.27), (1.0, -1.33)])
def test_back_pressure_on_a_yielding_line_costs_what_it_stores(rate, percent):
    even = rate / 60 * GRID_MIN
    stored = np.where(GRID_MIN > 90.0, 0.01333, 0.0)
    found = trumpet(flow_of(np.maximum.accumulate(even - stored)), rate)
    assert found.mean_percent == pytest.approx(percent, abs=0.005)
