"""Results of single evaluations on tables whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.qa.evaluation import missing
from analysis.qa.kinds.capture_timing import CAPTURE_TIMING
from analysis.qa.kinds.line_loss import LINE_LOSS
from analysis.qa.kinds.registry import EVALUATIONS, evaluation_of
from analysis.qa.kinds.tracker_still import TRACKER_STILL
from analysis.tables import DataFrame
from hal.errors import ConfigError


def poses(n: int = 600, sigma_mm: float = 0.1, drift_mm: float = 0.0, seed: int = 1) -> dict[str, DataFrame]:
    rng = np.random.default_rng(seed)
    time_s = np.arange(n) / 10.0
    at = rng.normal(0.0, sigma_mm, (n, 3)) + np.outer(time_s / time_s[-1], [drift_mm, 0.0, 0.0])
    return {"poses": DataFrame({"time_s": time_s, "x_mm": at[:, 0], "y_mm": at[:, 1], "z_mm": at[:, 2], "seen": 1.0})}


def test_jitter_is_the_length_of_the_noise_and_drift_is_found_beside_it():
    outcome = TRACKER_STILL.evaluate(poses(drift_mm=0.5), {})
    jitter, drift = outcome.figure("jitter_mm"), outcome.figure("drift_mm")
    assert jitter.value == pytest.approx(0.1 * 3**0.5, abs=3 * jitter.u)
    assert drift.value == pytest.approx(0.5, abs=3 * drift.u)


def test_drift_is_within_three_of_its_uncertainties_in_nearly_all_of_two_hundred_quiet_records():
    far = 0
    for seed in range(200):
        drift = TRACKER_STILL.evaluate(poses(seed=seed, n=100), {}).figure("drift_mm")
        far += drift.value > 3 * drift.u
    assert far <= 2


def test_a_frozen_tracker_gives_no_figure():
    tables = poses()
    tables["poses"].loc[100:, ["x_mm", "y_mm", "z_mm"]] = 0.0
    assert "frozen" in TRACKER_STILL.evaluate(tables, {}).invalid


def test_looks_without_the_tool_are_counted_and_do_not_move_it():
    tables = poses()
    tables["poses"].loc[::10, "seen"] = 0.0
    tables["poses"].loc[::10, ["x_mm", "y_mm", "z_mm"]] = np.nan
    outcome = TRACKER_STILL.evaluate(tables, {})
    assert outcome.figure("unseen_share").value == pytest.approx(0.1)
    assert np.isfinite(outcome.figure("jitter_mm").value)


def frames(drop: tuple[int, ...] = (), repeat: tuple[int, ...] = (), n: int = 200) -> dict[str, DataFrame]:
    stamps = np.array([k / 20.0 for k in range(n) if k not in drop])
    digests = np.arange(len(stamps), dtype=float)
    for k in repeat:
        digests[k] = digests[k - 1]
    return {"frames": DataFrame({"time_s": stamps, "arrived_s": stamps + 0.06, "digest": digests, "moved": 1.0})}


def test_dropped_and_repeated_frames_are_counted():
    outcome = CAPTURE_TIMING.evaluate(frames(drop=(20, 21, 90), repeat=(50, 120)), {})
    assert outcome.figure("dropped_share").value == pytest.approx(3 / 200)
    assert outcome.figure("repeated_share").value == pytest.approx(2 / 196)
    assert outcome.figure("rate_hz").value == pytest.approx(20.0)
    assert outcome.figure("age_median_ms").value == pytest.approx(60.0)


def test_stamps_that_go_back_or_stand_give_no_rate():
    tables = frames()
    tables["frames"].loc[50, "time_s"] = 0.0
    assert "older than the one before" in CAPTURE_TIMING.evaluate(tables, {}).invalid
    tables["frames"]["time_s"] = 1.0
    assert "same stamp" in CAPTURE_TIMING.evaluate(tables, {}).invalid


def test_equal_pictures_of_a_scene_at_rest_say_nothing_of_repeats():
    tables = frames()
    tables["frames"]["digest"], tables["frames"]["moved"] = 7.0, 0.0
    repeats = CAPTURE_TIMING.evaluate(tables, {}).figure("repeated_share")
    assert repeats.value is None and "frozen" in repeats.why


def test_tables_that_are_missing_are_named():
    assert missing(CAPTURE_TIMING, {}) == "no frames were recorded"
    assert missing(CAPTURE_TIMING, {"frames": DataFrame({"time_s": [0.0]})}) == "frames lack arrived_s, digest, moved"


def test_a_parameter_that_no_test_knows_is_refused_with_those_it_has():
    with pytest.raises(ConfigError, match=r"no parameter 'second'; it has seconds, sway_mm"):
        CAPTURE_TIMING.settings({"second": 3.0})
    with pytest.raises(ConfigError, match="must be a float"):
        CAPTURE_TIMING.settings({"seconds": "ten"})
    assert CAPTURE_TIMING.settings({"seconds": 3}) == {"seconds": 3.0, "sway_mm": 1.0}


@pytest.mark.parametrize("evaluation", EVALUATIONS.values(), ids=list(EVALUATIONS))
def test_every_evaluation_gives_the_figures_that_it_names(evaluation):
    tables = {**poses(), **frames(), **plateaus()}
    if not missing(evaluation, tables):
        outcome = evaluation.evaluate(tables, evaluation.settings({}))
        assert {f.name: f.unit for f in outcome.figures} == {n: unit for n, (unit, _) in evaluation.figures.items()}


def test_an_unknown_test_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean tracker_still"):
        evaluation_of("tracker_stil")


def plateaus(slope: float = 4.65, offset: float = 0.0, bend: float = 0.0) -> dict[str, DataFrame]:
    rng = np.random.default_rng(3)
    rate = np.tile([1.0, 2.0, 3.0, 4.0], 3)
    kpa = offset + slope * rate + bend * (rate == 4.0) + rng.normal(0.0, 0.05, len(rate))
    return {"plateaus": DataFrame({"rate_ml_min": rate, "plateau_kpa": kpa, "pumped_ml": 0.2})}


def test_the_resistance_of_a_line_is_the_slope_with_its_uncertainty():
    outcome = LINE_LOSS.evaluate(plateaus(slope=5.0, offset=0.3), {"nominal_kpa_min_ml": 4.0})
    slope, offset, off = (outcome.figure(n) for n in ("resistance_kpa_min_ml", "offset_kpa", "deviation_percent"))
    assert slope.value == pytest.approx(5.0, abs=3 * slope.u) and slope.u < 0.03
    assert offset.value == pytest.approx(0.3, abs=3 * offset.u)
    assert off.value == pytest.approx(25.0, abs=3 * off.u)


def test_each_rate_once_is_too_little_for_an_uncertainty():
    once = {"plateaus": plateaus()["plateaus"].iloc[:4]}
    assert "repeated" in LINE_LOSS.evaluate(once, {"nominal_kpa_min_ml": 4.65}).invalid


def test_the_uncertainty_of_the_offset_is_that_of_a_line_far_from_zero():
    points = DataFrame(
        {"rate_ml_min": np.tile([9.0, 10.0, 11.0], 2), "plateau_kpa": [9.1, 10.0, 11.1, 8.9, 10.0, 10.9]}
    )
    offset = LINE_LOSS.evaluate({"plateaus": points}, {"nominal_kpa_min_ml": 1.0}).figure("offset_kpa")
    assert offset.u == pytest.approx(0.1 * (1 / 6 + 100.0 / 4.0) ** 0.5)  # s = 0.1 with 4 degrees of freedom


def test_a_line_that_opens_at_high_rates_is_seen_as_a_bend():
    assert LINE_LOSS.evaluate(plateaus(), {"nominal_kpa_min_ml": 4.65}).figure("bend_kpa").value < 0.1
    assert LINE_LOSS.evaluate(plateaus(bend=-3.0), {"nominal_kpa_min_ml": 4.65}).figure("bend_kpa").value > 0.5


def test_one_rate_gives_no_resistance_and_without_a_nominal_value_nothing_is_compared():
    tables = plateaus()
    only = {"plateaus": tables["plateaus"][tables["plateaus"].rate_ml_min == 1.0]}
    assert "3 rates are needed" in LINE_LOSS.evaluate(only, {"nominal_kpa_min_ml": 4.65}).invalid
    off = LINE_LOSS.evaluate(tables, {"nominal_kpa_min_ml": 0.0}).figure("deviation_percent")
    assert off.value is None and "no nominal" in off.why


def test_a_probe_that_rests_for_a_moment_repeats_no_frame_and_a_frozen_stamp_does():
    tables = frames(repeat=(50, 120))
    tables["frames"].loc[50, "moved"] = 0.0
    assert CAPTURE_TIMING.evaluate(tables, {}).figure("repeated_share").value == pytest.approx(1 / 198)
    tables["frames"].loc[150:, "time_s"] = tables["frames"].time_s[150]
    assert CAPTURE_TIMING.evaluate(tables, {}).figure("repeated_share").value == pytest.approx(50 / 199, abs=0.01)


def test_a_tracker_that_ends_early_leaves_a_gap_up_to_the_last_look():
    tables = poses()
    tables["poses"].loc[400:, "seen"] = 0.0
    assert TRACKER_STILL.evaluate(tables, {}).figure("largest_gap_s").value == pytest.approx(20.0, abs=0.2)
