"""From seen tips to an accepted needle-tip calibration, or to a reason why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments.calibrations.needle_poses import Room, plan_poses
from hal.errors import CalibrationRefused
from rig.calibration.tool.needle_accepted import SeenTip, fit_needle_tip
from rig.geometry.needle_mount import NeedleMount
from rig.geometry.transforms import rotation
from rig.geometry.uncertain import UncertainTransform

WIDE = Room((-130, 130), (-150, 150), (-65, 65), (-65, 65), (-60, 140), (-360, 360))
MOUNT = NeedleMount((1.2, -0.8, 1.6), (0.5, 0.2))
TIP_U_MM = 0.3
SD_MM, READINGS_N = 0.2, 12


def seen(seed: int = 0, n: int = 24, *, sensor=(0.0, 0.0, 0.0), mount: NeedleMount = MOUNT) -> list[SeenTip]:
    """Readings of a tracker; ``sensor``: its tip beside the true one, needle frame."""
    rng = np.random.default_rng(seed)
    CarrierToTracker = rotation(3.0, -4.0, 10.0)
    CarrierToTracker[:3, 3] = 20.0, -30.0, 800.0
    found = []
    for pose in plan_poses(WIDE, n):
        at = CarrierToTracker @ mount.frame(pose)
        tip = at[:3, 3] + at[:3, :3] @ np.array(sensor) + rng.normal(0.0, SD_MM / np.sqrt(READINGS_N), 3)
        found.append(SeenTip(pose, tip, SD_MM * np.sqrt(3.0), READINGS_N))
    return found


def refused(tips: list[SeenTip]) -> CalibrationRefused:
    with pytest.raises(CalibrationRefused) as caught:
        fit_needle_tip(tips, TIP_U_MM)
    return caught.value


def test_the_claim_covers_the_offset_when_the_tracker_s_tip_is_off_by_what_it_declares():
    rng = np.random.default_rng(1)
    inside = []
    for seed in range(60):
        result = fit_needle_tip(seen(seed, sensor=rng.normal(0.0, TIP_U_MM, 3)), TIP_U_MM)
        error = result.calibration.offset_mm - MOUNT.offset_mm
        inside.append(np.abs(error) < 1.96 * np.array(result.offset_u_mm()))
    assert 0.88 < np.mean(inside) < 0.99  # 0.95 is right


def test_held_out_poses_are_missed_by_what_is_expected():
    results = [fit_needle_tip(seen(seed), TIP_U_MM) for seed in range(30)]
    ratio = np.mean([(r.held_out.rms_mm / r.held_out.expected_mm) ** 2 for r in results])
    assert results[0].held_out.n == 6 and results[0].calibration.poses_n == 18
    assert 0.5 < ratio < 1.3
    assert [k + 1 for k in range(24) if results[0].held(k)] == [4, 8, 12, 16, 20, 24]


def test_the_tip_in_the_rig_is_as_uncertain_as_the_tracker_s_place_makes_it():
    result = fit_needle_tip(seen(), TIP_U_MM)
    exact = UncertainTransform.exact(np.eye(4))
    turned = UncertainTransform.rigid(np.eye(4), np.diag([np.radians(0.1) ** 2] * 3 + [0.0] * 3))
    assert result.tip_u_mm(exact) == pytest.approx(TIP_U_MM, abs=0.03)
    assert result.tip_u_mm(turned) == pytest.approx(np.hypot(TIP_U_MM, 800.0 * np.radians(0.1)), rel=0.1)


def test_a_tracker_that_repeats_an_old_pose_is_refused():
    tips = seen()
    tips[7] = replace(tips[7], tip_mm=tips[6].tip_mm.copy())
    why = refused(tips)
    assert why.code == "frozen" and "poses 7 and 8" in why.reason


def test_a_tip_that_does_not_rest_is_refused():
    tips = seen()
    tips[4] = replace(tips[4], spread_mm=3.0)
    why = refused(tips)
    assert why.code == "unsteady" and "pose 5" in why.reason


def test_poses_that_the_fit_has_not_seen_can_refuse_it():
    tips = seen()
    for k in range(3, 24, 4):
        tips[k] = replace(tips[k], tip_mm=tips[k].tip_mm + np.array([0.0, 1.5, 0.0]))
    assert refused(tips).code == "held out"


def test_an_axis_that_lost_its_zero_on_the_way_is_refused():
    tips = seen()
    for k in range(12, 24):
        tips[k] = replace(tips[k], tip_mm=tips[k].tip_mm + np.array([0.0, 0.0, 1.5]))
    assert refused(tips).code == "residual"


def test_poses_of_one_angle_are_refused():
    level = Room((-130, 130), (-150, 150), (-10, 10), (-10, 10), (-60, 140), (-360, 360))
    poses = plan_poses(level, 24)
    same = [
        replace(one, pose=replace(pose, lateral_deg=0.0, tilt_deg=0.0)) for one, pose in zip(seen(), poses, strict=True)
    ]
    tips = [replace(one, tip_mm=MOUNT.frame(one.pose)[:3, 3] + 1e-3 * k) for k, one in enumerate(same)]
    assert refused(tips).code == "not separable"


def test_a_needle_that_sits_well_is_reported_to_sit_well():
    result = fit_needle_tip(seen(mount=NeedleMount()), TIP_U_MM)
    assert result.calibration.offset_mm == pytest.approx([0.0, 0.0, 0.0], abs=0.2)
    assert result.calibration.run_out_mm == pytest.approx([0.0, 0.0], abs=0.1)
