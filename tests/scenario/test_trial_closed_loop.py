"""Whole trials on the simulated bench in virtual time: guidance from frames and sensors alone."""

import numpy as np
import pytest

from experiments.protocol.technique import load_technique
from hal.sim.operator import SimulatedOperator
from hal.types import InstructionKind
from tests.fakes.short_trial import rig, run_short, usual

STRICT_MM = 5.0
"""Acceptance radius of the techniques (domain 7.2)."""


@pytest.mark.parametrize("technique", ["L4_IP_T", "S1_OOP"])
def test_a_guided_trial_goes_through_all_states_and_reaches_its_root(technique):
    trial = usual(technique)
    assert trial.result.failure == ""
    states = [e["state"].split()[0] for e in trial.of("state.entered")]
    assert states[:7] == [f"ST{i}" for i in range(7)] or "ST1" in states[2:4]  # a rescan is allowed
    assert states[-5:] == ["ST8", "ST9", "ST10", "ST11", "ST12"]
    assert trial.row["outcome"] == "success" and trial.row["tte_mm"] < STRICT_MM
    assert trial.row["tip_confirmed_frac"] > 0.5
    assert trial.row["frames_read"] <= 600


def test_no_step_goes_deeper_than_two_millimetres_without_a_confirmed_tip():
    trial = usual("L5_IP_T", side="right")
    tips = trial.of("tip")
    assert len(tips) > 5
    feeds = [t["feed_mm"] for t in tips]
    for before, after, feed, following in zip(tips, tips[1:], feeds, feeds[1:], strict=False):
        if following > feed + 0.05:
            assert before["confirmed"], f"advanced from {feed} to {following} without confirmation: {after}"
            assert following - feed <= 2.0 + 0.05


def test_motion_alone_confirms_in_plane_only_what_five_planes_have_seen(tmp_path):
    technique = load_technique("L4_IP_T")
    moved_only = technique.model_copy(update={"advance": technique.advance.model_copy(
        update={"confirm_order": ("motion",), "redirections_max_n": 1})})  # fmt: skip
    trial = run_short(tmp_path, "L4_IP_T", data=moved_only)
    tips, motions = trial.of("tip"), trial.of("motion")
    assert len(tips) == len(motions) and any(tip["confirmed"] for tip in tips)
    for tip, motion in zip(tips, motions, strict=True):
        assert motion["feed_mm"] == pytest.approx(tip["feed_mm"], abs=0.01), "the needle is back where it was"
        assert motion["planes_n"] == 5 if tip["confirmed"] else motion["planes_n"] in (1, 5)


def test_when_the_phantom_is_shifted_by_4_mm_each_way_the_needle_follows_the_image(tmp_path):
    shift = (4.0, -4.0, 0.0)
    here = usual("L4_IP_T")
    there = run_short(tmp_path, "L4_IP_T", config=rig(placement={"phantom_shift_mm": shift}))
    assert here.row["outcome"] == there.row["outcome"] == "success"
    plans = [np.array(t.of("tip")[-1]["tip_rig_mm"]) for t in (here, there)]
    moved = plans[1] - plans[0]
    assert np.linalg.norm(moved - np.array(shift)) < 2.0
    assert abs(there.row["tte_mm"] - here.row["tte_mm"]) < 2.0


def test_the_landmark_arm_uses_no_frame_and_is_not_given_the_level(tmp_path, monkeypatch):
    begin, asked = SimulatedOperator.begin, []

    def noted(self, instruction):
        asked.append(instruction)
        return begin(self, instruction)

    monkeypatch.setattr(SimulatedOperator, "begin", noted)
    trials, instructions = [], []
    places = {"here": {}, "15 mm off": {"config": rig(placement={"phantom_shift_mm": (0.0, 15.0, 0.0)})},
              "another pour": {"seed": 102}}  # fmt: skip
    for name, differently in places.items():
        asked.clear()
        trials.append(run_short(tmp_path / name, "L5_LM", **differently))
        kinds = [i.kind for i in asked]
        instructions.append(asked[: kinds.index(InstructionKind.ADVANCE) + 1])
    for trial in trials:
        assert trial.row["frames_read"] == 0 and trial.row["guidance"] == "landmark"
        assert trial.row["outcome"] in ("success", "miss", "stopped")
        assert trial.row["n_confirm_direct"] == 0
    assert instructions[0] == instructions[1] == instructions[2], "told alike wherever the level lies"
    assert len({trial.row["tte_mm"] for trial in trials}) == 3, "it does not lie at one place"
    landmark = load_technique("L5_LM").landmark
    (palpate,) = [i for i in instructions[0] if i.kind is InstructionKind.PALPATE]
    assert palpate.manner == (landmark.palpate,) and palpate.needle is None and palpate.amount == 0.0
    (place,) = [i for i in instructions[0] if i.kind is InstructionKind.POSITION_NEEDLE]
    assert place.manner == ("from_mark",), "from where his own fingers felt it"
    assert (place.needle.x_mm, place.needle.y_mm) == landmark.entry_offset_mm
    assert all(i.needle is None for i in instructions[0] if i is not place)


def test_antisepsis_times_are_kept_before_and_after(tmp_path):
    trial = run_short(tmp_path, "L4_LM", patient=True)
    items = {e["id"]: e for e in trial.of("checklist")}
    assert items["PRE4"]["contact_s"] >= 30 and items["PRE4"]["waited_s"] >= 120
    assert items["POST1"]["contact_s"] >= 30
    assert "V10" not in (trial.row["violations"] or "")


def test_the_record_says_which_device_measured_the_temperature_and_where_it_sits():
    trial = usual("L4_IP_T")
    (gel,) = trial.of("gel")
    assert gel["temperature_by"] == trial.row["temp_by"] == "pressure"
    assert gel["temperature_c"] == pytest.approx(trial.row["temp_c"], abs=1e-6)
    assert "not in the gel" in gel["temperature_place"]


def test_the_same_seed_leaves_the_same_bytes_and_another_seed_differs(tmp_path):
    first, again = usual("L4_IP_T"), run_short(tmp_path / "again", "L4_IP_T")
    assert again.row == first.row and again.events == first.events
    by_hand = [usual("L4_LM").row, run_short(tmp_path / "other", "L4_LM", seed=8).row]
    assert by_hand[0] != by_hand[1]
