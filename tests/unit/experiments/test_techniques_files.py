"""Technique and study files: the shipped ones load, mistakes are explained in one message."""

import pytest

from experiments.protocol.study import load_study
from experiments.protocol.technique import load_technique, shipped
from hal.errors import ConfigError


def test_nine_techniques_are_shipped_and_load():
    names = list(shipped())
    assert len(names) == 9
    for name in names:
        technique = load_technique(name)
        assert technique.id == name
        assert {item.when for item in technique.checklist} == {"before", "after"}


def test_every_level_has_two_ultrasound_arms_and_a_baseline():
    arms = {(t.level, t.plane) for t in map(load_technique, shipped())}
    assert arms == {
        (level, plane) for level in ("L4", "L5", "S1") for plane in ("in_plane", "out_of_plane", "landmark")
    }


def test_antisepsis_has_contact_and_drying_times_before_and_after():
    for name in shipped():
        before = next(i for i in load_technique(name).checklist if i.id == "PRE4")
        after = next(i for i in load_technique(name).checklist if i.id == "POST1")
        assert before.contact_s >= 30 and before.wait_s >= 30 and after.contact_s > 0


def test_a_near_miss_names_what_was_meant():
    with pytest.raises(ConfigError, match="L4_IP_T"):
        load_technique("L4_IP")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = [", "not a TOML file"),
        ("id = 'a'", "study: this key is missing"),
        ("[study]\nid='a'\ntitle='t'\nobjective='o'\nsede=3\n[design]\ntechniques=['L4_IP_T']", "sede"),
        ("[study]\nid='a'\ntitle='t'\nobjective='o'\n[design]\ntechniques=['L4_IP_X']", "L4_IP_T"),
        ("[study]\nid='a'\ntitle='t'\nobjective='o'\n[design]\ntechniques=['L4_IP_T']\nrepeats=-3", "repeats"),
    ],
)
def test_a_study_with_a_mistake_is_refused_with_its_place(tmp_path, text, says):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_study(str(path))


def test_a_missing_study_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        load_study(str(tmp_path / "none.toml"))
