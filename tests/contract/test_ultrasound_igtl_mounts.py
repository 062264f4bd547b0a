"""The same ultrasound and tracker drivers on the in-process line and on a TCP port."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from hal.clock import Clock, VirtualClock, WallClock
from hal.drivers import tracker_igtl, ultrasound_igtl
from hal.errors import DeviceError, LinkError
from hal.interfaces import Tracker, Ultrasound
from hal.links.wire import Endpoint, publish, withdraw
from hal.sim.devices.tracker_igtl import TrackerCore
from hal.sim.devices.ultrasound_igtl import UltrasoundCore
from hal.sim.mounts import mount_tcp
from hal.types import ImagingSettings, Matrix, Pixels

MS = 1_000_000


class Scene:
    """Every frame shows, in its first pixel, the tenths of a second when it was taken."""

    def __init__(self) -> None:
        self.hidden = False
        self.rendered_n = 0

    def render(self, now_ns: int, settings: ImagingSettings) -> Pixels:
        self.rendered_n += 1
        return np.full((512, 512), now_ns // (100 * MS) % 256, np.uint8)

    def tracked(self, now_ns: int) -> dict[str, Matrix | None]:
        matrix = np.eye(4)
        matrix[0, 3] = now_ns / 1e9
        return {"NeedleTipToTracker": None if self.hidden else matrix, "ProbeToTracker": np.eye(4)}


def geometry(settings: ImagingSettings) -> Matrix:
    pitch = settings.depth_mm / 512
    return np.array([[pitch, 0, 0, -20.0], [0, 0, -pitch, 0], [0, pitch, 0, 1.5], [0, 0, 0, 1.0]])


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
        mount_tcp(scanner, wall, lock, scheme="igtl", clients="all") as images,
        mount_tcp(tracker, wall, lock, scheme="igtl", clients="all") as poses,
    ):
        yield Bench(wall, scene, scanner, images.url, poses.url)


@pytest.fixture
def images(bench: Bench) -> Iterator[ultrasound_igtl.Driver]:
    device = ultrasound_igtl.Driver(ultrasound_igtl.Settings(url=bench.images_url), bench.clock)
    device.open()
    yield device
    device.close()


@pytest.fixture
def poses(bench: Bench) -> Iterator[tracker_igtl.Driver]:
    device = tracker_igtl.Driver(tracker_igtl.Settings(url=bench.poses_url), bench.clock)
    device.open()
    yield device
    device.close()


def test_drivers_fulfil_their_interfaces(images, poses) -> None:
    assert isinstance(images, Ultrasound)
    assert isinstance(poses, Tracker)


def test_simulated_scanner_and_tracker_say_that_they_are(bench: Bench) -> None:
    scanner = ultrasound_igtl.Driver(ultrasound_igtl.Settings(url=bench.images_url), bench.clock)
    tracker = tracker_igtl.Driver(tracker_igtl.Settings(url=bench.poses_url), bench.clock)
    for device in (scanner, tracker):
        identity = device.open()
        device.close()
        assert identity.simulated
        assert not identity.verified


def test_age_of_frames_and_poses_contains_the_latency_of_the_device(bench: Bench, images, poses) -> None:
    """Also on a foreign clock: at least 30 ms for a frame and 15 ms for a pose, less half a round trip."""
    bench.clock.sleep(0.3)
    frame, tip = images.read(), poses.read()[0]
    assert frame is not None
    assert bench.clock.now_ns() - frame.time_ns > 20 * MS
    assert bench.clock.now_ns() - tip.time_ns > 10 * MS


def test_frames_come_in_order_with_increasing_times_and_complete_numbers(bench: Bench, images) -> None:
    frames = []
    while len(frames) < 8:
        frame = images.read()
        if frame is not None:
            frames.append(frame)
        bench.clock.sleep(0.01)
    numbers = [frame.sequence_n for frame in frames]
    assert [b.sequence_n - a.sequence_n - 1 for a, b in itertools.pairwise(frames)] == [
        frame.dropped_n for frame in frames[1:]
    ]
    assert numbers == sorted(numbers)
    for frame in frames:
        assert frame.time_ns <= bench.clock.now_ns()
        assert frame.ImageToProbe == pytest.approx(geometry(ImagingSettings()), abs=1e-5)


def test_pause_of_the_reader_is_seen_as_dropped_frames(bench: Bench, images) -> None:
    while images.read() is None:
        bench.clock.sleep(0.01)
    bench.clock.sleep(0.5)
    frame = images.read()
    assert frame is not None
    assert frame.dropped_n >= 7


def test_depth_is_set_and_comes_back_in_the_frames(bench: Bench, images) -> None:
    applied = images.apply(replace(images.settings(), depth_mm=60.0, gain_db=6.0))
    assert (applied.depth_mm, applied.gain_db) == (60.0, 6.0)
    bench.clock.sleep(0.2)
    frame = images.read()
    assert frame is not None
    assert frame.ImageToProbe[0, 0] == pytest.approx(60.0 / 512)


def test_depth_that_the_scanner_cannot_do_is_refused_and_nothing_changes(images) -> None:
    with pytest.raises(DeviceError, match="DepthMm"):
        images.apply(replace(images.settings(), depth_mm=900.0))
    assert images.settings().depth_mm == 90.0


def test_poses_are_those_of_their_time(bench: Bench, poses) -> None:
    bench.clock.sleep(0.1)
    tip = next(pose for pose in poses.read() if pose.name == "NeedleTipToTracker")
    assert tip.valid
    age_ns = bench.clock.now_ns() - tip.time_ns
    assert 0 <= age_ns < 150 * MS


def test_hidden_tool_is_not_valid_and_comes_back(bench: Bench, poses) -> None:
    bench.scene.hidden = True
    bench.clock.sleep(0.15)
    assert {pose.name: pose.valid for pose in poses.read()} == {"NeedleTipToTracker": False, "ProbeToTracker": True}
    bench.scene.hidden = False
    bench.clock.sleep(0.15)
    assert all(pose.valid for pose in poses.read())


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


def test_tcp_server_that_ends_is_a_link_error_and_a_new_one_is_found() -> None:
    clock, lock = WallClock(), threading.RLock()
    core = UltrasoundCore(Scene(), geometry)
    first = mount_tcp(core, clock, lock, scheme="igtl", clients="all")
    settings = ultrasound_igtl.Settings(url=first.url, reconnect_s=0.05)
    device = ultrasound_igtl.Driver(settings, clock)
    device.open()
    first.close()
    with pytest.raises(LinkError):
        while True:
            device.read()
            clock.sleep(0.01)
    with mount_tcp(core, clock, lock, port=int(first.url.rsplit(":", 1)[1]), scheme="igtl", clients="all"):
        deadline, frame = clock.deadline(3.0), None
        while frame is None and not deadline.expired:
            clock.sleep(0.06)
            try:
                frame = device.read()
            except LinkError:
                continue
        assert frame is not None
        device.close()
