"""A device fault ends its trial and nothing else: it is named, repeated as a new trial, no failure of a technique."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments import cartridge as cartridges
from experiments.request import copies_of
from experiments.run import StudyOutcome, conduct
from rig.record import RunFolder, verify_run
from rig.setup.simulated import SimulatedBench, simulate
from tests.fakes.kill_and_resume import small_study
from tests.fakes.short_trial import rig

SILENT_PUMP = {"device": "pump", "kind": "silent", "from_s": 20.0}


class Quiet:
    """Nobody looks on."""

    def planned(self, _cartridges: object) -> None: ...

    def trial(self, trial_id: str, what: str) -> None: ...


def conducted(folder: Path, monkeypatch: pytest.MonkeyPatch, faulty_n: int) -> StudyOutcome:
    """Two landmark trials; the pump falls silent on the first ``faulty_n`` cartridges."""
    made = 0

    def some_faulty(config: Any, *args: Any, **kwargs: Any) -> SimulatedBench:
        nonlocal made
        made += 1
        faults = [SILENT_PUMP] if made <= faulty_n else []
        return simulate(config.model_copy(update={"sim": {**config.sim, "faults": faults}}), *args, **kwargs)

    monkeypatch.setattr(cartridges, "simulate", some_faulty)
    study = small_study(folder / "techniques", ("L4_LM", "L5_LM"), repeats=1, seed=3)
    config = rig()
    return conduct(study, config, folder / "runs", files=copies_of(study, config), workers=1, watcher=Quiet())


def test_a_trial_that_a_silent_pump_ended_is_repeated_and_its_neighbour_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = conducted(tmp_path, monkeypatch, faulty_n=1)
    assert (outcome.failure, outcome.completed_n, outcome.planned_n) == ("", 2, 2)
    run = RunFolder.open(outcome.run)
    rows = {row["trial_id"]: row for row in run.rows}
    assert rows["T001"]["outcome"] == "device_fault" and rows["T001"]["device_fault"] == "pump: fault"
    assert rows["T001R1"]["repeats"] == "T001" and rows["T001R1"]["cartridge_id"] == "C02"
    ends = ("success", "miss", "stopped")  # how a hand without a picture does is not the point here
    assert rows["T001R1"]["outcome"] in ends
    assert rows["T002"]["outcome"] in ends and rows["T002"]["cartridge_id"] == "C02"
    assert len(rows) == 3 and not verify_run(outcome.run)


def test_the_rules_stand_in_the_record_before_the_first_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = conducted(tmp_path, monkeypatch, faulty_n=2)
    entries = RunFolder.open(outcome.run).chain.entries
    planned = next(entry for entry in entries if entry.kind == "study.planned")
    assert "frozen" in planned.data["device_faults"]["pressure"]
    assert outcome.failure_kind == "device" and "pump" in outcome.failure, "a repeat that fails too ends the study"
    journal = (outcome.run / "cartridges" / "C01" / "journal.jsonl").read_text().splitlines()
    ended = [json.loads(line)["body"]["data"] for line in journal if '"device_fault"' in line and '"words"' in line]
    assert ended[0]["device"] == "pump" and ended[0]["words"].startswith("the pump gives no answer")
