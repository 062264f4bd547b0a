"""Video files that the test writes, and a live stream from a small server."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from hal.clock import VirtualClock, WallClock
from hal.drivers.ultrasound_video import Driver, Settings
from hal.errors import ConfigError, LinkError
from hal.interfaces import Ultrasound


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Ten grey pictures of 64 x 48, 10 per second, each brighter than the one before."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))
    for number in range(10):
        writer.write(np.full((48, 64, 3), 20 * number + 10, np.uint8))
    writer.release()
    return path


def settings(source: str, **more: object) -> Settings:
    return Settings.model_validate({"source": source, "pixel_mm": (0.5, 0.5), "face_px": (32, 0), **more})


def test_file_plays_at_its_own_pace_and_then_ends(film: Path) -> None:
    clock = VirtualClock(7)
    device = Driver(settings(str(film)), clock)
    assert isinstance(device, Ultrasound)
    device.open()
    seen = []
    for _ in range(150):
        frame = device.read()
        if frame is not None:
            seen.append((frame.time_ns - 7, int(frame.pixels.mean())))
        clock.sleep(0.01)
    assert [time for time, _ in seen] == [number * 100_000_000 for number in range(10)]
    assert [grey for _, grey in seen] == pytest.approx([20 * number + 10 for number in range(10)], abs=3)
    device.close()
    with pytest.raises(LinkError):
        device.read()


def test_latency_makes_frames_older(film: Path) -> None:
    clock = VirtualClock(1_000_000_000)
    device = Driver(settings(str(film), latency_ms=120.0), clock)
    device.open()
    frame = device.read()
    assert frame is not None
    assert frame.time_ns == 880_000_000


def test_crop_outside_the_picture_is_a_config_error(film: Path) -> None:
    device = Driver(settings(str(film), crop=(0, 0, 65, 48)), VirtualClock())
    device.open()
    with pytest.raises(ConfigError, match="64 x 48"):
        device.read()


def test_file_that_is_no_video_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "noise.avi").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(ConfigError, match="no video"):
        Driver(settings(str(tmp_path / "noise.avi")), VirtualClock()).open()
    with pytest.raises(ConfigError, match="no such"):
        Driver(settings(str(tmp_path / "nothing.avi")), VirtualClock()).open()


def test_live_source_cannot_be_used_in_simulated_time() -> None:
    with pytest.raises(ConfigError, match="simulated time"):
        Driver(settings("http://127.0.0.1:9/x"), VirtualClock()).open()


@pytest.mark.parametrize(
    "more", [{"face_px": None}, {"crop": (0, 0, 0, 5)}, {"pixel_mm": (0, 1)}, {"ImageToProbe": [1]}]
)
def test_incomplete_settings_are_refused(more: dict) -> None:
    with pytest.raises(ValidationError):
        settings("0", **more)


@pytest.fixture
def camera() -> Iterator[tuple[str, threading.Event]]:
    """An HTTP multipart stream of pictures at about 50 per second, until the event is set."""
    end = threading.Event()
    clock = WallClock()
    pictures = [cv2.imencode(".jpg", np.full((48, 64), level, np.uint8))[1].tobytes() for level in (40, 200)]

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for number in itertools.takewhile(lambda _: not end.is_set(), itertools.count()):
                data = pictures[number % 2]
                head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                try:
                    self.wfile.write(head + data + b"\r\n")
                except OSError:
                    return
                clock.sleep(0.02)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/stream.mjpg", end
    end.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_live_stream_gives_the_newest_picture_and_reports_its_end(camera: tuple[str, threading.Event]) -> None:
    url, end = camera
    clock = WallClock()
    device = Driver(settings(url), clock)
    device.open()
    frames = []
    deadline = clock.deadline(30.0)
    while len(frames) < 5 and not deadline.expired:
        frame = device.read()
        if frame is not None:
            frames.append(frame)
        clock.sleep(0.01)
    assert len(frames) == 5
    assert all(b.time_ns > a.time_ns for a, b in itertools.pairwise(frames))
    assert frames[0].pixels.shape == (48, 64)
    end.set()
    deadline = clock.deadline(30.0)
    with pytest.raises(LinkError, match=r"ended|no picture"):
        while not deadline.expired:
            device.read()
            clock.sleep(0.02)
    device.close()
