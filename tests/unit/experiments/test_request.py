"""Checks of the arguments of ``run`` before anything moves."""

import tomllib
from pathlib import Path

import pytest

from experiments.ended import Ended
from experiments.protocol.study import Study
from experiments.protocol.technique import shipped
from experiments.request import checked
from hal.errors import ConfigError
from rig.config import load_config

LUMBAR = Path(__file__).parents[3] / "experiments" / "studies" / "lumbar.toml"


def order(tmp_path, study="lumbar", rig=None, trials=None, seed=None, workers=None, techniques=()):
    return checked(study, rig, tmp_path / "out", trials, seed, workers, techniques)


def test_nothing_is_made_by_checking(tmp_path):
    order(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_simulated_rig_with_two_workers_is_the_default(tmp_path):
    found = order(tmp_path)
    assert found.config.rig.simulated and found.workers == 2
    assert found.files["rig.toml"] == load_config("simulated").path.read_bytes()


def test_the_study_is_kept_as_it_was_used(tmp_path):
    found = order(tmp_path, trials=2, seed=9, techniques=("S1_IP",))
    kept = tomllib.loads(found.files["study.toml"].decode())
    assert kept["design"]["repeats"] == 2 and kept["study"]["seed"] == 9
    assert kept["design"]["techniques"] == ["S1_IP"]
    assert [c["id"] for c in kept["criteria"]] == [c["id"] for c in tomllib.loads(LUMBAR.read_text())["criteria"]]
    assert Study.model_validate(kept) == found.study


def test_phantom_and_techniques_are_kept_byte_for_byte(tmp_path):
    found = order(tmp_path, techniques=("L4_LM", "S1_IP"))
    kept = {name: content for name, content in found.files.items() if name.startswith("techniques/")}
    assert kept == {f"techniques/{n}.toml": shipped()[n].read_bytes() for n in ("L4_LM", "S1_IP")}
    assert b'name = "lumbar_ref"' in found.files["phantom.toml"]


def test_a_technique_by_path_is_kept_under_its_id(tmp_path):
    mine = tmp_path / "renamed.toml"
    mine.write_text(shipped()["L5_LM"].read_text().replace('id = "L5_LM"', 'id = "MINE"'))
    assert "techniques/MINE.toml" in order(tmp_path, techniques=(str(mine),)).files


def test_two_different_techniques_with_one_id_are_refused(tmp_path):
    mine = tmp_path / "other.toml"
    mine.write_text(shipped()["L5_LM"].read_text() + "\n# changed\n")
    with pytest.raises(ConfigError, match="same id"):
        order(tmp_path, techniques=("L5_LM", str(mine)))


def test_the_last_line_has_the_four_promised_keys():
    result = Ended(Path("runs/x"), 9, 8, "WOULD FAIL")
    assert result.as_json() == {"run": "runs/x", "planned": 9, "completed": 8, "verdict": "WOULD FAIL"}
