"""PLUS recordings read and written again: byte for byte where PLUS wrote them, and refused when spoiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import recording

from hal.errors import ConfigError
from rig.formats import read_recording, write_recording

SPINE = "SpinePhantomFreehand.igs.mha"
TRACKER = "WaterTankBottomTranslationTrackerBuffer-trimmed.igs.mha"
GRABBER = "USTC_FrameGrabber_RandomStepperMotionData2.igs.mha"
JITTER = "TimestampFilteringTest.igs.mha"


def plus(name: str) -> Path:
    return recording(f"plus/{name}")


@pytest.mark.parametrize("name", [SPINE, TRACKER])
def test_recording_of_plus_is_written_again_byte_for_byte(tmp_path: Path, name: str) -> None:
    path = plus(name)
    assert write_recording(read_recording(path), tmp_path / name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", [SPINE, TRACKER, JITTER, GRABBER])
@pytest.mark.parametrize("ending", [".igs.mha", ".igs.mhd", ".igs.nrrd"])
def test_every_field_time_and_pixel_survives_every_format(tmp_path: Path, name: str, ending: str) -> None:
    original = read_recording(plus(name), timed=False)
    back = read_recording(write_recording(original, tmp_path / f"copy{ending}"), timed=False)
    assert [frame.fields for frame in back.frames] == [frame.fields for frame in original.frames]
    assert [frame.time_ns for frame in back.frames] == [frame.time_ns for frame in original.frames]
    assert back.orientation == original.orientation
    assert (back.pixels is None) == (original.pixels is None)
    if back.pixels is not None and original.pixels is not None:
        assert np.array_equal(back.pixels, original.pixels)


def test_tracker_only_recording_opens_in_pynrrd_with_all_8010_fields(tmp_path: Path) -> None:
    nrrd = pytest.importorskip("nrrd")
    path = write_recording(read_recording(plus(TRACKER)), tmp_path / "t.igs.nrrd")
    _, header = nrrd.read(str(path))
    assert sum(name.startswith("Seq_Frame") for name in header) == 8010


def spoiled(tmp_path: Path, name: str, old: bytes, new: bytes) -> Path:
    data = plus(name).read_bytes()
    assert old in data
    path = tmp_path / name
    path.write_bytes(data.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"Seq_Frame0007_Timestamp", b"Seq_Frame0007_Nimestamp", "frame 7 has no Timestamp"),
        (b"DimSize = 820 616 21", b"DimSize = 820 616 22", "cut off"),
        (b"DimSize = 820 616 21", b"DimSize = 820 616 20", "frame 20 but announces 20"),
        (b"Seq_Frame0003_Timestamp = 215.", b"Seq_Frame0003_Timestamp = 115.", "not after"),
        (b"_ProbeToTrackerTransform = 0.231245", b"_ProbeToTrackerTransform = 0.23e245e", "sixteen numbers"),
    ],
)
def test_spoiled_copy_is_refused_with_the_frame_that_is_wrong(
    tmp_path: Path, old: bytes, new: bytes, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        read_recording(spoiled(tmp_path, SPINE, old, new))


@pytest.mark.parametrize("name", [SPINE, TRACKER])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.98])
def test_copy_cut_off_is_refused(tmp_path: Path, name: str, share: float) -> None:
    data = plus(name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ConfigError):
        read_recording(path)


def test_sixteen_bit_copy_in_the_wrong_byte_order_is_recognised(tmp_path: Path) -> None:
    original = read_recording(plus(SPINE))
    assert original.pixels is not None
    pixels = original.pixels[:3].astype(np.uint16) * 100
    wide = type(original)(original.path, original.header, original.frames[:3], pixels)
    path = write_recording(wide, tmp_path / "wide.igs.nrrd", compressed=False)
    assert read_recording(path).pixels is not None
    path.write_bytes(path.read_bytes().replace(b"endian: little", b"endian: big", 1))
    with pytest.raises(ConfigError, match="byte order"):
        read_recording(path)
