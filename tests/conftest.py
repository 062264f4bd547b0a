"""Options of the whole suite: real devices are touched only when ``--hardware`` is given."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

import hal  # noqa: F401 - before any test loads NumPy: see hal.arithmetic

sys.path.insert(0, str(Path(__file__).parent / "fakes"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hardware", action="store_true", default=False, help="run tests that need a real device")
    parser.addoption("--rig", default="", help="rig.toml of the bench for tests marked hardware")


@pytest.fixture(scope="session")
def dots_once() -> Iterator[None]:
    """For tests that calibrate the same pictures many times."""
    from tests.fakes.dots_once import remembered

    with remembered():
        yield


SCENARIO_TIMEOUT_S = 900
"""A scenario runs whole trials, and the first one of a process compiles: minutes on a busy machine. A single test
elsewhere has the time that ``pyproject.toml`` gives."""


LONGEST_FIRST = ("scenario", "real_data", "analysis")
"""Folders whose tests begin first: a file of whole trials that begins last would run alone on one process."""


USUAL_TRIALS = ("test_live_scene", "test_trial_closed_loop", "test_uncertainty_recorded")
"""Files that look at the same trials: one process runs them, and runs the trials once."""


class FilesTogether(LoadFileScheduling):  # type: ignore[misc]
    """The tests of a file stay on one process, where compiled kernels, built phantoms and trials are shared."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "usual trials" if Path(file).stem in USUAL_TRIALS else str(file)


_processes: defaultdict[str, set[str]] = defaultdict(set)
"""Processes that ran tests of each file."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if (worker := getattr(report, "worker_id", None)) is not None:
        _processes[report.location[0]].add(worker)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A file that ran on two processes ran its trials twice: nobody would see it but by the time that it took."""
    torn = sorted(file for file, workers in _processes.items() if len(workers) > 1)
    if torn and session.exitstatus == pytest.ExitCode.OK:
        print(f"\ntests of one file ran on several processes: {', '.join(torn)}", file=sys.stderr)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _folder_rank(item: pytest.Item) -> int:
    folder = item.path.parent.name
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesTogether:
    return FilesTogether(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_folder_rank)
    for item in items:
        if item.path.parent.name == "scenario" and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SCENARIO_TIMEOUT_S))
    if config.getoption("--hardware"):
        return
    skip = pytest.mark.skip(reason="needs a real device; give --hardware (and --rig FILE)")
    for item in items:
        if item.get_closest_marker("hardware") is not None:
            item.add_marker(skip)
