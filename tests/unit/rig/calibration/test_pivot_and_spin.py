import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hal.errors import CalibrationRefused
from hal.types import NeedlePose
from rig.calibration.tool.needle import calibrate_needle_tip
from rig.calibration.tool.pivot import calibrate_pivot, tool_poses
from rig.calibration.tool.spin import calibrate_spin
from rig.geometry.transforms import from_needle_pose

TIP = np.array([210.0, -0.17, 0.05])  # a stylus of the usual size
SHAFT = TIP / np.linalg.norm(TIP)
PIVOT = np.array([10.0, 20.0, 300.0])
DOWN = Rotation.from_euler("y", 90, degrees=True)


def swing(seed=0, n=300, cone=30.0, second=30.0, noise=0.15, wild=0.0, walk=0.0):
    rng = np.random.default_rng(seed)
    k = np.arange(n)
    angles = np.column_stack([second * np.sin(k / 17), cone * np.cos(k / 23), 20 * np.sin(k / 31)])
    shaken = Rotation.from_rotvec(rng.normal(0, np.radians(0.05), (n, 3)))
    poses = np.tile(np.eye(4), (n, 1, 1))
    poses[:, :3, :3] = (Rotation.from_euler("xyz", angles, degrees=True) * DOWN * shaken).as_matrix()
    poses[:, :3, 3] = PIVOT - poses[:, :3, :3] @ TIP + rng.normal(0, noise, (n, 3))
    poses[:, :3, 3] += np.outer(k / n, [walk, 0.0, 0.0])
    bad = rng.random(n) < wild
    poses[bad, :3, 3] += rng.normal(0, 20.0, (int(bad.sum()), 3))
    return poses


def spun(seed=0, n=200, turn=300.0, wobble=0.3):
    rng = np.random.default_rng(seed)
    own = Rotation.from_rotvec(np.radians(np.linspace(0, turn, n))[:, None] * SHAFT)
    shaken = Rotation.from_rotvec(np.radians(rng.normal(0, wobble, (n, 3))))
    poses = np.tile(np.eye(4), (n, 1, 1))
    poses[:, :3, :3] = (shaken * DOWN * own).as_matrix()
    poses[:, :3, 3] = PIVOT - poses[:, :3, :3] @ TIP
    return poses


def refused(action) -> CalibrationRefused:
    with pytest.raises(CalibrationRefused) as caught:
        action()
    json.dumps(caught.value.as_json())
    return caught.value


@pytest.mark.parametrize("wild", [0.0, 0.05])
def test_tip_is_found_within_its_stated_uncertainty(wild: float) -> None:
    results = [calibrate_pivot(swing(s, wild=wild), draws=100) for s in range(40)]
    errors = np.array([r.tip_mm - TIP for r in results])
    square = [e @ np.linalg.solve(r.covariance, e) for e, r in zip(errors, results, strict=True)]
    assert np.abs(errors).max() < 0.15
    assert 2.0 < np.mean(square) < 4.8  # 3 is right
    json.dumps(results[0].as_json())


def test_wild_poses_are_left_out_and_named() -> None:
    poses = swing(wild=0.05)
    away = np.linalg.norm(poses[:, :3, :3] @ TIP + poses[:, :3, 3] - PIVOT, axis=1)
    result = calibrate_pivot(poses)
    assert set(np.flatnonzero(away > 3.0)) <= set(result.outliers)
    assert len(result.outliers) < 30


def test_without_noise_the_tip_is_exact() -> None:
    rng = np.random.default_rng(5)
    turns = Rotation.from_rotvec(rng.uniform(-0.7, 0.7, (100, 3))).as_matrix()
    poses = np.tile(np.eye(4), (100, 1, 1))
    tip = np.array([5.0, 12.6, 3.3])
    poses[:, :3, :3] = turns
    poses[:, :3, 3] = PIVOT - turns @ tip
    assert np.allclose(calibrate_pivot(poses).tip_mm, tip, atol=1e-6)


@pytest.mark.parametrize(
    "poses, code",
    [
        (np.tile(swing()[:1], (60, 1, 1)), "no motion"),
        (np.tile(np.eye(4), (60, 1, 1)), "no motion"),
        (swing()[:10], "too few"),
        (swing(cone=4, second=4), "narrow"),
        (spun(turn=90), "one axis"),
        (swing(noise=5.0), "residual"),
        (swing(wild=0.4), "outliers"),
        (swing(walk=3.0), "moved"),
        (np.full((60, 4, 4), np.nan), "no rotation"),
        (np.zeros((60, 4, 4)), "no rotation"),
        (swing() * np.array([1, 1, -1, 1])[:, None], "no rotation"),
    ],
)
def test_poor_motion_is_refused(poses, code: str) -> None:
    assert refused(lambda: calibrate_pivot(poses)).code == code


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("factor", [-1.0, 1.05])
def test_wrong_scale_or_sign_of_one_axis_of_the_positions_is_refused_with_its_axis(axis: int, factor: float) -> None:
    poses = swing()
    poses[:, axis, 3] *= factor
    why = refused(lambda: calibrate_pivot(poses))
    assert why.code == "axis scale"
    assert f"axis {'xyz'[axis]} of the tracker's positions" in why.reason
    assert why.figures["scale"] == pytest.approx(factor, rel=0.02)


