"""A study whose terminal goes away in the middle of a trial: sealed, analysed, and the exit code of a stop."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
import termios
from contextlib import suppress

import pytest
from waiting import until

PATIENCE_S = 240.0


@pytest.fixture
def study(tmp_path):
    """A study on a terminal of its own: the process, our end of the terminal, and where its run folder comes to be."""
    ours, theirs = pty.openpty()
    words = ["run", "lumbar", "--technique", "L4_LM", "--trials", "2", "--workers", "1", "--out", str(tmp_path)]

    def own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=own_terminal,
    )
    os.close(theirs)
    yield process, ours, tmp_path
    process.kill()
    process.wait()
    with suppress(OSError):
        os.close(ours)


def begun(out, ours) -> bool:
    """The first infusion is in the journal; what the study says meanwhile is read, so that it never waits for us."""
    os.set_blocking(ours, False)
    with suppress(OSError):
        os.read(ours, 65536)
    return any(b"infusion.started" in journal.read_bytes() for journal in out.glob("*/cartridges/*/journal.jsonl"))


def test_a_lost_terminal_leaves_a_sealed_and_analysed_run_and_exit_code_3(study):
    process, ours, out = study
    until(lambda: begun(out, ours), "an infusion in the journal", within_s=PATIENCE_S)
    os.close(ours)  # the kernel sends SIGHUP, and every further word fails with EIO
    assert process.wait(PATIENCE_S) == 3
    (run,) = out.iterdir()
    results = json.loads((run / "results.json").read_text())
    assert results["verdict"] and (run / "manifest.json").exists() and (run / "report.html").exists()
