"""Places that the campaign of broken rules breaks, and places that it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.campaign import areas, draw, equivalents
from tests.mutants.nearest import nearest_tests
from tests.mutants.sites import Site, sites_of

ROOT = Path(__file__).parents[3]
SOURCE = b'''"""A text with 3 numbers."""
LIMIT_MM: float = 2.0


class Rule:
    @property
    def half(self) -> float:
        return min(LIMIT_MM, 1.0) / 2

    def inside(self, x: float) -> bool:
        words = "a" + f"{x + 1}"
        return not x < LIMIT_MM and -x > 0 or words[0] == "b"
'''


def changes(*kinds: str) -> set[tuple[str, str, str]]:
    return {(s.function, s.was, s.becomes) for s in sites_of("rule.py", SOURCE, frozenset(kinds))}


def test_rules_are_comparisons_numbers_arithmetic_and_logic() -> None:
    found = changes("rules")
    assert ("", "2.0", "20.0") in found
    assert ("Rule.inside", "x < LIMIT_MM", "x >= LIMIT_MM") in found
    assert ("Rule.inside", "x < LIMIT_MM", "x <= LIMIT_MM") in found
    assert ("Rule.inside", "not x < LIMIT_MM", "x < LIMIT_MM") in found
    assert ("Rule.half", "min(LIMIT_MM, 1.0)", "max(LIMIT_MM, 1.0)") in found
    assert any("and" in was and " or " in becomes and function == "Rule.inside" for function, was, becomes in found)


def test_signs_and_units_leave_rules_alone() -> None:
    assert changes("signs") == {
        ("Rule.half", "min(LIMIT_MM, 1.0) / 2", "min(LIMIT_MM, 1.0) * 2"),
        ("Rule.inside", "-x", "x"),
    }
    assert changes("units") == set()
    units = sites_of("a.py", b"x = 1000.0 * 5.0 + 10 ** (y / 60)", frozenset({"units"}))
    assert {site.becomes for site in units} == {"10000.0", "100", "600"}


def test_a_number_that_is_compared_or_added_converts_no_unit() -> None:
    assert sites_of("a.py", b"x = y + 1e-9 if y > 10.0 else min(y, 100.0)", frozenset({"units"})) == ()


def test_texts_annotations_and_indices_are_left_alone() -> None:
    assert not any('"a"' in was or was == "words[0]" or "x + 1" in was for _, was, _ in changes("rules"))


def test_a_fault_changes_one_expression_and_the_source_still_compiles() -> None:
    for site in sites_of("rule.py", SOURCE, frozenset({"rules"})):
        broken = site.applied(SOURCE)
        assert broken != SOURCE
        compile(broken, "rule.py", "exec")


def test_the_same_seed_draws_the_same_sample_and_another_one_another() -> None:
    assert [s for _, s in draw(ROOT, 3, 60)] == [s for _, s in draw(ROOT, 3, 60)]
    assert [s for _, s in draw(ROOT, 3, 60)] != [s for _, s in draw(ROOT, 4, 60)]
    whole = draw(ROOT, 3, 300)
    assert len(whole) == 300 and len({(s.file, s.start, s.becomes) for _, s in whole}) == 300


def test_the_nearest_tests_of_a_file_begin_with_its_own() -> None:
    assert nearest_tests(ROOT, "analysis/intervals.py")[0] == "tests/analysis/test_intervals.py"
    assert not any("scenario" in name for name in nearest_tests(ROOT, "rig/safety/travel.py"))


@pytest.mark.parametrize("area", areas(ROOT), ids=lambda area: area.name)
def test_every_scenario_behind_an_area_stands_there(area: object) -> None:
    assert all((ROOT / name).is_file() for name in area.behind)  # type: ignore[attr-defined]


@pytest.mark.parametrize("area", areas(ROOT), ids=lambda area: area.name)
def test_every_area_has_files(area: object) -> None:
    assert area.files and all((ROOT / file).is_file() for file in area.files)  # type: ignore[attr-defined]


def test_every_listed_equivalent_still_stands_in_the_source_and_says_why() -> None:
    all_sites: dict[str, tuple[Site, ...]] = {}
    for listed in equivalents():
        source = (ROOT / listed.file).read_bytes()
        sites = all_sites.setdefault(listed.file, sites_of(listed.file, source, frozenset({"rules", "signs", "units"})))
        assert any(listed.covers(site) for site in sites), f"no longer in the source: {listed}"
        assert len(listed.reason) > 15
