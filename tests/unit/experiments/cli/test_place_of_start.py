"""The folder a command is called from, and what a user has set for Python, never decide which code runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
COMMAND = ROOT / "experiments" / "cli" / "__main__.py"
THEIRS = "raise SystemExit('not ours')\n"


@pytest.fixture
def crowded(tmp_path):
    """A folder of a user's with files and folders named like ours and like Python's."""
    for name in ("json.py", "random.py", "typer.py", "hal.py"):
        (tmp_path / name).write_text(THEIRS)
    for name in ("rig", "analysis"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(THEIRS)
    (tmp_path / "experiments").mkdir()
    return tmp_path


def called(folder: Path, *arguments: str, command: tuple[str, ...] = (), **environment: str):
    how = command or (sys.executable, str(COMMAND))
    return subprocess.run(
        [*how, *arguments], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_files_named_like_ours_are_left_alone_and_that_is_reported(crowded):
    done = called(crowded, "--version", PYTHONPATH=str(crowded), PYTHONSTARTUP=str(crowded / "json.py"))
    assert done.returncode == 0 and done.stdout.startswith("phantomrig ")
    for name in ("analysis", "hal.py", "json.py", "random.py", "rig"):
        assert name in done.stderr
    assert "experiments" not in done.stderr, "a folder without code stands in nobody's way"


def test_nothing_is_printed_where_nothing_is_named_like_ours(tmp_path):
    done = called(tmp_path, "--version")
    assert done.returncode == 0 and done.stderr == ""


def test_the_installed_command_hands_over_in_isolation(crowded):
    code = "import sys; sys.path[:0] = [sys.argv.pop(1)]; from phantomrig_command import main; main()"
    done = called(crowded, "--version", command=(sys.executable, "-I", "-c", code, str(ROOT)), PYTHONPATH=str(crowded))
    assert done.returncode == 0 and done.stdout.startswith("phantomrig ")


def test_a_copied_checkout_runs_its_own_code(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "rig", copy / "rig", ignore=shutil.ignore_patterns("__pycache__"))
    for room in ("hal", "experiments", "analysis"):
        (copy / room).symlink_to(ROOT / room)
    start = copy / "rig" / "__init__.py"
    start.write_text(start.read_text() + '\n__version__ = "of-the-copy"\n')
    done = called(tmp_path, "--version", command=(sys.executable, str(copy / "experiments" / "cli" / "__main__.py")))
    assert "of-the-copy" in done.stdout


def test_an_incomplete_environment_is_reported_in_one_line(tmp_path):
    code = (
        "import runpy, sys; sys.modules['typer'] = None; sys.argv = ['x', '--version'];"
        f"runpy.run_path({str(COMMAND)!r}, run_name='__main__')"
    )
    done = called(tmp_path, command=(sys.executable, "-I", "-c", code))
    assert done.returncode == 2 and done.stderr.startswith("phantomrig: cannot start: ")
    assert "Traceback" not in done.stderr


def test_the_users_lock_holds_no_test_package():
    ours, tests = ((ROOT / name).read_text() for name in ("requirements.lock", "requirements-test.lock"))
    for package in ("pytest==", "hypothesis==", "ruff==", "mypy==", "pyigtl==", "simpleitk=="):
        assert f"\n{package}" not in ours.lower() and f"\n{package}" in tests.lower()
    for lock in (ours, tests):
        blocks = [block for block in lock.split("\n") if "==" in block and not block.startswith((" ", "#"))]
        assert lock.count("==") == len(blocks) and lock.count("--hash=sha256:") >= len(blocks)
