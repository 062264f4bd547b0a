"""Answers of guidance on fixed synthetic frames, as kept: needles, motions, fluid, dots, bone, views and plans."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from kept_figures import kept

from hal.phantom.needles import load_needle
from hal.types import NeedlePose, ProbeGeometry
from rig.geometry.registration import apply_transform, invert_rigid, make_surface, rigid_matrix
from rig.guidance.bending import advise_bevel, bevel_in_plane, nominal_bending
from rig.guidance.bone_surface import BoneSurface, _best_path, find_bone
from rig.guidance.fan_planes import crossing_mm, crossing_pose, planned_fan, tip_of_fan
from rig.guidance.lumbar.anatomy_fit import fit_anatomy, refine_level
from rig.guidance.lumbar.dorsal_map import dorsal_map
from rig.guidance.lumbar.landmarks import (
    find_landmarks,
    frame_slice,
    model_slice,
    process_lower_border,
    profile_difference,
    transverse_slice,
)
from rig.guidance.needle import cut_strip, find_needle
from rig.guidance.needle_crossing import elevation_from_sweep, find_dot
from rig.guidance.needle_fan import tip_by_plateau
from rig.guidance.needle_line import NeedleLine, angles_from_direction, direction_from_angles
from rig.guidance.needle_motion import find_fluid, find_motion
from rig.guidance.panorama import Profile, SweepFrame, stitch
from rig.guidance.planning import PathRules, _view_pose, plan_path, probe_pose
from rig.guidance.scan_lines import invert_affine, scan_lines, to_scan_lines
from rig.guidance.view import best_predicted_view, judge_view, next_move, predict_open

DRAWN = 1e-4
"""Pictures are resampled in single precision."""
PITCH = 0.25
CURVED = ProbeGeometry("compact", 40.0, 60.0, 40.0, 14.0)
LINEAR = ProbeGeometry("linear", float("inf"), 0.0, 38.0, 10.0)
TURN = np.radians(7.0)
"""Rotation of the image in its plane, as a capture card or a calibration may have it."""
ImageToProbe = np.array([
    [PITCH * np.cos(TURN), PITCH * np.sin(TURN), 0, -54.0], [0, 0, PITCH, 0.0],
    [-PITCH * np.sin(TURN), PITCH * np.cos(TURN), 0, 2.0], [0, 0, 0, 1.0],
])  # fmt: skip
COLUMNS, ROWS = 420, 400
POSE = probe_pose(12.0, -7.0, 3.0, 6.0, -4.0, 25.0)
X, Z = (ImageToProbe[k, 0] * np.arange(COLUMNS)[None, :] + ImageToProbe[k, 1] * np.arange(ROWS)[:, None]
        + ImageToProbe[k, 3] for k in (0, 2))  # fmt: skip
WAY_PROBE = np.array([-np.sin(0.7), 0.03, np.cos(0.7)]) / np.hypot(1.0, 0.03)
TIP_PROBE = np.array([6.0, 0.4, 38.0])
TIP, WAY = apply_transform(POSE, TIP_PROBE), POSE[:3, :3] @ WAY_PROBE


def speckle(seed: int) -> np.ndarray:
    grain = cv2.GaussianBlur(np.random.default_rng(seed).rayleigh(1.0, (ROWS, COLUMNS)).astype(np.float32), (0, 0), 1.6)
    return np.asarray(80 + 22 * (grain - grain.mean()) / grain.std())


def shaft(end: float, offset: float = 0.5, turn: float = 0.015, level: float = 175.0, tip: float = 225.0) -> np.ndarray:
    """Grey of a needle that ends so far beyond the prediction, beside it and turned against it."""
    along = np.array([WAY_PROBE[0], WAY_PROBE[2]]) / np.hypot(WAY_PROBE[0], WAY_PROBE[2])
    s = (X - TIP_PROBE[0]) * along[0] + (Z - TIP_PROBE[2]) * along[1]
    t = (X - TIP_PROBE[0]) * along[1] - (Z - TIP_PROBE[2]) * along[0] - offset - turn * s
    bright = (level + 0.8 * s) * np.exp(-0.5 * (t / 0.4) ** 2) / (1 + np.exp(np.clip((s - end) / 0.25, -50, 50)))
    return np.maximum(bright, tip * np.exp(-0.5 * (np.hypot(s - end, t) / 0.5) ** 2))


def frame(*layers: np.ndarray, seed: int = 0) -> np.ndarray:
    """Speckle with layers over it, inside a sector."""
    grey = speckle(seed)
    for layer in layers:
        grey = np.maximum(grey, layer)
    inside = (np.abs(np.arctan2(X, Z + 40.0)) < np.radians(30.0)) & (np.hypot(X, Z + 40.0) > 40.0)
    return np.where(inside, np.clip(grey, 1, 255), 0).astype(np.uint8)


EMPTY = frame()


@pytest.mark.parametrize(
    ("name", "picture", "reference"),
    [
        ("plain", frame(shaft(0.7)), None),
        ("plain, no tip echo", frame(shaft(-1.1, -0.8, -0.02, 190.0, 0.0)), None),
        ("changed", frame(shaft(0.4)), EMPTY),
        ("changed, no tip echo", frame(shaft(-0.9, 0.9, 0.03, 150.0, 0.0)), EMPTY),
        ("another gel", frame(shaft(0.4), seed=4), frame(seed=5)),
        ("dim", frame(shaft(0.0, level=120.0, tip=150.0)), None),
        ("goes on", frame(shaft(0.0), shaft(8.0, level=110.0, tip=0.0)), EMPTY),
        ("nothing", EMPTY, None),
    ],
)
def test_a_needle_is_seen_as_it_was_kept(name: str, picture: np.ndarray, reference: np.ndarray | None) -> None:
    view = find_needle(picture, ImageToProbe, POSE, TIP, WAY, reference=reference)
    kept(__file__, f"needle {name}", view, DRAWN)
    if name.startswith("changed") or name.startswith("plain"):
        assert view.found, view.reason


def test_a_strip_lies_along_the_needle_in_the_picture() -> None:
    ramp = np.clip(40 + X + 2 * Z, 0, 255).astype(np.uint8)
    strip = cut_strip(ramp, ImageToProbe, POSE, TIP, WAY)
    kept(__file__, "strip", strip, DRAWN)
    assert apply_transform(invert_rigid(POSE), strip.rig_point(0.0, 0.0, POSE)) == pytest.approx([6.0, 0.0, 38.0])


@pytest.mark.parametrize("feed", [1.0, -1.0, 0.75])
def test_a_motion_is_seen_as_it_was_kept(feed: float) -> None:
    before, after = frame(shaft(0.3 - feed, 0.4)), frame(shaft(0.3, 0.4))
    moved = find_motion(before, after, ImageToProbe, POSE, TIP, WAY, feed)
    assert moved.found, moved.reason
    still = find_motion(after, after, ImageToProbe, POSE, TIP, WAY, feed)
    drift = find_motion(before, frame(shaft(0.3), seed=1), ImageToProbe, POSE, TIP, WAY, feed)
    kept(__file__, f"motion {feed:g}", [moved, still, drift], DRAWN)


def test_two_places_that_move_and_one_that_left_nothing_are_reported_as_they_were_kept() -> None:
    other = 225.0 * np.exp(-0.5 * (np.hypot(X - TIP_PROBE[0] + 1.0, Z - TIP_PROBE[2] + 3.0) / 0.5) ** 2)
    ahead = 235.0 * np.exp(-0.5 * (np.hypot(X - TIP_PROBE[0] + 3.5, Z - TIP_PROBE[2] - 4.0) / 0.6) ** 2)
    before, after = frame(shaft(-0.7)), frame(shaft(0.3))
    answers = [
        find_motion(before, np.maximum(after, second).astype(np.uint8), ImageToProbe, POSE, TIP, WAY, 1.0)
        for second in (other, ahead)
    ]
    new = frame(225.0 * (np.hypot(X - 6.0, Z - 38.0) < 0.6))
    answers.append(find_motion(EMPTY, new, ImageToProbe, POSE, TIP, WAY, 1.0))
    kept(__file__, "motion refused", answers, DRAWN)


def test_fluid_is_seen_as_it_was_kept() -> None:
    seen = []
    holes = ((6.8, 37.1, 3.4, 0.18), (5.0, 39.5, 2.2, 0.05), (12.0, 38.0, 3.0, 0.1), (6.0, 38.0, 0.4, 0.1))
    for x, z, radius, volume in holes:
        hole = np.where(np.hypot(X - x, Z - z) < radius, 0.3, 1.0)
        seen.append(find_fluid(EMPTY, (EMPTY * hole).astype(np.uint8), ImageToProbe, POSE, TIP, volume))
    kept(__file__, "fluid", seen, DRAWN)
    assert seen[0].found and seen[0].distance_mm == pytest.approx(np.hypot(0.8, 0.9), abs=0.3)


LINE = NeedleLine(np.array([13.0, -30.0, 2.0]), direction_from_angles(5.0, -25.0))


def fan(end_mm: float) -> tuple[list[np.ndarray], list[Any]]:
    face = probe_pose(12.0, 0.0, 2.0, 0.0, 0.0, 0.0)
    planes = planned_fan(face, LINE, end_mm - 8.0, end_mm, 12.0)
    pictures = []
    for plane in planes:
        shown = LINE.at(min(crossing_mm(plane, LINE), end_mm))
        at = apply_transform(invert_rigid(plane), shown)
        spot = 190.0 * np.exp(-0.5 * (np.hypot(X - at[0] - 0.7, Z - at[2]) / 0.8) ** 2 - 0.5 * (at[1] / 1.6) ** 2)
        pictures.append(np.clip(spot - 30.0, 0, 255).astype(np.uint8))
    return planes, pictures


def test_a_fan_shows_a_tip_as_it_was_kept() -> None:
    planes, pictures = fan(42.0)
    seen, dots = tip_of_fan(planes, lambda k: (pictures[k], ImageToProbe, planes[k]), LINE, 41.0)
    assert seen.found, seen.reason
    assert seen.feed_mm == pytest.approx(42.0, abs=0.5)
    kept(__file__, "fan", [planes, [crossing_mm(p, LINE) for p in planes], seen, dots], DRAWN)
    assert not tip_by_plateau(dots[:3], [p[:3, 2] for p in planes[:3]], LINE).found


def test_a_plane_crosses_the_needle_where_it_is_sent() -> None:
    face = probe_pose(12.0, 0.0, 2.0, 0.0, 0.0, 0.0)
    for line in (LINE, NeedleLine(LINE.entry_mm * [1, -1, 1], LINE.direction * [1, -1, 1])):
        for feed in (15.0, 42.0):
            pose = crossing_pose(face, line, line.at(feed), 12.0)
            assert crossing_mm(pose, line) == pytest.approx(feed)
            run = np.sign(line.direction[1])
            assert run * (pose[1, 3] - line.entry_mm[1]) >= 11.0 - 1e-9


def test_a_dot_and_a_sweep_are_seen_as_they_were_kept() -> None:
    plane = crossing_pose(probe_pose(12.0, 0.0, 2.0, 0.0, 0.0, 0.0), LINE, LINE.at(40.0), 5.0)
    at = apply_transform(invert_rigid(plane), LINE.at(40.0))
    spot = frame(230.0 * np.exp(-0.5 * (np.hypot(X - at[0] - 1.0, Z - at[2] + 0.6) / 0.8) ** 2))
    dot = find_dot(spot, ImageToProbe, plane, LINE, 4.0, 30.0)
    assert dot.found and dot.offset_mm == pytest.approx(np.hypot(1.0, 0.6), abs=0.3)
    assert dot.feed_mm == pytest.approx(40.0)
    sweep = [elevation_from_sweep([5.0, 6.2, 7.0, 8.1], [20.0, 44.0, 50.0, 31.0]),
             elevation_from_sweep([-7.0, -6.0, -5.5], [20.0, 44.0, 30.0])]  # fmt: skip
    kept(__file__, "dot", [dot, sweep], DRAWN)


# ---- bone --------------------------------------------------------------------------------------------------


def spine(seed: int, bent: float = 0.0) -> np.ndarray:
    """A lamina, a step down to a process, a gap and a deeper piece; shadow behind, a side lobe and a reverberation."""
    angle, depth = np.degrees(np.arctan2(X, Z + 40.0)), np.hypot(X, Z + 40.0) - 40.0
    bone = np.where(angle < -4.0, 32.0 + 0.2 * angle, np.where(angle < 9.0, 45.0 + bent * angle, np.nan))
    bone = np.where((angle > 15.0) & (angle < 24.0), 58.0 - 0.3 * (angle - 15.0), bone)
    behind = depth - bone
    grey = np.where(behind > 0.0, 5.0, speckle(seed) * np.exp(-depth / 200.0))
    grey = np.where(np.isfinite(bone), np.maximum(grey, 235.0 * np.exp(-0.5 * (behind / 0.5) ** 2)), grey)
    grey = np.where((np.abs(depth - 60.0) < 0.5) & (angle < -10.0), 90.0, grey)
    grey = np.where((depth > 3.0) | (angle < 26.0), grey, 3.0)
    grey = np.where(angle > 27.0, 2.0, grey)
    inside = (np.abs(angle) < 30.0) & (depth > 0.0) & (depth < 80.0)
    return np.where(inside, np.clip(grey, 1, 255), 0).astype(np.uint8)


@pytest.mark.parametrize("bent", [0.0, 0.35, -0.5])
def test_bone_is_found_as_it_was_kept(bent: float) -> None:
    bone = find_bone(spine(3, bent), ImageToProbe, CURVED, 80.0, sound_speed_m_s=1500.0)
    assert 0.4 < bone.found.mean() < 0.9
    found = [bone.found.astype(float), np.nan_to_num(bone.range_mm), bone.confidence, bone.contact.astype(float),
             bone.range_scale, bone.probe_points(0.3), bone.rig_points(POSE)]  # fmt: skip
    kept(__file__, f"bone {bent:g}", found, DRAWN)


@pytest.mark.parametrize("probe", [CURVED, LINEAR], ids=["curved", "linear"])
def test_lines_and_points_are_one_thing_and_as_they_were_kept(probe: ProbeGeometry) -> None:
    grid = scan_lines(probe, 70.0, lines=48)
    line, depth = np.array([0.0, 3.3, 24.5, 47.0]), np.array([5.0, 20.0, 44.0, 69.0])
    points = grid.at(line, depth)
    back = grid.locate(points[:, 0], points[:, 2])
    assert back[0] == pytest.approx(line, abs=0.01) and back[1] == pytest.approx(depth, abs=0.01)
    half = np.radians(probe.field_of_view_deg) / 2
    if not probe.linear:
        assert np.arctan2(points[[0, -1], 0], points[[0, -1], 2] + 40.0) == pytest.approx([-half, half])
    picture, _ = to_scan_lines(EMPTY, ImageToProbe, probe, 70.0)
    kept(__file__, f"lines {probe.name}", [points, grid, picture, invert_affine(ImageToProbe)], DRAWN)


def surface(low: int, high: int, range_mm: float, scale: float = 1.0) -> BoneSurface:
    found = np.zeros(128, dtype=bool)
    found[low:high] = True
    ranges = np.where(found, range_mm + 0.05 * np.arange(128), np.nan)
    return BoneSurface(scan_lines(CURVED, 80.0), found, ranges, np.ones(128), np.ones(128, dtype=bool), scale)


def test_views_are_judged_as_they_were_kept() -> None:
    picture = spine(3)
    seen = []
    for low, high, scale in ((0, 50, 1.0), (70, 128, 0.97), (40, 80, 1.02)):
        for target in ([4.0, 0.5, 45.0], [-9.0, -1.2, 52.0], [28.0, 3.0, 60.0]):
            view = judge_view(picture, ImageToProbe, POSE, surface(low, high, 30.0, scale), CURVED,
                              apply_transform(POSE, np.array(target)), 80.0)  # fmt: skip
            seen.append([view, next_move(2, view, 1), next_move(4, view, -1)])
    kept(__file__, "views", seen, DRAWN)


def blocked(points: np.ndarray) -> np.ndarray:
    """Signed distance to a slab and a ball of bone."""
    slab = np.maximum(np.maximum(-30.0 - points[:, 0], points[:, 0] - 2.0), np.abs(points[:, 2] - 30.0) - 2.0)
    ball = np.linalg.norm(points - np.array([24.0, 12.0, 40.0]), axis=1) - 6.0
    return np.minimum(slab, ball)


def test_views_are_predicted_as_they_were_kept() -> None:
    PhantomToRig = rigid_matrix(np.array([0.02, -0.03, 0.05]), np.array([2.0, -3.0, 1.0]))
    target = np.array([6.0, 4.0, 55.0])
    seen = [predict_open(target, probe_pose(x, 2.0, 1.0, a, 0.0, 20.0), CURVED, blocked, PhantomToRig)
            for x, a in ((0.0, 0.0), (14.0, 8.0), (-9.0, -12.0))]  # fmt: skip
    seen += [best_predicted_view(target, CURVED, blocked, PhantomToRig, 1.0, c) for c in (0.0, 70.0)]
    kept(__file__, "predicted", seen)


def lamina(y: float = 0.0, side: int = 1) -> np.ndarray:
    x = np.arange(-10.0, 45.0, 0.5)
    z = np.where(np.abs(x - 1.0) < 3, 14.0 + 0.3 * x, np.where(x < 26, 40.0 + 0.05 * x, 50.0 - 0.1 * x))
    z = np.where((x > 26) & (x < 29), np.nan, z)
    points = np.stack([side * x, np.full_like(x, y), z + 0.2 * y], axis=1)
    return points[np.isfinite(z)]


@pytest.mark.parametrize("side", [1, -1])
def test_slices_and_landmarks_are_cut_as_they_were_kept(side: int) -> None:
    points = np.concatenate([lamina(float(y), side) for y in np.arange(-8.0, 9.0)])
    nominal = dorsal_map(points, np.array(["L4.transverse"] * len(points)))
    PhantomToRig = rigid_matrix(np.array([0.05, side * 0.2, 0.12]), np.array([2.0, 1.5, -3.0]))
    pose = probe_pose(side * 18.0, 2.0, 1.0, 0.0, 0.0, side * 20.0)
    seen = transverse_slice(lamina(0.0, side) + np.array([0.3, 0.0, 0.4]), side)
    expected = model_slice(nominal, PhantomToRig, pose, side)
    within = model_slice(nominal, PhantomToRig, pose, side, within=seen)
    shown = frame_slice(find_bone(spine(3), ImageToProbe, CURVED, 80.0), pose, side)
    y = np.arange(-20.0, 30.0) + 0.5
    depth = np.where((y > -5.0) & (y < 8.0), 43.0, np.nan)
    border = [
        process_lower_border(Profile(side * 34.0, y, depth, np.ones(len(y), bool)), nominal, PhantomToRig, name)
        for name in ("L4", "L5")
    ]
    cuts = [seen, expected, within, shown]
    kept(
        __file__,
        f"slices {side}",
        [[np.nan_to_num(c.depth_mm) for c in cuts], [c.lateral_mm for c in cuts], [find_landmarks(c) for c in cuts],
         profile_difference(seen, expected), profile_difference(expected, within), border],
        DRAWN,
    )  # fmt: skip


def test_a_map_and_a_sweep_are_as_they_were_kept() -> None:
    points = np.concatenate([lamina(float(y)) for y in np.arange(-8.0, 9.0)])
    nominal = dorsal_map(points, np.array(["L4.lamina"] * len(points)), 1.5)
    x, y = np.array([-9.0, 4.0, 30.2, 44.0, 60.0]), np.array([-7.6, 0.2, 3.3, 7.0, 0.0])
    frames = []
    for k, at in enumerate((-30.0, -14.0, 3.0, 20.0)):
        low = 20 + 8 * k
        frames.append(SweepFrame(surface(low, 118, 40.0 + k), probe_pose(20.0, at, 1.0, 0.0, 0.0, 90.0)))
        frames.append(SweepFrame(surface(0, 60, 44.0), probe_pose(20.5, at + 4.0, 1.0, 0.0, 0.0, 90.0)))
    profile = stitch(frames, 20.0)
    kept(__file__, "sweep", [nominal.at(x, y), nominal.names(x, y), profile.y_mm, np.nan_to_num(profile.depth_mm),
                             profile.looked.astype(float)])  # fmt: skip


IN_PLANE = PathRules(True, (15, 45), (-10, 30), 30, 15)
OUT_OF_PLANE = PathRules(False, (-5, 15), (10, 35), 5, 22)


# ---- needle models and plans -------------------------------------------------------------------------------


def test_a_bending_needle_is_predicted_and_corrected_as_it_was_kept() -> None:
    line = NeedleLine(np.array([4.0, -3.0, 1.0]), direction_from_angles(24.0, -17.0))
    bending = nominal_bending(line, load_needle("25G_quincke_127"), 14.0, 40.0).with_bevel(22.0, 210.0)
    seen = [bending.kappa_per_m, bending.curve(30.5, 6.0)]
    seen += [bending.predict(feed, 0.3) for feed in (-2.0, 10.0, 22.0, 47.0)]
    tip = bending.predict(30.0).tip_mm + np.array([0.6, -0.4, 0.2])
    better = bending.updated(30.0, tip, np.diag([0.09, 0.16, 0.25]))
    seen += [better.mean, better.covariance, better.predict(55.0), better.confirmed_n]
    aim = line.at(60.0) + np.array([2.0, 1.0, 0.0])
    seen += [advise_bevel(better, 25.0, aim), advise_bevel(better, 59.5, aim)]
    seen += [bevel_in_plane(line, np.array([0.2, 0.97, 0.1]), np.array([0.0, s, -1.0])) for s in (1.0, -1.0)]
    seen += [line.lateral_axes(), angles_from_direction(line.direction)]
    seen.append(NeedleLine.from_pose(NeedlePose(3.0, -2.0, 20.0, 12.0, 30.0, 50.0), rigid_matrix(
        np.array([0.1, -0.2, 0.3]), np.array([5.0, 6.0, 7.0]))))  # fmt: skip
    kept(__file__, "bending", seen)


def test_curvature_is_per_metre_and_follows_the_gel() -> None:
    needle = load_needle("22G_quincke_120")
    straight = NeedleLine(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    assert nominal_bending(straight, needle).kappa_per_m == pytest.approx(1000.0 * needle.curvature_per_mm)
    assert nominal_bending(straight, needle, 9.0).kappa_per_m == pytest.approx(500.0 * needle.curvature_per_mm)


@pytest.mark.parametrize(
    ("entry_u", "shift"),
    [(23.5, 0.0), (20.0, -5.0), (-20.0, 5.0), (14.0, -10.0), (-14.0, 10.0), (9.0, -15.0), (-9.0, 15.0), (7.0, None)],
)
@pytest.mark.parametrize("plane_deg", [0.0, 90.0])
def test_the_probe_makes_room_for_an_entry_under_it(entry_u: float, shift: float | None, plane_deg: float) -> None:
    # Half of the face and a margin are 23 mm: the probe goes aside in steps of 5 mm until the entry is free.
    aim = np.array([3.0, -2.0, 50.0])
    c = np.radians(plane_deg)
    u = np.array([np.cos(c), np.sin(c), 0.0])
    entry = np.array([3.0, -2.0, 0.0]) + entry_u * u
    pose = _view_pose(entry, aim - entry, aim, replace(OUT_OF_PLANE, plane_deg=plane_deg), CURVED, 0.5)
    assert (pose is None) is (shift is None)
    if pose is not None:
        assert pose[:3, 3] == pytest.approx(np.array([3.0, -2.0, 0.5]) + shift * u)
        assert pose[:3, 0] == pytest.approx(u, abs=1e-9)


@pytest.mark.parametrize(("length", "seen"), [(22.1, True), (21.9, False)])
def test_a_path_far_under_a_large_face_has_no_view(length: float, seen: bool) -> None:
    # Half of the face and a margin are 80 mm; the probe may go 18 mm towards the needle and 40 are seen beside it.
    rules = replace(IN_PLANE, footprint_margin_mm=60.0, probe_shift_mm=(-100.0, 18.0))
    aim = np.array([3.0, -2.0, 50.0])
    entry = np.array([3.0 + length, -2.0, 0.0])
    pose = _view_pose(entry, aim - entry, aim, rules, CURVED, 0.0)
    assert (pose is not None) is seen
    assert pose is None or pose[0, 3] == pytest.approx(3.0 + length - 80.0)


def cheapest(score: np.ndarray, none: float, jump: float, slope: float, reach: int) -> float:
    """Best sum over all ways through a grid of lines and samples, by trying every step of each."""
    lines, samples = score.shape
    value = np.append(score[0], none)
    for i in range(1, lines):
        step = np.full((samples + 1, samples + 1), -jump)  # from, to
        step[samples, :samples] = step[:samples, samples] = -0.5 * jump
        step[samples, samples] = 0.0
        for a in range(samples):
            for b in range(max(0, a - reach), min(samples, a + reach + 1)):
                step[a, b] = max(-jump, -slope * abs(a - b))
        value = (value[:, None] + step).max(axis=0) + np.append(score[i], none)
    return float(value.max())


def worth(path: np.ndarray, score: np.ndarray, none: float, jump: float, slope: float, reach: int) -> float:
    samples = score.shape[1]
    total = sum(none if p == samples else float(score[i, p]) for i, p in enumerate(path))
    for a, b in pairwise(path):
        if a == samples or b == samples:
            total -= 0.0 if a == b else 0.5 * jump
        else:
            near = abs(int(a) - int(b)) <= reach
            total -= min(jump, slope * abs(int(a) - int(b))) if near else jump
    return total


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("none", "jump", "slope", "reach"), [(0.25, 2.0, 0.1, 3), (0.4, 0.5, 0.03, 2), (0.6, 3.0, 0.4, 8)]
)
def test_the_way_of_the_bone_is_the_best_of_all(seed: int, none: float, jump: float, slope: float, reach: int) -> None:
    rng = np.random.default_rng(seed)
    score = (rng.random((9, 12)) * (rng.random((9, 12)) < 0.5)).astype(np.float32)
    path = _best_path(score, none, jump, slope, reach)
    assert worth(path, score, none, jump, slope, reach) == pytest.approx(
        cheapest(score, none, jump, slope, reach), abs=1e-5
    )


class Root:
    nerve_centre_mm, nerve_axis, nerve_radius_mm = np.array([25.0, 8.5, 55.0]), np.array([0.745, -0.507, 0.433]), 2.5

    def aim_mm(self, direction: np.ndarray) -> np.ndarray:
        across = direction - (direction @ self.nerve_axis) * self.nerve_axis
        return np.asarray(self.nerve_centre_mm - across / np.linalg.norm(across) * (self.nerve_radius_mm + 1.5))


RULES = {
    "in plane": IN_PLANE,
    "out of plane": OUT_OF_PLANE,
    "beside": PathRules(False, (0, 30), (-10, 10), 20, 0),
    "longitudinal": replace(IN_PLANE, plane_deg=90.0, lateral_range_deg=(-10, 10), tilt_range_deg=(20, 45),
                            lateral_preferred_deg=0, tilt_preferred_deg=30),
    "tight": replace(IN_PLANE, needle_length_mm=74.0, probe_shift_mm=(-6.0, 8.0), max_rotation_deg=20.0),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("side", [1, -1])
def test_plans_are_those_that_were_kept(name: str, side: int) -> None:
    root = Root()
    root.nerve_centre_mm = Root.nerve_centre_mm * [side, 1, 1]
    root.nerve_axis = Root.nerve_axis * [side, 1, 1]
    PhantomToRig = rigid_matrix(np.array([0.01, -0.02, 0.03]), np.array([1.0, -2.0, 0.5]))
    plan = plan_path(
        root, PhantomToRig, RULES[name], CURVED, lambda p: blocked(p * [side, 1, 1]), side=side, skin_z_mm=0.8,
        nerve_distance=lambda p: np.linalg.norm(p - np.array([side * 36.0, 20.0, 30.0]), axis=1) - 3.0,
        vessel_distance=lambda p: np.linalg.norm(p - np.array([side * 30.0, 5.0, 42.0]), axis=1) - 2.0,
        workspace=lambda entry, lateral, tilt: abs(lateral) < 42.0 and entry[1] > -60.0,
    )  # fmt: skip
    kept(__file__, f"plan {name} {side}", plan)
    if plan.ok:
        assert plan.entry_mm + plan.feed_mm * plan.direction == pytest.approx(plan.aim_mm)
        assert plan.entry_mm[2] == pytest.approx(0.8)


def test_a_spine_is_registered_as_it_was_kept() -> None:
    """Bone of three unequal vertebrae, seen from above with noise."""
    rng = np.random.default_rng(6)
    model = []
    for k, width in enumerate((22.0, 30.0, 26.0)):
        x, y = (v.ravel() for v in np.meshgrid(np.arange(-width, width + 1, 1.5), np.arange(-9.0, 9.5, 1.5)))
        z = 38.0 + 0.012 * (x - 2.0 * k) ** 2 + 0.03 * (y + k) ** 2 - 14.0 * np.exp(-((x / 4.0) ** 2)) * (1 + 0.2 * k)
        model.append(np.stack([x, y + 33.0 * (k - 1) + 1.5 * k, z], axis=1))
    model_points = np.concatenate(model)
    surface_of = make_surface(model_points)
    PhantomToRig = rigid_matrix(np.radians([1.0, -0.8, 1.4]), np.array([2.0, -3.0, 1.0]))
    seen = model_points[rng.choice(len(model_points), 900, replace=False)] + rng.normal(0.0, 0.25, (900, 3))
    points = apply_transform(PhantomToRig, seen)
    fits = [fit_anatomy(points, surface_of, np.eye(4))]
    fits.append(fit_anatomy(points * [1.0, 1.0, 1.06], surface_of, np.eye(4)))
    fits.append(refine_level(points, surface_of, fits[0], model_points[400], radius_mm=30.0))
    answers = [
        [f.ok, f.reason, f.PhantomToRig, f.rms_mm, f.inlier_fraction, f.points_n, f.hypotheses, f.spread_mm,
         f.point_sd_mm(model_points[300]), f.build_sd_mm]
        for f in fits
    ]  # fmt: skip
    kept(__file__, "laid", answers, 1e-3)
