"""Recordings of the PLUS test data, read by us and by SimpleITK, and played as a device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import recording

from hal.clock import VirtualClock
from hal.drivers.ultrasound_replay import Driver, Settings
from hal.errors import ConfigError
from hal.links.sequence import read_sequence

SPINE = "SpinePhantomFreehand.igs.mha"
TRACKER = "WaterTankBottomTranslationTrackerBuffer-trimmed.igs.mha"
GRABBER = "USTC_FrameGrabber_RandomStepperMotionData2.igs.mha"
JITTER = "TimestampFilteringTest.igs.mha"
WATER = "WaterTankBottomTranslationVideoBuffer.igs.mha"
IDENTITY = tuple(np.eye(4).ravel().tolist())


def plus(name: str) -> Path:
    return recording(f"plus/{name}")


@pytest.mark.parametrize(
    ("name", "count", "shape", "orientation"),
    [
        (SPINE, 21, (616, 820), "MFA"),
        (WATER, 201, (616, 820), "MFA"),
        (GRABBER, 200, (480, 640), "MN"),
        (TRACKER, 801, None, "XX"),
        (JITTER, 500, (1, 1), "MFA"),
    ],
)
def test_recording_has_the_frames_that_its_page_says(name: str, count: int, shape, orientation: str) -> None:
    sequence = read_sequence(plus(name))
    assert len(sequence.frames) == count
    assert sequence.orientation == orientation
    assert (None if sequence.pixels is None else sequence.pixels.shape[1:]) == shape


@pytest.mark.parametrize("name", [SPINE, GRABBER, JITTER])
def test_pixels_are_those_that_simpleitk_reads(name: str) -> None:
    sitk = pytest.importorskip("SimpleITK")
    path = plus(name)
    assert np.array_equal(read_sequence(path).pixels, sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


def test_every_field_is_kept_as_simpleitk_sees_it() -> None:
    sitk = pytest.importorskip("SimpleITK")
    path = plus(SPINE)
    image = sitk.ReadImage(str(path))
    sequence = read_sequence(path)
    keys = [key for key in image.GetMetaDataKeys() if key.startswith("Seq_Frame")]
    assert sum(len(frame.fields) for frame in sequence.frames) == len(keys) == 168
    for key in keys:
        _, number, name = key.split("_", 2)
        assert sequence.frames[int(number[5:])].fields[name] == image.GetMetaData(key).strip()


def test_raw_and_filtered_times_are_exact_and_as_published() -> None:
    sequence = read_sequence(plus(JITTER), with_pixels=False)
    assert sequence.frames[0].time_ns == 1_840_749_750_288_000
    raw_s = np.array([float(frame.fields["UnfilteredTimestamp"]) for frame in sequence.frames])
    steps_ms = np.diff(raw_s) * 1000
    assert steps_ms.mean() == pytest.approx(65.9, abs=0.1)
    assert steps_ms.std() == pytest.approx(63.4, abs=0.2)


def test_tracker_recording_that_simpleitk_cannot_open_has_its_poses() -> None:
    sequence = read_sequence(plus(TRACKER))
    assert set(sequence.frames[0].transforms) == {"ProbeToTracker", "ReferenceToTracker", "StylusToTracker"}
    rate_hz = 800 / ((sequence.frames[-1].time_ns - sequence.frames[0].time_ns) / 1e9)
    assert rate_hz == pytest.approx(38.6, abs=0.1)


def test_replay_gives_every_frame_at_its_recorded_time() -> None:
    path = plus(SPINE)
    sequence = read_sequence(path)
    clock = VirtualClock(5_000_000_000)
    device = Driver(Settings(file=path, ImageToProbe=IDENTITY), clock)
    device.open()
    frames = []
    for _ in range(2500):
        frame = device.read()
        if frame is not None:
            frames.append(frame)
        clock.sleep(0.001)
    assert len(frames) == 21
    recorded = [item.time_ns - sequence.frames[0].time_ns for item in sequence.frames]
    assert [frame.time_ns - 5_000_000_000 for frame in frames] == recorded
    assert all(np.array_equal(frame.pixels, sequence.pixels[index]) for index, frame in enumerate(frames))
    assert sum(frame.dropped_n for frame in frames) == 0


def test_slow_reader_of_a_replay_gets_the_newest_frame_and_the_number_of_lost_ones() -> None:
    clock = VirtualClock()
    device = Driver(Settings(file=plus(SPINE), ImageToProbe=IDENTITY), clock)
    device.open()
    assert device.read() is not None
    clock.sleep(1.0)
    frame = device.read()
    assert frame is not None
    assert frame.dropped_n == frame.sequence_n - 2 > 5
    assert device.read() is None


def test_repeated_replay_goes_on_after_the_last_frame() -> None:
    clock = VirtualClock()
    device = Driver(Settings(file=plus(SPINE), ImageToProbe=IDENTITY, repeat=True), clock)
    device.open()
    clock.sleep(30.0)
    frame = device.read()
    assert frame is not None
    assert frame.sequence_n > 21
    assert 0 <= clock.now_ns() - frame.time_ns < 200_000_000


def test_frame_grabber_recording_is_turned_upright() -> None:
    path = plus(GRABBER)
    sequence = read_sequence(path)
    device = Driver(Settings(file=path, ImageToProbe=IDENTITY), VirtualClock())
    device.open()
    frame = device.read()
    assert frame is not None
    assert np.array_equal(frame.pixels, sequence.pixels[0][::-1])


def test_tracker_recording_cannot_be_played_as_ultrasound() -> None:
    with pytest.raises(ConfigError, match="without images"):
        Driver(Settings(file=plus(TRACKER), ImageToProbe=IDENTITY), VirtualClock()).open()


def test_truncated_copy_is_refused_with_the_number_of_whole_frames(tmp_path: Path) -> None:
    path = tmp_path / "cut.igs.mha"
    path.write_bytes(plus(SPINE).read_bytes()[:-200_000])
    with pytest.raises(ConfigError, match=r"cut off: pixels of \d+ of 21"):
        read_sequence(path)
