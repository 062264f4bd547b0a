"""Procedures of the user's own in whole simulated trials: led, measured, judged, stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis import open_run
from experiments.cli.main import app
from experiments.protocol.technique import load_technique
from rig.record import verify_run
from tests.fakes.short_trial import rig, run_short

HEAD = """
from experiments import measure, procedure, study
OWN = measure("rest_s", "s", "rest before the injection", at_least=1.0)
CHANGES = {"checklist": []}
"""
TAIL = """
study("lumbar", {"design.repeats": 1, "study.seed": 4}, techniques={"mine": mine}, criteria=[]).run()
"""


def ran(folder: Path, body: str, base: str = "L4_LM") -> tuple[int, Path, str]:
    """Exit code, run folder and what was said of a script with this procedure."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    (folder / "own.py").write_text(
        f'{HEAD}\n@procedure("{base}", CHANGES, measures=[OWN])\ndef mine(trial):\n{lines}\n{TAIL}'
    )
    arguments = ["run", str(folder / "own.py"), "--out", str(folder / "out"), "--workers", "1", "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    (run,) = (folder / "out").iterdir()
    return result.exit_code, run, result.stderr


def test_a_procedure_leads_the_trial_and_its_measure_is_a_judged_column(tmp_path) -> None:
    code, path, printed = ran(
        tmp_path, "trial.advance()\nstart = trial.time_s\ntrial.wait(2.0)\n"
        "trial.measured('rest_s', trial.time_s - start)\ntrial.infuse(0.05)\ntrial.inject()",
    )  # fmt: skip
    assert code == 0, printed
    run = open_run(path)
    (row,) = run.trials.to_dict("records")
    assert row["rest_s"] == pytest.approx(2.0, abs=0.1) and run.trials.attrs["units"]["rest_s"] == "s"
    assert row["end_reason"] == "its procedure came to its end (script/own.py:mine)"
    assert row["v_inj_ml"] == pytest.approx(0.5 + 0.2 + 0.05, abs=0.02), "test, plane and injection"
    assert (path / "trials.csv").read_text().splitlines()[0].endswith(",rest_s")
    assert "rest before the injection" in (path / "report.html").read_text()
    (judged,) = json.loads((path / "results.json").read_text())["criteria"]
    assert judged["metric"] == "rest_s" and judged["limit"] == 1.0
    assert verify_run(path) == ()


def test_a_fault_of_the_procedure_is_one_message_and_what_was_recorded_is_kept(tmp_path) -> None:
    words = "line 9 (1 / 0): ZeroDivisionError"
    code, path, printed = ran(tmp_path, "trial.prepare()\n1 / 0")
    assert code == 3 and words in printed, printed
    (row,) = open_run(path).trials.to_dict("records")
    assert row["outcome"] == "interrupted" and words in row["end_reason"]
    assert verify_run(path) == ()


def test_a_limit_is_a_limit_for_a_procedure_too_and_ends_it_even_when_it_is_caught(tmp_path) -> None:
    code, path, printed = ran(
        tmp_path, "trial.advance()\ntry:\n    trial.infuse(1.1)\nexcept Exception:\n    pass\ntrial.inject()"
    )
    assert code == 0, printed
    (row,) = open_run(path).trials.to_dict("records")
    assert row["outcome"] == "aborted" and "what is left of injection.test_total_max_ml (1 mL)" in row["end_reason"]
    assert row["v_inj_ml"] == 0.0, "nothing was injected"


def test_a_procedure_that_ends_early_leaves_a_needle_that_is_out_and_a_tip_of_record(tmp_path) -> None:
    (tmp_path / "run" / "script").mkdir(parents=True)
    source = f'{HEAD}\n@procedure("L4_IP_T", CHANGES)\ndef mine(trial):\n    trial.advance(short_of_mm=6.0)\n{TAIL}'
    (tmp_path / "run" / "script" / "own.py").write_text(source)
    data = load_technique("L4_IP_T").model_copy(update={"checklist": (), "procedure": "script/own.py:mine"})
    trial = run_short(tmp_path / "run", "L4_IP_T", data=data, config=rig(frame_quality="fast"))
    assert trial.result.failure == "" and len(trial.of("needle_out")) == 1
    assert trial.row["outcome"] == "miss" and 4.5 < trial.row["tte_mm"] < 9.0, "6 mm short of the aim point"
    (reference,) = trial.of("reference")
    assert reference["moment"] == "at_injection"
