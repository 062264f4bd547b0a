"""A forked run of tests sees the fault that was put into a loaded function, and leaves nothing of it behind."""

from __future__ import annotations

from pathlib import Path

from analysis import intervals
from tests.mutants.live import break_live, can_break_live
from tests.mutants.sites import sites_of

FILE = "analysis/intervals.py"


def test_a_loaded_function_is_broken_and_mended_in_place() -> None:
    source = (Path(__file__).parents[3] / FILE).read_bytes()
    sites = sites_of(FILE, source, frozenset({"rules"}))
    site = next(s for s in sites if s.function == "largest" and s.was.startswith("np.max"))
    assert can_break_live(site, source)
    kept = intervals.largest.__code__
    try:
        break_live(site, source)
        assert intervals.largest(intervals.sample([1.0, 5.0, 2.0]), "mm").value == 1.0
    finally:
        intervals.largest.__code__ = kept
    assert intervals.largest(intervals.sample([1.0, 5.0, 2.0]), "mm").value == 5.0


def test_module_level_cannot_be_broken_in_place() -> None:
    source = (Path(__file__).parents[3] / FILE).read_bytes()
    sites = sites_of(FILE, source, frozenset({"rules"}))
    assert not can_break_live(next(s for s in sites if not s.outer), source)
