"""Ultrasound DICOM made by the test: scale traps, colours, times and truncation."""

from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest

from hal.errors import ConfigError
from rig.formats.clips import dicom_recording, write_clip
from rig.formats.jpeg_colour import stream_colours
from rig.formats.recording import FrameEntry, make_recording
from rig.formats.region import Region

pydicom = pytest.importorskip("pydicom")
from rig.formats.dicom import read_dicom  # noqa: E402
from rig.formats.dicom_write import write_dicom  # noqa: E402

REGION = Region(10, 5, 89, 74, "2D", 0.5, 0.4, 5000)
TIMES = np.array([0, 33_333_333, 66_666_667, 5_000_000_001], dtype=np.int64)
PIXELS = np.random.default_rng(4).integers(0, 255, (4, 80, 100), dtype=np.uint8)


def clip(path: Path, pixels: np.ndarray = PIXELS, region: Region = REGION) -> Path:
    return write_dicom(path, pixels, TIMES, region, simulated=True)


def changed(path: Path, change) -> Path:
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("pixels", [PIXELS, np.stack([PIXELS, PIXELS // 2, PIXELS // 3], axis=-1)])
def test_clip_comes_back_with_pixels_scale_and_every_nanosecond(tmp_path: Path, pixels: np.ndarray) -> None:
    back = read_dicom(clip(tmp_path / "a.dcm", pixels))
    assert np.array_equal(back.pixels, pixels)
    assert back.time_ns is not None
    assert back.time_ns.tolist() == TIMES.tolist()
    assert back.image_region == REGION
    assert back.remarks == ()


def test_physical_delta_is_written_in_centimetres_and_simulation_is_reported(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(clip(tmp_path / "a.dcm"))
    assert dataset.SequenceOfUltrasoundRegions[0].PhysicalDeltaX == pytest.approx(0.05)
    assert dataset.SeriesDescription == "SIMULATED"


def test_same_recording_gives_the_same_file(tmp_path: Path) -> None:
    assert clip(tmp_path / "a.dcm").read_bytes() == clip(tmp_path / "b.dcm").read_bytes()


def test_millimetres_where_centimetres_belong_are_refused_by_the_depth(tmp_path: Path) -> None:
    def mix_up(dataset) -> None:
        dataset.DepthOfScanField = 28
        for name in ("PhysicalDeltaX", "PhysicalDeltaY"):
            item = dataset.SequenceOfUltrasoundRegions[0]
            setattr(item, name, getattr(item, name) * 10)

    assert read_dicom(changed(clip(tmp_path / "a.dcm"), lambda d: setattr(d, "DepthOfScanField", 28))).image_region
    with pytest.raises(ConfigError, match=r"factor 10\.0.*mm written where cm"):
        read_dicom(changed(clip(tmp_path / "b.dcm"), mix_up))


def test_region_one_pixel_too_large_is_cut_and_reported_a_larger_one_refused(tmp_path: Path) -> None:
    def to(right: int):
        return lambda d: setattr(d.SequenceOfUltrasoundRegions[0], "RegionLocationMaxX1", right)

    found = read_dicom(changed(clip(tmp_path / "a.dcm"), to(100)))
    assert found.image_region is not None
    assert found.image_region.right == 99
    assert "one pixel beyond" in found.remarks[0]
    with pytest.raises(ConfigError, match="larger than the image"):
        read_dicom(changed(clip(tmp_path / "b.dcm"), to(120)))


def test_region_in_other_units_gives_no_scale(tmp_path: Path) -> None:
    path = changed(
        clip(tmp_path / "a.dcm"), lambda d: setattr(d.SequenceOfUltrasoundRegions[0], "PhysicalUnitsXDirection", 4)
    )
    assert read_dicom(path).image_region is None


def test_a_region_that_gives_no_pixel_size_is_reported_and_one_that_is_no_number_refused(tmp_path: Path) -> None:
    def to(value: float):
        return lambda d: setattr(d.SequenceOfUltrasoundRegions[0], "PhysicalDeltaX", value)

    found = read_dicom(changed(clip(tmp_path / "a.dcm"), to(0.0)))
    assert found.image_region is None
    assert any("gives the size of its pixels in cm" in remark for remark in found.remarks)
    with pytest.raises(ConfigError, match="PhysicalDeltaX is no finite number"):
        read_dicom(changed(clip(tmp_path / "b.dcm"), to(float("nan"))))


def test_frames_without_times_are_not_given_any(tmp_path: Path) -> None:
    def strip(dataset) -> None:
        del dataset.FrameTimeVector
        del dataset.FrameIncrementPointer

    path = changed(clip(tmp_path / "a.dcm"), strip)
    assert read_dicom(path).time_ns is None
    with pytest.raises(ConfigError, match="times of 4 frames are unknown"):
        dicom_recording(path)


@pytest.mark.parametrize("vector", [["0", "33.3"], ["0", "33.3", "-5", "33.3"], ["0", "33.3", "0", "1"]])
def test_frame_times_that_do_not_fit_are_refused(tmp_path: Path, vector: list[str]) -> None:
    with pytest.raises(ConfigError, match="frame time"):
        read_dicom(changed(clip(tmp_path / "a.dcm"), lambda d: setattr(d, "FrameTimeVector", vector)))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_dicom_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    path = clip(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ConfigError):
        read_dicom(path)


def jpeg_clip(path: Path, photometric: str, colour: np.ndarray) -> Path:
    from pydicom.encaps import encapsulate

    ok, stream = cv2.imencode(".jpg", colour[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
    assert ok
    clip(path, np.repeat(PIXELS[..., None], 3, axis=3))

    def put(dataset) -> None:
        dataset.NumberOfFrames, dataset.Rows, dataset.Columns = 1, colour.shape[0], colour.shape[1]
        dataset.FrameTimeVector = "0"
        dataset.PhotometricInterpretation = photometric
        dataset.PixelData = encapsulate([stream.tobytes()])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50"

    return changed(path, put)


def test_header_that_says_rgb_over_a_ybr_stream_is_not_believed(tmp_path: Path) -> None:
    colour = np.zeros((80, 100, 3), np.uint8)
    colour[:, :50] = (200, 30, 40)
    colour[:, 50:] = (20, 160, 220)
    for photometric in ("RGB", "YBR_FULL_422"):
        found = read_dicom(jpeg_clip(tmp_path / f"{photometric}.dcm", photometric, colour))
        assert np.abs(found.pixels[0].astype(int) - colour).mean() < 3.0
        assert any("stream was believed" in remark for remark in found.remarks) == (photometric == "RGB")


def test_jpeg_stream_says_its_colours() -> None:
    grey = cv2.imencode(".jpg", PIXELS[0])[1].tobytes()
    colour = cv2.imencode(".jpg", np.stack([PIXELS[0]] * 3, axis=-1))[1].tobytes()
    assert (stream_colours(grey), stream_colours(colour), stream_colours(b"no")) == ("grey", "YBR", "unknown")
    assert stream_colours(colour[:30]) == "unknown"


def test_sequence_becomes_a_clip_and_comes_back(tmp_path: Path) -> None:
    matrix = np.diag([0.5, 0.4, 1.0, 1.0])
    frames = [FrameEntry(int(t) + 7, {"ImageToProbe": matrix}) for t in TIMES]
    made = make_recording(Path("m"), frames, PIXELS, header={"Simulated": "True"})
    back = dicom_recording(write_clip(made, tmp_path / "a.dcm"))
    assert np.array_equal(back.pixels, PIXELS)
    assert [frame.time_ns for frame in back.frames] == TIMES.tolist()
    assert back.frames[0].transforms["ImageToTransducer"] == pytest.approx(matrix)


def test_sequence_of_unknown_pixel_size_becomes_no_clip(tmp_path: Path) -> None:
    made = make_recording(Path("m"), [FrameEntry(int(t)) for t in TIMES], PIXELS)
    with pytest.raises(ConfigError, match="size of a pixel"):
        write_clip(made, tmp_path / "a.dcm")


def test_clip_with_changed_bytes_is_read_or_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    raw = np.frombuffer(clip(tmp_path / "a.dcm").read_bytes(), np.uint8)
    path = tmp_path / "b.dcm"
    for _ in range(150):
        data = raw.copy()
        data[rng.integers(128, 1500, 4)] = rng.integers(0, 256, 4)
        path.write_bytes(data.tobytes())
        try:
            read_dicom(path)
        except ConfigError:
            pass


def smooth_colours() -> np.ndarray:
    """Four frames whose colours change slowly, so that colour stored for pixel pairs loses nothing."""
    rows, columns = np.mgrid[:80, :100]
    frame = np.stack([rows * 2, columns * 2, 200 - rows - columns], axis=-1).clip(0, 255).astype(np.uint8)
    return np.stack([frame, frame // 2, frame // 3, 255 - frame])


def as_ybr(dataset, pixels: np.ndarray, colours: str) -> None:
    from pydicom.pixels import convert_color_space

    ybr = convert_color_space(pixels.copy(), "RGB", "YBR_FULL", per_frame=True)
    if colours == "YBR_FULL_422":  # two brightnesses, then the two colours that both pixels share
        left, right = ybr[:, :, 0::2], ybr[:, :, 1::2]
        ybr = np.stack([left[..., 0], right[..., 0], left[..., 1], left[..., 2]], axis=-1)
    dataset.PhotometricInterpretation, dataset.PixelData = colours, ybr.tobytes()


@pytest.mark.parametrize("colours", ["YBR_FULL", "YBR_FULL_422"])
def test_uncompressed_brightness_and_colour_become_red_green_blue_once(tmp_path: Path, colours: str) -> None:
    pixels = smooth_colours()
    back = read_dicom(changed(clip(tmp_path / "a.dcm", pixels), lambda d: as_ybr(d, pixels, colours)))
    assert np.abs(back.pixels.astype(int) - pixels.astype(int)).max() <= 4


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_white_as_zero_is_turned_within_the_stored_bits(tmp_path: Path, bits: int) -> None:
    pixels = (PIXELS.astype(np.uint16) << max(0, bits - 8)).astype(np.uint8 if bits == 8 else "<u2")

    def turn(dataset) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 if bits == 8 else 16, bits, bits - 1
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OB" if bits == 8 else "OW"

    back = read_dicom(changed(clip(tmp_path / "a.dcm"), turn))
    assert np.array_equal(back.pixels, (1 << bits) - 1 - pixels.astype(int))


def test_palette_and_run_length_and_planes_keep_their_values(tmp_path: Path) -> None:
    from pydicom.uid import RLELossless

    colour = smooth_colours()

    def palette(dataset) -> None:
        dataset.PhotometricInterpretation = "PALETTE COLOR"
        for n, name in enumerate(("Red", "Green", "Blue")):
            dataset.add_new(0x00281101 + n, "US", [256, 0, 16])
            table = (np.arange(256, dtype="<u2") * 257 // (n + 1)).astype("<u2")
            setattr(dataset, f"{name}PaletteColorLookupTableData", table.tobytes())

    def planes(dataset) -> None:
        dataset.PlanarConfiguration = 1
        dataset.PixelData = np.ascontiguousarray(colour.transpose(0, 3, 1, 2)).tobytes()

    shown = read_dicom(changed(clip(tmp_path / "a.dcm"), palette)).pixels
    wanted = np.stack([PIXELS, PIXELS // 2, PIXELS // 3], axis=-1).astype(int)
    assert np.abs(shown.astype(int) - wanted).max() <= 1
    assert np.array_equal(read_dicom(changed(clip(tmp_path / "b.dcm", colour), planes)).pixels, colour)
    packed = changed(clip(tmp_path / "c.dcm", colour), lambda d: d.compress(RLELossless))
    assert np.array_equal(read_dicom(packed).pixels, colour)


def test_pixels_ten_times_as_wide_as_high_are_refused(tmp_path: Path) -> None:
    def widen(dataset) -> None:
        dataset.SequenceOfUltrasoundRegions[0].PhysicalDeltaX *= 10

    with pytest.raises(ConfigError, match="in one direction"):
        read_dicom(changed(clip(tmp_path / "a.dcm"), widen))


def test_two_images_of_different_scale_on_one_screen_are_reported(tmp_path: Path) -> None:
    def divide(dataset) -> None:
        import copy

        first = dataset.SequenceOfUltrasoundRegions[0]
        second = copy.deepcopy(first)
        first.RegionLocationMaxX1, second.RegionLocationMinX0 = 60, 61
        second.PhysicalDeltaX = second.PhysicalDeltaY = 0.02
        dataset.SequenceOfUltrasoundRegions.append(second)

    path = changed(clip(tmp_path / "a.dcm"), divide)
    assert "2 regions of different scale" in read_dicom(path).remarks[0]
    assert "2 regions of different scale" in dicom_recording(path).header["Remarks"]


def test_small_file_that_announces_gigabytes_is_refused_before_they_are_taken(tmp_path: Path) -> None:
    from pydicom.uid import RLELossless

    def swell(dataset) -> None:
        dataset.compress(RLELossless)
        dataset.NumberOfFrames, dataset.Rows, dataset.Columns = 2000, 2000, 2000
        del dataset.FrameTimeVector
        dataset.FrameTime, dataset.FrameIncrementPointer = "33.3", 0x00181063

    with pytest.raises(ConfigError, match="cannot hold the 2000 frames"):
        read_dicom(changed(clip(tmp_path / "a.dcm"), swell))


def test_a_second_region_is_reported_though_its_scale_is_the_same(tmp_path: Path) -> None:
    def add(dataset) -> None:
        second = copy.deepcopy(dataset.SequenceOfUltrasoundRegions[0])
        second.RegionLocationMaxX1 = 40
        dataset.SequenceOfUltrasoundRegions.append(second)

    path = changed(clip(tmp_path / "a.dcm"), add)
    found = read_dicom(path)
    assert len(found.regions) == 2
    assert found.image_region == REGION
    assert any("not used: (10,5)-(40,74) 2D" in remark for remark in found.remarks)
    assert "not used: (10,5)-(40,74)" in dicom_recording(path).header["Remarks"]
