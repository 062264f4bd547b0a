"""Sequence files that say two things, too much or too little: refused with one message, and before memory is taken."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hal.errors import ConfigError
from hal.links.sequence import Sequence, SequenceFrame
from rig.formats import FrameEntry, make_recording, read_recording, write_recording

GOOD = bytes(range(24))
POSE = "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"


def mha(dim: str = "4 3 2", data: bytes = GOOD, more: str = "", stamp: str = "2", where: str = "LOCAL") -> bytes:
    head = f"ObjectType = Image\nNDims = 3\nDimSize = {dim}\nElementType = MET_UCHAR\n"
    for n, text in enumerate(("1", stamp)):
        head += f"Seq_Frame{n:04d}_ProbeToRigTransform = {POSE}\nSeq_Frame{n:04d}_Timestamp = {text}\n"
    return f"{head}{more}ElementDataFile = {where}\n".encode() + data


def nrrd(
    sizes: str = "4 3 2", data: bytes = GOOD, more: str = "", stamp: str = "2", encoding: str = "encoding: raw\n"
) -> bytes:
    head = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: {sizes}\nkinds: domain domain list\n{encoding}"
    for n, text in enumerate(("1", stamp)):
        head += f"Seq_Frame{n:04d}_ProbeToRigTransform:={POSE}\nSeq_Frame{n:04d}_Timestamp:={text}\n"
    return f"{head}{more}\n".encode() + data


PACKED = "CompressedData = True\n"
DIGITS = "1" * 5000
SPOILED = {
    "more pixels than announced.mha": (mha(data=GOOD + b"x"), "1 bytes more"),
    "more packed pixels than announced.mha": (mha(data=zlib.compress(GOOD + b"x"), more=PACKED), "more pixels"),
    "packed pixels without their checksum.mha": (mha(data=zlib.compress(GOOD)[:-4], more=PACKED), "checksum"),
    "packed pixels with a wrong checksum.mha": (mha(data=zlib.compress(GOOD)[:-4] + b"abcd", more=PACKED), "damaged"),
    "two stamps of one frame.mha": (mha(more="Seq_Frame0001_Timestamp = 9\n"), "given twice"),
    "two spellings of one frame.mha": (mha(more="Seq_Frame01_Timestamp = 9\n"), "given twice"),
    "a dimension that its sizes have not.nrrd": (nrrd().replace(b"dimension: 3", b"dimension: 99"), "3 sizes"),
    "two sizes.mha": (mha(more="DimSize = 2 2 2\n"), "given twice"),
    "stamp of ages.mha": (mha(stamp="1e999990"), "no possible number"),
    "stamp beyond 64 bits.mha": (mha(stamp="1000000000000"), "no possible number"),
    "stamp that is no number.mha": (mha(stamp="nan"), "no possible number"),
    "frame number of 5000 digits.mha": (mha(more=f"Seq_Frame{DIGITS}_Timestamp = 9\n"), "5000 digits"),
    "a million frames without a field.mha": (mha(dim="0 0 1000000", data=b""), "header cut off"),
    "pixels as text.mha": (mha(more="BinaryData = False\n"), "as text"),
    "pixels behind another header.mha": (mha(more="HeaderSize = 4\n"), "HeaderSize"),
    "data file with a zero byte.mha": (mha(where="a\0b"), "same folder"),
    "data file elsewhere.mha": (mha(where="../../etc/passwd"), "same folder"),
    "data file elsewhere, by drive.mha": (mha(where="C:\\x.raw"), "same folder"),
    "its own data file.mha": (mha(where="its own data file.mha"), "no other file"),
    "no channels.mha": (mha(more="ElementNumberOfChannels = 0\n"), "not possible"),
    "less than no channels.mha": (mha(more="ElementNumberOfChannels = -1\n"), "not possible"),
    "too many channels.mha": (mha(more="ElementNumberOfChannels = 99999999999\n"), "not possible"),
    "negative size.mha": (mha(dim="-4 3 2"), "DimSize"),
    "more pixels than announced.nrrd": (nrrd(data=GOOD + b"x"), "1 bytes more"),
    "more packed pixels.nrrd": (nrrd(data=gzip.compress(GOOD + b"x"), encoding="encoding: gz\n"), "more pixels"),
    "packed without checksum.nrrd": (nrrd(data=gzip.compress(GOOD)[:-8], encoding="encoding: gz\n"), "checksum"),
    "packed and cut.nrrd": (nrrd(data=gzip.compress(GOOD)[:14], encoding="encoding: gz\n"), "cut off"),
    "bytes to skip.nrrd": (nrrd(data=b"xx" + GOOD, more="byte skip: 2\n"), "byte skip"),
    "bytes to skip from the end.nrrd": (nrrd(data=b"xx" + GOOD, more="byte skip: -1\n"), "byte skip"),
    "lines to skip.nrrd": (nrrd(data=b"x\n" + GOOD, more="line skip: 1\n"), "line skip"),
    "10^12 frames.nrrd": (nrrd(sizes="1 1 1000000000000"), "not possible"),
    "10^18 voxels.nrrd": (nrrd(sizes="1000000 1000000 1000000"), "not possible"),
    "a million frames without a field.nrrd": (nrrd(sizes="1 1 1000000"), "has fields of 2"),
    "negative size.nrrd": (nrrd(sizes="4 -3 2"), "not images in a list"),
    "two stamps of one frame.nrrd": (nrrd(more="Seq_Frame0001_Timestamp:=9\n"), "given twice"),
    "two sizes.nrrd": (nrrd(more="sizes: 3 4 2\n"), "given twice"),
    "frame number of 5000 digits.nrrd": (nrrd(more=f"Seq_Frame{DIGITS}_Timestamp:=9\n"), "5000 digits"),
    "stamp of ages.nrrd": (nrrd(stamp="1e999999"), "no possible number"),
    "stamp beyond 64 bits.nrrd": (nrrd(stamp="1000000000000"), "no possible number"),
    "data file with a zero byte.nrrd": (nrrd(more="data file: a\0b\n"), "same folder"),
    "data file elsewhere.nrrd": (nrrd(more="data file: ../../../etc/passwd\n"), "same folder"),
    "no encoding.nrrd": (nrrd(encoding=""), "encoding"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_sequence_is_refused_by_name(tmp_path: Path, name: str) -> None:
    data, words = SPOILED[name]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=words):
        read_recording(path)


@pytest.mark.parametrize("data", [mha(), mha(more="DimSize = 4 3 2\n"), mha(more=PACKED, data=zlib.compress(GOOD))])
def test_the_same_files_unspoiled_are_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "good.mha"
    path.write_bytes(data)
    pixels = read_recording(path).pixels
    assert pixels is not None
    assert pixels.ravel().tolist() == list(GOOD)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_line_ends_of_windows_are_read(tmp_path: Path, ending: str) -> None:
    head = (mha(data=b"") if ending == ".mha" else nrrd(data=b"")).replace(b"\n", b"\r\n")
    path = tmp_path / f"windows{ending}"
    path.write_bytes(head + GOOD)
    sequence = read_recording(path)
    assert sequence.pixels is not None
    assert sequence.pixels.ravel().tolist() == list(GOOD)
    assert sequence.frames[1].fields["Timestamp"] == "2"


@pytest.mark.parametrize("packed", [False, True])
def test_detached_header_finds_its_pixels_beside_it_and_is_not_written(tmp_path: Path, packed: bool) -> None:
    encoding = "encoding: gzip\n" if packed else "encoding: raw\n"
    (tmp_path / "a.nhdr").write_bytes(nrrd(data=b"", more="data file: ./a.raw\n", encoding=encoding))
    (tmp_path / "a.raw").write_bytes(gzip.compress(GOOD) if packed else GOOD)
    sequence = read_recording(tmp_path / "a.nhdr")
    assert sequence.pixels is not None
    assert sequence.pixels.ravel().tolist() == list(GOOD)
    with pytest.raises(ConfigError, match="cannot write"):
        write_recording(sequence, tmp_path / "b.nhdr")
    (tmp_path / "a.raw").write_bytes(GOOD[:-1])
    with pytest.raises(ConfigError, match=r"cut off|damaged"):
        read_recording(tmp_path / "a.nhdr")


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "f4"])
@pytest.mark.parametrize("packed", [True, False])
def test_recording_that_simpleitk_wrote_is_read(tmp_path: Path, ending: str, kind: str, packed: bool) -> None:
    sitk = pytest.importorskip("SimpleITK")
    pixels = (np.arange(3 * 20 * 30).reshape(3, 20, 30) % 250).astype(kind)
    image = sitk.GetImageFromArray(pixels)
    for n in range(3):
        image.SetMetaData(f"Seq_Frame{n:04d}_ProbeToRigTransform", POSE)
        image.SetMetaData(f"Seq_Frame{n:04d}_Timestamp", f"{n}.5")
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"), packed)
    sequence = read_recording(tmp_path / f"a{ending}")
    assert np.array_equal(sequence.pixels, pixels)
    assert [frame.time_ns for frame in sequence.frames] == [500_000_000, 1_500_000_000, 2_500_000_000]
    assert "ProbeToRig" in sequence.frames[2].transforms


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd"])
@pytest.mark.parametrize("text", ["Größe 5 µm", "a\u2028b", "a\x0bb\x1cc", "tab\there", "back\\slash \\n", "针"])
def test_text_of_any_script_comes_back(tmp_path: Path, ending: str, text: str) -> None:
    entries = [FrameEntry(n + 1, {"ProbeToRig": np.eye(4)}, fields={"Note": text}) for n in range(2)]
    made = make_recording(Path("m"), entries, None, header={"Study": text})
    back = read_recording(write_recording(made, tmp_path / f"a{ending}"))
    assert [frame.fields["Note"] for frame in back.frames] == [text, text]
    assert back.header["Study"] == text


def test_value_of_two_lines_cannot_become_another_field(tmp_path: Path) -> None:
    """NRRD escapes line breaks; in a metafile the second line would be a field of its own."""
    path = tmp_path / "a.nrrd"
    path.write_bytes(nrrd(more="Remark:=first\\nDimSize = 1 1 1\n"))
    sequence = read_recording(path)
    assert sequence.header["Remark"] == "first\nDimSize = 1 1 1"
    with pytest.raises(ConfigError, match="more than one line"):
        write_recording(sequence, tmp_path / "b.mha")


@pytest.mark.parametrize("key", ["#comment", "a:=b"])
def test_field_that_nrrd_would_lose_is_refused(tmp_path: Path, key: str) -> None:
    frame = SequenceFrame(0, 1, {}, frozenset(), {"Timestamp": "1"})
    with pytest.raises(ConfigError, match="NRRD field"):
        write_recording(Sequence(Path("m"), {key: "x"}, (frame,), None), tmp_path / "a.nrrd")


def test_pixel_file_of_another_recording_is_not_written_over(tmp_path: Path) -> None:
    made = make_recording(Path("m"), [FrameEntry(1)], np.zeros((1, 2, 2), dtype=np.uint8))
    (tmp_path / "a.zraw").write_bytes(b"precious")
    with pytest.raises(ConfigError, match="not written over"):
        write_recording(made, tmp_path / "a.mhd")
    assert (tmp_path / "a.zraw").read_bytes() == b"precious"


def test_transform_name_that_no_reader_would_find_again_is_refused() -> None:
    with pytest.raises(ConfigError, match="Probe To RAS"):
        make_recording(Path("m"), [FrameEntry(1, {"Probe To RAS": np.eye(4)})], None)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_good_file_with_changed_bytes_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    ending = data.draw(st.sampled_from([".mha", ".nrrd"]))
    packed = data.draw(st.booleans())
    if ending == ".mha":
        raw = bytearray(mha(data=zlib.compress(GOOD), more=PACKED) if packed else mha())
    else:
        raw = bytearray(nrrd(data=gzip.compress(GOOD, mtime=0), encoding="encoding: gz\n") if packed else nrrd())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"changed{ending}"
    path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw))
    try:
        read_recording(path)
    except ConfigError:
        pass
