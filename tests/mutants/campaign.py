"""One campaign: draw the sample, find the nearest tests, break one rule at a time."""

from __future__ import annotations

import math
import os
import pickle
import random
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.mutants.live import break_live, can_break_live
from tests.mutants.nearest import ROOMS, nearest_tests
from tests.mutants.shadow import Shadow
from tests.mutants.sites import Site, sites_of
from tests.mutants.testrun import Ran, collect, enter, run_collected, run_forked, with_collected

HERE = Path(__file__).parent
STAGES_S = (5.0, 20.0)
"""Tests of a file are added, nearest first, until they take this much of a processor together [A]: at first, and when
they have noticed nothing. Then those that a person named, which are slow, come last."""
BASELINE_S = 900.0
LOADING_S = 300.0
"""Longest time to load the project anew, kernels that must be compiled included, on a busy machine [A]."""
PATIENCE = 4.0
"""A run that takes so many times its usual time, and a minute, never ends."""


@dataclass(frozen=True)
class Area:
    """Places that are broken in the same way."""

    name: str
    files: tuple[str, ...]
    kinds: frozenset[str]
    mutants: int
    """How many of the sample lie here, as long as it has so many sites."""
    first: tuple[str, ...]
    """Tests that are tried before the nearest."""
    behind: tuple[str, ...]
    """Scenario tests that stand behind these files."""


