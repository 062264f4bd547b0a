"""Rates and closed lines from tables: what was put in comes out, and what cannot be told is not told."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.qa.kinds.pump_occlusion import PUMP_OCCLUSION
from analysis.qa.kinds.pump_rate import PUMP_RATE
from analysis.qa.outcome import Outcome
from analysis.tables import DataFrame

G_PER_ML = 0.9982067 / 1.0010527


def rate_tables(
    gain: float = 1.0, leak_ml_min: float = 0.0, swing: float = 0.0, count: float = 1.0, loss_g_h: float = 0.0
) -> dict[str, DataFrame]:
    """Five rates of a minute each after a quarter of an hour at rest; the flow swings every 10 s."""
    weighed = [(float(s), 70.0 - loss_g_h * (s - 1000.0) / 3600.0) for s in np.arange(0.0, 960.0, 10.0)]
    mass, t, rows = 70.0, 1000.0, []
    for rate in (0.5, 1.0, 2.0, 3.0, 4.0):
        at = np.arange(0.1, 60.0, 0.2)
        ml = (rate * gain - leak_ml_min) * at / 60.0
        ml += swing * rate / 60.0 * 10.0 / (2 * np.pi) * (1.0 - np.cos(2 * np.pi * at / 10.0))
        weighed += list(zip(t + 2.0 + at, mass + ml * G_PER_ML - loss_g_h * at / 3600.0, strict=True))
        gained = (rate * gain - leak_ml_min) * G_PER_ML - loss_g_h * 66.0 / 3600.0
        rows.append((rate, rate, rate * count, t, mass, t + 2.0, t + 62.0, t + 66.0, mass + gained))
        mass, t = mass + gained, t + 70.0
    names = ["rate_ml_min", "set_ml", "counted_ml", "before_s", "before_g", "begin_s", "end_s", "after_s", "after_g"]
    log = DataFrame(weighed, columns=["time_s", "mass_g"]).assign(stable=0.0)
    return {"runs": DataFrame(rows, columns=names), "weighings": log}


def rates(tables: dict[str, DataFrame]) -> Outcome:
    return PUMP_RATE.evaluate(tables, PUMP_RATE.settings({}))


def values(outcome: Outcome) -> dict[str, float | None]:
    assert outcome.invalid == ""
    return {figure.name: figure.value for figure in outcome.figures}


def test_a_gain_is_the_same_at_all_rates_and_a_leak_is_not():
    found = rates(rate_tables(gain=1.02))
    assert {f.name: f.unit for f in found.figures} == {n: u for n, (u, _) in PUMP_RATE.figures.items()}
    assert values(found)["rate_mean_percent"] == pytest.approx(2.0, abs=0.02)
    assert values(found)["rate_spread_percent"] == pytest.approx(0.0, abs=0.02)
    leaking = values(rates(rate_tables(leak_ml_min=0.01)))
    assert leaking["rate_worst_percent"] == pytest.approx(-2.0, abs=0.02)
    assert leaking["rate_spread_percent"] == pytest.approx(1.75, abs=0.02)


def test_the_count_of_the_pump_is_held_against_the_balance_and_not_against_what_was_set():
    assert values(rates(rate_tables(gain=1.02, count=1.02)))["count_worst_percent"] == pytest.approx(0.0, abs=0.02)
    assert values(rates(rate_tables(count=1.03)))["count_worst_percent"] == pytest.approx(3.0, abs=0.02)


def test_a_flow_that_swings_shows_in_windows_shorter_than_its_swing():
    found = values(rates(rate_tables(swing=0.1)))
    assert abs(found["window_2_s_percent"]) == pytest.approx(100 * 0.1 * np.sin(0.2 * np.pi) / (0.2 * np.pi), abs=0.3)
    assert abs(found["window_10_s_percent"]) < 0.2 and abs(found["window_30_s_percent"]) < 0.2


def test_evaporation_is_corrected_at_every_rate():
    found = values(rates(rate_tables(loss_g_h=0.3)))
    assert found["rate_worst_percent"] == pytest.approx(0.0, abs=0.05)
    assert found["count_worst_percent"] == pytest.approx(0.0, abs=0.05)


def test_two_rates_and_a_run_that_nobody_weighed_give_no_figure():
    tables = rate_tables()
    assert "at least 3 are needed" in rates({**tables, "runs": tables["runs"][:2]}).invalid
    few = tables["weighings"][tables["weighings"].time_s < 1100.0]
    assert "0 weighings of the steady flow" in rates({**tables, "weighings": few}).invalid


def closed(
    compliance_ul_kpa: float = 0.5, top_kpa: float = 76.0, fall_kpa_s: float = 0.0, by: float = 2.0,
    collected: bool = True,
) -> dict[str, DataFrame]:  # fmt: skip
    """Three lines closed at 1 mL/min; half a second of slack."""
    rng, log, rows = np.random.default_rng(5), [], []
    for k in range(3):
        start = 100.0 * k + 10.0
        slope = 1000.0 / 60.0 / compliance_ul_kpa
        t = np.concatenate(
            [np.arange(start - 1.0, start, 0.1), np.arange(start, start + 0.5 + top_kpa / slope + 6.0, 0.02)]
        )
        stop = start + 0.5 + top_kpa / slope
        kpa = np.clip((t - start - 0.5) * slope, 0.0, top_kpa) - fall_kpa_s * np.clip(t - stop, 0.0, None)
        log += list(zip(t, kpa + rng.normal(0.0, 0.05, len(t)), strict=True))
        gained = 1e-3 * compliance_ul_kpa * top_kpa * G_PER_ML if collected else np.nan
        rows.append((1.0, by, start - 1.0, start, stop + 5.5, 70.0, 70.0 + gained))
    names = ["rate_ml_min", "stopped_by", "rest_s", "start_s", "held_s", "before_g", "after_g"]
    return {"occlusions": DataFrame(rows, columns=names), "pressure": DataFrame(log, columns=["time_s", "kpa"])}


def occluded(tables: dict[str, DataFrame], **parameters: float) -> Outcome:
    return PUMP_OCCLUSION.evaluate(tables, PUMP_OCCLUSION.settings(parameters))


@pytest.mark.parametrize("compliance_ul_kpa", [0.5, 2.0])
def test_pressure_time_compliance_and_bolus_of_a_closed_line(compliance_ul_kpa: float):
    found = occluded(closed(compliance_ul_kpa))
    assert {f.name: f.unit for f in found.figures} == {n: u for n, (u, _) in PUMP_OCCLUSION.figures.items()}
    figures, rise_s = values(found), 76.0 * compliance_ul_kpa * 60.0 / 1000.0
    assert figures["stop_kpa"] == pytest.approx(76.0, abs=0.5)
    assert figures["time_to_stop_s"] == pytest.approx(0.5 + rise_s, rel=0.02)
    assert figures["compliance_ul_kpa"] == pytest.approx(compliance_ul_kpa, rel=0.01)
    assert figures["compliance_off_percent"] == pytest.approx(100.0 * (compliance_ul_kpa / 0.5 - 1.0), abs=2.0)
    assert figures["bolus_ml"] == pytest.approx(1e-3 * compliance_ul_kpa * 76.0, rel=0.01)
    assert figures["hold_loss_kpa_s"] == pytest.approx(0.0, abs=0.02)


def test_what_stopped_the_pump_is_said():
    assert occluded(closed()).notes[0] == "stopped by the pressure rule of the rig"
    assert occluded(closed(by=1.0)).notes[0] == "stopped by the pump's own alarm"


def test_a_line_that_does_not_hold_its_pressure_shows_how_fast_it_loses_it():
    assert values(occluded(closed(fall_kpa_s=2.0)))["hold_loss_kpa_s"] == pytest.approx(2.0, rel=0.03)


def test_a_bolus_that_nobody_collected_is_withheld():
    bolus = occluded(closed(collected=False)).figure("bolus_ml")
    assert bolus.value is None and "not weighed" in bolus.why


def test_a_line_that_was_not_closed_gives_no_figure():
    assert "was not closed" in occluded(closed(top_kpa=5.0)).invalid
