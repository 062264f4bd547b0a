"""Required device tests: a study begins only when they were passed, are not due, and belong to this kind of rig."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from experiments.qa.gate import QA_FILE, gate, qa_state
from hal.errors import ConfigError
from rig.config import load_config
from tests.fakes.qa_record import qa_record

TODAY = date(2026, 12, 1)
PLAN = (
    '[[designs]]\nacceptance = "line_loss"\nfigure = "offset_kpa"\ncentre = 0.0\nsigma = 0.02\n'
    'source = "maker"\nmade = "2026-01-01"\n'
)


def rig(folder: Path, *required: str):
    config = load_config("simulated")
    qa = config.qa.model_copy(update={"runs": str(folder), "required": required})
    return config.model_copy(update={"qa": qa})


def test_a_rig_that_requires_nothing_begins_without_a_word(tmp_path):
    assert gate(load_config("simulated")) == {}


def test_a_test_that_was_passed_and_is_not_due_lets_the_study_begin_and_is_recorded(tmp_path):
    qa_record(tmp_path, "PASS", "2026-11-20")
    files = gate(rig(tmp_path, "line_loss"), today=TODAY)
    recorded = json.loads(files[QA_FILE])
    assert recorded["override"] == "" and recorded["required"][0]["verdict"] == "WOULD PASS"
    assert recorded["required"][0]["from_files"] is False


@pytest.mark.parametrize(
    ("verdict", "day", "words"),
    [("FAIL", "2026-11-20", "was failed on 2026-11-20"), ("PASS", "2026-11-01", "was due on 2026-12-01")],
)
def test_a_failed_or_overdue_test_blocks_the_study_with_the_reason(tmp_path, verdict, day, words):
    qa_record(tmp_path, verdict, day)
    with pytest.raises(ConfigError, match=words):
        gate(rig(tmp_path, "line_loss"), today=TODAY)


def test_the_last_verdict_counts_and_a_run_without_one_does_not(tmp_path):
    qa_record(tmp_path, "FAIL", "2026-11-10")
    qa_record(tmp_path, "PASS", "2026-11-20")
    qa_record(tmp_path, "NOT EVALUATED", "2026-11-30")
    (state,) = qa_state(rig(tmp_path, "line_loss"), TODAY)
    assert state.fault == "" and state.day == "2026-11-20"


def test_a_real_device_is_not_passed_by_its_simulation(tmp_path):
    qa_record(tmp_path, "PASS", "2026-11-20", simulated=False)
    with pytest.raises(ConfigError, match="never carried out"):
        gate(rig(tmp_path, "line_loss"), today=TODAY)


def test_a_deviation_needs_a_name_and_a_reason_and_goes_into_the_record(tmp_path):
    config = rig(tmp_path, "line_loss", "tracker_still")
    for poor in (
        "yes",
        "because it is urgent",
        ":::::::::::::",
        ": the sensor is away",
        "A. Smith:          ",
        "A\nB: the sensor is away",
    ):
        with pytest.raises(ConfigError, match="give a name and a reason"):
            gate(config, poor, TODAY)
    recorded = json.loads(gate(config, "A. Smith: the sensor is away", TODAY)[QA_FILE])
    assert recorded["override"] == "A. Smith: the sensor is away"
    assert [one["fault"] != "" for one in recorded["required"]] == [True, True]


def test_an_override_that_is_not_needed_is_not_claimed(tmp_path):
    qa_record(tmp_path, "PASS", "2026-11-20")
    files = gate(rig(tmp_path, "line_loss"), "A. Smith: the sensor is away", TODAY)
    assert json.loads(files[QA_FILE])["override"] == ""


def test_required_tests_without_a_folder_are_a_mistake_in_the_rig_file(tmp_path):
    config = load_config("simulated")
    wrong = config.model_copy(update={"qa": config.qa.model_copy(update={"required": ("line_loss",)})})
    with pytest.raises(ConfigError, match="names no folder"):
        gate(wrong)


def test_a_device_whose_figures_drift_blocks_the_study(tmp_path):
    for k in range(12):
        qa_record(tmp_path, "PASS", f"2026-11-{k + 10}", offset_kpa=0.01 * (-1) ** k + 0.1 * (k > 9))
    (tmp_path / "trend.toml").write_text(PLAN)
    with pytest.raises(ConfigError, match="its figures drift: offset_kpa: beyond 3 s"):
        gate(rig(tmp_path, "line_loss"), today=TODAY)


def test_a_verdict_that_was_written_by_hand_is_not_believed(tmp_path):
    run = qa_record(tmp_path, "FAIL", "2026-11-20")
    data = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps(data | {"verdict": "WOULD PASS", "reason": "all criteria"}))
    with pytest.raises(ConfigError, match="was failed on 2026-11-20"):
        gate(rig(tmp_path, "line_loss"), today=TODAY)


def test_results_without_a_record_pass_no_test(tmp_path):
    made = qa_record(tmp_path / "elsewhere", "PASS", "2026-11-20")
    alone = tmp_path / "runs" / made.name
    alone.mkdir(parents=True)
    (alone / "results.json").write_bytes((made / "results.json").read_bytes())
    with pytest.raises(ConfigError, match="never carried out"):
        gate(rig(tmp_path / "runs", "line_loss"), today=TODAY)


def test_a_failed_run_that_lost_its_results_still_counts(tmp_path):
    qa_record(tmp_path, "PASS", "2026-11-10")
    (qa_record(tmp_path, "FAIL", "2026-11-20") / "results.json").unlink()
    with pytest.raises(ConfigError, match="was failed on 2026-11-20"):
        gate(rig(tmp_path, "line_loss"), today=TODAY)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("acceptance.toml", lambda old: old.replace(b"limit = ", b"limit = 9")),
        ("acceptance.toml", lambda old: b"\xff"),
        ("manifest.json", lambda old: old.replace(b"2026-11-20", b"2026-11-30")),
        ("manifest.json", lambda old: b"{}"),
        ("manifest.json", None),
        ("journal.jsonl", lambda old: old[:-40]),
    ],
    ids=["wider limits", "no text", "a later day", "an empty seal", "no seal", "a cut journal"],
)
def test_the_newest_run_keeps_a_study_from_beginning_when_its_record_does_not_hold(tmp_path, name, damage):
    qa_record(tmp_path, "PASS", "2026-11-10")
    file = qa_record(tmp_path, "FAIL", "2026-11-20") / name
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ConfigError, match="the record of qa-line_loss-20261120T100000Z cannot be believed"):
        gate(rig(tmp_path, "line_loss"), today=TODAY)


def test_a_run_of_a_day_that_has_not_come_is_refused_and_does_not_last_for_years(tmp_path):
    qa_record(tmp_path, "PASS", "2026-11-20")
    qa_record(tmp_path, "PASS", "2099-01-01")
    with pytest.raises(ConfigError, match="2099-01-01, a day that has not come"):
        gate(rig(tmp_path, "line_loss"), today=TODAY)


def test_a_run_that_ended_after_midnight_utc_counts_west_of_it(tmp_path):
    qa_record(tmp_path, "PASS", "2026-12-02")
    assert gate(rig(tmp_path, "line_loss"), today=TODAY)


def test_of_two_runs_on_one_day_the_later_counts(tmp_path):
    qa_record(tmp_path, "PASS", "2026-11-20")
    qa_record(tmp_path, "FAIL", "2026-11-20")
    with pytest.raises(ConfigError, match="was failed"):
        gate(rig(tmp_path, "line_loss"), today=TODAY)


def test_a_drift_is_not_hidden_by_results_that_were_written_by_hand(tmp_path):
    for k in range(3):
        run = qa_record(tmp_path, "PASS", f"2026-11-1{k}", offset_kpa=0.1 * (k == 2))
    data = json.loads((run / "results.json").read_text())
    for figure in data["figures"]:
        figure["value"] = 0.0
    (run / "results.json").write_text(json.dumps(data))
    (tmp_path / "trend.toml").write_text(PLAN)
    with pytest.raises(ConfigError, match="its figures drift"):
        gate(rig(tmp_path, "line_loss"), today=TODAY)
