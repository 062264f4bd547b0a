"""Figures over time: limits designed once, phases apart, drift told by the newest point."""

from __future__ import annotations

import json
import random
from datetime import date, timedelta
from pathlib import Path

import pytest

from analysis.qa.history import last_judged, read_history
from analysis.qa.trend import TREND_FILE, add_design, drift_faults, points_of, read_plan, trend_of
from experiments.qa.over_time import design_limits, draw_trend
from hal.errors import ConfigError

FIGURE = "resistance_kpa_min_ml"
TODAY = date(2026, 12, 1)


def runs(
    folder: Path, n: int, *, shift_from: int = 10**6, shift: float = 0.0, begin: int = 0, unit: str = "kPa min/mL"
):
    rng = random.Random(begin + 1)
    for k in range(begin, begin + n):
        day = date(2025, 1, 1) + timedelta(days=k)
        run = folder / f"qa-line_loss-{day:%Y%m%d}T000000Z"
        run.mkdir(parents=True)
        value = 5.0 + rng.gauss(0.0, 0.05) + (shift if k >= shift_from else 0.0)
        data = {
            "acceptance": "line_loss", "test": "line_loss", "device": "pressure", "date": f"{day}T10:00:00Z",
            "verdict": "WOULD PASS", "simulated": True, "interval_days": 1,
            "figures": [{"name": FIGURE, "value": value, "unit": unit}],
        }  # fmt: skip
        (run / "results.json").write_text(json.dumps(data))


def of(folder: Path):
    return trend_of(read_history(folder), read_plan(folder), "line_loss", FIGURE)


def test_limits_are_designed_once_and_a_new_design_says_why_and_keeps_the_old_one(tmp_path):
    runs(tmp_path, 60)
    first = add_design(tmp_path, read_history(tmp_path), "line_loss", FIGURE, TODAY)
    assert first.centre == pytest.approx(5.0, abs=0.02) and first.sigma == pytest.approx(0.05, rel=0.3)
    with pytest.raises(ConfigError, match="say why they are replaced"):
        add_design(tmp_path, read_history(tmp_path), "line_loss", FIGURE, TODAY)
    add_design(tmp_path, read_history(tmp_path), "line_loss", FIGURE, TODAY, "a new needle set")
    plan = read_plan(tmp_path)
    assert len(plan.designs) == 2 and plan.designs[0] == first
    assert plan.design("line_loss", FIGURE).replaces.centre == first.centre


def test_more_runs_do_not_move_the_limits(tmp_path):
    runs(tmp_path, 60)
    add_design(tmp_path, read_history(tmp_path), "line_loss", FIGURE, TODAY)
    before = of(tmp_path).shewhart.upper[0]
    runs(tmp_path, 40, begin=60, shift_from=60, shift=0.5)
    assert of(tmp_path).shewhart.upper[-1] == before


def test_a_shift_is_told_as_drift_with_the_rules_and_a_steady_device_is_not(tmp_path):
    runs(tmp_path, 60)
    add_design(tmp_path, read_history(tmp_path), "line_loss", FIGURE, TODAY)
    assert drift_faults(read_history(tmp_path), read_plan(tmp_path), "line_loss") == []
    runs(tmp_path, 10, begin=60, shift_from=60, shift=0.25)
    (fault,) = drift_faults(read_history(tmp_path), read_plan(tmp_path), "line_loss")
    assert FIGURE in fault and "beyond 3 s" in fault and "EWMA" in fault


def test_a_phase_begins_with_an_empty_chart(tmp_path):
    runs(tmp_path, 60)
    add_design(tmp_path, read_history(tmp_path), "line_loss", FIGURE, TODAY)
    runs(tmp_path, 7, begin=60, shift_from=60, shift=0.08)
    ran_on = of(tmp_path).average.value[63]
    phase = '\n[[phases]]\nacceptance = "line_loss"\nbegins = "2025-03-05"\nreason = "pump repaired"\n'
    text = (tmp_path / TREND_FILE).read_text().replace("phases = []\n", "")
    (tmp_path / TREND_FILE).write_text(text + phase)
    trend = of(tmp_path)
    assert set(trend.phases) == {"from the beginning", "from 2025-03-05: pump repaired"}
    value, centre = trend.shewhart.value[63], trend.shewhart.centre
    assert trend.average.value[63] == pytest.approx(centre + 0.2 * (value - centre)) != pytest.approx(ran_on)


