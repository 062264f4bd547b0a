"""From tips and truth to a trial row."""

import numpy as np
import pytest

from experiments.log import TrialLog
from experiments.scoring import score
from experiments.technique import load_technique


def _truth(tip=(1.0, 0.0, 0.0)):
    return {
        "aim_mm": [0.0, 0.0, 0.0],
        "nerve_line_mm": [[0.0, -20.0, 4.0], [0.0, 20.0, 4.0]],
        "nerve_radius_mm": 2.5,
        "targets": {"L4.left": [0.0, 0.0, 4.0], "L5.left": [0.0, -35.0, 4.0]},
        "moments": {"at_injection": {"tip_mm": list(tip), "gap_mm": 1.5}},
        "path_gap_mm": 1.5,
        "path_structures": ["muscle"],
        "spread_cover": 0.7,
        "channel": None,
    }


def _log(tip, ended="finished"):
    log = TrialLog(ended=ended, planned_axis=np.array([0.0, 0.0, 1.0]), passes_n=1)
    if tip is not None:
        log.reference_mm["at_injection"] = np.asarray(tip, float)
    return log


def _score(log, truth):
    return score(log, load_technique("L4_IP_T"), "left", truth, PhantomToRig=np.eye(4), force_limit_n=5.0)


def test_a_near_tip_is_a_success_with_its_error_split_along_the_planned_axis():
    row = _score(_log([3.0, 0.0, 0.8]), _truth())
    assert row["outcome"] == "success" and row["first_pass_success"]
    assert row["tte_mm"] == pytest.approx(np.hypot(3.0, 0.8))
    assert row["tte_lat_mm"] == pytest.approx(3.0) and row["tte_axial_mm"] == pytest.approx(0.8)
    assert row["tip_nerve_gap_mm"] == pytest.approx(np.hypot(3.0, 3.2) - 2.5)
    assert row["reference_err_mm"] == pytest.approx(np.hypot(2.0, 0.8))


def test_without_a_reference_instrument_a_trial_is_truth_missing_and_never_a_success():
    row = _score(_log(None), _truth())
    assert row["outcome"] == "truth_missing" and row["success"] is None
    assert _score(_log([0, 0, 0]), None)["outcome"] == "truth_missing"


def test_the_wrong_root_is_a_miss_with_v8():
    row = _score(_log([0.0, -33.0, 0.0]), _truth())
    assert row["outcome"] == "miss" and not row["level_correct"] and "V8" in row["violations"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"path_gap_mm": -0.8}, "V1"),
        ({"path_structures": ["vein"]}, "V2"),
        ({"path_structures": ["dura"]}, "V3"),
        ({"path_structures": ["disc"]}, "V5"),
    ],
)
def test_what_the_needle_went_through_forfeits_success(change, code):
    row = _score(_log([0.5, 0.0, 0.0]), _truth() | change)
    assert row["violations"] == code and row["outcome"] == "miss"


def test_pressure_force_blind_travel_and_checklist_have_their_codes():
    log = _log([0.5, 0.0, 0.0])
    log.p_peak_kpa, log.force_peak_n, log.blind_longest_mm = 120.0, 11.0, 6.0
    log.checklist_short.append("PRE4")
    assert _score(log, _truth())["violations"] == "V6;V7;V9;V10"


def test_a_stopped_trial_keeps_its_outcome_even_close_to_the_aim():
    row = _score(_log([0.5, 0.0, 0.0], ended="stopped"), _truth())
    assert row["outcome"] == "stopped" and row["success"] is False


def test_s1_is_judged_by_its_channel():
    truth = _truth() | {
        "channel": {"rim_mm": [0.0, 0.0, -8.0], "axis": [0.0, 0.0, 1.0]},
        "targets": {"S1.left": [0, 0, 4.0]},
    }
    technique = load_technique("S1_IP")

    def placed(tip):
        return score(_log(tip), technique, "left", truth, PhantomToRig=np.eye(4), force_limit_n=5.0)[
            "placement_success"
        ]

    assert placed([4.0, 0.0, 0.0])
    assert not placed([4.4, 0.0, 0.0])
    assert not placed([0.0, 0.0, -6.0])
