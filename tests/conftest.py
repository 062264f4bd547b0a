"""Options of the whole suite: real devices are touched only when ``--hardware`` is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import hal  # noqa: F401 - before any test loads NumPy: see hal.arithmetic

sys.path.insert(0, str(Path(__file__).parent / "fakes"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hardware", action="store_true", default=False, help="run tests that need a real device")
    parser.addoption("--rig", default="", help="rig.toml of the bench for tests marked hardware")


SCENARIO_TIMEOUT_S = 900
"""A scenario runs whole trials, and the first one of a process compiles: minutes on a busy machine. A single test
elsewhere has the time that ``pyproject.toml`` gives."""


LONGEST_FIRST = ("scenario", "real_data", "analysis")
"""Folders whose tests begin first: a file of whole trials that begins last would run alone on one process."""


def _folder_rank(item: pytest.Item) -> int:
    folder = item.path.parent.name
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_folder_rank)
    for item in items:
        # The tests of a file stay on one process, where compiled kernels and built phantoms are shared; files that look
        # at the same trial say so by a group of their own.
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        if item.path.parent.name == "scenario" and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SCENARIO_TIMEOUT_S))
    if config.getoption("--hardware"):
        return
    skip = pytest.mark.skip(reason="needs a real device; give --hardware (and --rig FILE)")
    for item in items:
        if item.get_closest_marker("hardware") is not None:
            item.add_marker(skip)
