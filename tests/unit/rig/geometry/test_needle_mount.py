"""A needle beside its carrier's axis: pose to tip and line to pose are each other's inverse."""

from __future__ import annotations

import numpy as np
import pytest

from hal.sim.mount_error import MountError
from hal.types import NeedlePose
from rig.geometry.needle_mount import ON_AXIS, NeedleMount
from rig.geometry.transforms import from_needle_pose, needle_direction, rotation
from rig.guidance.needle_line import NeedleLine

MOUNT = NeedleMount((1.2, -0.8, 1.6), (0.5, 0.2))
POSES = [
    NeedlePose(*row)
    for row in np.random.default_rng(5).uniform([-40, -40, -50, -40, -60, -360], [40, 40, 50, 40, 60, 360], (20, 6))
]


@pytest.mark.parametrize("pose", POSES)
def test_the_pose_for_a_line_brings_the_tip_onto_it_at_the_depth_asked_for(pose):
    entry = np.array([7.0, -3.0, 0.0])
    found = MOUNT.pose_on(entry, pose.lateral_deg, pose.tilt_deg, pose.bevel_deg, 33.0)
    assert MOUNT.frame(found)[:3, 3] == pytest.approx(entry + 33.0 * needle_direction(pose), abs=1e-9)
    assert found.feed_mm + MOUNT.ahead_mm(found) == pytest.approx(33.0)


@pytest.mark.parametrize("pose", POSES)
def test_the_line_of_a_pose_holds_its_tip_at_the_feed_counted_from_the_skin(pose):
    CarrierToRig = rotation(3.0, -4.0, 10.0)
    CarrierToRig[:3, 3] = 300.0, 250.0, 150.0
    line = NeedleLine.from_pose(pose, CarrierToRig, MOUNT)
    tip = (CarrierToRig @ MOUNT.frame(pose))[:3, 3]
    assert line.at(pose.feed_mm + MOUNT.ahead_mm(pose)) == pytest.approx(tip, abs=1e-9)


@pytest.mark.parametrize("pose", POSES)
def test_a_needle_on_the_axis_changes_no_number_to_the_last_digit(pose):
    assert np.array_equal(ON_AXIS.frame(pose), from_needle_pose(pose))
    entry = np.array([pose.x_mm, pose.y_mm, 0.0])
    assert ON_AXIS.pose_on(entry, pose.lateral_deg, pose.tilt_deg, pose.bevel_deg, pose.feed_mm) == pose
    assert ON_AXIS.ahead_mm(pose) == 0.0


@pytest.mark.parametrize("pose", POSES[:8])
def test_rig_and_world_mean_the_same_by_offset_and_run_out(pose):
    assert MOUNT.local_mm(pose.bevel_deg) == pytest.approx(MountError((1.2, -0.8, 1.6), (0.5, 0.2)).local_mm(pose))


def test_a_shaft_bent_before_stands_off_more_the_further_it_is_out():
    bent = MountError(bend_per_mm=0.001)
    near, far = (bent.local_mm(NeedlePose(0, 0, 0, 0, feed)) for feed in (-60.0, -20.0))
    assert near == pytest.approx((0.05, 0.0, 0.0)) and far == pytest.approx((1.25, 0.0, 0.0))
    assert bent.local_mm(NeedlePose(0, 0, 0, 0, -20.0, 90.0)) == pytest.approx((0.0, 1.25, 0.0))
