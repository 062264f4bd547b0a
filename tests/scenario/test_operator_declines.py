"""A person who answers "cannot" in a whole trial by hand: the trial ends, and never with the needle forgotten."""

from __future__ import annotations

import pytest

from hal.clock import NS_PER_S
from tests.fakes.fault_trial import FaultTrial, run_faulty

TECHNIQUE = "S1_LM"
SETTINGS = {"seed": 105, "redirections_max_n": 1}
"""A needle that meets bone, is redirected once, and then given up."""


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    trial = run_faulty(tmp_path_factory.mktemp("clean"), TECHNIQUE, **SETTINGS)
    assert trial.result.failure == ""
    return trial


def answered_s(trial: FaultTrial, asked: str, which: int = 0) -> float:
    """When an instruction of this kind was answered."""
    times = [e["time_ns"] for e in trial.events if e["kind"] == "instruction" and e["data"]["asked"] == asked]
    return times[which] / NS_PER_S


def asked(trial: FaultTrial) -> list[tuple[str, bool]]:
    return [(e["asked"], e["done"]) for e in trial.of("instruction")]


def declines(from_s: float, to_s: float) -> dict[str, object]:
    return {"device": "operator", "kind": "declines", "from_s": from_s, "to_s": to_s}


@pytest.mark.parametrize("step", ["position_needle", "advance"])
def test_a_step_that_cannot_be_done_ends_the_trial_with_the_needle_out(tmp_path, clean, step):
    at_s = answered_s(clean, step)
    trial = run_faulty(tmp_path, TECHNIQUE, declines(at_s - 0.2, at_s + 0.05), **SETTINGS)
    assert trial.result.failure == ""
    assert trial.row["outcome"] == "stopped" and "the operator could not" in trial.row["end_reason"]
    after = asked(trial)[asked(trial).index((step, False)) + 1 :]
    assert [kind for kind, _ in after if kind != "read_value"] == ["withdraw"], "nothing but the way out"
    assert trial.states[-2:] == ["ST11", "ST12"] and len(trial.lines["pump"].holding(b"RUN")) == 1
    assert trial.bench.world.needle.embedded_mm == 0.0


def test_a_withdrawal_that_cannot_be_done_at_once_is_asked_for_again(tmp_path, clean):
    at_s = answered_s(clean, "withdraw", -1)
    trial = run_faulty(tmp_path, TECHNIQUE, declines(at_s - 0.2, at_s + 0.05), **SETTINGS)
    assert trial.result.failure == "" and trial.row["outcome"] == clean.row["outcome"]
    assert asked(trial)[-2:] == [("withdraw", False), ("withdraw", True)]


@pytest.mark.parametrize(("which", "outcome"), [(0, "aborted"), (-1, "stopped")], ids=["redirected", "at the end"])
def test_a_needle_that_cannot_be_withdrawn_is_never_called_out(tmp_path, clean, which, outcome):
    at_s = answered_s(clean, "withdraw", which)
    trial = run_faulty(tmp_path, TECHNIQUE, declines(at_s - 0.2, at_s + 3600.0), **SETTINGS)
    assert trial.result.failure_kind == "safety" and "still in the phantom" in trial.result.failure
    assert trial.row["outcome"] == outcome and trial.of("needle_out") == []
    assert [kind for kind, done in asked(trial) if not done] == ["withdraw"] * 3
    assert trial.of("released") == [{"go_on": False}]