def test_good_recordings_are_not_refused_for_an_axis_scale() -> None:
    for seed in range(60):
        calibrate_pivot(swing(seed, wild=0.05), draws=20)


def test_a_mirrored_or_scaled_pose_of_the_spin_is_refused() -> None:
    tip = calibrate_pivot(swing())
    for row, factor in ((2, -1.0), (1, 1.1)):
        poses = spun()
        poses[:, row, :3] *= factor
        assert refused(lambda p=poses: calibrate_spin(p, tip)).code == "no rotation"


def test_swinging_in_one_plane_is_refused_or_reported_as_uncertain() -> None:
    rng = np.random.default_rng(2)
    turn = Rotation.from_euler("y", 40 * np.sin(np.arange(300)[:, None] / 17), degrees=True)
    poses = np.tile(np.eye(4), (300, 1, 1))
    poses[:, :3, :3] = (turn * DOWN).as_matrix()
    poses[:, :3, 3] = PIVOT - poses[:, :3, :3] @ TIP + rng.normal(0, 0.1, (300, 3))
    assert refused(lambda: calibrate_pivot(poses)).code == "one axis"


def test_axis_is_found_and_points_to_the_tip() -> None:
    pivot = calibrate_pivot(swing())
    results = [calibrate_spin(spun(s), pivot, draws=50) for s in range(20)]
    errors = [np.degrees(np.arccos(min(1.0, r.axis @ SHAFT))) for r in results]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.mean([r.axis_sd_deg for r in results]), rel=0.5)
    frame = results[0].TipToMarker
    assert np.allclose(frame[:3, :3] @ [0, 0, 1], results[0].axis)
    assert np.allclose(frame[:3, :3] @ frame[:3, :3].T, np.eye(3))
    assert np.linalg.det(frame[:3, :3]) == pytest.approx(1.0)
    assert results[0].spin_deg == pytest.approx(300, abs=3)
    json.dumps(results[0].as_json())


@pytest.mark.parametrize(
    "poses, code",
    [
        (spun(turn=30), "little spin"),
        (spun(turn=0, wobble=0.0), "no motion"),
        (swing(), "no axis"),
        (spun(wobble=6.0), "wobble"),
        (spun()[:5], "too few"),
    ],
)
def test_poor_spin_is_refused(poses, code: str) -> None:
    pivot = calibrate_pivot(swing())
    assert refused(lambda: calibrate_spin(poses, pivot)).code == code


CARRIER = np.eye(4)
CARRIER[:3, :3] = Rotation.from_euler("xyz", [3, -4, 10], degrees=True).as_matrix()
CARRIER[:3, 3] = [200.0, -30.0, 80.0]
OFFSET, RUN_OUT = np.array([0.4, -0.2, -1.1]), np.array([0.3, 0.1])


def insertions(seed=0, angle=20.0, bevel=True, n=30, bend=0.0):
    rng = np.random.default_rng(seed)
    poses, tips = [], []
    for _ in range(n):
        x, y, lateral, tilt = *rng.uniform(-40, 40, 2), *rng.uniform(-angle, angle, 2)
        pose = NeedlePose(x, y, lateral, tilt, rng.uniform(0, 60), rng.uniform(0, 360) if bevel else 0.0)
        c, s = np.cos(np.radians(pose.bevel_deg)), np.sin(np.radians(pose.bevel_deg))
        local = OFFSET + np.append(np.array([[c, -s], [s, c]]) @ RUN_OUT, 0.0)
        m = CARRIER @ from_needle_pose(pose)
        tips.append(m[:3, :3] @ local + m[:3, 3] + rng.normal(0, 0.1, 3) + [bend * pose.feed_mm / 60, 0, 0])
        poses.append(pose)
    return poses, np.array(tips)


