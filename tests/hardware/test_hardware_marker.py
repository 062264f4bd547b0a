"""The marker keeps its promise: without ``--hardware`` nothing real is touched, with it the tests do run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEST = "tests/hardware/test_bench_hardware.py"


def pytest_run(*options: str) -> str:
    command = [sys.executable, "-m", "pytest", TEST, "-q", "-rs", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=220).stdout


def test_hardware_tests_are_skipped_with_a_reason_by_default():
    out = pytest_run()
    assert "1 skipped" in out and "give --hardware" in out


def test_hardware_tests_run_when_asked_for():
    out = pytest_run("--hardware")
    assert "1 failed" in out and "give --rig FILE" in out


def test_this_test_is_not_marked(request: pytest.FixtureRequest):
    assert "hardware" not in request.node.keywords or request.node.get_closest_marker("hardware") is None
