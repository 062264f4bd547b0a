"""A run that is killed like a power cut: what was recorded stays readable, and is called what it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rig.record import RunFolder, read_chain, verify_run

ROOT = Path(__file__).parents[2]
STATE = b'"state.entered"'
PATIENCE_S = 600.0
"""For a busy machine that compiles first; an idle one needs about ten seconds."""
ATTEMPTS = 5
pytestmark = pytest.mark.timeout(1800)


def phantomrig(*arguments: str, **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "experiments.cli", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )  # fmt: skip


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Run folder of a study that got SIGKILL while its trial was under way.

    On a busy machine the order may come only after the trial, or after the run: that was no such kill, and the study
    begins again.
    """
    for _ in range(ATTEMPTS):
        run = started_and_killed(tmp_path_factory.mktemp("killed"))
        if run is not None:
            return run
    raise AssertionError(f"{ATTEMPTS} times the trial was over before the kill reached it")


def started_and_killed(out: Path) -> Path | None:
    """The run folder, or None when the trial was over first."""
    process = phantomrig(
        "run", "lumbar", "--trials", "1", "--technique", "S1_LM", "--workers", "1", "--out", str(out)
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE_S
    seen = False
    try:
        while time.monotonic() < deadline and process.poll() is None and not seen:
            seen = any(p.read_bytes().count(STATE) >= 2 for p in out.glob("*/cartridges/C01/journal.jsonl"))
            time.sleep(0.02)
    finally:
        process.kill()
        errors = process.communicate()[1]
    if process.returncode == 0:
        return None
    assert process.returncode == -signal.SIGKILL, f"it ended by itself: {errors[-2000:]}"
    assert seen, f"no trial was under way within {PATIENCE_S:g} s: {errors[-2000:]}"
    (run,) = out.iterdir()
    return None if b'"trial.closed"' in (run / "cartridges" / "C01" / "journal.jsonl").read_bytes() else run


def test_the_journals_hold_up_to_the_last_entry(killed):
    root = read_chain(killed / "journal.jsonl")
    assert root.fault == "" and [e.kind for e in root.entries] == ["run.opened", "study.planned"]
    chain = read_chain(killed / "cartridges" / "C01" / "journal.jsonl")
    assert chain.fault == ""
    assert [e.kind for e in chain.entries].count("state.entered") >= 2
    written = (killed / "cartridges" / "C01" / "journal.jsonl").read_bytes().count(b"\n")
    assert len(chain.entries) == written, "every whole line is an entry that verifies"


def test_what_is_missing_is_reported_and_nothing_else_is_wrong(killed):
    assert verify_run(killed) == (
        "the run was not sealed: there is no manifest.json",
        "cartridge C01: the root chain does not know it",
    )


def test_the_plan_the_files_and_the_trial_begun_can_be_read(killed):
    run = RunFolder.open(killed)
    assert run.manifest is None and run.simulated
    assert [t.trial_id for t in run.planned] == ["T001"] and run.rows == ()
    assert next(e.data["state"] for e in run.events("T001") if e.kind == "state.entered").startswith("ST0")


def test_the_report_says_what_it_is_without_a_traceback(killed):
    before = {p: p.read_bytes() for p in sorted(killed.rglob("*")) if p.is_file()}
    process = phantomrig("report", str(killed))
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in stderr
    assert "was not sealed" in stderr
    page = killed / "report.html"
    shown = stderr + (page.read_text() if page.exists() else "")
    assert "not sealed" in shown
    assert process.returncode in (0, 2)
    assert {p: p.read_bytes() for p in before} == before, "the record itself is not touched"
