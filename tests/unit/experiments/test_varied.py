"""Numbers of a shipped file are varied without a file: what may be changed, and what is refused with which words."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from experiments import phantom, rig_file, technique
from hal.errors import ConfigError
from hal.phantom.spec import PhantomSpec
from rig.config import config_file


def test_a_varied_technique_is_the_shipped_one_but_for_its_change() -> None:
    base, steep = technique("L4_IP_T"), technique("L4_IP_T", {"path.lateral_deg.preferred": np.float64(30.0)})
    assert dict(steep.data["path"]["lateral_deg"]) == {"preferred": 30.0, "lo": 28.0, "hi": 46.0}
    assert {**steep.data, "path": {}} == {**base.data, "path": {}}
    assert base.data["path"]["lateral_deg"]["preferred"] == 38.0


def test_the_text_that_is_kept_says_what_was_changed_and_reads_back() -> None:
    made = technique("L4_IP_T", {"checklist.3.wait_s": 5, "path.tilt_deg.preferred": 2.0})
    assert "#   checklist.3.wait_s = 5\n#   path.tilt_deg.preferred = 2.0\n" in made.text
    assert tomllib.loads(made.text) == made.data and made.data["checklist"][3]["wait_s"] == 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path.lateral_deg.prefered": 30.0}, "did you mean 'preferred'"),
        ({"pth.lateral_deg.preferred": 30.0}, "did you mean 'path'"),
        ({"path.lateral_deg.preferred": 80}, "path.lateral_deg.preferred = 80: must lie between -65 and 65"),
        ({"path.lateral_deg.preferred": "30"}, "must be a finite number"),
        ({"needle.name": "22G_quincke_89"}, "needle is no table"),
        ({"needle": "22G_quinke_89"}, "22G_quincke_89"),
        ({"checklist.12.wait_s": 1.0}, "is no table"),
        ({"path..lateral_deg": 1.0}, "is no key"),
        ({3: 1.0}, "is no key"),
        ({"path.lateral_deg.preferred": {1.0}}, "is no value of a TOML file"),
        ({"path.lateral_deg.preferred": float("nan")}, "finite"),
    ],
)
def test_a_change_that_no_technique_file_may_have_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        technique("L4_IP_T", changes)


def test_a_technique_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean L4_IP_T"):
        technique("L4_IPT")


def test_the_skin_follows_the_bmi_that_a_script_sets_and_the_phantom_has_a_name_of_its_own() -> None:
    spec = PhantomSpec.model_validate(phantom("lumbar_ref", {"anatomy.bmi": 31}).data)
    assert spec.anatomy.skin_to_tips_mm == pytest.approx(12.0 + 1.2 * 6.5) and spec.name == "lumbar_ref_varied"
    deep = PhantomSpec.model_validate(phantom("lumbar_ref", {"anatomy.s0_mm": 20.0, "name": "deep"}).data)
    assert deep.anatomy.skin_to_tips_mm == 20.0 and deep.name == "deep"


def test_depth_and_bmi_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="leave one of the two out"):
        phantom("lumbar_ref", {"anatomy.bmi": 31, "anatomy.s0_mm": 12.0})


@pytest.mark.parametrize(
    "changes",
    [
        {"limits.volume.injection_ml": 5.1},
        {"limits.pressure.hard_kpa": 139.0},
        {"limits.force.needle_n": 5.1},
        {"limits.force.hard_factor": 2.5},
        {"limits.motion.holder.x_mm": [-151.0, 150.0]},
        {"limits.motion.needle_entry.z_mm": [-60.0, 141.0]},
        {"limits.motion.needle_angle_deg": 66.0},
        {"limits.motion.stray": 0.2},
        {"limits.polling.pressure": {"idle_s": 0.5, "attended_s": 0.1, "stale_idle_s": 2.0, "stale_attended_s": 1.0}},
        {"line.rating_kpa": 301.0},
        {"safety.estop_inputs": ["holder"]},
        {"rig.simulated": False, "safety.hardware_cut": True},
    ],
)
def test_no_limit_of_a_rig_is_widened_by_a_script(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"script|this is a simulator's address"):
        rig_file("simulated", changes)


def test_limits_are_made_narrower_and_other_numbers_of_a_simulated_rig_are_varied() -> None:
    made = rig_file(
        "simulated",
        {"limits.volume.injection_ml": 2.0, "limits.force.needle_n": 2.5, "sim.operator": "novice",
         "limits.motion.holder.x_mm": [-100.0, 100.0], "needle.name": "25G_quincke_127",
         "devices.pump.diameter_mm": 8.0},
    )  # fmt: skip
    assert made.data["limits"]["volume"] == {"injection_ml": 2.0} and made.data["sim"]["operator"] == "novice"


def test_a_force_limit_that_the_file_states_is_not_taken_back_for_the_wider_one_of_the_gauge(tmp_path) -> None:
    file = tmp_path / "careful.toml"
    file.write_text(rig_file("simulated", {"limits.force.needle_n": 2.0}).text)
    with pytest.raises(ConfigError, match="narrower"):
        rig_file(file, {"limits.force.needle_n": None})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sim.operatr": "novice"}, "did you mean 'operator'"),
        ({"sim.operator": "novise"}, "novice"),
        ({"devices.pump.diamter_mm": 3.0}, "did you mean 'diameter_mm'"),
    ],
)
def test_a_rig_with_an_unknown_word_is_refused_before_it_is_used(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        rig_file("simulated", changes)


def test_of_a_real_bench_a_script_changes_limits_and_needle_only_and_its_folders_stay_where_they_are() -> None:
    with pytest.raises(ConfigError, match="may change only limits and needle"):
        rig_file("bench_example", {"devices.pump.diameter_mm": 3.0})
    made = rig_file("bench_example", {"limits.volume.injection_ml": 1.0})
    assert made.data["gel"]["ledgers"].startswith("/") and made.data["gel"]["ledgers"].endswith("rig/data/blocks")


@pytest.mark.parametrize("changes", [{"qa.required": []}, {"qa.runs": "elsewhere"}, {"qa": None}])
def test_which_tests_a_study_needs_is_not_for_a_script_to_say(tmp_path, changes: dict[str, object]) -> None:
    text = config_file("simulated").read_text()
    (tmp_path / "own.toml").write_text(text + '\n[qa]\nruns = "runs"\nrequired = ["line_loss"]\n')
    with pytest.raises(ConfigError, match="which tests a study needs cannot be changed by a script"):
        rig_file(tmp_path / "own.toml", changes)


def test_a_key_that_only_looks_like_a_number_is_answered() -> None:
    with pytest.raises(ConfigError, match="is no table"):
        technique("L4_IP_T", {"checklist.\u00b2.wait_s": 1.0})
    with pytest.raises(ConfigError, match="changes are a table"):
        technique("L4_IP_T", ["path"])  # type: ignore[arg-type]
