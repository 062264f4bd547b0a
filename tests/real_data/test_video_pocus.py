"""Screen recordings of hand-held scanners, played at their container time stamps."""

from __future__ import annotations

import numpy as np
import pytest
from recordings import recording

from hal.clock import VirtualClock
from hal.drivers.ultrasound_video import Driver, Settings


def video(name: str) -> str:
    return str(recording(f"pocus/{name}"))


def test_uneven_frame_times_come_from_the_container_and_not_from_the_rate() -> None:
    clock = VirtualClock()
    settings = Settings(source=video("butterfly-ocular-phantom.mp4"), pixel_mm=(0.1, 0.1), face_px=(388, 40))
    device = Driver(settings, clock)
    device.open()
    times = []
    for _ in range(2000):
        frame = device.read()
        if frame is not None:
            assert frame.dropped_n == 0
            times.append(frame.time_ns)
        clock.sleep(0.001)
    device.close()
    steps_ms = np.diff(times) / 1e6
    assert times[:3] == [0, 76_666_667, 150_000_000]
    assert steps_ms.std() > 1.0
    assert abs(steps_ms.mean() - 78.8) < 2.0


def test_crop_and_pitch_place_the_image_under_the_face() -> None:
    settings = Settings(
        source=video("clarius-ocular-short.mp4"), crop=(340, 60, 600, 800), pixel_mm=(0.05, 0.05), face_px=(640, 70)
    )
    device = Driver(settings, VirtualClock())
    device.open()
    frame = device.read()
    device.close()
    assert frame is not None
    assert frame.pixels.shape == (800, 600)
    face = frame.ImageToProbe @ np.array([300.0, 10.0, 0.0, 1.0])
    assert face[:3] == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    deeper = frame.ImageToProbe @ np.array([300.0, 30.0, 0.0, 1.0])
    assert deeper[:3] == pytest.approx([0.0, 0.0, 1.0])
    assert np.linalg.det(frame.ImageToProbe) > 0


def test_slow_reader_gets_the_newest_picture_and_the_number_of_lost_ones() -> None:
    clock = VirtualClock()
    device = Driver(Settings(source=video("clarius-ocular-short.mp4"), pixel_mm=(1, 1), face_px=(0, 0)), clock)
    device.open()
    device.read()
    clock.sleep(1.0)
    frame = device.read()
    assert frame is not None
    assert (frame.time_ns, frame.dropped_n) == (1_000_000_000, 24)
    clock.sleep(10.0)
    assert device.read() is not None
    clock.sleep(1.0)
    assert device.read() is None
    device.close()
