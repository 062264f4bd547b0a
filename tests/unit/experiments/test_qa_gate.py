"""Required device tests: a study begins only when they were passed, are not due, and belong to this kind of rig."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from experiments.qa.gate import QA_FILE, gate, qa_state
from hal.errors import ConfigError
from rig.config import load_config

TODAY = date(2026, 12, 1)


def result(folder: Path, verdict: str, day: str, *, simulated: bool = True, test: str = "line_loss") -> None:
    run = folder / f"qa-{test}-{day.replace('-', '')}T000000Z"
    run.mkdir(parents=True)
    data = {
        "acceptance": test, "test": test, "device": "pressure", "date": f"{day}T10:00:00Z", "verdict": verdict,
        "simulated": simulated, "interval_days": 30, "figures": [],
    }  # fmt: skip
    (run / "results.json").write_text(json.dumps(data))


def rig(folder: Path, *required: str):
    config = load_config("simulated")
    qa = config.qa.model_copy(update={"runs": str(folder), "required": required})
    return config.model_copy(update={"qa": qa})


def test_a_rig_that_requires_nothing_begins_without_a_word(tmp_path):
    assert gate(load_config("simulated")) == {}


def test_a_test_that_was_passed_and_is_not_due_lets_the_study_begin_and_is_recorded(tmp_path):
    result(tmp_path, "WOULD PASS", "2026-11-20")
    files = gate(rig(tmp_path, "line_loss"), today=TODAY)
    recorded = json.loads(files[QA_FILE])
    assert recorded["override"] == "" and recorded["required"][0]["verdict"] == "WOULD PASS"


@pytest.mark.parametrize(
    ("verdict", "day", "words"),
    [("WOULD FAIL", "2026-11-20", "was failed on 2026-11-20"), ("WOULD PASS", "2026-11-01", "was due on 2026-12-01")],
)
def test_a_failed_or_overdue_test_blocks_the_study_with_the_reason(tmp_path, verdict, day, words):
    result(tmp_path, verdict, day)
    with pytest.raises(ConfigError, match=words):
        gate(rig(tmp_path, "line_loss"), today=TODAY)


def test_the_last_verdict_counts_and_a_run_without_one_does_not(tmp_path):
    result(tmp_path, "WOULD FAIL", "2026-11-10")
    result(tmp_path, "WOULD PASS", "2026-11-20")
    result(tmp_path, "NOT EVALUATED", "2026-11-30")
    (state,) = qa_state(rig(tmp_path, "line_loss"), TODAY)
    assert state.fault == "" and state.day == "2026-11-20"


def test_a_real_device_is_not_passed_by_its_simulation(tmp_path):
    result(tmp_path, "PASS", "2026-11-20", simulated=False)
    with pytest.raises(ConfigError, match="never carried out"):
        gate(rig(tmp_path, "line_loss"), today=TODAY)


def test_a_deviation_needs_a_name_and_a_reason_and_goes_into_the_record(tmp_path):
    config = rig(tmp_path, "line_loss", "tracker_still")
    for poor in ("yes", "because it is urgent"):
        with pytest.raises(ConfigError, match="give a name and a reason"):
            gate(config, poor, TODAY)
    recorded = json.loads(gate(config, "A. Smith: the sensor is away", TODAY)[QA_FILE])
    assert recorded["override"] == "A. Smith: the sensor is away"
    assert [one["fault"] != "" for one in recorded["required"]] == [True, True]


def test_an_override_that_is_not_needed_is_not_claimed(tmp_path):
    result(tmp_path, "WOULD PASS", "2026-11-20")
    files = gate(rig(tmp_path, "line_loss"), "A. Smith: the sensor is away", TODAY)
    assert json.loads(files[QA_FILE])["override"] == ""


def test_required_tests_without_a_folder_are_a_mistake_in_the_rig_file(tmp_path):
    config = load_config("simulated")
    wrong = config.model_copy(update={"qa": config.qa.model_copy(update={"required": ("line_loss",)})})
    with pytest.raises(ConfigError, match="names no folder"):
        gate(wrong)


def test_a_device_whose_figures_drift_blocks_the_study(tmp_path):
    for k in range(12):
        result(tmp_path, "WOULD PASS", f"2026-11-{k + 10}")
        path = tmp_path / f"qa-line_loss-202611{k + 10}T000000Z" / "results.json"
        data = json.loads(path.read_text())
        data["figures"] = [{"name": "offset_kpa", "value": 0.01 * (-1) ** k + (k > 9), "unit": "kPa"}]
        path.write_text(json.dumps(data))
    (tmp_path / "trend.toml").write_text(
        '[[designs]]\nacceptance = "line_loss"\nfigure = "offset_kpa"\ncentre = 0.0\nsigma = 0.02\n'
        'source = "maker"\nmade = "2026-01-01"\n'
    )
    with pytest.raises(ConfigError, match="its figures drift: offset_kpa: beyond 3 s"):
        gate(rig(tmp_path, "line_loss"), today=TODAY)
