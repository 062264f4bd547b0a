from __future__ import annotations

import numpy as np
import pytest

from hal.phantom.needles import load_needle
from hal.types import NeedlePose
from rig.guidance.bending import Bending, BevelSegment, advise_bevel, bevel_in_plane, nominal_bending
from rig.guidance.needle_line import NeedleLine, angles_from_direction, direction_from_angles

QUINCKE = load_needle("22G_quincke_120")
STRAIGHT = NeedleLine(np.zeros(3), np.array([0.0, 0.0, 1.0]))


@pytest.mark.parametrize(("feed", "deflection"), [(30, 1.3), (50, 3.5), (80, 8.9)])
def test_a_quincke_needle_bends_as_published(feed: float, deflection: float) -> None:
    assert nominal_bending(STRAIGHT, QUINCKE).predict(feed).deflection_mm == pytest.approx(deflection, abs=0.1)


def test_it_bends_away_from_the_bevel_opening() -> None:
    tip = nominal_bending(STRAIGHT, QUINCKE, bevel_deg=0.0).predict(60.0).tip_mm
    assert tip[0] < -4.0 and abs(tip[1]) < 1e-9


def test_a_flip_at_half_depth_ends_parallel_with_half_the_offset() -> None:
    bending = nominal_bending(STRAIGHT, QUINCKE).with_bevel(30.0, 180.0)
    end = bending.predict(60.0)
    assert end.deflection_mm == pytest.approx(
        0.5 * nominal_bending(STRAIGHT, QUINCKE).predict(60.0).deflection_mm, rel=1e-6
    )
    assert end.direction == pytest.approx([0, 0, 1], abs=1e-9)


def test_a_flip_at_0293_of_the_way_ends_on_the_axis() -> None:
    bending = nominal_bending(STRAIGHT, QUINCKE).with_bevel(0.2929 * 60, 180.0)
    assert bending.predict(60.0).deflection_mm < 0.01


def test_confirmed_tips_make_later_predictions_better() -> None:
    rng = np.random.default_rng(4)
    prior_errors, later_errors = [], []
    for _ in range(40):
        true = Bending(
            STRAIGHT,
            2.78,
            (BevelSegment(0, 0),),
            mean=np.array([rng.uniform(0.5, 1.6), *np.radians(rng.normal(0, 0.4, 2)), *rng.normal(0, 0.3, 2)]),
        )
        model = nominal_bending(STRAIGHT, QUINCKE)
        prior_errors.append(np.linalg.norm(model.predict(60).tip_mm - true.predict(60).tip_mm))
        for feed in (15.0, 25.0, 35.0, 45.0):
            model = model.updated(feed, true.predict(feed).tip_mm + rng.normal(0, 0.3, 3), 0.09 * np.eye(3))
        later_errors.append(np.linalg.norm(model.predict(60).tip_mm - true.predict(60).tip_mm))
        assert model.predict(60).sd_mm < nominal_bending(STRAIGHT, QUINCKE).predict(60).sd_mm
    assert np.median(later_errors) < 0.6 * np.median(prior_errors)


def test_advice_turns_the_bevel_when_the_needle_drifts_off() -> None:
    bending = nominal_bending(STRAIGHT, QUINCKE)
    aim = np.array([0.0, 0.0, 60.0])
    advice = advise_bevel(bending, 20.0, aim)
    assert advice.flip and advice.miss_with_mm < 1.0 < advice.miss_without_mm
    assert advise_bevel(bending, 59.8, aim).flip is False


def test_the_bevel_can_keep_the_bend_in_the_image_plane() -> None:
    line = NeedleLine(np.zeros(3), direction_from_angles(30.0, 15.0))
    normal = np.array([0.3, 1.0, 0.0])
    normal -= (normal @ line.direction) * line.direction
    normal /= np.linalg.norm(normal)
    bevel = bevel_in_plane(line, normal, np.array([0, 0, -1.0]))
    bent = nominal_bending(line, QUINCKE, bevel_deg=bevel).predict(60.0).tip_mm - line.at(60.0)
    assert abs(bent @ normal) < 1e-6
    assert bent[2] < 0


@pytest.mark.parametrize(("lateral", "tilt"), [(0, 0), (30, 15), (-40, -20), (10, 30)])
def test_angles_and_direction_are_one_thing(lateral: float, tilt: float) -> None:
    direction = direction_from_angles(lateral, tilt)
    assert angles_from_direction(direction) == pytest.approx((lateral, tilt))
    x, y = NeedleLine(np.zeros(3), direction).lateral_axes()
    assert np.array([x @ y, x @ direction, y @ direction]) == pytest.approx([0, 0, 0], abs=1e-12)
    assert np.cross(x, y) == pytest.approx(direction)


def test_a_carrier_pose_becomes_a_line_in_the_rig() -> None:
    CarrierToRig = np.eye(4)
    CarrierToRig[:3, 3] = [5, 6, 7]
    line = NeedleLine.from_pose(NeedlePose(10, 20, 30, 0, 40), CarrierToRig)
    assert line.entry_mm == pytest.approx([15, 26, 7])
    assert line.at(10.0) == pytest.approx([10.0, 26, 7 + 10 * np.cos(np.radians(30))])
