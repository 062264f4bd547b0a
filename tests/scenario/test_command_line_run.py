"""``phantomrig run`` from arguments to report, and what is left when it is stopped, fails or the disk is full."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import carry_out
from experiments.cli.main import app
from experiments.progress import STARTED, StudyProgress
from experiments.run import StudyOutcome
from rig.record import RunFolder, appendfile, verify_run


def run(out: Path, *techniques: str):
    """One repeat of each technique in this process; returns the result and the object on the last line, if any."""
    chosen = [word for name in techniques for word in ("--technique", name)]
    arguments = ["run", "lumbar", "--trials", "1", "--workers", "1", "--out", str(out), "--json", *chosen]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    lines = result.stdout.splitlines()
    return result, json.loads(lines[-1]) if lines else None


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(tmp_path_factory.mktemp("out"), "L4_LM")


def test_a_study_ends_with_its_run_folder_and_verdict_on_one_line(finished):
    result, data = finished
    assert result.exit_code == 0
    assert (data["planned"], data["completed"]) == (1, 1)
    assert data["verdict"] == json.loads((Path(data["run"]) / "results.json").read_text())["verdict"]
    assert data["verdict"] != "PASS", "a simulated run never passes"


def test_the_run_folder_is_made_inside_out_with_record_report_and_what_was_asked_for(finished):
    path = Path(finished[1]["run"])
    for name in (
        "study.toml", "rig.toml", "phantom.toml", "techniques/L4_LM.toml", "journal.jsonl", "trials.csv",
        "trials.parquet", "results.json", "manifest.json", "report.html", "report.pdf",
    ):  # fmt: skip
        assert (path / name).stat().st_size > 0, name
    assert verify_run(path) == ()


def test_progress_table_and_report_are_reported_on_stderr(finished):
    text = finished[0].stderr
    assert "trials planned: 1" in text and "1/1 T001" in text
    assert "SIMULATED" in text and "L4 landmark" in text and "report.html" in text


def test_the_report_can_be_made_again_and_is_the_same(finished):
    path = Path(finished[1]["run"])
    before = {name: (path / name).read_bytes() for name in ("results.json", "report.html", "report.pdf")}
    result = CliRunner().invoke(app, ["report", str(path), "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    assert {name: (path / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_in_a_sealed_record_with_a_report(tmp_path, monkeypatch, presses):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")
    followed = StudyProgress.trial

    def press(self, trial_id, what):
        followed(self, trial_id, what)
        if what == STARTED:
            for _ in range(presses):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(StudyProgress, "trial", press)
    result, data = run(tmp_path, "L4_LM", "S1_LM")
    assert result.exit_code == 3
    assert "Ctrl-C" in result.stderr.splitlines()[-1]
    path = Path(data["run"])
    assert verify_run(path) == ()
    assert RunFolder.open(path).manifest is not None
    assert (path / "report.html").exists()


class _FullDisk:
    """``os`` as the record sees it, on a disk that fills up."""

    def __init__(self) -> None:
        self.full = False

    def __getattr__(self, name):
        if self.full and name in ("write", "fsync"):
            return self._refuse
        return getattr(os, name)

    def _refuse(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_one_clear_message_and_loses_no_finished_trial(tmp_path, monkeypatch):
    disk, followed = _FullDisk(), StudyProgress.trial
    monkeypatch.setattr(appendfile, "os", disk)

    def fill(self, trial_id, what):
        followed(self, trial_id, what)
        disk.full = disk.full or what != STARTED

    monkeypatch.setattr(StudyProgress, "trial", fill)
    result, data = run(tmp_path, "L4_LM", "S1_LM")
    assert result.exit_code == 2 and data is None
    messages = [line for line in result.stderr.splitlines() if line.startswith("phantomrig:")]
    assert len(messages) == 1 and "No space left on device" in messages[0]
    (path,) = tmp_path.iterdir()
    rows = RunFolder.open(path).rows
    assert [row["trial_id"] for row in rows] == ["T001"]
    assert rows[0]["outcome"] is not None


@pytest.mark.parametrize(("kind", "code"), [("", 0), ("safety", 3), ("operator", 3), ("device", 4), ("record", 2)])
def test_how_a_study_ended_decides_the_exit_code(tmp_path, monkeypatch, kind, code):
    def conducted(order, progress, scene):
        return StudyOutcome(tmp_path / "run", 9, 4, "pump is silent" if kind else "", kind)

    monkeypatch.setattr(carry_out, "_conducted", conducted)
    monkeypatch.setattr(carry_out, "_reported", lambda outcome: "WOULD FAIL")
    result, data = run(tmp_path, "L4_LM")
    assert result.exit_code == code
    assert ("pump is silent" in result.stderr) == bool(kind)
    assert (data["planned"], data["completed"]) == (9, 4)
