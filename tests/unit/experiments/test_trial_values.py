"""The values that steps take and replace: what is known of the tip, the registration, the path."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.protocol.states import State
from experiments.trial.path import Path
from experiments.trial.registration import Registration, Sweep
from experiments.trial.tip import SeenTip, Tip
from experiments.trial.trial import Walk
from hal.phantom.needles import load_needle
from rig.guidance.bending import nominal_bending
from rig.guidance.needle_line import NeedleLine
from rig.safety.stop import HoldRequested, Severity, Trip

LINE = NeedleLine(np.zeros(3), np.array([0.0, 0.0, 1.0]))
BENDING = nominal_bending(LINE, load_needle("22G_quincke_120"))
NEW = Tip.planned(BENDING, None)
SEEN = SeenTip(np.zeros(3), np.eye(3), np.eye(4), np.zeros(3), 40.0, 0.2, "direct")


def depth_mm(tip: Tip, feed_mm: float) -> float:
    return float(tip.predict(feed_mm).tip_mm[2])


def test_a_disagreement_of_image_and_carrier_is_learnt_little_by_little_and_never_more_than_a_millimetre_of_it() -> (
    None
):
    assert NEW.learnt(0.5).bias_mm == pytest.approx(0.2)
    assert NEW.learnt(-30.0).bias_mm == pytest.approx(-0.4)
    assert depth_mm(NEW.learnt(0.5), 20.0) - depth_mm(NEW, 20.0) == pytest.approx(0.2, abs=0.02)


def test_the_first_sight_is_believed_whole_along_the_needle_and_corrects_the_model_across_it() -> None:
    known = NEW.first_seen(20.0, 1.5, np.array([0.6, 0.0, 21.5]))
    assert known.bias_mm == 1.5 and known.bending.confirmed_n == 1
    before, after = NEW.predict(21.5).tip_mm, known.predict(20.0).tip_mm
    assert abs(after[0] - 0.6) < abs(before[0] - 0.6)
    assert known.unseen is NEW.unseen


def test_a_new_path_begins_with_a_new_model_and_keeps_what_the_carrier_was_found_to_be_off_by() -> None:
    before = NEW.first_seen(20.0, 1.5, np.array([0.6, 0.0, 21.5]))
    again = Tip.planned(BENDING, before)
    assert again.bias_mm == 1.5
    assert again.bending is again.unseen is BENDING


def test_a_needle_that_is_pulled_back_is_so_much_shallower_than_where_it_was_seen_last() -> None:
    seen = Tip(BENDING, BENDING, seen=SEEN).pulled_back(1.0).pulled_back(1.0).seen
    assert seen is not None and seen.pulled_back_mm == 2.0
    assert NEW.pulled_back(1.0).seen is None


def test_a_registration_places_points_of_the_phantom_in_the_rig() -> None:
    PhantomToRig = np.array(
        [[0.0, -1.0, 0.0, 10.0], [1.0, 0.0, 0.0, 20.0], [0.0, 0.0, 1.0, 30.0], [0.0, 0.0, 0.0, 1.0]]
    )
    assert Registration(PhantomToRig).to_rig(np.array([1.0, 2.0, 3.0])) == pytest.approx([8.0, 21.0, 33.0])


def test_a_sweep_gives_its_frames_in_the_order_in_which_they_were_taken() -> None:
    assert Sweep(((33.0, ("a", "b")), (20.0, ("c",))), ("d",)).frames == ("a", "b", "c", "d")


def test_the_line_of_a_path_runs_from_its_entry_along_its_direction() -> None:
    plan = SimpleNamespace(entry_mm=np.array([1.0, 2.0, 3.0]), direction=np.array([0.0, 0.0, 1.0]))
    assert Path(plan).line.at(10.0) == pytest.approx([1.0, 2.0, 13.0])


def test_a_stop_rule_in_the_middle_of_a_step_finds_what_the_step_had_learnt_until_then() -> None:
    trial = SimpleNamespace(
        tip=NEW, event=lambda *_, **__: None, log=SimpleNamespace(holds=[]),
        controller=SimpleNamespace(wait_out_pause=lambda: None),
    )  # fmt: skip

    def step(trial) -> State:
        trial.tip = trial.tip.learnt(1.0)
        raise HoldRequested(Trip("needle_force", Severity.HOLD, "bone"))

    def reassess(trial, hold, state) -> State:
        assert trial.tip.bias_mm == pytest.approx(0.4)
        return State.DONE

    Walk(trial, {State.SETUP: step}, reassess).to(State.DONE)
    assert trial.log.holds == ["needle_force"]
