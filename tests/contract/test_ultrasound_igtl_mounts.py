"""The same ultrasound and tracker drivers on the in-process line and on a TCP port."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from waiting import PATIENCE_S, ended_patiently, until

from hal.clock import Clock, VirtualClock, WallClock
from hal.drivers import tracker_igtl, ultrasound_igtl
from hal.errors import ConfigError, DeviceError, LinkError
from hal.interfaces import Tracker, Ultrasound
from hal.links.wire import Endpoint, publish, withdraw
from hal.sim.devices.tracker_igtl import TrackerCore
from hal.sim.devices.ultrasound_igtl import UltrasoundCore
from hal.sim.mounts import Mount, mount_tcp
from hal.types import Frame, ImagingSettings, Matrix, Pixels

MS = 1_000_000
SIDE_PX = 128
"""Small frames: a test that the machine keeps waiting has not filled the line meanwhile."""


class Scene:
    """Every frame shows, in its first pixel, the tenths of a second when it was taken."""

    def __init__(self) -> None:
        self.hidden = False
        self.rendered_n = 0

    def render(self, now_ns: int, settings: ImagingSettings) -> Pixels:
        self.rendered_n += 1
        return np.full((SIDE_PX, SIDE_PX), now_ns // (100 * MS) % 256, np.uint8)

    def tracked(self, now_ns: int) -> dict[str, Matrix | None]:
        matrix = np.eye(4)
        matrix[0, 3] = now_ns / 1e9
        return {"NeedleTipToTracker": None if self.hidden else matrix, "ProbeToTracker": np.eye(4)}


def geometry(settings: ImagingSettings) -> Matrix:
    pitch = settings.depth_mm / SIDE_PX
    return np.array([[pitch, 0, 0, -20.0], [0, 0, -pitch, 0], [0, pitch, 0, 1.5], [0, 0, 0, 1.0]])


PATIENT: dict[str, Any] = {"timeout_s": PATIENCE_S, "silence_s": PATIENCE_S}
"""A busy machine may bring nothing for seconds; no test here is about such a silence."""


@dataclass
class Bench:
    clock: Clock
    scene: Scene
    scanner: UltrasoundCore
    images_url: str
    poses_url: str


@pytest.fixture(params=["in-process", "tcp"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    scene = Scene()
    scanner = UltrasoundCore(scene, geometry, rate_hz=20.0, latency_ms=30.0)
    tracker = TrackerCore(scene, rate_hz=40.0, latency_ms=15.0)
    if request.param == "in-process":
        clock = VirtualClock()
        publish("contract-us", Endpoint(scanner, clock))
        publish("contract-tracker", Endpoint(tracker, clock))
        yield Bench(clock, scene, scanner, "rigsim://contract-us", "rigsim://contract-tracker")
        withdraw("contract-us")
        withdraw("contract-tracker")
        return
    wall, lock = WallClock(), threading.RLock()
    with (
        ended_patiently(mount_tcp(scanner, wall, lock, scheme="igtl", clients="all")) as images,
        ended_patiently(mount_tcp(tracker, wall, lock, scheme="igtl", clients="all")) as poses,
    ):
        yield Bench(wall, scene, scanner, images.url, poses.url)


@pytest.fixture
def images(bench: Bench) -> Iterator[ultrasound_igtl.Driver]:
    device = ultrasound_igtl.Driver(ultrasound_igtl.Settings(url=bench.images_url, **PATIENT), bench.clock)
    device.open()
    yield device
    device.close()


@pytest.fixture
def poses(bench: Bench) -> Iterator[tracker_igtl.Driver]:
    device = tracker_igtl.Driver(tracker_igtl.Settings(url=bench.poses_url, **PATIENT), bench.clock)
    device.open()
    yield device
    device.close()


def test_drivers_fulfil_their_interfaces(images, poses) -> None:
    assert isinstance(images, Ultrasound)
    assert isinstance(poses, Tracker)


def test_simulated_scanner_and_tracker_say_that_they_are(bench: Bench) -> None:
    scanner = ultrasound_igtl.Driver(ultrasound_igtl.Settings(url=bench.images_url, **PATIENT), bench.clock)
    tracker = tracker_igtl.Driver(tracker_igtl.Settings(url=bench.poses_url, **PATIENT), bench.clock)
    for device in (scanner, tracker):
        identity = device.open()
        device.close()
        assert identity.simulated
        assert not identity.verified


def test_age_of_frames_and_poses_contains_the_latency_of_the_device(bench: Bench, images, poses) -> None:
    """Also on a foreign clock: at least 30 ms for a frame and 15 ms for a pose, less half a round trip.

    How far the clocks are apart is asked once, on opening. A machine that answers late then has shown no more than
    its own slowness; the question is asked again until the answer was quick.
    """

    def opened_with_a_quick_answer(device: ultrasound_igtl.Driver | tracker_igtl.Driver) -> bool:
        if device._time.shared or 0 < device._time._round_trip_ns < 8 * MS:
            return True
        device.close()
        device.open()
        return False

    until(lambda: opened_with_a_quick_answer(images), "the scanner answers at once", bench.clock)
    until(lambda: opened_with_a_quick_answer(poses), "the tracker answers at once", bench.clock)
    bench.clock.sleep(0.3)
    frame, tip = until(images.read, "a frame", bench.clock), poses.read()[0]
    assert bench.clock.now_ns() - frame.time_ns > 20 * MS
    assert bench.clock.now_ns() - tip.time_ns > 10 * MS


def test_frames_come_in_order_with_increasing_times_and_complete_numbers(bench: Bench, images) -> None:
    frames = [until(images.read, "the next frame", bench.clock) for _ in range(8)]
    numbers = [frame.sequence_n for frame in frames]
    assert [b.sequence_n - a.sequence_n - 1 for a, b in itertools.pairwise(frames)] == [
        frame.dropped_n for frame in frames[1:]
    ]
    assert numbers == sorted(numbers)
    for frame in frames:
        assert frame.time_ns <= bench.clock.now_ns()
        assert frame.ImageToProbe == pytest.approx(geometry(ImagingSettings()), abs=1e-5)


def test_pause_of_the_reader_is_seen_as_dropped_frames(bench: Bench, images) -> None:
    until(images.read, "a first frame", bench.clock)
    before = bench.scene.rendered_n
    bench.clock.sleep(0.5)
    if not bench.clock.virtual:  # in process nothing is drawn before somebody reads
        until(lambda: bench.scene.rendered_n >= before + 10, "ten more frames are sent", bench.clock)
    frame = until(images.read, "a frame after the pause", bench.clock)
    assert frame.dropped_n >= 7


def test_depth_is_set_and_comes_back_in_the_frames(bench: Bench, images) -> None:
    applied = images.apply(replace(images.settings(), depth_mm=60.0, gain_db=6.0))
    assert (applied.depth_mm, applied.gain_db) == (60.0, 6.0)

    def pitch_mm() -> float | None:
        frame = images.read()
        return None if frame is None else frame.ImageToProbe[0, 0]

    until(lambda: pitch_mm() == pytest.approx(60.0 / SIDE_PX), "a frame of the new depth", bench.clock)


def test_depth_that_the_scanner_cannot_do_is_refused_and_nothing_changes(images) -> None:
    with pytest.raises(DeviceError, match="DepthMm"):
        images.apply(replace(images.settings(), depth_mm=900.0))
    assert images.settings().depth_mm == 90.0


def test_poses_are_those_of_their_time(bench: Bench, poses) -> None:
    def age_ns() -> int:
        tip = next(pose for pose in poses.read() if pose.name == "NeedleTipToTracker")
        assert tip.valid
        age_ns = bench.clock.now_ns() - tip.time_ns
        assert age_ns >= 0
        return age_ns

    bench.clock.sleep(0.1)
    until(lambda: age_ns() < 150 * MS, "a pose is no older than its way and one period", bench.clock)


def test_hidden_tool_is_not_valid_and_comes_back(bench: Bench, poses) -> None:
    bench.scene.hidden = True

    def valid() -> dict[str, bool]:
        return {pose.name: pose.valid for pose in poses.read()}

    hidden, seen = {"NeedleTipToTracker": False, "ProbeToTracker": True}, dict.fromkeys(valid(), True)
    until(lambda: valid() == hidden, "the hidden tool, and no other, is not valid", bench.clock)
    bench.scene.hidden = False
    until(lambda: valid() == seen, "both tools are valid again", bench.clock)


def test_in_process_stamps_are_exact_and_only_read_frames_are_rendered() -> None:
    clock, scene = VirtualClock(), Scene()
    publish("contract-exact", Endpoint(UltrasoundCore(scene, geometry, rate_hz=30.0, latency_ms=30.0), clock))
    device = ultrasound_igtl.Driver(ultrasound_igtl.Settings(url="rigsim://contract-exact"), clock)
    device.open()
    device.read()
    before = scene.rendered_n
    for _ in range(10):
        clock.sleep(1.0)
        frame = device.read()
        assert frame is not None
        assert frame.time_ns == round((frame.sequence_n - 1) * 1e9 / 30.0)
    withdraw("contract-exact")
    assert scene.rendered_n - before == 10
    assert device.dropped_n > 250


def on_a_port_of_its_own(core: UltrasoundCore, clock: Clock, lock: threading.RLock) -> Mount:
    """Below the ports that systems hand out by themselves, so that none takes it while it is free for a moment."""
    for port in random.sample(range(20000, 32000), 50):
        with contextlib.suppress(ConfigError):
            return mount_tcp(core, clock, lock, port=port, scheme="igtl", clients="all")
    raise AssertionError("50 ports are all taken")


def test_tcp_server_that_ends_is_a_link_error_and_a_new_one_is_found() -> None:
    clock, lock = WallClock(), threading.RLock()
    core = UltrasoundCore(Scene(), geometry)
    first = on_a_port_of_its_own(core, clock, lock)
    settings = ultrasound_igtl.Settings(url=first.url, reconnect_s=0.05, **PATIENT)
    device = ultrasound_igtl.Driver(settings, clock)
    device.open()
    first.close(PATIENCE_S)
    deadline = clock.deadline(PATIENCE_S)
    with pytest.raises(LinkError):
        while not deadline.expired:
            device.read()
            clock.sleep(0.01)

    def frame() -> Frame | None:
        try:
            return device.read()
        except LinkError:
            return None

    port = int(first.url.rsplit(":", 1)[1])
    with ended_patiently(mount_tcp(core, clock, lock, port=port, scheme="igtl", clients="all")):
        until(frame, "a frame of the new server", clock)
        device.close()
