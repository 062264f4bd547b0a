"""The OpenIGTLink tracker driver against a scripted server."""

from __future__ import annotations

import numpy as np
import pytest

from hal.clock import VirtualClock
from hal.drivers.tracker_igtl import Driver, Settings
from hal.errors import BadReply, DeviceError, LinkError, NoReply
from hal.interfaces import Tracker
from hal.links.igtl import framing as igtl
from hal.links.igtl import messages as igtl_messages
from hal.links.igtl.data import StartTracking, TrackedTool, TrackingData
from hal.links.igtl.decode import decode
from hal.links.igtl.messages import Answer, Status, Transform
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


def test_an_impossible_message_is_reported_and_takes_no_pose_with_it(feed) -> None:
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


class OnlyWhenAsked(Feed):
    """A tracker that sends nothing until it is told to: TDATA, every 20 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[StartTracking] = []
        self.next_at = 0

    def line_opened(self, now_ns: int) -> None:
        self.next_at = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        parser = igtl.Parser()
        parser.feed(data)
        while (packet := parser.next_packet()) is not None:
            message = decode(packet)
            if isinstance(message, StartTracking):
                self.asked.append(message)
                self.next_at = now_ns
                self.out += igtl_messages.pack(Answer("RTS_TDATA", True), "", now_ns)

    def transmit(self, now_ns: int) -> bytes:
        if self.next_at and now_ns >= self.next_at:
            self.next_at = now_ns + 20 * MS
            matrix = np.eye(4)
            matrix[0, 3] = 5.0
            tools = (TrackedTool("NeedleTipToTracker", matrix), TrackedTool("StylusToTracker", matrix))
            self.out += igtl_messages.pack(TrackingData(tools), "Tracker", now_ns)
        return super().transmit(now_ns)

    def next_ns(self, now_ns: int) -> int | None:
        return now_ns if self.out else self.next_at or None


def test_tracking_data_are_asked_for_where_nothing_comes_unasked_and_again_after_a_reconnection() -> None:
    core, clock = OnlyWhenAsked(), VirtualClock(50 * MS)
    end = Endpoint(core, clock)
    publish("tracker-feed", end)
    try:
        device = Driver(Settings.model_validate({"url": "rigsim://tracker-feed", "tracking_ms": 25}), clock)
        device.open()
        assert [message.period_ms for message in core.asked] == [25]
        assert {pose.name for pose in device.read()} == {"NeedleTipToTracker", "StylusToTracker"}
        end.connected = False
        clock.sleep(0.1)
        with pytest.raises(LinkError):
            for _ in range(9):
                device.read()
        end.connected = True
        clock.sleep(1.5)
        device.read()
        clock.sleep(0.1)
        assert all(pose.valid for pose in device.read())
        assert len(core.asked) == 2
    finally:
        withdraw("tracker-feed")


def test_a_tracker_that_sends_unasked_is_not_asked_for_tracking_data(feed) -> None:
    core, clock = feed
    seen: list[bytes] = []
    receive = core.receive
    core.receive = lambda data, now_ns: (seen.append(data), receive(data, now_ns))
    opened(core, clock)
    assert not any(b"STT_TDATA" in data for data in seen)


def test_what_happens_to_the_trackers_clock_is_noticed(feed) -> None:
    core, clock = feed
    device = opened(core, clock)
    device._link._stream.shares_clock = False  # another machine
    device._begin()
    for n in range(60):
        clock.sleep(0.025)
        core.pose("NeedleTipToTracker", 1.0 + n % 3, 10_000 * MS + n * 25 * MS - (80 * MS if n > 30 else 0))
        core.pose("StylusToTracker", 2.0 + n % 3, 9_998 * MS + n * 25 * MS - (80 * MS if n > 30 else 0))
        poses = device.read()
        assert all(abs(pose.time_ns - clock.now_ns()) <= 2 * MS for pose in poses)
    assert device.notices() == {"device clock: set back": 1}
    device._begin()  # a new connection forgets nothing
    assert device.notices() == {"device clock: set back": 1}