def test_a_figure_in_two_units_and_too_few_runs_are_refused(tmp_path):
    runs(tmp_path, 9)
    with pytest.raises(ConfigError, match="at least 10"):
        add_design(tmp_path, read_history(tmp_path), "line_loss", FIGURE, TODAY)
    runs(tmp_path, 9, begin=9, unit="bar min/mL")
    with pytest.raises(ConfigError, match="was recorded in bar min/mL and kPa min/mL"):
        add_design(tmp_path, read_history(tmp_path), "line_loss", FIGURE, TODAY)


def test_the_page_says_drifting_and_names_the_rules(tmp_path):
    runs(tmp_path, 60)
    with pytest.raises(ConfigError, match=f"no limits were designed .*{FIGURE}"):
        draw_trend(tmp_path, "line_loss")
    add_design(tmp_path, read_history(tmp_path), "line_loss", FIGURE, TODAY)
    runs(tmp_path, 10, begin=60, shift_from=60, shift=0.25)
    page, _ = draw_trend(tmp_path, "line_loss")
    text = page.read_text()
    assert "DRIFTING" in text and "beyond 3 s" in text and "SIMULATED DATA" in text and "not the 370" in text


@pytest.mark.parametrize("day", ["yesterday", "2026-1-5", "20260105", "2026-02-30", "2026-01-05T00:00:00"])
def test_a_phase_that_begins_on_no_day_is_refused(tmp_path, day):
    (tmp_path / TREND_FILE).write_text(f'[[phases]]\nacceptance = "line_loss"\nbegins = "{day}"\nreason = "repair"\n')
    with pytest.raises(ConfigError, match="begins"):
        read_plan(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"date": "soon"},
        {"interval_days": 0},
        {"interval_days": 10**9},
        {"figures": {}},
        {"figures": ["x"]},
        {"figures": 3},
    ],
)
def test_results_that_nobody_can_have_written_are_passed_over(tmp_path, change):
    runs(tmp_path, 2)
    path = sorted(tmp_path.glob("*/results.json"))[0]
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert len(read_history(tmp_path)) == 1


def _changed(folder: Path, k: int, **change: object) -> None:
    path = sorted(folder.glob("*/results.json"))[k]
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_a_run_without_a_verdict_is_no_point_and_is_not_the_last_one(tmp_path):
    runs(tmp_path, 12)
    _changed(tmp_path, 11, verdict="NOT EVALUATED")
    _changed(tmp_path, 10, date="")
    history = read_history(tmp_path)
    assert len(points_of(history, "line_loss", FIGURE)) == 10
    assert last_judged(history, "line_loss").run.endswith("20250110T000000Z")


def test_an_alarm_of_the_past_is_no_drift_of_today(tmp_path):
    runs(tmp_path, 60)
    add_design(tmp_path, read_history(tmp_path), "line_loss", FIGURE, TODAY)
    figure = {"name": FIGURE, "value": 6.0, "unit": "kPa min/mL"}
    _changed(tmp_path, 5, figures=[figure])
    trend = of(tmp_path)
    assert trend.shewhart.first.index == 5 and trend.drifting == ""


def test_simulated_runs_are_on_no_chart_of_real_ones(tmp_path):
    runs(tmp_path, 60)
    for k in range(20):
        _changed(tmp_path, k, simulated=False)
    assert design_limits(tmp_path, "line_loss", FIGURE, today=TODAY).points_n == 20
    page, (trend,) = draw_trend(tmp_path, "line_loss")
    assert len(trend.days) == 20 and "SIMULATED DATA" not in page.read_text()
