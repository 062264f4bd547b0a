"""Needle, motion, fluid and crossing on drawn frames; the rule of confirmation on their answers."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hal.phantom.needles import load_needle
from rig.geometry.registration import rigid_matrix
from rig.guidance.bending import nominal_bending
from rig.guidance.confirmation import (
    Method,
    confirm_direct,
    confirm_fluid,
    confirm_fluid_sweep,
    confirm_motion,
    confirm_motion_sweep,
    first_confirmed,
)
from rig.guidance.needle import find_needle
from rig.guidance.needle_crossing import elevation_from_sweep
from rig.guidance.needle_line import NeedleLine, direction_from_angles
from rig.guidance.needle_motion import MotionView, find_fluid, find_motion

PITCH = 0.25
ImageToProbe = np.array([[PITCH, 0, 0, -50.0], [0, 0, PITCH, 0.0], [0, PITCH, 0, 0.0], [0, 0, 0, 1.0]])
POSE = np.eye(4)
DIRECTION = direction_from_angles(40.0, 0.0)
LINE = NeedleLine(np.array([45.0, 0.0, 0.0]), DIRECTION)
FEED = 45.0
SPECKLE = cv2.GaussianBlur(np.random.default_rng(0).rayleigh(1.0, (360, 400)).astype(np.float32), (0, 0), 1.6)


def draw(
    tip: np.ndarray | None, shaft: float = 170.0, fade_from: float | None = None, bolus: np.ndarray | None = None
) -> np.ndarray:
    """Speckle, a shaft that ends at ``tip`` (probe frame, y ignored), an optional dark disc of 3.5 mm radius."""
    grey = 80 + 22 * (SPECKLE - SPECKLE.mean()) / SPECKLE.std()
    x, z = np.meshgrid(np.arange(400) * PITCH - 50.0, np.arange(360) * PITCH)
    if tip is not None:
        s = (x - tip[0]) * DIRECTION[0] + (z - tip[2]) * DIRECTION[2]
        t = (x - tip[0]) * DIRECTION[2] - (z - tip[2]) * DIRECTION[0]
        level = np.full_like(s, shaft)
        if fade_from is not None:
            level = np.where(s > fade_from, 60.0, level)
        line = level * np.exp(-0.5 * (t / 0.4) ** 2) / (1 + np.exp(np.clip(s / 0.2, -50, 50)))
        grey = np.maximum(grey, line)
        if fade_from is None:
            grey = np.maximum(grey, 230 * np.exp(-0.5 * (np.hypot(s, t) / 0.5) ** 2))
    if bolus is not None:
        grey = np.where(np.hypot(x - bolus[0], z - bolus[2]) < 3.5, 0.25 * grey, grey)
    return np.clip(grey, 1, 255).astype(np.uint8)


EMPTY = draw(None)
PREDICTION = nominal_bending(LINE, load_needle("22G_whitacre_119")).predict(FEED)
TIP = PREDICTION.tip_mm


def test_the_tip_is_found_where_it_was_put() -> None:
    truth = TIP + 1.0 * DIRECTION
    for reference in (None, EMPTY):
        view = find_needle(draw(truth), ImageToProbe, POSE, TIP, DIRECTION, reference=reference)
        assert view.found, view.reason
        assert np.linalg.norm(view.tip_rig_mm - truth) < 0.8
    assert confirm_direct(PREDICTION, view, POSE).method is Method.DIRECT


def test_without_a_needle_nothing_is_found() -> None:
    assert not find_needle(EMPTY, ImageToProbe, POSE, TIP, DIRECTION).found
    assert not find_needle(EMPTY, ImageToProbe, POSE, TIP, DIRECTION, reference=EMPTY).found


def test_a_bright_row_among_others_like_it_need_not_be_a_needle() -> None:
    x, z = np.meshgrid(np.arange(400) * PITCH - 50.0, np.arange(360) * PITCH)
    across = (x - TIP[0]) * DIRECTION[2] - (z - TIP[2]) * DIRECTION[0]
    fibres = np.maximum(EMPTY, 170.0 * np.exp(-0.5 * ((np.mod(across + 5.5, 11.0) - 5.5) / 0.4) ** 2)).astype(np.uint8)
    view = find_needle(fibres, ImageToProbe, POSE, TIP, DIRECTION)
    assert not view.found and "elsewhere in the picture" in view.reason
    # Where one of them alone is new since the reference, it is the needle.
    assert (
        find_needle(np.maximum(fibres, draw(TIP)), ImageToProbe, POSE, TIP, DIRECTION, reference=EMPTY).found is False
    )
    dark = np.minimum(fibres, 120)
    assert find_needle(np.maximum(dark, draw(TIP)), ImageToProbe, POSE, TIP, DIRECTION, reference=dark).found


def test_a_row_across_the_expected_line_is_no_needle_along_it() -> None:
    x, z = np.meshgrid(np.arange(400) * PITCH - 50.0, np.arange(360) * PITCH)
    turned = direction_from_angles(20.0, 0.0)
    t = (x - TIP[0]) * turned[2] - (z - TIP[2]) * turned[0]
    bone = np.maximum(EMPTY, 250.0 * np.exp(-0.5 * (t / 2.5) ** 2)).astype(np.uint8)
    assert not find_needle(bone, ImageToProbe, POSE, TIP, DIRECTION).found


def test_a_row_that_ends_where_the_search_begins_is_no_needle() -> None:
    view = find_needle(draw(TIP - 27.5 * DIRECTION), ImageToProbe, POSE, TIP, DIRECTION, reference=EMPTY)
    assert not view.found


@pytest.mark.parametrize("miss", [-6.0, -3.0, 3.0, 6.0])
def test_a_tip_that_is_elsewhere_along_the_needle_is_not_confirmed(miss: float) -> None:
    image = draw(TIP + miss * DIRECTION)
    view = find_needle(image, ImageToProbe, POSE, TIP, DIRECTION, reference=EMPTY)
    answer = confirm_direct(PREDICTION, view, POSE)
    assert not answer.confirmed and answer.method is Method.NONE and answer.reason


def test_a_needle_that_leaves_the_slice_before_its_tip_is_not_confirmed() -> None:
    image = draw(TIP, fade_from=-7.0)
    view = find_needle(image, ImageToProbe, POSE, TIP, DIRECTION, reference=EMPTY)
    assert not confirm_direct(PREDICTION, view, POSE).confirmed


def test_a_needle_expected_beside_the_plane_is_not_confirmed_by_a_row_in_it() -> None:
    aside = replace(PREDICTION, tip_mm=TIP + np.array([0.0, 3.0, 0.0]))
    view = find_needle(draw(TIP), ImageToProbe, POSE, aside.tip_mm, DIRECTION, reference=EMPTY)
    assert "beside" in confirm_direct(aside, view, POSE).reason


def test_a_needle_across_the_plane_is_not_searched_in_it() -> None:
    across = direction_from_angles(0.0, 40.0)
    view = find_needle(EMPTY, ImageToProbe, POSE, TIP, across)
    assert not view.found and "crosses" in view.reason


def test_a_commanded_motion_shows_the_tip() -> None:
    for feed in (1.0, -1.0):
        before, after = draw(TIP - feed * DIRECTION), draw(TIP)
        motion = find_motion(before, after, ImageToProbe, POSE, TIP, DIRECTION, feed)
        assert motion.found, motion.reason
        assert np.linalg.norm(motion.tip_rig_mm - TIP) < 0.7
        answer = confirm_motion(PREDICTION, motion, POSE)
        assert answer.confirmed and answer.method is Method.MOTION and answer.uncertainty_mm < 1.5


def test_no_motion_is_no_confirmation() -> None:
    motion = find_motion(draw(TIP), draw(TIP), ImageToProbe, POSE, TIP, DIRECTION, 1.0)
    assert not motion.found and not confirm_motion(PREDICTION, motion, POSE).confirmed


def test_motion_somewhere_else_is_not_confirmed() -> None:
    far = TIP + 4.0 * DIRECTION
    motion = find_motion(draw(far - DIRECTION), draw(far), ImageToProbe, POSE, TIP, DIRECTION, 1.0)
    assert not confirm_motion(PREDICTION, motion, POSE).confirmed


def test_fluid_at_the_tip_confirms_and_fluid_elsewhere_does_not() -> None:
    at_tip = find_fluid(draw(TIP), draw(TIP, bolus=TIP), ImageToProbe, POSE, TIP, 0.18)
    assert at_tip.found and at_tip.distance_mm < 1.5
    assert confirm_fluid(PREDICTION, at_tip, POSE).method is Method.FLUID
    off = TIP + np.array([4.0, 0.0, 1.0])
    away = find_fluid(draw(TIP), draw(TIP, bolus=off), ImageToProbe, POSE, TIP, 0.18)
    assert not confirm_fluid(PREDICTION, away, POSE).confirmed
    assert not find_fluid(draw(TIP), draw(TIP), ImageToProbe, POSE, TIP, 0.18).found


PLANES_MM = (-2.0, -1.0, 0.0, 1.0, 2.0)


def swept(greys: tuple[float, ...]) -> list[tuple[np.ndarray, MotionView]]:
    """The same motion seen from five planes, so strong in each (0 = not found there)."""
    motion = find_motion(draw(TIP - DIRECTION), draw(TIP), ImageToProbe, POSE, TIP, DIRECTION, 1.0)
    assert confirm_motion(PREDICTION, motion, POSE).confirmed
    return [
        (
            rigid_matrix(np.zeros(3), np.array([0.0, y, 0.0])),
            replace(motion, found=g > 0, change_grey=g, plane_offset_mm=-y,
                    tip_rig_mm=motion.tip_rig_mm + np.array([0.0, y, 0.0])),
        )
        for y, g in zip(PLANES_MM, greys, strict=True)
    ]  # fmt: skip


def test_a_sweep_tells_on_which_side_of_the_plane_the_tip_lies() -> None:
    looks = swept(tuple(60.0 - 8.0 * (y - 0.6) ** 2 for y in PLANES_MM))
    answer = confirm_motion_sweep(PREDICTION, looks)
    assert answer.confirmed, answer.reason
    assert 0.2 < answer.tip_rig_mm[1] - TIP[1] < 0.7
    assert not confirm_motion_sweep(PREDICTION, looks[:2]).confirmed


@pytest.mark.parametrize(
    ("greys", "says"),
    [
        ((60.0, 55.0, 40.0, 25.0, 0.0), "end of the sweep"),
        ((0.0, 25.0, 50.0, 58.0, 53.0), "beside the working plane"),
        ((0.0, 0.0, 45.0, 0.0, 0.0), "only one plane"),
        ((0.0, 0.0, 0.0, 45.0, 30.0), "nothing moved here"),
        ((44.9, 44.9, 45.0, 44.9, 44.9), "hardly changes"),
    ],
)
def test_a_tip_that_does_not_lie_in_the_slice_is_not_confirmed_by_a_sweep(greys: tuple[float, ...], says: str) -> None:
    looks = [(pose, view if view.found else replace(view, reason="nothing moved here")) for pose, view in swept(greys)]
    answer = confirm_motion_sweep(PREDICTION, looks)
    assert not answer.confirmed and says in answer.reason


def test_fluid_that_is_largest_at_the_end_of_a_sweep_is_not_confirmed() -> None:
    fluid = find_fluid(draw(TIP), draw(TIP, bolus=TIP), ImageToProbe, POSE, TIP, 0.18)
    poses = [rigid_matrix(np.zeros(3), np.array([0.0, y, 0.0])) for y in (-2.0, 0.0, 2.0)]
    rising = [(p, replace(fluid, area_mm2=a)) for p, a in zip(poses, (5.0, 15.0, 30.0), strict=True)]
    assert "end of the sweep" in confirm_fluid_sweep(PREDICTION, rising).reason
    peaked = [(p, replace(fluid, area_mm2=a)) for p, a in zip(poses, (12.0, 30.0, 12.0), strict=True)]
    assert confirm_fluid_sweep(PREDICTION, peaked).confirmed


def test_brightness_over_elevation_is_a_parabola_and_its_vertex_is_the_tip() -> None:
    y = np.arange(-3.0, 3.1, 1.0)
    answer = elevation_from_sweep(list(y), list(80.0 - 9.0 * (y - 0.4) ** 2))
    assert answer.found and answer.offset_mm == pytest.approx(0.4, abs=1e-6)
    assert not elevation_from_sweep([0.0, 1.0, 2.0], [10.0, 20.0, 30.0]).found
    assert not elevation_from_sweep([0.0, 1.0, 2.0], [0.0, 3.0, 0.0]).found


def test_the_first_method_that_confirms_is_taken_and_all_reasons_are_kept() -> None:
    motion = find_motion(draw(TIP - DIRECTION), draw(TIP), ImageToProbe, POSE, TIP, DIRECTION, 1.0)
    still = find_motion(EMPTY, EMPTY, ImageToProbe, POSE, TIP, DIRECTION, 1.0)
    good, bad = confirm_motion(PREDICTION, motion, POSE), confirm_motion(PREDICTION, still, POSE)
    assert first_confirmed([bad, good]) is good
    assert first_confirmed([bad, bad]).reason.count("nothing moved") == 2
    with pytest.raises(ValueError, match="no confirmation"):
        first_confirmed([])
