"""The core rig: probe holder, pump with pressure, ultrasound and a person at the needle; nothing else is measured."""

import pytest

import experiments.cartridge
from hal.types import InstructionKind
from tests.fakes.short_trial import rig, run_short

QUICK = {"frame_quality": "fast"}
"""A hand looks at several hundred pictures in a trial; what is asked here does not depend on their grain."""
NOT_MEASURED = (
    "tte_mm",
    "tte_lat_mm",
    "tte_axial_mm",
    "err_x_mm",
    "angle_err_deg",
    "tip_nerve_gap_mm",
    "reference_err_mm",
    "image_tip_err_mm",
    "level_correct",
    "force_peak_n",
)


@pytest.fixture(scope="module")
def in_plane(tmp_path_factory):
    return run_short(tmp_path_factory.mktemp("in_plane"), "L4_IP_T", seed=901, config=rig("core", **QUICK))


def test_a_person_led_by_the_image_finishes_a_trial_in_plane(in_plane):
    assert in_plane.result.failure == ""
    assert in_plane.row["guidance"] == "freehand"
    assert in_plane.row["end_reason"] == "all states passed"
    states = [e["state"].split()[0] for e in in_plane.of("state.entered")]
    assert states[-5:] == ["ST8", "ST9", "ST10", "ST11", "ST12"]


def test_what_the_core_rig_does_not_measure_has_no_value_and_is_no_success(in_plane):
    assert in_plane.row["outcome"] == "truth_missing"
    assert not in_plane.row.get("success")
    assert {name: in_plane.row.get(name) for name in NOT_MEASURED} == dict.fromkeys(NOT_MEASURED)


def test_a_person_is_never_asked_for_more_than_two_millimetres_without_a_confirmed_tip(in_plane):
    confirmed, asked, steps, found = True, 0.0, 0, False
    for event in in_plane.events:
        data = event["data"]
        if event["kind"] == "acquire":
            found = True
        elif event["kind"] == "tip":
            confirmed, asked = data["confirmed"], 0.0
        elif event["kind"] == "redirection":
            found = False  # back in the superficial layer
        elif event["kind"] == "instruction" and data["asked"] == "withdraw":
            asked -= data["amount"]
        elif event["kind"] == "instruction" and data["asked"] == "advance" and found:
            asked += data["amount"]
            steps += 1
            assert asked <= 2.0
            assert confirmed or asked <= 1e-6, "advanced onto new ground after a tip that was not confirmed"
    assert steps > 20


def test_every_instruction_to_the_person_is_in_the_journal_in_words(in_plane):
    instructions = in_plane.of("instruction")
    kinds = {t["asked"] for t in instructions}
    assert {"position_needle", "advance", "withdraw", "rotate_bevel"} <= kinds
    assert all(len(t["text"]) > 10 and t["done"] for t in instructions)


def test_a_person_by_landmarks_finishes_without_an_image_and_without_a_tip_error(tmp_path):
    trial = run_short(tmp_path, "L4_LM", seed=901, config=rig("core", **QUICK))
    assert trial.result.failure == ""
    assert trial.row["guidance"] == "landmark" and trial.row["frames_read"] == 0
    assert trial.row["outcome"] in ("truth_missing", "stopped")
    assert {name: trial.row.get(name) for name in NOT_MEASURED} == dict.fromkeys(NOT_MEASURED)


def test_the_emergency_stop_stops_the_hand_in_the_middle_of_an_advance(tmp_path, monkeypatch):
    benches, asked = [], []
    simulate = experiments.cartridge.simulate

    def watched(*args, **kwargs):
        bench = simulate(*args, **kwargs)
        benches.append(bench)
        begin = bench.operator.begin

        def pressed(instruction):
            begin(instruction)
            if instruction.kind is InstructionKind.ADVANCE:
                asked.append(instruction.amount)
                bench.world.estop = True

        bench.operator.begin = pressed
        return bench

    monkeypatch.setattr(experiments.cartridge, "simulate", watched)
    trial = run_short(tmp_path, "L4_IP_T", seed=901, config=rig("core", **QUICK))
    assert trial.result.failure_kind == "safety"
    assert len(asked) == 1 and asked[0] > 10.0
    # A person freezes within a reaction time of 0.35 s (expert), at 4 mm/s: nothing moves after that.
    hand, end_s = benches[0].operator.hand, trial.result.virtual_s
    feeds = [hand.pose(int((end_s + after_s) * 1e9)).feed_mm for after_s in (0.0, 0.4, 60.0)]
    assert feeds[1] == feeds[2] and feeds[1] - feeds[0] <= 4.0 * 0.35
    assert -1.1 < feeds[2] < 0.5 * asked[0]


def test_with_a_tracker_the_freehand_arm_is_scored_and_guidance_does_not_use_it(tmp_path, in_plane):
    trial = run_short(tmp_path, "L4_IP_T", seed=901, config=rig("freehand", **QUICK))
    assert trial.row["outcome"] in ("success", "miss") and trial.row["tte_mm"] is not None
    assert trial.row["force_peak_n"] is None
    assert [t["feed_mm"] for t in trial.of("tip")] == [t["feed_mm"] for t in in_plane.of("tip")]