def test_needle_tip_offset_run_out_and_carrier_are_distinguished() -> None:
    results = [calibrate_needle_tip(*insertions(s), tip_sd_mm=0.1) for s in range(40)]
    errors = np.array([r.offset_mm - OFFSET for r in results])
    square = [e @ np.linalg.solve(r.covariance, e) for e, r in zip(errors, results, strict=True)]
    assert 2.0 < np.mean(square) < 4.2  # 3 is right
    assert np.allclose(np.mean([r.run_out_mm for r in results], axis=0), RUN_OUT, atol=0.03)
    point = np.array([10.0, 20.0, 30.0, 1.0])
    moved = np.array([((r.CarrierToReference.matrix - CARRIER) @ point)[:3] for r in results])
    stated = np.sqrt(np.diag(results[0].CarrierToReference.point(point[:3])[1]))
    assert np.allclose(moved.std(axis=0), stated, rtol=0.4)
    json.dumps(results[0].as_json())


def test_the_calibrated_tip_is_where_the_reference_sees_it() -> None:
    poses, tips = insertions(3)
    result = calibrate_needle_tip(poses, tips, tip_sd_mm=0.1)
    fresh, seen = insertions(4)
    where = np.array([(result.CarrierToReference.matrix @ np.append(result.tip_mm(p), 1.0))[:3] for p in fresh])
    assert np.sqrt(((where - seen) ** 2).sum(axis=1).mean()) < 0.3


def test_run_out_is_not_claimed_when_the_bevel_was_never_turned() -> None:
    result = calibrate_needle_tip(*insertions(1, bevel=False), tip_sd_mm=0.1)
    assert np.all(np.isnan(result.run_out_mm))
    assert np.allclose(result.offset_mm[:2], OFFSET[:2] + RUN_OUT, atol=0.3)


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"angle": 1.0}, "not separable"),
        ({"angle": 0.0}, "not separable"),
        ({"bend": 2.0}, "residual"),
        ({"n": 5}, "too few"),
    ],
)
def test_needle_poses_that_cannot_tell_are_refused(changes: dict, code: str) -> None:
    assert refused(lambda: calibrate_needle_tip(*insertions(1, **changes), tip_sd_mm=0.1)).code == code


def test_ellipsoid_of_few_poses_holds_the_tip_about_95_times_of_100() -> None:
    held = 0
    for seed in range(120):
        result = calibrate_pivot(swing(seed)[seed % 5 :: 7], draws=100)
        off = result.tip_mm - TIP
        held += off @ np.linalg.solve(result.covariance, off) < 7.815  # chi2, 3 degrees of freedom, 95 %
    assert held >= 107


def test_positions_in_metres_are_named() -> None:
    poses = swing()
    poses[:, :3, 3] /= 1000.0
    assert refused(lambda: calibrate_pivot(poses)).code == "units"


def test_poses_of_the_tracker_in_the_tool_are_named() -> None:
    poses = swing()
    poses[:, :3, 3] += [0.0, 0.0, -1500.0]
    assert refused(lambda: calibrate_pivot(np.linalg.inv(poses))).code == "inverted"


def test_a_tip_that_slipped_and_came_back_is_refused() -> None:
    poses = swing()
    poses[120:180, :3, 3] += [3.0, 0.0, 0.0]
    assert refused(lambda: calibrate_pivot(poses)).code == "moved"


def test_an_axis_across_the_tool_is_no_shaft() -> None:
    across = np.array([0.0, 0.0, 1.0])
    poses = spun()
    own = Rotation.from_rotvec(np.radians(np.linspace(0, 300, len(poses)))[:, None] * across)
    poses[:, :3, :3] = (DOWN * own).as_matrix()
    assert refused(lambda: calibrate_spin(poses, calibrate_pivot(swing()))).code == "no side"


def test_an_axis_whose_undoing_leaves_the_poses_apart_is_not_named() -> None:
    poses = swing()
    poses[::3] = np.eye(4)  # a tool that is lost in every third frame: no axis explains that
    assert refused(lambda: calibrate_pivot(poses)).code in ("outliers", "moved", "residual")


def test_the_identity_of_a_lost_tool_is_no_pose_of_a_recording() -> None:
    poses = swing()
    poses[::3] = np.eye(4)
    frames = [
        SimpleNamespace(index=k, time_ns=k, invalid=frozenset(), transforms={"StylusToTracker": pose})
        for k, pose in enumerate(poses)
    ]
    found = tool_poses(SimpleNamespace(frames=frames, path=SimpleNamespace(name="x")), "StylusToTracker")  # type: ignore[arg-type]
    assert len(found) == 200
    assert calibrate_pivot(found).tip_mm == pytest.approx(TIP, abs=0.15)


def test_poses_that_a_recorder_repeats_count_once() -> None:
    few = swing()[::4]
    once, often = calibrate_pivot(few), calibrate_pivot(np.repeat(few, 10, axis=0))
    assert often.tip_sd_mm > 0.6 * once.tip_sd_mm, "ten times as many rows tell no more"
    refusal_of = refused(lambda: calibrate_pivot(np.repeat(few[::5], 20, axis=0)))
    assert refusal_of.code == "too few" and "each repeated 20 times" in refusal_of.reason