@dataclass(frozen=True)
class Equivalent:
    """A fault that changes nothing that could be seen."""

    file: str
    function: str
    was: str
    becomes: str
    reason: str

    def covers(self, site: Site) -> bool:
        return (self.file, self.function, self.was, self.becomes) == (
            site.file, site.function, site.was, site.becomes,
        )  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One fault and what became of it."""

    site: Site
    killed_by: str
    """Node id of the test that noticed; empty = it survived."""
    seconds: float
    equivalent: str = ""
    """Why it changes nothing, where a person said so."""


def areas(root: Path) -> tuple[Area, ...]:
    """The places of ``targets.toml``, their files listed."""
    table = tomllib.loads((HERE / "targets.toml").read_text())
    found = []
    for entry in table["area"]:
        left_out = {str(p.relative_to(root)) for glob in entry.get("without", []) for p in root.glob(glob)}
        files = {str(p.relative_to(root)) for glob in entry["files"] for p in root.glob(glob)} - left_out
        found.append(
            Area(
                entry["name"], tuple(sorted(files)), frozenset(entry["kinds"]), entry["mutants"],
                tuple(entry.get("first", [])), tuple(entry.get("behind", [])),
            )
        )  # fmt: skip
    return tuple(found)


def equivalents() -> tuple[Equivalent, ...]:
    """Faults that a person has looked at and found to change nothing."""
    table = tomllib.loads((HERE / "equivalents.toml").read_text())
    return tuple(Equivalent(**entry) for entry in table.get("equivalent", []))


def draw(root: Path, seed: int, count: int) -> list[tuple[Area, Site]]:
    """The sample of one seed: each area its share of ``count``, without repeats."""
    chance = random.Random(seed)
    results = areas(root)
    whole = sum(area.mutants for area in results)
    sample: list[tuple[Area, Site]] = []
    for area in results:
        sites = [s for file in area.files for s in sites_of(file, (root / file).read_bytes(), area.kinds)]
        share = min(len(sites), round(count * area.mutants / whole))
        sample += [(area, site) for site in sorted(chance.sample(sites, share), key=lambda s: (s.file, s.start))]
    return sample


class Nearest:
    """The tests of one file in three stages, each run once as it is when it is first needed: how long its tests take,
    and which function each of them calls.

    A few seconds of the nearest, as most faults need no more; more of them; what a person named as standing behind.
    """

    def __init__(self, shadow: Shadow, area: Area, file: str) -> None:
        self.tests: list[dict[str, float]] = []
        """By stage: node id to seconds."""
        self.red: list[str] = []
        """Tests that fail without any fault: they say nothing."""
        self._shadow, self.file = shadow, file
        self._calls: dict[int, set[str]] = {}
        self._waiting = list(nearest_tests(shadow.root, file, area.first))
        self._behind = list(area.behind)
        self._spent_s = 0.0

    def of(self, stage: int, site: Site, *, compiled: bool) -> list[str]:
        """Tests that call the function of the site, the quick ones first; all of the stage where calls cannot be seen:
        compiled kernels, module level."""
        while len(self.tests) <= stage:
            self._listen(len(self.tests))
        tests = self.tests[stage]
        called = self._calls.get(site.called_at, set()) if site.called_at else None
        if compiled and not called:
            called = None
        return sorted((t for t in tests if called is None or t in called), key=lambda t: tests[t])

    def _listen(self, stage: int) -> None:
        found: dict[str, float] = {}
        waiting, enough_s = (self._behind, math.inf) if stage == len(STAGES_S) else (self._waiting, STAGES_S[stage])
        while waiting and self._spent_s <= enough_s:
            ran = _listened(self._shadow, waiting.pop(0))
            self._spent_s += ran.cpu_s
            if ran.failed:
                self.red.append(ran.failed)
                continue
            found.update(ran.tests)
            for (path, line), tests in ran.calls.items():
                if path == self.file:
                    self._calls.setdefault(line, set()).update(tests)
        self.tests.append(found)


def _listened(shadow: Shadow, name: str) -> Ran:
    """One test file run as it is, which is done once: other files have it near too."""
    collect([name])
    kept = shadow.listened / f"{name.replace('/', '.')}.pickle"
    if kept.is_file():
        return pickle.loads(kept.read_bytes())  # type: ignore[no-any-return]
    ran = run_forked([name], BASELINE_S, listen=True)
    if not ran.tests:
        raise RuntimeError(f"{name} cannot be run at all: {ran.failed}")
    new = kept.with_suffix(f".{os.getpid()}")
    new.write_bytes(pickle.dumps(ran))
    new.rename(kept)  # another process may be at the same file
    return ran


def judge(shadow: Shadow, nearest: Nearest, sites: list[Site], report: Callable[[Site, Ran], None]) -> None:
    """Break one rule after the other and run its tests, stage by stage until one notices; ``report`` gets each."""
    source = (shadow.root / nearest.file).read_bytes()
    compiled = b"njit" in source
    spent_s = dict.fromkeys(sites, 0.0)
    alive = list(sites)

    def tell(site: Site, ran: Ran, stage: int) -> None:
        spent_s[site] += ran.seconds
        if ran.failed or stage == len(STAGES_S):
            alive.remove(site)
            report(site, Ran(ran.failed, spent_s[site]))

    for stage in range(len(STAGES_S) + 1):
        tests = {site: nearest.of(stage, site, compiled=compiled) for site in alive}
        slow = [s for s in alive if tests[s] and (compiled or not s.outer or not can_break_live(s, source))]
        live = [s for s in alive if tests[s] and s not in slow]
        for site in [s for s in alive if not tests[s]]:
            tell(site, Ran("", 0.0), stage)
        for site in slow:
            with shadow.broken(site.file, site.applied(source)):
                patience_s = PATIENCE * sum(nearest.tests[stage][t] for t in tests[site]) + 60.0 + LOADING_S
                tell(site, run_forked(tests[site], patience_s, before=_forget_project), stage)

        def work(items: dict[str, Any], live: list[Site] = live, stage: int = stage, tests: Any = tests) -> None:
            for site in live:
                patience_s = PATIENCE * sum(nearest.tests[stage][t] for t in tests[site]) + 60.0
                breaking = partial(break_live, site, source)
                tell(site, run_collected([items[t] for t in tests[site]], patience_s, breaking), stage)

        if live:
            with_collected(list(dict.fromkeys(t.split("::")[0] for s in live for t in tests[s])), work)


def _forget_project() -> None:
    """Everything of the project is loaded anew around the changed file."""
    for name in [n for n in sys.modules if n.split(".")[0] in (*ROOMS, "tests", "conftest") or n.startswith("test_")]:
        del sys.modules[name]


def campaign(shadow: Shadow, sample: list[tuple[Area, Site]], report: Callable[[Mutant | str], None]) -> None:
    """Judge every fault of one file; ``report`` gets each, and the tests that fail without any."""
    listed = equivalents()
    chosen: list[tuple[Area, Site]] = []
    for area, site in sample:
        reason = next((e.reason for e in listed if e.covers(site)), "")
        if reason:
            report(Mutant(site, "", 0.0, reason))
        else:
            chosen.append((area, site))
    if not chosen:
        return
    enter(shadow.root)
    nearest = Nearest(shadow, chosen[0][0], chosen[0][1].file)
    judge(
        shadow, nearest, [site for _, site in chosen], lambda site, ran: report(Mutant(site, ran.failed, ran.seconds))
    )
    for red in nearest.red:
        report(f"fails without any fault, so that it says nothing here: {red}")
