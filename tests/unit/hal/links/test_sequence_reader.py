"""Sequence metafiles that the test writes itself: exact times, orientations, and files that cannot be read."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hal.errors import ConfigError
from hal.links.sequence import read_sequence

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
HEAD = """ObjectType = Image
NDims = 3
DimSize = 4 3 2
ElementType = MET_UCHAR
UltrasoundImageOrientation = MFA
Study = spine, part 1 = left
Seq_Frame0000_ProbeToTrackerTransform = 1 0 0 10 0 1 0 20 0 0 1 30 0 0 0 1
Seq_Frame0000_ProbeToTrackerTransformStatus = OK
Seq_Frame0000_Timestamp = 1840749.750288123
Seq_Frame0000_ImageStatus = OK
Seq_Frame0001_ProbeToTrackerTransform = 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1
Seq_Frame0001_ProbeToTrackerTransformStatus = INVALID
Seq_Frame0001_Timestamp = 1840749.8
Seq_Frame0001_Pressure = 12.5 kPa
Seq_Frame0001_ImageStatus = INVALID
"""


LOCAL = "ElementDataFile = LOCAL\n"


def write(folder: Path, head: str = HEAD, data: bytes = PIXELS.tobytes(), end: str = LOCAL) -> Path:
    path = folder / "recording.igs.mha"
    path.write_bytes((head + end).encode() + data)
    return path


def test_fields_times_and_pixels_are_exact(tmp_path: Path) -> None:
    sequence = read_sequence(write(tmp_path))
    first, second = sequence.frames
    assert first.time_ns == 1_840_749_750_288_123
    assert first.transforms["ProbeToTracker"][:3, 3].tolist() == [10.0, 20.0, 30.0]
    assert (first.invalid, second.invalid) == (frozenset(), {"ProbeToTracker"})
    assert (first.image_valid, second.image_valid) == (True, False)
    assert second.fields["Pressure"] == "12.5 kPa"
    assert sequence.header["Study"] == "spine, part 1 = left"
    assert np.array_equal(sequence.pixels, PIXELS)


@given(st.integers(0, 2**63 - 1))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_nanosecond_of_a_decimal_time_is_kept(tmp_path: Path, time_ns: int) -> None:
    text = f"{time_ns // 10**9}.{time_ns % 10**9:09d}"
    sequence = read_sequence(write(tmp_path, HEAD.replace("1840749.8", text)))
    assert sequence.frames[1].time_ns == time_ns


def test_compressed_pixels_are_the_same(tmp_path: Path) -> None:
    head = HEAD + "CompressedData = True\n"
    assert np.array_equal(read_sequence(write(tmp_path, head, zlib.compress(PIXELS.tobytes()))).pixels, PIXELS)


def test_pixels_in_a_file_beside_the_header_are_found(tmp_path: Path) -> None:
    (tmp_path / "pixels.raw").write_bytes(PIXELS.tobytes())
    path = write(tmp_path, data=b"", end="ElementDataFile = pixels.raw\n")
    assert np.array_equal(read_sequence(path).pixels, PIXELS)


def test_data_file_outside_the_folder_is_not_followed(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "pixels.raw").write_bytes(PIXELS.tobytes())
    path = write(inner, data=b"", end="ElementDataFile = ../pixels.raw\n")
    with pytest.raises(ConfigError, match="data file"):
        read_sequence(path)


def test_recording_without_pixels_keeps_its_poses(tmp_path: Path) -> None:
    sequence = read_sequence(write(tmp_path, HEAD.replace("4 3 2", "0 0 2").replace("MET_UCHAR", "MET_OTHER"), b""))
    assert sequence.pixels is None
    assert len(sequence.frames) == 2
    with pytest.raises(ConfigError, match="without images"):
        sequence.image(0)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("MFA", PIXELS[0]),
        ("UF", PIXELS[0][:, ::-1]),
        ("MN", PIXELS[0][::-1]),
        ("UN", PIXELS[0][::-1, ::-1]),
        ("FM", PIXELS[0].T),
        ("XX", PIXELS[0]),
    ],
)
def test_image_is_turned_to_marked_and_near_side_first(tmp_path: Path, code: str, expected: np.ndarray) -> None:
    sequence = read_sequence(write(tmp_path, HEAD.replace("MFA", code)))
    assert np.array_equal(sequence.image(0), expected)


@pytest.mark.parametrize(
    ("head", "data", "words"),
    [
        (HEAD, PIXELS.tobytes()[:-1], "pixels of 1 of 2 frames"),
        (HEAD + "CompressedData = True\n", b"not zlib at all", "damaged"),
        (HEAD + "CompressedData = True\n", zlib.compress(PIXELS.tobytes())[:12], "cut off"),
        (HEAD.replace("4 3 2", "4 3"), b"", "DimSize"),
        (HEAD.replace("4 3 2", "4 3 1"), PIXELS.tobytes(), "frame 1"),
        (HEAD.replace("4 3 2", "900000 900000 2"), b"", "not possible"),
        (HEAD.replace("MET_UCHAR", "MET_STRANGE"), PIXELS.tobytes(), "MET_STRANGE"),
        (HEAD.replace("0 0 0 1\n", "0 0 0\n", 1), PIXELS.tobytes(), "sixteen"),
        (HEAD.replace("1840749.8", "noon"), PIXELS.tobytes(), "noon"),
        ("just some words\n", b"", "key = value"),
        ("\xff\xfe".encode("latin-1").decode("latin-1"), b"", "no sequence|not of the form|not text"),
    ],
)
def test_file_that_cannot_be_read_gives_one_clear_message(tmp_path: Path, head: str, data: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_sequence(write(tmp_path, head, data))


def test_file_cut_inside_its_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.igs.mha"
    path.write_text(HEAD)
    with pytest.raises(ConfigError, match="cut off"):
        read_sequence(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_sequence(tmp_path / "nothing.mha")


@given(st.binary(max_size=400))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.igs.mha"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        read_sequence(path)
