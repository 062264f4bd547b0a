"""The OpenIGTLink tracker driver against a scripted server."""

from __future__ import annotations

import numpy as np
import pytest

from hal.clock import VirtualClock
from hal.drivers.tracker_igtl import Driver, Settings
from hal.errors import BadReply, DeviceError, LinkError, NoReply
from hal.interfaces import Tracker
from hal.links import igtl, igtl_messages
from hal.links.igtl_data import TrackedTool, TrackingData
from hal.links.igtl_messages import Status, Transform
from hal.links.wire import Endpoint, publish, withdraw

MS = 1_000_000


class Feed:
    def __init__(self) -> None:
        self.out = bytearray()

    def receive(self, data: bytes, now_ns: int) -> None:
        self.out += igtl_messages.pack(Status(12, 0, "", "no commands here"), "", now_ns)

    def transmit(self, now_ns: int) -> bytes:
        data = bytes(self.out)
        self.out.clear()
        return data

    def next_ns(self, now_ns: int) -> int | None:
        return now_ns if self.out else None

    def pose(self, name: str, x_mm: float, stamp_ns: int) -> None:
        matrix = np.eye(4)
        matrix[0, 3] = x_mm
        self.out += igtl_messages.pack(Transform(matrix), name, stamp_ns)

    def status(self, name: str, code: int) -> None:
        self.out += igtl_messages.pack(Status(code, 0, "", "text"), name, 0)


@pytest.fixture
def feed():
    core, clock = Feed(), VirtualClock(50 * MS)
    publish("tracker-feed", Endpoint(core, clock))
    yield core, clock
    withdraw("tracker-feed")


def opened(core: Feed, clock: VirtualClock, **settings: object) -> Driver:
    core.pose("NeedleTipToTracker", 1.0, 10 * MS)
    device = Driver(Settings.model_validate({"url": "rigsim://tracker-feed", **settings}), clock)
    device.open()
    return device


def test_driver_is_a_tracker_that_declares_its_worth(feed) -> None:
    core, clock = feed
    device = opened(core, clock, sees_bending=True, tip_uncertainty_mm=0.4)
    assert isinstance(device, Tracker)
    assert (device.sees_bending, device.tip_uncertainty_mm) == (True, 0.4)


def test_newest_pose_of_every_tool_is_kept(feed) -> None:
    core, clock = feed
    device = opened(core, clock)
    core.pose("NeedleTipToTracker", 2.0, 20 * MS)
    core.pose("ProbeToTracker", 5.0, 20 * MS)
    core.pose("NeedleTipToTracker", 3.0, 30 * MS)
    poses = {pose.name: pose for pose in device.read()}
    assert poses["NeedleTipToTracker"].matrix[0, 3] == 3.0
    assert poses["NeedleTipToTracker"].time_ns == 30 * MS
    assert poses["ProbeToTracker"].time_ns == 20 * MS


def test_tool_out_of_sight_keeps_its_last_pose_and_is_not_valid(feed) -> None:
    core, clock = feed
    device = opened(core, clock)
    core.status("NeedleTipToTracker", 16)
    (pose,) = device.read()
    assert not pose.valid
    assert (pose.matrix[0, 3], pose.time_ns) == (1.0, 10 * MS)
    core.pose("NeedleTipToTracker", 4.0, 40 * MS)
    (pose,) = device.read()
    assert pose.valid


def test_an_impossible_message_is_told_and_takes_no_pose_with_it(feed) -> None:
    core, clock = feed
    device = opened(core, clock)
    core.out += igtl.pack("TRANSFORM", "NeedleTipToTracker", bytes(12), 20 * MS)  # a checksum that is right, no matrix
    core.pose("NeedleTipToTracker", 7.0, 30 * MS)
    with pytest.raises(BadReply):
        device.read()
    (pose,) = device.read()
    assert (pose.matrix[0, 3], pose.valid) == (7.0, True)


