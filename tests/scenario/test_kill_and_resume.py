"""A run that is killed and resumed comes out as the run that nobody killed (``tests.fakes.kill_and_resume`` takes more
points and more trials)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hal.phantom.ledger import Ledger
from rig.record import RunFolder, verify_run
from tests.fakes.kill_and_resume import copied_at, counted_rows, resume_once, run_once, small_study

pytestmark = pytest.mark.timeout(1800)


def test_a_run_killed_at_the_end_of_its_second_injection_is_finished_as_if_nothing_had_been(tmp_path: Path) -> None:
    study = small_study(tmp_path / "techniques", ("L4_LM",))
    study = study.model_copy(update={"design": study.design.model_copy(update={"cartridge_trials_max": 2})})

    def wanted(n: int, line: bytes) -> bool:
        first_word = b'"kind":"trial.started"' in line and b'"trial_id":"T001"' in line
        return first_word or (b'"kind":"infusion"' in line and b'"test":false' in line)

    with copied_at(wanted, tmp_path, random.Random(3)) as copies:
        whole = run_once(study, tmp_path / "whole")
    killed = copies[-1]
    assert (killed / "trials" / "T002" / "streams.seg").exists(), "it was killed before its second trial was closed"
    resumed = resume_once(killed)
    assert counted_rows(resumed) == counted_rows(whole)
    assert verify_run(resumed) == ()
    rows = {str(row["trial_id"]): row for row in RunFolder.open(resumed).rows}
    cut = rows["T002.interrupted1"]
    assert cut["outcome"] == "interrupted" and rows["T002"]["outcome"] != "interrupted"
    assert 0.45 < float(str(cut["v_inj_min_ml"])) <= float(str(cut["v_inj_max_ml"])) < 1.0
    ledger = Ledger(resumed / "cartridges" / "C01" / "ledger.jsonl")
    assert [track.trial for track in ledger.tracks] == ["T001", "T002"]
    assert [entry.kind for entry in ledger.entries].count("rebuilt") == 1

    # Killed between the folder of a trial and its first word: nothing had moved, and no row tells of it.
    unbegun = copies[0]
    assert (unbegun / "trials" / "T001").is_dir()
    assert verify_run(unbegun, unfinished=True) == ()
    resumed = resume_once(unbegun)
    assert counted_rows(resumed) == counted_rows(whole) and verify_run(resumed) == ()
    assert not list((resumed / "trials").glob("*interrupted*"))
