"""A phantom fitted to its design by bone: what is refused, and what an accepted pose is said to be worth."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hal.errors import CalibrationRefused
from rig.calibration.phantom.bone import HALF_LEVEL_MM, bones_at, fit_bone_from, judge
from rig.calibration.phantom.bone_picture import draw_bone_registration
from rig.calibration.phantom.budget import every_cause
from rig.calibration.phantom.vertebrae import vertebra_residuals
from rig.geometry.registration import rigid_matrix
from tests.fakes.bone_scan import (
    DRAWING,
    PLAN,
    SPREADS,
    STATED_M_S,
    NominalToRig,
    errors,
    fitted,
    moved,
    scene,
)


@pytest.fixture(scope="module")
def made():
    return scene(2001)


@pytest.fixture(scope="module")
def seen(made):
    return made.frames()


@pytest.fixture(scope="module")
def placed(seen):
    return fitted(seen)


@pytest.fixture(scope="module")
def result(placed):
    return judge(placed, DRAWING, SPREADS, draws_n=60)


def refusal(action, *arguments, **more):
    with pytest.raises(CalibrationRefused) as caught:
        action(*arguments, **more)
    return caught.value


def test_the_true_roots_lie_within_what_is_claimed(made, result):
    lengths, inside, _ = errors(result, made.targets_rig_mm())
    assert inside.all(), lengths
    assert result.held_out_frames_rms_mm < 0.8 and result.fit.handedness_open == ("x",)


def test_first_order_and_repeated_fits_claim_the_same(result):
    assert result.budget.failed_n == 0
    for claim in result.budget.claims:
        assert claim.simulated_sd_mm == pytest.approx(claim.sd_mm, rel=0.2)  # 60 draws of 3: +- 2.5 standard errors
        assert sum(u**2 for u in claim.by_cause_mm.values()) == pytest.approx(claim.sd_mm**2)
        assert claim.radius_95_mm > 1.4 * claim.sd_mm


def test_the_speed_of_sound_has_a_row_that_follows_its_uncertainty(placed, result):
    double = replace(SPREADS, sound_speed_share=2.0 * SPREADS.sound_speed_share)
    again = judge(placed, DRAWING, double, draws_n=0)
    for a, b in zip(result.budget.claims, again.budget.claims, strict=True):
        assert b.by_cause_mm["speed of sound"] == pytest.approx(2.0 * a.by_cause_mm["speed of sound"])
        depth = DRAWING.places.targets[a.name][2]
        assert 0.3 * depth * SPREADS.sound_speed_share < a.by_cause_mm["speed of sound"] < 1.5 * depth * 0.0033


def test_what_the_pose_says_of_a_target_does_not_hold_its_own_vertebra(result):
    designed = DRAWING.places.targets["L5.left"]
    claim = next(c for c in result.budget.claims if c.name == "L5.left")
    assert 0.3 < result.transform.point_sd_mm(designed) < 1.5
    assert claim.by_cause_mm["nerve insert in its vertebra"] == pytest.approx(0.3 * 3**0.5)


def test_a_speed_of_sound_5_percent_off_is_refused_as_depth(made):
    wrong = fitted(made.frames(1.05 * STATED_M_S))
    refused = refusal(judge, wrong, DRAWING, SPREADS)
    assert refused.code == "range scale" and "depth" in refused.reason and "speed of sound" in refused.advice
    off = made.built.sound_speed_m_s / (1.05 * STATED_M_S)
    assert refused.figures["scale"] == pytest.approx(off, abs=0.02)


def test_a_start_one_level_off_does_not_win(placed):
    for along in (34.0, -34.0):
        refused = refusal(fit_bone_from, placed.points, DRAWING, NominalToRig, (0.0, along, 0.0))
        assert refused.code == "level" and "fits as well" in refused.reason


def test_a_phantom_one_level_from_its_place_is_refused_with_the_distance(seen):
    shift = rigid_matrix(np.zeros(3), np.array([0.0, 34.0, 0.0]))
    off = fitted(moved(seen, shift))
    refused = refusal(judge, off, DRAWING, SPREADS)
    assert refused.code == "placement" and abs(refused.figures["along_mm"]) > HALF_LEVEL_MM
    assert abs(refused.figures["along_mm"]) == pytest.approx(34.0, abs=6.0)


def test_a_phantom_the_wrong_way_round_is_not_counted(seen):
    middle = NominalToRig[:3, 3]
    turn = rigid_matrix(np.array([0.0, 0.0, np.pi]), np.zeros(3))
    turn[:3, 3] = middle - turn[:3, :3] @ middle
    assert refusal(fitted, moved(seen, turn)).code == "level"


def test_a_scan_without_the_sacrum_is_not_counted(seen):
    dark = [
        replace(f, surface=_blind(f.surface)) if look.ProbeToRig[1, 3] < NominalToRig[1, 3] - 5.0 else f
        for look, f in zip(PLAN, seen, strict=True)
    ]
    refused = refusal(fitted, dark)
    assert refused.code == "level" and "sacr" in refused.reason


def test_a_scan_that_shows_no_bone_says_what_to_look_at(seen):
    refused = refusal(fitted, [replace(f, surface=_blind(f.surface)) for f in seen])
    assert refused.code == "no bone" and "wet gel" in refused.advice


def test_a_vertebra_that_was_poured_far_off_is_named(placed, result):
    rows = {row.bone: row for row in result.vertebrae}
    assert {"L4", "L5", "sacrum"} <= set(rows) and not any(row.far for row in rows.values())
    assert all(0.2 < row.expected_mm < 1.2 for row in rows.values())


def test_of_a_vertebra_poured_too_deep_the_others_are_not_blamed(placed):
    bones = bones_at(placed.points, placed.RigToPhantom, DRAWING)
    deeper = np.where((bones == "L4")[:, None], 3.0 * placed.points.beams, 0.0)
    points = replace(placed.points, points_mm=placed.points.points_mm + deeper)
    causes = every_cause(placed.points, placed.RigToPhantom, DRAWING.surface, bones, DRAWING.places, SPREADS)
    rows = vertebra_residuals(points, placed.RigToPhantom, DRAWING.surface, bones, causes)
    assert [row.bone for row in rows if row.far] == ["L4"]
    assert next(row.mean_mm for row in rows if row.far) > 1.2, "deeper is positive"


@pytest.mark.parametrize("refused", [False, True])
def test_the_picture_is_made_for_accepted_and_refused_ones(tmp_path, placed, result, refused):
    path = tmp_path / "phantom.png"
    error = CalibrationRefused("level", "the level is not sure") if refused else None
    draw_bone_registration(path, placed, DRAWING, "SIMULATED", None if refused else result, error)
    assert path.stat().st_size > 30_000


def test_the_result_is_plain_json(result):
    data = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert data["ok"] and np.shape(data["covariance"]) == (6, 6) and "not accuracy" in data["rms_note"]


def _blind(surface):
    return replace(surface, found=np.zeros_like(surface.found), range_mm=np.full_like(surface.range_mm, np.nan))
