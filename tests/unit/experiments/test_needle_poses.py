"""Where the carrier goes to show its needle, and where the probe stands meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tiny_devices import Bench

from experiments.calibrations.needle_poses import MIN_POSES_N, plan_poses, room_of
from experiments.calibrations.needle_tip import check_poses, measure_needle_tip, stations
from experiments.calibrations.park_probe import CLEAR_MM, parking_place
from experiments.trial.log import TrialLog
from experiments.trial.needle_hand import ABOVE_SKIN_MM, CarrierHand
from hal.clock import VirtualClock
from hal.errors import CalibrationRefused, ConfigError, LimitViolation
from hal.types import NeedlePose, Pose6
from rig.config import TIP_OFFSET_MAX_MM, RigConfig, load_config
from rig.geometry.needle_mount import NeedleMount
from rig.geometry.transforms import from_needle_pose
from rig.guidance.needle_line import NeedleLine, direction_from_angles


def carrier(**settings: Any) -> RigConfig:
    config = load_config("simulated")
    devices = {**config.devices, "carrier": {**config.devices["carrier"], **settings}}
    return config.model_copy(update={"devices": devices})


@pytest.mark.parametrize("n", [MIN_POSES_N, 24, 60])
def test_no_pose_comes_near_the_skin_even_with_the_longest_needle_that_is_believed(n):
    longest = NeedleMount((TIP_OFFSET_MAX_MM,) * 3, (TIP_OFFSET_MAX_MM,) * 2)
    for pose in plan_poses(room_of(load_config("simulated")), n):
        assert from_needle_pose(pose)[2, 3] < -20.0
        assert longest.frame(pose)[2, 3] < 0.0


def test_poses_differ_in_everything_and_are_the_same_every_time():
    room = room_of(load_config("simulated"))
    poses = plan_poses(room, 16)
    assert poses == plan_poses(room, 16)
    values = np.array([pose.as_tuple() for pose in poses])
    assert np.all(np.ptp(values, axis=0) > [40.0, 40.0, 35.0, 35.0, 20.0, 270.0])
    assert np.abs(np.corrcoef(values.T) - np.eye(6)).max() < 0.6


def test_poses_stay_within_the_controller_s_own_axes():
    axis = {"low": -12.0, "high": 20.0, "max_speed": 30, "acceleration": 200}
    base = carrier().driver_settings("carrier").model_dump()["limits"]
    poses = plan_poses(room_of(carrier(limits={**base, "A": axis})), 24, (5.0, -8.0))
    angles = [pose.lateral_deg for pose in poses]
    assert -12.0 <= min(angles) < -8.0 and 16.0 < max(angles) <= 20.0
    assert np.mean([pose.y_mm for pose in poses]) == pytest.approx(-8.0, abs=5.0)


def test_a_carrier_without_a_bevel_axis_can_be_calibrated_without_run_out():
    room = room_of(carrier(axes="XYZAB", limits={k: v for k, v in _limits().items() if k != "C"}))
    assert {pose.bevel_deg for pose in plan_poses(room, 12)} == {0.0}


@pytest.mark.parametrize(
    ("settings", "centre", "words"),
    [
        ({"axes": "Z", "set_by_hand": {"A": 20.0}}, (0.0, 0.0), "lateral_deg can be 20 to 20 only"),
        ({"axes": "XYZB"}, (0.0, 0.0), "lateral_deg can be 0 to 0 only"),
        ({}, (400.0, 0.0), "x_mm can be -130 to 130 only"),
    ],
)
def test_a_carrier_without_room_is_refused_by_axis(settings, centre, words):
    if "axes" in settings:
        settings = {**settings, "limits": {k: v for k, v in _limits().items() if k in settings["axes"]}}
    with pytest.raises(CalibrationRefused) as refused:
        plan_poses(room_of(carrier(**settings)), 12, centre)
    assert refused.value.code == "no room" and words in refused.value.reason


def _limits() -> dict[str, Any]:
    found: dict[str, Any] = carrier().driver_settings("carrier").model_dump()["limits"]
    return found


def test_the_probe_parks_high_and_clear_of_the_needle_at_every_pose():
    config = load_config("simulated")
    poses = plan_poses(room_of(config), 24)
    place = parking_place(config, Pose6(0.0, 0.0, -30.0, 0.0, 0.0, 90.0), poses)
    assert place.z_mm == -60.0 and place.c_deg == 90.0, "as high as the holder's axis goes, angles as they were"
    for pose in poses:
        axis = from_needle_pose(pose)
        shaft = axis[:3, 3] - np.linspace(0.0, 180.0, 50)[:, None] * axis[:3, 2]
        away = np.hypot(shaft[:, 0] - place.x_mm, shaft[:, 1] - place.y_mm)
        assert away.min() > CLEAR_MM


def test_the_probe_does_not_pass_through_the_needle_on_its_way_to_the_parking_place():
    config = load_config("simulated")
    narrow = replace(config.limits.motion.holder, x_mm=(-150.0, 95.0), y_mm=(-1.0, 1.0))
    config = config.model_copy(
        update={"limits": replace(config.limits, motion=replace(config.limits.motion, holder=narrow))}
    )
    turning = [NeedlePose(60.0, 0.0, 0.0, 0.0, -40.0)]
    far = parking_place(config, Pose6(95.0, 0.0, -30.0), [NeedlePose(60.0, 120.0, 0.0, 0.0, -40.0), *turning])
    assert far.x_mm == -150.0, "nothing between: the farthest place"
    with pytest.raises(CalibrationRefused, match="must not pass the needle"):
        parking_place(config, Pose6(90.0, 0.0, -30.0), turning)


def test_every_stop_of_the_carrier_is_known_before_the_first_one():
    up, pose = NeedlePose(0.0, 0.0, 0.0, 0.0, -50.0), NeedlePose(9.0, 8.0, 7.0, 6.0, -30.0, 90.0)
    assert stations(up, [pose]) == (
        up,
        NeedlePose(9.0, 8.0, 0.0, 0.0, -50.0),
        NeedlePose(9.0, 8.0, 7.0, 6.0, -50.0),
        pose,
        replace(pose, feed_mm=-50.0),
    )


def test_a_tip_that_hangs_into_the_gel_below_its_axis_is_not_touched():
    bench = Bench(VirtualClock(), needle={"tip_offset_mm": [0.0, 0.0, 4.0]})
    bench.carrier._from = bench.carrier._to = NeedlePose(0, 0, 0, 0, -1.0).as_tuple()
    controller = bench.controller()
    controller.start()
    with pytest.raises(ConfigError, match=r"stands 3\.0 mm beyond the skin"):
        measure_needle_tip(controller, plan_poses(room_of(bench.config), 12), bench.journal)
    assert bench.carrier.jogs == []


def test_a_holder_that_cannot_leave_the_needle_s_way_is_refused():
    config = load_config("simulated")
    narrow = replace(config.limits.motion.holder, x_mm=(-20.0, 20.0), y_mm=(-20.0, 20.0))
    limits = replace(config.limits, motion=replace(config.limits.motion, holder=narrow))
    with pytest.raises(CalibrationRefused) as refused:
        parking_place(config.model_copy(update={"limits": limits}), Pose6(0, 0, -30), plan_poses(room_of(config), 12))
    assert refused.value.code == "no room" and "the probe cannot be parked" in refused.value.reason


def test_a_needle_in_the_phantom_is_not_touched():
    bench = Bench(VirtualClock())
    bench.carrier._from = bench.carrier._to = NeedlePose(0, 0, 0, 0, 5.0).as_tuple()
    controller = bench.controller()
    controller.start()
    with pytest.raises(ConfigError, match=r"stands 5\.0 mm beyond the skin: withdraw it"):
        measure_needle_tip(controller, plan_poses(room_of(bench.config), 12), bench.journal)
    assert bench.carrier.jogs == [] and bench.holder.jogs == []


def test_a_pose_that_would_touch_the_gel_is_refused_before_anything_moves():
    bench = Bench(VirtualClock())
    controller = bench.controller()
    controller.start()
    poses = (*plan_poses(room_of(bench.config), 12), NeedlePose(0, 0, 0, 0, 3.0))
    with pytest.raises(LimitViolation, match="stays above the skin"):
        check_poses(controller, poses)
    assert bench.carrier.jogs == []


def test_the_carrier_s_hand_puts_a_needle_that_sits_beside_its_axis_onto_the_line():
    mount = {"tip_offset_mm": [1.2, -0.8, 1.6], "run_out_mm": [0.5, 0.2]}
    bench = Bench(VirtualClock(), needle=mount)
    controller = bench.controller()
    controller.start()
    hand = CarrierHand(controller, TrialLog())
    line = NeedleLine(np.array([10.0, -5.0, 0.0]), direction_from_angles(20.0, -8.0))
    hand.place(line, 120.0)
    reached = NeedlePose(*bench.carrier.at())
    assert bench.config.needle.mount.frame(reached)[:3, 3] == pytest.approx(line.at(-ABOVE_SKIN_MM), abs=0.06)
    assert hand.feed_mm == pytest.approx(-ABOVE_SKIN_MM, abs=0.06)
    assert hand.line.entry_mm == pytest.approx(line.entry_mm, abs=0.06)
    hand.advance(10.0, 5.0)
    assert hand.feed_mm == pytest.approx(10.0 - ABOVE_SKIN_MM, abs=0.06)
    hand.out()
    assert hand.feed_mm == pytest.approx(-ABOVE_SKIN_MM, abs=0.06)
    assert controller.travel.feed_mm == pytest.approx(hand.feed_mm, abs=0.06), "the limits are those of the tip"


@pytest.mark.parametrize("values", [[0.0, 0.0, 11.0], [float("nan"), 0.0, 0.0], [float("inf"), 0.0, 0.0]])
def test_an_offset_that_no_hub_allows_is_refused_in_the_rig_file(values):
    with pytest.raises(ValueError, match="tip_offset_mm"):
        RigConfig.model_validate(
            {"rig": {"name": "x", "simulated": True}, "devices": {}, "needle": {"tip_offset_mm": values}}
        )
