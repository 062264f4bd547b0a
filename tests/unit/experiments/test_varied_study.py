"""A script's study before it is run: checked like a file, sealed or exploratory."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import VariedStudy, phantom, rig_file, study, technique
from experiments.protocol.technique import shipped
from experiments.session import Session, as_current
from experiments.varied_study import TOO_LATE
from hal.errors import ConfigError

FLAT = {"landmark.lateral_deg": 25.0}
MEDIAN = {
    "id": "NEAR", "text": "median error", "metric": "tte_mm", "statistic": "median", "comparison": "<=", "limit": 8.0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def session():
    with as_current(Session()) as one:
        yield one


def landmark(**how: object) -> VariedStudy:
    how = {"techniques": {"flat": technique("L4_LM", FLAT), "L4_LM": "L4_LM"}, "criteria": [MEDIAN], **how}
    return study("lumbar", {"design.repeats": 2, "study.seed": 4}, **how)  # type: ignore[arg-type]


def test_a_study_has_the_techniques_of_the_script_under_their_own_names() -> None:
    made = landmark()
    techniques = {t.id: t for t in made.study.loaded().values()}
    assert list(techniques) == ["flat", "L4_LM"] and made.trials_n == 4
    assert techniques["flat"].landmark is not None and techniques["flat"].landmark.lateral_deg == 25.0
    assert techniques["L4_LM"].landmark is not None and techniques["L4_LM"].landmark.lateral_deg == 20.0
    assert "flat, L4_LM x 2, 1 criteria" in repr(made)


def test_phantom_and_rig_are_those_of_the_script() -> None:
    made = landmark(
        phantom=phantom("lumbar_ref", {"anatomy.bmi": 26}), rig=rig_file(changes={"sim.operator": "novice"})
    )
    assert made.rig.sim["operator"] == "novice" and made.study.design.phantom.endswith("phantom.toml")


def test_criteria_of_the_base_that_choose_no_trial_are_left_out_and_named() -> None:
    made = study("lumbar", techniques=["L4_IP_T", "L4_LM"])
    assert made.left_out == ("OOP-TTE",)
    assert [c.id for c in made.study.criteria] == ["IP-TTE", "US-SUCCESS", "US-LEVEL"] and made.exploratory == ""


def test_a_study_without_criteria_is_exploratory() -> None:
    assert "no criterion" in landmark(criteria=[]).exploratory
    assert "no criterion" in study("lumbar", techniques=["L4_LM"]).exploratory


def test_a_study_that_is_planned_after_the_first_trial_of_its_script_is_exploratory(session: Session) -> None:
    before = landmark()
    session.begun = True
    after = landmark()
    assert before.exploratory == "" and after.exploratory == TOO_LATE
    assert after.study.study.exploratory == TOO_LATE, "it is in the study that is recorded"


def test_the_command_line_sets_trials_seed_and_rig_over_the_script(tmp_path: Path) -> None:
    rig = tmp_path / "mine.toml"
    rig.write_text(rig_file("simulated", {"rig.name": "mine"}).text)
    with as_current(Session(rig=rig, trials=5, seed=11)):
        made = landmark(rig=rig_file("simulated", {"sim.operator": "novice"}))
    assert (made.study.design.repeats, made.study.study.seed) == (5, 11)
    assert (made.rig.rig.name, made.rig.sim["operator"]) == ("mine", "novice")


def test_a_study_of_the_users_own_finds_the_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(shipped()["L4_LM"].read_text().replace('"L4_LM"', '"MINE"'))
    own = tmp_path / "own.toml"
    own.write_text('[study]\nid = "own"\ntitle = "t"\nobjective = "o"\n[design]\ntechniques = ["mine.toml"]\n')
    made = study(own, {"design.repeats": 1})
    assert [t.id for t in made.study.loaded().values()] == ["MINE"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"changes": {"design.repeat": 2}}, "did you mean 'repeats'"),
        ({"changes": {"design.repeats": 0}}, "must lie between 1 and 1000"),
        ({"techniques": "L4_LM"}, "a list of names"),
        ({"techniques": {"a b": technique("L4_LM", FLAT)}}, "1 to 64 of the characters"),
        ({"techniques": {"../../x": technique("L4_LM", FLAT)}}, "1 to 64 of the characters"),
        ({"techniques": {"flat": phantom("lumbar_ref")}}, "is a phantom"),
        ({"phantom": technique("L4_LM")}, "this is a technique"),
        ({"techniques": {"deep": technique("L4_LM", {"injection.volume_ml": 9.0})}}, "more than limits.volume"),
        ({"criteria": [{**MEDIAN, "metric": "error_mm"}]}, "did you mean"),
        ({"criteria": [{**MEDIAN, "select": {"plane": "in_plane"}}]}, "chooses no trial"),
        ({"techniques": {"thin": technique("L4_LM", {"needle": "25G_quincke_127"})}}, "one kind of needle"),
    ],
)
def test_what_no_study_can_be_is_refused_when_it_is_made(how: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        study("lumbar", **{"techniques": ["L4_LM"], **how})  # type: ignore[arg-type]
    assert "/tmp" not in str(refused.value), "a file is named as in the run folder, not where it waits"


def test_only_public_names_are_offered_and_an_unknown_one_is_reported() -> None:
    import experiments

    assert "study" in dir(experiments) and all(hasattr(experiments, name) for name in experiments.__all__)
    with pytest.raises(AttributeError, match=r"public names: .*technique"):
        _ = experiments.studdy  # type: ignore[attr-defined]
