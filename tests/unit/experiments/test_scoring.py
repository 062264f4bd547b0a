"""From tips and truth to a trial row."""

import numpy as np
import pytest

from experiments.protocol.technique import load_technique
from experiments.trial.log import TrialLog
from experiments.trial.scoring import nominal_truth, score
from hal.phantom.materials import materials
from hal.phantom.nominal import load_phantom
from rig.instruments.reference import Cause, TipAtRest


def _truth(tip=(1.0, 0.0, 0.0)):
    return {
        "aim_mm": [0.0, 0.0, 0.0],
        "nerve_line_mm": [[0.0, -20.0, 4.0], [0.0, 20.0, 4.0]],
        "nerve_radius_mm": 2.5,
        "targets": {"L4.left": [0.0, 0.0, 4.0], "L5.left": [0.0, -35.0, 4.0]},
        "moments": {"at_injection": {"tip_mm": list(tip), "gap_mm": 1.5}},
        "confirmations": [],
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


# ---- which violations a trial could have shown ----------------------------------------------------------------


def _measured_log(tip):
    """Everything logged: needle out again, force, pressure, checklist."""
    log = _log(tip)
    log.t_contact_ns, log.t_out_ns, log.steps_n = 1, 2, 20
    log.p_peak_kpa, log.force_peak_n = 30.0, 2.0
    return log


def _nominal():
    phantom = load_phantom("lumbar_ref")
    return nominal_truth(phantom, "L4", "left", np.array([0.0, 0.0, 1.0]))


def test_a_trial_with_a_known_way_can_show_everything_but_v4():
    row = _score(_measured_log([0.5, 0.0, 0.0]), _truth())
    assert row["violations_evaluable"] == "V1;V2;V3;V5;V6;V7;V8;V9;V10"


def test_no_phantom_holds_a_surrogate_from_which_v4_could_be_judged():
    assert not {"pleura", "viscera", "bowel", "kidney", "lung"} & set(materials())


def test_where_nobody_knows_the_way_vessel_dura_and_joint_are_not_claimed_to_be_free():
    truth = _nominal()
    row = _score(_measured_log(truth["aim_mm"]), truth)
    assert row["success"] and row["target_source"] == "nominal"
    assert row["violations_evaluable"] == "V1 (tip);V6;V7;V8;V9;V10"


def test_a_reference_tip_inside_the_nerve_is_v1_where_only_the_drawing_is_known():
    truth = _nominal()
    inside = truth["nerve_line_mm"][np.argmin(np.linalg.norm(truth["nerve_line_mm"] - truth["aim_mm"], axis=1))]
    row = _score(_measured_log(inside), truth)
    assert row["tte_mm"] < 5.0 and row["tip_nerve_gap_mm"] < -0.5
    assert row["violations"] == "V1" and row["outcome"] == "miss"


def test_without_pressure_force_and_tip_their_codes_could_not_be_shown():
    log = _log(None)
    log.steps_n = 3
    assert _score(log, _nominal())["violations_evaluable"] == "V7"


def test_a_needle_left_in_the_gel_has_no_known_way():
    log = _measured_log(None)
    log.ended, log.t_out_ns = "aborted", None
    assert "V2" not in _score(log, _truth())["violations_evaluable"]


# ---- what the error columns mean -----------------------------------------------------------------------------


def _side_row(side, error, axes):
    truth = _truth() | {"targets": {f"L4.{side}": [0.0, 0.0, 4.0]}}
    log = _log(error)
    log.image_axes = np.asarray(axes, float)
    return score(log, load_technique("L4_IP_T"), side, truth, PhantomToRig=np.eye(4), force_limit_n=5.0)


@pytest.mark.parametrize("flipped", [1.0, -1.0])
def test_two_millimetres_too_medial_have_one_sign_on_either_side_however_the_probe_is_held(flipped):
    axes = np.diag([flipped, flipped, 1.0])
    left, right = _side_row("left", [-2.0, 0.5, 1.0], axes), _side_row("right", [2.0, 0.5, 1.0], axes)
    for name, value in (("err_inplane_mm", -2.0), ("err_elevational_mm", 0.5), ("err_depth_mm", 1.0)):
        assert left[name] == right[name] == value
    assert left["err_x_mm"] == -right["err_x_mm"] == -2.0


def test_in_a_lengthwise_image_in_plane_is_cranial_and_elevational_away_from_the_midline():
    lengthwise = [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    for side, x in (("left", -2.0), ("right", 2.0)):
        row = _side_row(side, [x, 0.5, 1.0], lengthwise)
        assert (row["err_inplane_mm"], row["err_elevational_mm"]) == (0.5, -2.0)


def test_the_place_of_the_fixture_is_not_reported_as_an_error_of_the_image():
    shifted = np.eye(4)
    shifted[:3, 3] = (4.0, 0.0, 0.0)

    def row(source):
        log = _log([0.5, 0.0, 0.0])
        log.confirmed_tip_rig_mm, log.believed_aim_rig_mm = np.array([4.5, 0.0, 0.0]), np.array([4.2, 0.0, 0.0])
        truth = _truth() | {"target_source": source}
        return score(log, load_technique("L4_IP_T"), "left", truth, PhantomToRig=shifted, force_limit_n=5.0)

    known, of_design = row("as_built"), row("nominal")
    assert known["image_tip_err_mm"] == pytest.approx(0.0, abs=1e-9)
    assert known["aim_err_mm"] == pytest.approx(0.2)
    assert of_design.get("image_tip_err_mm") is None and of_design.get("aim_err_mm") is None
    assert of_design["steer_err_mm"] == known["steer_err_mm"] == pytest.approx(0.3)


def test_a_row_says_why_the_tip_of_record_was_not_measured():
    log = _log(None)
    log.reference["at_injection"] = TipAtRest(Cause.FROZEN, "the tracker repeats itself", readings_n=2, impossible_n=1)
    row = _score(log, _truth())
    assert row["outcome"] == "truth_missing"
    assert (row["reference"], row["reference_reason"]) == ("frozen", "the tracker repeats itself")
    assert (row["reference_n"], row["reference_left_out_n"]) == (2, 1)
    measured = _log([0.0, 0.0, 0.0])
    measured.reference["at_injection"] = TipAtRest(Cause.MEASURED, readings_n=10, outliers_n=2)
    row = _score(measured, _truth())
    assert (row["reference"], row["reference_reason"], row["reference_left_out_n"]) == ("measured", None, 2)
