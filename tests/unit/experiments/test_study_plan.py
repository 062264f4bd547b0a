"""The plan of a study: complete, balanced, reproducible, one insertion per root and side."""

import re
import tomllib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.criterion import Criterion as Judged
from analysis.tables import trials_table
from experiments.protocol.plan import plan
from experiments.protocol.study import load_study, narrowed, shipped, study_path
from hal.errors import ConfigError
from hal.files.toml_text import toml_text
from rig.record.rows import normal_row


def _planned(seed, trials):
    study = narrowed(load_study("lumbar"), trials=trials, seed=seed, techniques=())
    return plan(study, study.loaded())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), trials=st.integers(1, 8))
def test_every_approach_gets_its_repeats_and_no_root_is_used_twice(seed, trials):
    cartridges = _planned(seed, trials)
    everything = [t for c in cartridges for t in c.trials]
    assert set(Counter(t.technique for t in everything).values()) == {trials}
    assert len(everything) == 9 * trials
    for cartridge in cartridges:
        sites = [(t.level, t.side) for t in cartridge.trials]
        assert len(sites) == len(set(sites)) <= 6
    assert len({t.trial_id for t in everything}) == len({t.seed for t in everything}) == len(everything)


def test_the_same_seed_plans_the_same_and_another_seed_differs():
    assert _planned(5, 3) == _planned(5, 3)
    assert _planned(5, 3) != _planned(6, 3)


def test_sides_are_used_evenly():
    sides = Counter((t.technique, t.side) for c in _planned(3, 4) for t in c.trials)
    assert set(sides.values()) == {2}


@pytest.mark.parametrize(
    "change",
    [{"trials": -3}, {"trials": 0}, {"seed": -1}, {"techniques": ("NO_SUCH",)}, {"techniques": ("L4_LM",) * 2}],
)
def test_impossible_choices_are_refused(change):
    wanted = {"trials": None, "seed": None, "techniques": ()} | change
    with pytest.raises(ConfigError):
        narrowed(load_study("lumbar"), **wanted)


def _with_criterion(tmp_path, **change):
    table = {
        "id": "X",
        "text": "x",
        "metric": "success",
        "statistic": "success_lower_95",
        "comparison": ">=",
        "limit": 0.8,
    } | change
    head = study_path("lumbar").read_text().split("[[criteria]]")[0]
    path = tmp_path / "mine.toml"
    path.write_text(head + toml_text({"criteria": [table]}))
    return str(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"comparison": "<="}, "success_lower_95 can only be compared with >="),
        ({"metric": "tte_mm", "statistic": "max"}, "max can only be compared with <="),
        ({"metric": "tte_mm", "statistic": "tolerance_95_95"}, "tolerance_95_95 can only be compared with <="),
        ({"metric": "tte_mm"}, "needs a yes/no column, tte_mm is float"),
        ({"statistic": "mean"}, "needs a number column, success is bool"),
        ({"metric": "outcome", "statistic": "mean"}, "needs a number column, outcome is text"),
        ({"metric": "succes"}, "no column 'succes'; did you mean success"),
        ({"select": {"plan": "in_plane"}}, "no column 'plan'; did you mean plane"),
        ({"select": {"plane": []}}, "select.plane is empty"),
        ({"select": {"plane": ["inplane"]}}, "chooses no trial"),
        ({"select": {"level": "L4", "technique": ["S1_IP"]}}, "chooses no trial"),
    ],
)
def test_a_criterion_that_could_not_be_judged_is_refused_when_the_study_is_read(tmp_path, change, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_study(_with_criterion(tmp_path, **change))


def test_a_criterion_may_choose_by_one_value_or_by_several(tmp_path):
    chosen = {"plane": ["in_plane", "out_of_plane"], "side": "left", "guidance": "freehand"}
    (criterion,) = load_study(_with_criterion(tmp_path, select=chosen)).criteria
    assert criterion.select["plane"] == ("in_plane", "out_of_plane") and criterion.select["side"] == "left"


@pytest.mark.parametrize("guidance", ["robot", "freehand"])
def test_the_shipped_ultrasound_criteria_hold_for_whoever_has_the_needle_and_not_for_landmarks(guidance):
    tables = tomllib.loads(study_path("lumbar").read_text())["criteria"]
    row = {"trial_id": "T1", "guidance": guidance}
    for table in (table for table in tables if table["id"].startswith("US-")):
        judged = Judged.from_toml(table)
        led = trials_table([normal_row({**row, "plane": plane}) for plane in ("in_plane", "out_of_plane")])
        felt = trials_table([normal_row({**row, "plane": "landmark", "guidance": "landmark"})])
        assert len(judged.chosen(led)) > 0 and len(judged.chosen(felt)) == 0


def test_files_named_in_a_study_are_found_beside_it_and_chosen_by_their_id(tmp_path):
    own = shipped()["S1_OOP"].read_text().replace("superficial_mm = 16.0", "superficial_mm = 17.0")
    (tmp_path / "my_sacral.toml").write_text(own)
    text = study_path("lumbar").read_text()
    listed = re.sub(r"techniques = \[.*?\]", 'techniques = ["my_sacral.toml", "L4_IP_T"]', text, flags=re.DOTALL)
    (tmp_path / "mine.toml").write_text(listed)
    study = narrowed(load_study(str(tmp_path / "mine.toml")), trials=None, seed=None, techniques=("S1_OOP",))
    (technique,) = study.loaded().values()
    assert technique.advance.superficial_mm == 17.0
