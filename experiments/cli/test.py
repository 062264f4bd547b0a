"""``phantomrig test``: the whole suite with pytest, on two processes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from hal.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def run_tests(arguments: list[str]) -> int:
    """Run pytest in the source tree; returns its exit code. Raises ``ConfigError`` when there is no source tree.

    ``--mutants SEED`` breaks a sample of rules instead, one at a time, and says which of them no test holds.
    """
    if not (ROOT / "tests").is_dir():
        raise ConfigError("the tests are part of the source tree, and this is an installed copy: clone the project")
    if importlib.util.find_spec("pytest") is None:
        raise ConfigError("this environment lacks the packages of the tests: call ./phantomrig test in the checkout")
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if arguments and arguments[0] == "--mutants":
        return subprocess.call([sys.executable, "-m", "tests.mutants", *arguments[1:]], cwd=ROOT, env=ours)
    # The groups and their order are those of tests/conftest.py.
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    command += arguments
    return subprocess.call(command, cwd=ROOT, env=ours)
