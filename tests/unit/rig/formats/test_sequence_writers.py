"""Sequences written by us: what goes out comes back, and spoiled copies are refused with one clear message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hal.errors import ConfigError
from hal.links.sequence import Sequence
from rig.formats import FrameEntry, make_recording, read_recording, write_recording
from rig.formats.recording import matrix_text, time_text

ENDINGS = (".igs.mha", ".igs.mhd", ".igs.nrrd")
POSE = np.array([[0.1, -0.2, 1 / 3, 10.5], [1, 0, 0, -1e-17], [0, 1, 0, 1e9], [0, 0, 0, 1]])


def recording(pixels: np.ndarray | None, count: int = 3) -> Sequence:
    frames = [
        FrameEntry(
            1_840_749_750_288_123 + n * 33_333_333,
            {"ProbeToRig": POSE + n, "NeedleToRig": np.eye(4)},
            frozenset({"NeedleToRig"} if n == 1 else ()),
            {"Pressure_kpa": repr(12.5 + n), "Note": "a = b: c:=d"},
            image_valid=n != 1,
        )
        for n in range(count)
    ]
    return make_recording(Path("made"), frames, pixels, header={"TrialId": "T001", "Remark": "x = 1, y := 2"})


def images(kind: str = "u1", components: int = 1) -> np.ndarray:
    rows, columns = np.mgrid[:20, :30]
    ramp = (rows * 3 + columns * 2)[None] + np.arange(3)[:, None, None] * 5
    pixels = (ramp * (200 if np.dtype(kind).itemsize > 1 else 1)).astype(kind)
    return pixels if components == 1 else np.stack([pixels] * components, axis=-1)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("pixels", [images(), images("u2"), images("f4"), images("u1", 3), None])
def test_fields_poses_times_and_pixels_come_back_exactly(
    tmp_path: Path, ending: str, compressed: bool, pixels: np.ndarray | None
) -> None:
    made = recording(pixels)
    back = read_recording(write_recording(made, tmp_path / f"a{ending}", compressed=compressed))
    assert [frame.fields for frame in back.frames] == [frame.fields for frame in made.frames]
    assert [frame.time_ns for frame in back.frames] == [frame.time_ns for frame in made.frames]
    assert all(np.array_equal(b.transforms["ProbeToRig"], POSE + n) for n, b in enumerate(back.frames))
    assert back.frames[1].invalid == {"NeedleToRig"}
    assert {name: back.header[name] for name in made.header} == made.header
    if pixels is None:
        assert back.pixels is None
    else:
        assert back.pixels is not None
        assert back.pixels.dtype.newbyteorder("=") == pixels.dtype
        assert np.array_equal(back.pixels, pixels)


@pytest.mark.parametrize("ending", [".igs.mha", ".igs.nrrd"])
def test_foreign_readers_see_the_size_of_a_pixel(tmp_path: Path, ending: str) -> None:
    sitk, nrrd = pytest.importorskip("SimpleITK"), pytest.importorskip("nrrd")
    made = recording(images())
    spaced = Sequence(made.path, {**made.header, "ElementSpacing": "0.2 0.35 1"}, made.frames, made.pixels)
    path = write_recording(spaced, tmp_path / f"a{ending}")
    assert read_recording(path).header["ElementSpacing"] == "0.2 0.35 1"
    if ending == ".igs.mha":
        assert sitk.ReadImage(str(path)).GetSpacing() == pytest.approx((0.2, 0.35, 1))
    else:
        assert nrrd.read_header(str(path))["space directions"][:2, :2] == pytest.approx(np.diag([0.2, 0.35]))


@pytest.mark.parametrize("line", ["space directions: (0.2,0) (0,0.35) none", "spacings: 0.2 0.35 nan"])
def test_size_of_a_pixel_in_a_foreign_nrrd_goes_into_a_metafile(tmp_path: Path, line: str) -> None:
    path = write_recording(recording(images()), tmp_path / "a.igs.nrrd", compressed=False)
    path.write_bytes(path.read_bytes().replace(b"space directions: (1,0) (0,1) none", line.encode()))
    back = read_recording(write_recording(read_recording(path), tmp_path / "b.igs.mha"))
    assert back.header["ElementSpacing"] == "0.2 0.35 1"


@pytest.mark.parametrize("ending", ENDINGS)
def test_writing_what_was_read_gives_the_same_bytes(tmp_path: Path, ending: str) -> None:
    first = write_recording(recording(images()), tmp_path / f"a{ending}")
    (tmp_path / "again").mkdir()
    second = write_recording(read_recording(first), tmp_path / "again" / f"a{ending}")
    assert second.read_bytes() == first.read_bytes()


@given(st.integers(1 - 2**63, 2**63 - 1))
def test_every_nanosecond_has_its_own_text(time_ns: int) -> None:
    from rig.formats.frame_text import exact_ns

    assert exact_ns(time_text(time_ns)) == time_ns


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=16, max_size=16))
def test_every_double_of_a_pose_survives_its_text(values: list[float]) -> None:
    from rig.formats.frame_text import parse_matrix

    matrix = np.array(values).reshape(4, 4)
    assert np.array_equal(parse_matrix(matrix_text(matrix)), matrix)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), max_size=40))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_line_of_text_is_kept_as_a_field_or_refused(tmp_path: Path, text: str) -> None:
    try:
        made = make_recording(Path("m"), [FrameEntry(0, fields={"Custom": text})], None)
    except ConfigError:
        return
    for ending in (".igs.mha", ".igs.nrrd"):
        back = read_recording(write_recording(made, tmp_path / f"t{ending}"))
        assert back.frames[0].fields["Custom"] == text


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.4, 0.9, 0.999])
def test_file_cut_off_anywhere_is_refused(tmp_path: Path, ending: str, share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (3, 40, 50), dtype=np.uint8)
    path = write_recording(recording(noise), tmp_path / f"a{ending}")
    victim = path if ending != ".igs.mhd" else path.with_suffix(".zraw")
    data = victim.read_bytes()
    victim.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ConfigError):
        read_recording(path)


def test_frame_without_a_time_is_named(tmp_path: Path) -> None:
    path = write_recording(recording(images()), tmp_path / "a.igs.mha", compressed=False)
    lines = path.read_bytes().replace(b"Seq_Frame0001_Timestamp", b"Seq_Frame0001_Xtimestam")
    path.write_bytes(lines)
    with pytest.raises(ConfigError, match="frame 1 has no Timestamp"):
        read_recording(path)
    assert read_recording(path, timed=False).frames[1].time_ns is None


def test_times_that_run_backwards_or_leap_are_refused(tmp_path: Path) -> None:
    entries = [FrameEntry(t) for t in (0, 10, 10)]
    path = write_recording(make_recording(Path("m"), entries, None), tmp_path / "a.igs.mha")
    with pytest.raises(ConfigError, match="frame 2 is not after"):
        read_recording(path)
    entries = [FrameEntry(t) for t in (0, 10, 10**18)]
    path = write_recording(make_recording(Path("m"), entries, None), tmp_path / "b.igs.mha")
    with pytest.raises(ConfigError, match="stamp"):
        read_recording(path)


@pytest.mark.parametrize(
    ("ending", "right", "wrong"),
    [
        (".igs.mha", b"BinaryDataByteOrderMSB = False", b"BinaryDataByteOrderMSB = True "),
        (".igs.nrrd", b"endian: little", b"endian: big   "),
    ],
)
@pytest.mark.parametrize("kind", ["u2", "i2", "f4"])
def test_wrong_byte_order_is_recognised(tmp_path: Path, ending: str, right: bytes, wrong: bytes, kind: str) -> None:
    path = write_recording(recording(images(kind)), tmp_path / f"a{ending}", compressed=False)
    assert read_recording(path).pixels is not None
    path.write_bytes(path.read_bytes().replace(right, wrong))
    with pytest.raises(ConfigError, match="byte order"):
        read_recording(path)


@pytest.mark.parametrize("damage", [b"NRRD0004", b"type: uint8", b"sizes: 30 20 3", b"endian: little"])
def test_nrrd_with_a_spoiled_header_is_refused(tmp_path: Path, damage: bytes) -> None:
    path = write_recording(recording(images("u2" if damage.startswith(b"endian") else "u1")), tmp_path / "a.igs.nrrd")
    path.write_bytes(path.read_bytes().replace(damage, b"spoiled: yes"))
    with pytest.raises(ConfigError):
        read_recording(path)


def test_name_or_text_that_has_no_place_in_a_header_is_refused() -> None:
    with pytest.raises(ConfigError, match="name of a frame field"):
        make_recording(Path("m"), [FrameEntry(0, fields={"two words": "x"})], None)
    with pytest.raises(ConfigError, match="line break"):
        make_recording(Path("m"), [FrameEntry(0, fields={"Text": "a\nb"})], None)
    with pytest.raises(ConfigError, match="finite"):
        make_recording(Path("m"), [FrameEntry(0, {"AToB": np.full((4, 4), np.nan)})], None)
    with pytest.raises(ConfigError, match="2 images for 1 frames"):
        make_recording(Path("m"), [FrameEntry(0)], np.zeros((2, 1, 1), np.uint8))


def test_simpleitk_and_pynrrd_read_every_field(tmp_path: Path) -> None:
    sitk, nrrd = pytest.importorskip("SimpleITK"), pytest.importorskip("nrrd")
    made = recording(images())
    expected = {
        f"Seq_Frame{frame.index:04d}_{name}": text for frame in made.frames for name, text in frame.fields.items()
    }
    image = sitk.ReadImage(str(write_recording(made, tmp_path / "a.igs.mha")))
    assert {name: image.GetMetaData(name) for name in expected} == expected
    assert np.array_equal(sitk.GetArrayFromImage(image), images())
    data, header = nrrd.read(str(write_recording(made, tmp_path / "a.igs.nrrd")))
    renamed = {name.replace("ImageStatus", "Status"): text for name, text in expected.items()}
    assert {name: header[name] for name in renamed} == renamed
    assert np.array_equal(data.transpose(2, 1, 0), images())
