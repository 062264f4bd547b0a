"""A run that is killed and resumed comes out as the run that nobody killed (``tests.fakes.kill_and_resume`` takes more
points and more trials)."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from hal.phantom.ledger import Ledger
from rig.record import RunFolder, verify_run
from tests.fakes.kill_and_resume import copied_at, counted_rows, entries_n, resume_once, run_once, small_study

pytestmark = pytest.mark.timeout(1800)


def test_a_run_killed_while_it_wrote_an_entry_of_its_second_trial_is_finished_as_if_nothing_had_been(
    tmp_path: Path,
) -> None:
    study = small_study(tmp_path / "techniques", ("L4_LM",))
    study = study.model_copy(update={"design": study.design.model_copy(update={"cartridge_trials_max": 2})})
    with copied_at(range(200), tmp_path, random.Random(3)) as copies:
        whole = run_once(study, tmp_path / "whole")
    at = next(
        n for n in range(entries_n(whole)) if '"kind":"infusion.started"' in _last(copies[n + 1]) and _second(copies[n])
    )
    killed = copies[at]
    resumed = resume_once(killed)
    assert counted_rows(resumed) == counted_rows(whole)
    assert verify_run(resumed) == ()
    rows = {str(row["trial_id"]): row for row in RunFolder.open(resumed).rows}
    assert rows["T002.interrupted1"]["outcome"] == "interrupted" and rows["T002"]["outcome"] != "interrupted"
    ledger = Ledger(resumed / "cartridges" / "C01" / "ledger.jsonl")
    assert [track.trial for track in ledger.tracks] == ["T001", "T002"]
    assert [entry.kind for entry in ledger.entries].count("rebuilt") == 1


def _last(run: Path) -> str:
    """The last whole entry of the cartridge's journal."""
    lines = (run / "cartridges/C01/journal.jsonl").read_text(errors="replace").splitlines()
    whole = [line for line in lines if line.endswith("}") and _parses(line)]
    return whole[-1] if whole else ""


def _parses(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _second(run: Path) -> bool:
    return (run / "trials" / "T002").exists()
