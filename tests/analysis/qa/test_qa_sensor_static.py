"""A static calibration from steps that a person applied: what was planted is what is found."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.qa.kinds.sensor_static import PRESSURE_STATIC
from analysis.tables import DataFrame

STEPS = np.array([0.0, 50.0, 100.0, 150.0, 200.0])


def points(gain: float = 1.0, play: float = 0.0, offset: float = 0.0, cycles: int = 3, sd: float = 0.02) -> DataFrame:
    rng = np.random.default_rng(7)
    rows = []
    for cycle in range(1, cycles + 1):
        up = cycle % 2 == 1
        for wanted in STEPS if up else STEPS[::-1]:
            reference = wanted + rng.normal(0.0, 0.2)
            reading = gain * reference + offset + (-play if up else play) / 2 + rng.normal(0.0, sd / 20**0.5)
            rows.append((cycle, 1.0 if up else -1.0, wanted, reference, reading, sd, 20.0))
    names = ["cycle", "direction", "wanted", "reference", "reading", "sd", "n"]
    return DataFrame(rows, columns=names)


def figures(table: DataFrame) -> dict[str, float | None]:
    outcome = PRESSURE_STATIC.evaluate({"points": table}, PRESSURE_STATIC.settings({}))
    assert outcome.invalid == ""
    assert {f.name: f.unit for f in outcome.figures} == {n: u for n, (u, _) in PRESSURE_STATIC.figures.items()}
    return {f.name: f.value for f in outcome.figures}


def test_gain_offset_and_play_are_distinguished():
    assert figures(points(gain=1.02))["gain_error_percent"] == pytest.approx(2.0, abs=0.02)
    assert figures(points(offset=1.5))["offset"] == pytest.approx(1.5, abs=0.02)
    played = figures(points(play=2.0))
    assert played["hysteresis_percent"] == pytest.approx(1.0, abs=0.02)
    assert played["gain_error_percent"] == pytest.approx(0.0, abs=0.02)


def test_a_reference_that_was_set_near_its_step_costs_nothing_and_one_at_another_step_is_refused():
    assert figures(points())["linearity_least_squares_percent"] < 0.03
    wrong = points()
    wrong.loc[2, "reference"] = 150.0
    assert "the reference showed 150 where 100 was asked" in PRESSURE_STATIC.evaluate({"points": wrong}, {}).invalid


def test_a_cycle_that_lacks_a_step_gives_no_number():
    broken = points().iloc[:-1]
    outcome = PRESSURE_STATIC.evaluate({"points": broken}, PRESSURE_STATIC.settings({}))
    assert "cycle 3 has 4 of 5 steps" in outcome.invalid


def test_one_series_up_withholds_hysteresis_and_repeatability_with_the_reason():
    outcome = PRESSURE_STATIC.evaluate({"points": points(cycles=1)}, PRESSURE_STATIC.settings({}))
    hysteresis, repeat = outcome.figure("hysteresis_percent"), outcome.figure("repeatability_percent")
    assert hysteresis.value is None and "no series came down" in hysteresis.why
    assert repeat.value is None and "one series up only" in repeat.why


def test_a_reference_that_was_set_to_another_step_gives_no_figure():
    table = points()
    table.loc[3, ["reference", "reading"]] += 5.0  # 2.5 % of full scale
    outcome = PRESSURE_STATIC.evaluate({"points": table}, PRESSURE_STATIC.settings({}))
    assert "where 150 was asked for" in outcome.invalid
