"""Options of the whole suite: real devices are touched only when ``--hardware`` is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fakes"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hardware", action="store_true", default=False, help="run tests that need a real device")
    parser.addoption("--rig", default="", help="rig.toml of the bench for tests marked hardware")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--hardware"):
        return
    skip = pytest.mark.skip(reason="needs a real device; give --hardware (and --rig FILE)")
    for item in items:
        if item.get_closest_marker("hardware") is not None:
            item.add_marker(skip)
