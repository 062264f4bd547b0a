from __future__ import annotations

import numpy as np
import pytest

from hal.types import ProbeGeometry
from rig.geometry.registration import rigid_matrix
from rig.guidance.bone_surface import BoneSurface
from rig.guidance.lumbar.dorsal_map import dorsal_map
from rig.guidance.lumbar.landmarks import (
    check_registration,
    find_landmarks,
    model_slice,
    process_lower_border,
    transverse_slice,
)
from rig.guidance.panorama import Profile, SweepFrame, stitch
from rig.guidance.planning import probe_pose
from rig.guidance.scan_lines import scan_lines
from rig.guidance.view import best_predicted_view, judge_view, next_move, open_elements_in_image, predict_open

PROBE = ProbeGeometry("compact", 40.0, 60.0, 40.0, 14.0)
ImageToProbe = np.array([[0.25, 0, 0, -64.0], [0, 0, 0.25, 0.0], [0, 0.25, 0, -6.0], [0, 0, 0, 1.0]])
GREY = np.full((400, 512), 100, np.uint8)


def surface(low: int, high: int, range_mm: float) -> BoneSurface:
    grid = scan_lines(PROBE, 90.0)
    found = np.zeros(128, dtype=bool)
    found[low:high] = True
    return BoneSurface(grid, found, np.where(found, range_mm, np.nan), np.ones(128), np.ones(128, dtype=bool), 1.0)


def slab(x_low: float, x_high: float):
    def distance(points: np.ndarray) -> np.ndarray:
        outside = np.maximum(np.maximum(x_low - points[:, 0], points[:, 0] - x_high), np.abs(points[:, 2] - 35.0) - 2.0)
        return outside

    return distance


def test_bone_over_half_of_the_array_blocks_about_half_of_the_rays() -> None:
    clear = open_elements_in_image(surface(0, 64, 40.0), PROBE, np.array([0.0, 0.0, 60.0]))
    assert 0.35 < clear.mean() < 0.65
    assert clear[-10:].all() and not clear[:10].any()


def test_bone_behind_the_target_blocks_nothing() -> None:
    assert open_elements_in_image(surface(0, 128, 70.0), PROBE, np.array([0.0, 0.0, 55.0])).all()


def test_a_good_view_is_called_good_and_a_bad_one_says_why() -> None:
    black = GREY.copy()
    black[:60] = 2
    target = np.array([0.0, 0.0, 45.0])
    good = judge_view(black, ImageToProbe, np.eye(4), surface(0, 0, 40.0), PROBE, target, 90.0)
    assert good.good, good.reason
    blocked = judge_view(black, ImageToProbe, np.eye(4), surface(0, 128, 30.0), PROBE, target, 90.0)
    assert not blocked.good and "aperture" in blocked.reason
    aside = judge_view(black, ImageToProbe, np.eye(4), surface(0, 0, 40.0), PROBE, target + np.array([0, 5, 0]), 90.0)
    assert "beside the plane" in aside.reason
    assert next_move(0, aside, 1).dof == "y_mm" and next_move(0, aside, 1).amount == pytest.approx(5.0)
    shallow = judge_view(black, ImageToProbe, np.eye(4), surface(0, 0, 40.0), PROBE, np.array([0, 0, 20.0]), 90.0)
    assert "depth" in shallow.reason


def test_the_ladder_of_moves_ends_and_mirrors() -> None:
    view = judge_view(GREY, ImageToProbe, np.eye(4), surface(0, 128, 30.0), PROBE, np.array([0.0, 0, 45.0]), 90.0)
    left, right = next_move(4, view, 1), next_move(4, view, -1)
    assert left.dof == right.dof == "x_mm" and left.amount == -right.amount
    assert next_move(99, view, 1).dof == "none"


def test_the_predicted_view_sees_the_same_shadow_and_finds_a_way_round() -> None:
    target = np.array([0.0, 0.0, 60.0])
    bone = slab(-40.0, 2.0)
    straight = predict_open(target, probe_pose(0, 0, 0, 0, 0, 0), PROBE, bone, np.eye(4))
    best = best_predicted_view(target, PROBE, bone, np.eye(4), 0.0)
    assert straight.open_fraction < 0.5 < best.open_fraction
    assert abs(best.plane_offset_mm) < 0.5