def test_tool_that_was_never_seen_is_listed_as_not_valid(feed) -> None:
    core, clock = feed
    core.status("PhantomToTracker", 16)
    device = opened(core, clock)
    poses = {pose.name: pose.valid for pose in device.read()}
    assert poses == {"PhantomToTracker": False, "NeedleTipToTracker": True}


@pytest.mark.parametrize("spoil", [np.nan, 1.5])
def test_matrix_that_is_no_rotation_is_not_valid(feed, spoil: float) -> None:
    core, clock = feed
    device = opened(core, clock)
    matrix = np.eye(4)
    matrix[1, 1] = spoil
    core.out += igtl_messages.pack(Transform(matrix), "NeedleTipToTracker", 20 * MS)
    (pose,) = device.read()
    assert not pose.valid
    assert np.all(np.isfinite(pose.matrix))


def test_fault_of_the_tracker_is_a_device_error(feed) -> None:
    core, clock = feed
    device = opened(core, clock)
    core.status("", 18)
    with pytest.raises(DeviceError, match="hardware failure"):
        device.read()


def test_tracking_data_is_read_like_transforms(feed) -> None:
    core, clock = feed
    device = opened(core, clock)
    matrix = np.eye(4)
    matrix[2, 3] = 9.0
    tools = (TrackedTool("StylusToTracker", matrix),)
    core.out += igtl_messages.pack(TrackingData(tools), "Tracker", 20 * MS)
    assert {pose.name for pose in device.read()} == {"NeedleTipToTracker", "StylusToTracker"}


def test_missing_tool_is_named_with_those_that_came(feed) -> None:
    core, clock = feed
    with pytest.raises(NoReply, match=r"ProbeToTracker.*NeedleTipToTracker"):
        opened(core, clock, tools=("ProbeToTracker",))


def test_silent_tracker_is_a_link_error(feed) -> None:
    core, clock = feed
    device = opened(core, clock)
    clock.sleep(3.5)
    with pytest.raises(LinkError, match="nothing for"):
        device.read()


def test_a_tool_that_is_not_renewed_is_not_valid_and_says_so(feed) -> None:
    core, clock = feed
    device = opened(core, clock)
    clock.sleep(0.6)
    core.pose("PhantomToTracker", 1.0, clock.now_ns())
    poses = {pose.name: pose for pose in device.read()}
    assert poses["PhantomToTracker"].valid
    old = poses["NeedleTipToTracker"]
    assert not old.valid and not old.impossible and "not been renewed for 0.6 s" in old.why


IMPOSSIBLE = {
    "not finite": [np.nan, 0.0, 0.0],
    "lies": [-3.697314e28, -3.697314e28, -3.697314e28],
    "identity": [0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("why", IMPOSSIBLE)
def test_a_place_where_no_tool_can_be_is_not_valid_and_named(feed, why: str) -> None:
    core, clock = feed
    device = opened(core, clock)
    matrix = np.eye(4)
    matrix[:3, 3] = IMPOSSIBLE[why]
    core.out += igtl_messages.pack(Transform(matrix), "NeedleTipToTracker", 20 * MS)
    (pose,) = device.read()
    assert not pose.valid and pose.impossible and why in pose.why
    assert (pose.matrix[0, 3], pose.time_ns) == (1.0, 10 * MS), "the last sight"


def test_a_pose_that_was_overtaken_does_not_replace_a_newer_one(feed) -> None:
    core, clock = feed
    device = opened(core, clock)
    core.pose("NeedleTipToTracker", 3.0, 30 * MS)
    core.pose("NeedleTipToTracker", 2.0, 20 * MS)
    (pose,) = device.read()
    assert (pose.matrix[0, 3], pose.time_ns) == (3.0, 30 * MS)


def test_an_instrument_that_claims_nothing_is_refused() -> None:
    for worth in (np.inf, np.nan, 0.0, 50.0):
        with pytest.raises(ValueError):
            Settings(url="rigsim://tracker-feed", tip_uncertainty_mm=worth)
