"""DICOM ultrasound and video of other devices: true scale, true colours, true times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import recording

from hal.errors import ConfigError
from rig.formats import read_recording
from rig.formats.clips import video_recording
from rig.formats.convert import convert

pytest.importorskip("pydicom")
from rig.formats.dicom import read_dicom
from rig.formats.dicom_write import write_dicom

CLIPS = (
    "dicom/color3d_jpeg_baseline.dcm",
    "dicom/gdcm-US-ALOKA-16.dcm",
    "pocus/sonoque_axial-lateral-resolution-2020.dcm",
)


def test_cine_has_its_120_frames_times_and_scale() -> None:
    clip = read_dicom(recording("dicom/color3d_jpeg_baseline.dcm"))
    assert clip.pixels.shape == (120, 480, 640, 3)
    assert clip.time_ns is not None
    assert set(np.diff(clip.time_ns).tolist()) == {33_333_000}
    region = clip.image_region
    assert region is not None
    assert (region.left, region.top, region.right, region.bottom) == (84, 31, 595, 414)
    assert region.pitch_x_mm == pytest.approx(0.5105, abs=5e-5)
    assert clip.remarks == ()


def test_three_regions_and_a_palette_are_read_and_agree_with_the_depth() -> None:
    clip = read_dicom(recording("dicom/gdcm-US-ALOKA-16.dcm"))
    assert [region.format for region in clip.regions] == ["2D", "2D", "none"]
    assert clip.regions[2].pitch_x_mm is None
    assert clip.image_region is not None
    assert clip.image_region.height_mm == pytest.approx(150, abs=0.01)  # the scanner says 150 mm
    assert clip.pixels.shape == (1, 480, 640, 3)


def test_file_with_two_slips_is_read_right_and_both_are_reported() -> None:
    clip = read_dicom(recording("pocus/sonoque_axial-lateral-resolution-2020.dcm"))
    assert clip.image_region is not None
    assert clip.image_region.pitch_y_mm == pytest.approx(0.0291)
    assert (clip.image_region.right, clip.image_region.bottom) == (2082, 1454)
    assert ["one pixel beyond" in clip.remarks[0], "stream was believed" in clip.remarks[1]] == [True, True]
    colour = clip.pixels[0].astype(int)
    assert np.abs(colour[..., 0] - colour[..., 1]).mean() < 0.1  # grey, as it was; read as RGB it is green and pink


def test_cine_goes_out_and_comes_back_without_loss(tmp_path: Path) -> None:
    clip = read_dicom(recording("dicom/gdcm-US-ALOKA-16.dcm"))
    assert clip.image_region is not None
    times = np.zeros(1, dtype=np.int64)
    path = write_dicom(tmp_path / "a.dcm", clip.pixels.astype(np.uint8), times, clip.image_region, simulated=False)
    back = read_dicom(path)
    assert np.array_equal(back.pixels, clip.pixels)
    assert back.image_region == clip.image_region


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("share", [0.0001, 0.3, 0.97])
def test_clip_cut_off_is_refused(tmp_path: Path, name: str, share: float) -> None:
    data = recording(name).read_bytes()
    path = tmp_path / "cut.dcm"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ConfigError):
        read_dicom(path)


def test_video_keeps_its_uneven_container_times(tmp_path: Path) -> None:
    source = recording("pocus/clarius-ocular-short.mp4")
    sequence = video_recording(source)
    steps = np.diff([frame.time_ns for frame in sequence.frames])
    assert steps.min() > 0
    back = read_recording(convert(source, tmp_path / "v.igs.nrrd"))
    assert [frame.time_ns for frame in back.frames] == [frame.time_ns for frame in sequence.frames]
    assert np.array_equal(back.pixels, sequence.pixels)


def test_video_cut_off_is_refused(tmp_path: Path) -> None:
    data = recording("pocus/clarius-ocular-short.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) // 3])
    with pytest.raises(ConfigError):
        convert(path, tmp_path / "v.igs.mha")