def lamina(points_y: float = 0.0) -> np.ndarray:
    """A slice like a vertebra: spinous process, lamina at 40 to x = 26, transverse process at 50 to x = 44."""
    x = np.arange(-10.0, 45.0, 0.5)
    z = np.where(np.abs(x) < 3, 14.0, np.where(x < 26, 40.0, 50.0))
    z = np.where((x > 26) & (x < 29), np.nan, z)
    points = np.stack([x, np.full_like(x, points_y), z], axis=1)
    return points[np.isfinite(z)]


def test_landmarks_come_in_their_order() -> None:
    marks = find_landmarks(transverse_slice(lamina(), 1))
    assert marks.found, marks.reason
    assert abs(marks.spinous_x_mm) < 3.0 and marks.spinous_depth_mm == pytest.approx(14.0)
    assert marks.lamina_depth_mm == pytest.approx(40.0)
    assert marks.facet_edge_x_mm == pytest.approx(26.0, abs=1.0)
    assert marks.process_seen and marks.process_depth_mm == pytest.approx(50.0)


def test_the_right_side_gives_the_same_landmarks() -> None:
    mirrored = lamina() * np.array([-1.0, 1.0, 1.0])
    assert find_landmarks(transverse_slice(mirrored, -1)).facet_edge_x_mm == pytest.approx(26.0, abs=1.0)


def test_too_little_bone_is_not_a_landmark() -> None:
    assert not find_landmarks(transverse_slice(lamina()[:6], 1)).found
    assert not find_landmarks(transverse_slice(np.zeros((0, 3)), 1)).found


def test_a_registration_that_is_off_is_noticed() -> None:
    points = np.concatenate([lamina(float(y)) for y in np.arange(-5.0, 5.0)])
    nominal = dorsal_map(points, np.array(["L4.lamina"] * len(points)))
    pose = probe_pose(20.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    seen = find_landmarks(transverse_slice(lamina(), 1))
    right = check_registration(seen, find_landmarks(model_slice(nominal, np.eye(4), pose, 1)))
    assert right.sure, right.reason
    for shift in ([6.0, 0, 0], [0, 0, 6.0]):
        off = check_registration(
            seen, find_landmarks(model_slice(nominal, rigid_matrix(np.zeros(3), np.array(shift)), pose, 1))
        )
        assert not off.sure and off.reason


def test_a_sweep_is_stitched_to_one_profile() -> None:
    frames = [
        SweepFrame(surface(10, 118, 45.0), probe_pose(20.0, y, 0.0, 0.0, 0.0, 90.0)) for y in (-30.0, -10.0, 10.0, 30.0)
    ]
    profile = stitch(frames, 20.0)
    inside = np.abs(profile.y_mm) < 30
    assert profile.bone[inside].all() and profile.looked[inside].all()
    assert np.nanmin(profile.depth_mm) > 30.0 and np.nanmax(profile.depth_mm) <= 46.0
    assert not stitch(frames, 40.0).bone.any()


def test_lines_without_bone_are_evidence_and_lines_without_contact_are_not() -> None:
    empty = surface(0, 0, 45.0)
    pose = probe_pose(20.0, 0.0, 0.0, 0.0, 0.0, 90.0)
    assert stitch([SweepFrame(empty, pose)], 20.0).looked.any()
    from dataclasses import replace

    blind = replace(empty, contact=np.zeros(128, dtype=bool))
    assert not stitch([SweepFrame(blind, pose)], 20.0).looked.any()


def test_the_lower_border_of_a_process_is_read_and_expected() -> None:
    points = np.array([(x, y, 50.0) for x in np.arange(28.0, 44.0) for y in np.arange(20.0, 31.0)])
    nominal = dorsal_map(points, np.array(["L4.transverse"] * len(points)))
    y = np.arange(-9.5, 60.0)
    depth = np.where((y > 21.0) & (y < 32.0), 50.5, np.nan)
    seen, model = process_lower_border(Profile(34.0, y, depth, np.ones(len(y), bool)), nominal, np.eye(4), "L4")
    assert model == pytest.approx(20.0) and seen == pytest.approx(21.0, abs=0.6)
    none = process_lower_border(
        Profile(34.0, y, np.full(len(y), np.nan), np.ones(len(y), bool)), nominal, np.eye(4), "L4"
    )
    assert np.isnan(none[0])
