"""Entries of a trial for its uncertainty budget, and whether their derivatives agree with what the rig then does."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.protocol.states import State
from rig.config import Gel
from tests.fakes.short_trial import ShortTrial, rig, run_short, usual

FASTER_M_S = 25.0


@pytest.fixture(scope="module")
def led() -> ShortTrial:
    return usual("L4_IP_T")


def test_a_trial_led_by_the_image_tells_how_aim_and_tip_were_seen(led: ShortTrial) -> None:
    (recorded,) = led.of("uncertainty")
    seen = recorded["seen"]
    assert led.row is not None
    if abs(seen["moved_since_mm"]) < 0.05:
        assert np.linalg.norm(seen["tip_minus_aim_mm"]) == pytest.approx(led.row["steer_err_mm"], abs=1e-6)
    for name in ("registration_mm2", "look_mm2", "image_tip_mm2"):
        matrix = np.array(seen[name])
        assert np.allclose(matrix, matrix.T, atol=1e-9) and np.linalg.eigvalsh(matrix)[0] > 0.0
    assert np.array(seen["image_shifts"]).shape == (3, 12)
    assert np.array(recorded["image_spread"]).shape == (12, 12)
    assert np.linalg.norm(seen["elevation_axis"]) == pytest.approx(1.0)


def test_every_input_says_who_stated_it(led: ShortTrial) -> None:
    inputs = {one["name"]: one for one in led.of("uncertainty")[0]["inputs"]}
    assert inputs["reference instrument"]["source"] == "[devices.tracker].tip_uncertainty_mm"
    assert 0.1 < inputs["phantom in the instrument"]["u"] < 0.11
    assert inputs["phantom in the instrument"]["source"] == "[frames].PhantomToReference"
    assert inputs["image calibration"]["kind"] == "default [A]"
    assert inputs["HolderToRig"]["u"] == 0.2


def test_the_depth_of_one_point_has_the_uncertainty_of_the_speed_of_sound(led: ShortTrial) -> None:
    seen = led.of("uncertainty")[0]["seen"]
    (gel,) = led.of("gel")
    depth_mm = seen["sound_depth_u_mm"] / gel["u_m_s"] * gel["sound_speed_m_s"]
    assert 40.0 < depth_mm < 80.0
    assert led.of("tip")[-1]["sound_u_mm"] == pytest.approx(seen["sound_depth_u_mm"], rel=0.02)
    assert led.of("level.registered")[0]["target_sound_u_mm"] > 0.1


def test_a_wrong_speed_of_sound_moves_the_registered_aim_point_as_was_recorded(
    led: ShortTrial, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = rig()
    gel = Gel(sound_speed_m_s=config.gel.sound_speed_m_s + FASTER_M_S, u_sound_speed_m_s=5.0)
    faster = config.model_copy(update={"gel": gel})
    wrong = run_short(tmp_path_factory.mktemp("wrong"), "L4_IP_T", config=faster, until=State.ENTRY)
    aims = [np.array(t.of("plan.chosen")[0]["aim_rig_mm"]) for t in (led, wrong)]
    recorded = FASTER_M_S * np.array(led.of("uncertainty")[0]["seen"]["sound_aim_mm_per_m_s"])
    found = aims[1] - aims[0]
    assert recorded[2] > 0.4
    assert np.linalg.norm(found - recorded) < 0.4 * np.linalg.norm(recorded)


def test_a_needle_that_no_image_leads_tells_its_inputs_alone() -> None:
    trial = usual("L4_LM")
    (recorded,) = trial.of("uncertainty")
    assert recorded["seen"] is None
    assert recorded["expected_deflection_mm"] > 0.5
