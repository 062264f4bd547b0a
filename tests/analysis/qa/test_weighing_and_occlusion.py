"""Density, buoyancy and budget of a weighing; boluses, occlusions and syringes against worked numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.qa.methods.bolus import boluses, short_windows, start_delay_s, stop_overrun_ml
from analysis.qa.methods.gravimetric import IEC_CONVERSION, Conversion, WeighingBudget, water_density_kg_m3
from analysis.qa.methods.occlusion import air_compliance_ul_kpa, expected, occlusion
from analysis.qa.methods.syringe import SyringeNeed, inner_diameter_mm
from hal.errors import ConfigError


@pytest.mark.parametrize(
    ("celsius", "density"), [(15, 999.103), (18, 998.598), (20, 998.207), (22, 997.773), (25, 997.047)]
)
def test_density_of_water(celsius, density):
    assert water_density_kg_m3(celsius) == pytest.approx(density, abs=6e-4)


def test_density_of_ice_is_refused():
    with pytest.raises(ConfigError, match="-3 degC is outside"):
        water_density_kg_m3(-3.0)


def test_buoyancy_and_what_the_standard_leaves_out_of_it():
    full = Conversion(water_density_kg_m3(20.0))
    assert Conversion(998.2).buoyancy_factor == pytest.approx(1.001053, abs=5e-7)
    assert 100 * (IEC_CONVERSION.ml_per_g / full.ml_per_g - 1) == pytest.approx(-0.0845, abs=5e-5)
    assert "no buoyancy" in IEC_CONVERSION.words and "1.001053" in full.words


@pytest.mark.parametrize(("vessel", "percent"), [(50, 0.065), (30, 0.179), (20, 0.403)])
def test_a_needle_in_the_liquid_lifts(vessel, percent):
    found = Conversion(998.2, needle_mm=1.27, vessel_mm=vessel)
    assert 100 * found.immersed_share == pytest.approx(percent, abs=5e-4)
    assert found.ml_per_g == pytest.approx(Conversion(998.2).ml_per_g * (1 - found.immersed_share))
    with pytest.raises(ConfigError, match="cannot be in a vessel"):
        Conversion(998.2, needle_mm=1.27, vessel_mm=1.0)


@pytest.mark.parametrize(
    ("mass", "hours", "percent"), [(200, 0.02, 0.29), (1000, 1.0, 0.094), (5000, 1.0, 0.028), (5000 / 30, 1 / 30, 0.33)]
)
def test_the_budget_of_four_weighings(mass, hours, percent):
    assert WeighingBudget(mass, hours).expanded_percent == pytest.approx(percent, rel=0.05)


def test_rows_of_the_budget_of_an_hour_at_one_millilitre():
    rows = {name: round(u, 3) for name, u in WeighingBudget(1000, 1.0).parts_mg.items()}
    assert rows == {
        "repeatability": 0.141, "readability": 0.041, "linearity": 0.115, "evaporation": 0.346, "drift": 0.115,
        "buoyancy": 0.053, "density": 0.061, "immersed needle": 0.064, "meniscus": 0.2, "time stamps": 0.008,
    }  # fmt: skip


def test_boluses_by_hand():
    found = boluses([0.19, 0.20, 0.22], 0.2)
    assert (found.mean_percent, found.max_percent, found.min_percent) == pytest.approx((100 / 60, 10.0, -5.0))
    assert found.remarks == ("3 boluses instead of 25",)
    assert boluses([0.2] * 25, 0.2).remarks == ()
    with pytest.raises(ConfigError, match="above 0"):
        boluses([1.0, 1.0], 0.0)


def delivery(rate_ml_min=3.0, delay_s=1.5, stop_s=60.0, overrun_ml=0.01):
    time = np.arange(0.0, 90.0, 0.1)
    volume = rate_ml_min / 60 * np.clip(time - delay_s, 0.0, stop_s - delay_s)
    return time, volume + overrun_ml * np.clip((time - stop_s) / 2.0, 0.0, 1.0)


def test_short_windows_delay_and_overrun_of_a_known_delivery():
    time, volume = delivery()
    steady = (time >= 2.0) & (time <= 59.0)
    found = short_windows(time[steady], 1.02 * volume[steady], 3.0)
    assert [w.window_s for w in found] == [2.0, 5.0, 10.0, 30.0]
    assert all(w.median_percent == pytest.approx(2.0) and w.worst_percent == pytest.approx(2.0) for w in found)
    assert start_delay_s(time, volume, 3.0, 0.5) == pytest.approx(1.5)
    assert start_delay_s(time, 0.5 * volume, 3.0, 0.5) is None
    assert stop_overrun_ml(time, volume, 60.0) == pytest.approx(0.01)
    with pytest.raises(ConfigError, match="not within"):
        stop_overrun_ml(time, volume, 95.0)


@pytest.mark.parametrize(
    ("compliance", "start", "threshold", "rate", "latency", "seconds", "bolus"),
    [
        (1.0, 5.0, 60.0, 5.0, 2.0, 41.6, 0.058),
        (1.0, 5.0, 60.0, 1.0, 2.0, 200.0, 0.056),
        (3.0, 5.0, 60.0, 5.0, 2.0, 120.8, 0.168),
        (0.5, 15.0, 100.0, 300.0, 0.1, 0.61, 0.051),
        (10.0, 15.0, 85.0, 12.0, 8.0, 218.0, 0.727),
    ],
)
def test_expected_occlusions(compliance, start, threshold, rate, latency, seconds, bolus):
    found = expected(compliance, start, threshold, rate, latency)
    assert found.time_to_alarm_s == pytest.approx(seconds, rel=2e-3)
    assert found.bolus_ml == pytest.approx(bolus, abs=6e-4)


@given(st.floats(0.2, 10.0), st.floats(1.0, 50.0), st.floats(20.0, 100.0))
def test_an_occlusion_gives_back_the_compliance_it_was_made_of(compliance, rate, threshold):
    closed, start = 10.0, 5.0
    to_alarm = expected(compliance, start, threshold, rate).time_to_alarm_s
    time = np.concatenate([np.linspace(0.0, closed, 20), closed + np.linspace(0.0, to_alarm, 100)[1:]])
    kpa = start + rate / 3.6 / compliance * np.maximum(0.0, time - closed)
    found = occlusion(time, kpa, closed_s=closed, alarm_s=time[-1], rate_ml_h=rate)
    assert found.compliance_ul_kpa == pytest.approx(compliance, rel=1e-6)
    assert found.alarm_kpa == pytest.approx(threshold, rel=1e-6) and found.start_kpa == pytest.approx(start)
    assert found.stored_ml == pytest.approx(1e-3 * compliance * (threshold - start), rel=1e-6)
    assert found.figures()[3].value is None and "not collected" in found.figures()[3].why


def test_air_in_the_line_stretches_the_time_to_alarm_fourfold():
    assert air_compliance_ul_kpa(0.5, 0.0) == pytest.approx(4.9, abs=0.05)
    extra = air_compliance_ul_kpa(0.5, 5.0, 60.0)
    assert extra == pytest.approx(3.1, abs=0.05)
    times = [expected(c, 5.0, 60.0, 5.0).time_to_alarm_s for c in (1.0, 1.0 + extra)]
    assert times[1] / times[0] == pytest.approx(4.1, abs=0.05)


@pytest.mark.parametrize(
    ("kpa", "alarm", "words"),
    [([5, 5, 5, 5, 5, 5, 5, 5], 7.0, "did not rise"), ([5, 5, 5, 5, 6, 7, 8, 9], 9.0, "not between")],
)
def test_a_log_without_an_occlusion_gives_no_figure(kpa, alarm, words):
    with pytest.raises(ConfigError, match=words):
        occlusion(np.arange(8.0), kpa, closed_s=3.0, alarm_s=alarm, rate_ml_h=5.0)


def test_a_syringe_that_does_not_last_is_refused_with_the_one_that_would():
    need = SyringeNeed(5.0)
    assert need.volume_ml(2.0) == pytest.approx(10.5)
    assert "a 20 mL syringe would do" in need.refusal(10)
    assert need.refusal(20) == ""
    assert "a 50 mL syringe would do" in need.refusal(20, 9.0)
    assert need.lasts_h(50.0) == pytest.approx(9.9)
    assert "no listed syringe" in need.refusal(50, 24.0)
    with pytest.raises(ConfigError, match="not stated"):
        need.refusal(12)


def test_the_diameter_of_a_barrel_by_weighing():
    assert inner_diameter_mm(np.pi * 14.43**2 / 4 * 30.0 / 1000.0, 30.0) == pytest.approx(14.43)


def test_percentiles_and_the_worst_of_short_windows_are_those_of_the_rate():
    time = np.arange(0.0, 101.0)
    error = np.tile([-0.5, 0.0, 0.0, 0.1], 25)
    volume = np.concatenate([[0.0], np.cumsum(3.0 / 60 * (1 + error))])
    (found,) = short_windows(time, volume, 3.0, (1.0,))
    assert found.n == 100 and found.worst_percent == pytest.approx(-50.0)
    assert (found.p5_percent, found.median_percent, found.p95_percent) == pytest.approx((-50.0, 0.0, 10.0), abs=1e-6)
