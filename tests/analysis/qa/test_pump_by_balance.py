"""Tests by balance from tables: what was put into a log comes out of it, and a log that cannot tell says so."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.figures.style import Stamp, styled
from analysis.qa.kinds.balance_check import BALANCE_CHECK
from analysis.qa.kinds.pump_bolus import PUMP_BOLUS
from analysis.qa.kinds.pump_trumpet import PUMP_TRUMPET
from analysis.qa.outcome import Outcome
from analysis.tables import DataFrame

START_S, REST_S = 1000.0, 960.0
G_PER_ML = 0.9982067 / 1.0010527
"""As a balance shows it at 20 degC."""
STAMP = Stamp(simulated=True, demonstration=False)


def log(
    rate: float = 5.0, error: float = -0.012, swing: float = 0.05, period_min: float = 8.0, loss_g_h: float = 0.002,
    noise_mg: float = 0.0,
) -> dict[str, DataFrame]:  # fmt: skip
    """A screw that swings: 16 min at rest, two hours of flow, 17 min at rest."""
    t = np.arange(START_S - REST_S, START_S + 7260.0 + 1020.0, 30.0) + 10.0
    flow_min = np.clip((t - START_S) / 60.0, 0.0, 121.0)
    turned = period_min / (2.0 * np.pi) * (1.0 - np.cos(2.0 * np.pi * flow_min / period_min))
    volume = rate / 60.0 * ((1.0 + error) * flow_min + swing * turned)
    mass = 70.0 + volume * G_PER_ML - loss_g_h * t / 3600.0
    mass += np.random.default_rng(4).normal(0.0, noise_mg / 1000.0, len(t))
    delivery = DataFrame({"time_s": [START_S, START_S + 7260.0], "running": [1.0, 0.0], "counted_ml": [0.0, 10.08]})
    return {"weighings": DataFrame({"time_s": t, "mass_g": mass, "stable": 0.0}), "delivery": delivery}


def trumpet(tables: dict[str, DataFrame], **parameters: object) -> Outcome:
    return PUMP_TRUMPET.evaluate(tables, PUMP_TRUMPET.settings(parameters))  # type: ignore[arg-type]


def values(outcome: Outcome) -> dict[str, float | None]:
    assert outcome.invalid == ""
    return {figure.name: figure.value for figure in outcome.figures}


def test_a_screw_that_swings_gives_its_trumpet_and_its_mean_error():
    found = trumpet(log())
    assert {f.name: f.unit for f in found.figures} == {n: u for n, (u, _) in PUMP_TRUMPET.figures.items()}
    figures = values(found)
    # Closed forms of the worked example; readings fall between the samples, so the extremes are a little lower.
    assert figures["a_percent"] == pytest.approx(-1.412, abs=0.02)
    for minutes, high, low in ((2, 3.30, -5.70), (5, 1.15, -3.55), (11, -0.13, -2.27), (31, -1.04, -1.36)):
        assert figures[f"ep_max_{minutes}_min_a_percent"] == pytest.approx(high, abs=0.15)
        assert figures[f"ep_min_{minutes}_min_a_percent"] == pytest.approx(low, abs=0.15)
    assert figures["evaporation_mg_h"] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("loss_g_h", [0.02, 0.1, 0.2])
def test_evaporation_is_corrected_and_said(loss_g_h: float):
    found = trumpet(log(loss_g_h=loss_g_h))
    assert values(found)["a_percent"] == pytest.approx(-1.412, abs=0.02)
    assert any(f"evaporation {1000 * loss_g_h:.1f} mg/h" in note for note in found.notes)


def test_an_evaporation_of_more_than_a_twentieth_of_the_flow_is_refused():
    assert "cover it, or use an oil film" in trumpet(log(loss_g_h=0.3)).invalid


def test_without_a_record_at_rest_nothing_is_corrected_and_the_notes_say_so():
    tables = log(loss_g_h=0.2)
    tables["weighings"] = tables["weighings"][tables["weighings"].time_s > START_S - 60.0]
    found = trumpet(tables)
    assert values(found)["a_percent"] == pytest.approx(-1.412 - 4.0, abs=0.05)
    assert values(found)["evaporation_mg_h"] is None
    assert any("evaporation not corrected" in note and "15 min are needed" in note for note in found.notes)


def test_a_hole_in_the_log_is_never_bridged():
    tables = log()
    minutes = (tables["weighings"].time_s - START_S) / 60.0
    tables["weighings"] = tables["weighings"][(minutes < 70.0) | (minutes > 108.0)]
    found = trumpet(tables)
    assert values(found)["a_percent"] is None and values(found)["ep_max_2_min_a_percent"] is None
    assert "not bridged" in found.figure("a_percent").why
    assert values(found)["start_delay_min"] is not None, "the start-up curve is drawn, with its gap"
    assert any("no readings from minute 69." in note for note in found.notes)
    with styled():
        assert [plot.name for plot in PUMP_TRUMPET.draw(tables, found, STAMP)] == ["start_up"]


def test_a_log_that_ends_early_has_no_trumpet():
    tables = log()
    tables["weighings"] = tables["weighings"][tables["weighings"].time_s < START_S + 90 * 60]
    assert "the record ends after" in trumpet(tables).figure("a_percent").why


def test_other_windows_than_those_of_the_method_are_refused_and_fewer_of_them_are_named():
    assert "windows_min: some of 2, 5" in trumpet(log(), windows_min=(3.0,)).invalid
    found = trumpet(log(), windows_min=(2.0, 5.0))
    assert found.figure("ep_max_31_min_a_percent").why == "not among the windows of this test"
    assert any("instead of 2, 5, 11, 19, 31" in note for note in found.notes)


def test_the_pictures_are_those_of_a_pump_manual():
    found = trumpet(log())
    with styled():
        start, curve = PUMP_TRUMPET.draw(log(), found, STAMP)
    (axes,) = start.drawing.axes
    assert axes.get_ylim() == (-1.0, 10.0) and list(axes.get_xticks())[-1] == 120.0
    (axes,) = curve.drawing.axes
    assert axes.get_ylim() == (-15.0, 15.0) and list(axes.get_xticks()) == [2, 5, 11, 19, 31]


def test_pictures_of_a_poor_pump_are_wider():
    with styled():
        _, curve = PUMP_TRUMPET.draw(log(), trumpet(log(swing=0.4)), STAMP)
    assert curve.drawing.axes[0].get_ylim()[1] > 25.0


def bolus_tables(
    gain: float = 1.0, lost_ml: float = 0.0, loss_g_h: float = 0.0015, scatter: float = 0.0005, n: int = 25
) -> dict[str, DataFrame]:
    rng = np.random.default_rng(6)
    t, mass, rows = 1000.0, 70.0, []
    rest = np.arange(0.0, 960.0, 10.0)
    weighed = [(float(s), 70.0 - loss_g_h * (s - 1000.0) / 3600.0) for s in rest]
    for _ in range(n):
        for size in (0.1, 0.2, 0.3, 1.0):
            delivered = gain * size - lost_ml + rng.normal(0.0, scatter)
            took = 60.0 * size / 3.0 + 6.0
            after = mass + delivered * G_PER_ML - loss_g_h * took / 3600.0
            if size == 1.0:
                at = np.arange(0.2, 20.0, 0.2)
                weighed += [(t + 2.0 + s, mass + max(0.0, s - 1.5) * 0.05 * G_PER_ML) for s in at]
            rows.append((size, 3.0, size, t, mass, t + 2.0, t + took, after))
            t, mass = t + took + 1.0, after - loss_g_h / 3600.0
    names = ["set_ml", "rate_ml_min", "counted_ml", "before_s", "before_g", "begin_s", "after_s", "after_g"]
    log_ = DataFrame(weighed, columns=["time_s", "mass_g"]).assign(stable=0.0)
    return {"boluses": DataFrame(rows, columns=names), "weighings": log_}


def bolus(tables: dict[str, DataFrame]) -> Outcome:
    return PUMP_BOLUS.evaluate(tables, PUMP_BOLUS.settings({}))


def test_boluses_have_their_errors_with_the_uncertainty_of_weighing_and_scatter():
    found = bolus(bolus_tables(gain=1.01))
    assert {f.name: f.unit for f in found.figures} == {n: u for n, (u, _) in PUMP_BOLUS.figures.items()}
    figures = values(found)
    for ul in (100, 200, 300, 1000):
        mean = found.figure(f"mean_{ul}_ul_percent")
        assert mean.value == pytest.approx(1.0, abs=3 * mean.u)
        assert figures[f"min_{ul}_ul_percent"] < mean.value < figures[f"max_{ul}_ul_percent"]
    assert found.figure("mean_100_ul_percent").u > 5 * found.figure("mean_1000_ul_percent").u
    assert figures["start_delay_s"] == pytest.approx(1.0, abs=1.1)


def test_a_wrong_bore_and_a_loss_at_every_start_are_told_apart():
    wide = values(bolus(bolus_tables(gain=(19.4 / 19.13) ** 2)))
    assert wide["diameter_mm"] == pytest.approx(19.40, abs=0.01)
    assert wide["start_loss_ul"] == pytest.approx(0.0, abs=0.4)
    slack = values(bolus(bolus_tables(lost_ml=0.004)))
    assert slack["diameter_mm"] == pytest.approx(19.13, abs=0.01)
    assert slack["start_loss_ul"] == pytest.approx(4.0, abs=0.4)


def test_an_open_vessel_costs_a_bolus_nothing_once_it_was_watched_at_rest():
    figures = values(bolus(bolus_tables(loss_g_h=0.3)))
    assert figures["mean_100_ul_percent"] == pytest.approx(0.0, abs=0.4)


def test_too_few_boluses_of_a_size_withhold_its_figures_with_the_reason():
    found = bolus(bolus_tables(n=4))
    assert values(found)["mean_100_ul_percent"] is None
    assert found.figure("mean_100_ul_percent").why == "4 boluses of 0.1 mL, 5 are needed"


def test_a_vessel_that_gains_nothing_gives_no_number():
    tables = bolus_tables()
    tables["boluses"]["after_g"] = tables["boluses"]["before_g"] - 1e-4
    assert "gained nothing" in bolus(tables).invalid


def loadings(
    error_mg: float = 0.0, sd_mg: float = 0.08, drift_mg_h: float = 0.2, n: int = 10, seed: int = 2
) -> dict[str, DataFrame]:
    rng = np.random.default_rng(seed)
    zeros = 12.0 + rng.normal(0.0, sd_mg / 1000.0, n + 1)
    loaded = 62.0 + error_mg / 1000.0 + rng.normal(0.0, sd_mg / 1000.0, n)
    table = DataFrame({"nominal_g": 50.0, "before_g": zeros[:-1], "loaded_g": loaded, "after_g": zeros[1:]})
    t = np.arange(0.0, 3600.0, 30.0)
    mass = 12.0 + drift_mg_h * t / 3.6e6 + rng.normal(0.0, sd_mg / 1000.0, len(t))
    return {"loadings": table, "weighings": DataFrame({"time_s": t, "mass_g": mass, "stable": 1.0})}


def check(tables: dict[str, DataFrame], **parameters: object) -> Outcome:
    return BALANCE_CHECK.evaluate(tables, BALANCE_CHECK.settings(parameters))  # type: ignore[arg-type]


def test_error_repeatability_and_drift_of_a_balance_are_told_apart():
    found = check(loadings(error_mg=1.0, sd_mg=0.24, drift_mg_h=5.0))
    assert {f.name: f.unit for f in found.figures} == {n: u for n, (u, _) in BALANCE_CHECK.figures.items()}
    for name, planted in (("error_mg", 1.0), ("error_ppm", 20.0), ("repeatability_mg", 0.24), ("drift_mg_h", 5.0)):
        figure = found.figure(name)
        assert figure.value == pytest.approx(planted, abs=3 * figure.u), name


def test_repeatability_is_that_of_one_weighing_and_not_of_the_difference_from_two_zeros():
    found = [values(check(loadings(sd_mg=0.3, n=40, seed=seed)))["repeatability_mg"] for seed in range(60)]
    assert np.mean(found) == pytest.approx(0.3, rel=0.05)


def test_the_certificate_of_the_weight_is_taken_off():
    assert values(check(loadings(error_mg=0.3), correction_mg=0.3))["error_mg"] == pytest.approx(0.0, abs=0.15)


def test_a_balance_that_repeats_to_the_digit_is_not_said_to_be_perfect():
    found = check(loadings(sd_mg=0.0))
    assert values(found)["repeatability_mg"] == pytest.approx(0.1 / 6**0.5)
    assert any("cannot be told" in note for note in found.notes)


def test_two_weights_too_few_loadings_and_a_short_record_give_no_figure():
    tables = loadings()
    assert "5 are needed" in check({**tables, "loadings": tables["loadings"][:3]}).invalid
    mixed = tables["loadings"].copy()
    mixed.loc[0, "nominal_g"] = 20.0
    assert "one nominal value" in check({**tables, "loadings": mixed}).invalid
    unread = tables["weighings"].assign(mass_g=np.nan)
    assert "was not watched" in check({**tables, "weighings": unread}).invalid
    short = check({**tables, "weighings": tables["weighings"][:10]})
    assert values(short)["drift_mg_h"] is None and "15 are needed" in short.figure("drift_mg_h").why
