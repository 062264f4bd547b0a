"""Clips of other devices as sequences: DICOM and video files, on their own time stamps.

Pixel size goes into the header (``ImagePitchMm``) and, as an ``ImageToTransducer`` transform, into every frame:
millimetres along the columns and rows, origin at the corner of the image region.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError, LinkError
from hal.links.grey import luminance
from hal.links.sequence import Sequence
from hal.links.video import VideoFile
from hal.types import Matrix
from rig.formats.dicom import read_dicom
from rig.formats.dicom_write import write_dicom
from rig.formats.recording import FrameEntry, check_times, make_recording
from rig.formats.region import Region

PITCH = "ImageToTransducer"
_LARGEST_BYTES = 2 << 30
"""Grey frames of a video held at once: 6500 of 640x480."""


def dicom_recording(path: Path) -> Sequence:
    """A DICOM clip as a sequence; raises ``ConfigError`` when its frame times are unknown."""
    clip = read_dicom(path)
    if clip.time_ns is None:
        raise ConfigError(f"{path}: {clip.remarks[-1] if clip.remarks else 'its frame times are unknown'}")
    header = {"Device": clip.device or "unknown", "Taken": clip.taken or "unknown"}
    if clip.simulated:
        header["Simulated"] = "True"
    if clip.remarks:
        header["Remarks"] = "; ".join(clip.remarks)
    transforms: dict[str, Matrix] = {}
    region = clip.image_region
    if region is not None and region.pitch_x_mm and region.pitch_y_mm:
        matrix = np.diag([region.pitch_x_mm, region.pitch_y_mm, 1.0, 1.0])
        matrix[:2, 3] = -region.left * region.pitch_x_mm, -region.top * region.pitch_y_mm
        transforms[PITCH] = matrix
        header["ImagePitchMm"] = f"{region.pitch_x_mm!r} {region.pitch_y_mm!r}"
        header["ImageRegion"] = f"{region.left} {region.top} {region.right} {region.bottom}"
    entries = [FrameEntry(int(t), transforms) for t in clip.time_ns]
    return make_recording(path, entries, clip.pixels, header=header)


def video_recording(path: Path) -> Sequence:
    """A video file as a sequence of grey frames on its container's time stamps; raises ``ConfigError``."""
    video = VideoFile(path)
    images: list[NDArray[np.uint8]] = []
    entries: list[FrameEntry] = []
    size = 0
    try:
        while video.next_ns is not None:
            picture = video.take()
            images.append(luminance(picture.pixels, blue_first=True))
            size += images[-1].nbytes
            if size > _LARGEST_BYTES:
                raise ConfigError(f"{path}: is longer than what is converted at once ({_LARGEST_BYTES >> 30} GiB)")
            entries.append(FrameEntry(picture.time_ns, fields={"FrameNumber": str(picture.number)}))
        if video.lost:
            raise ConfigError(f"{path}: {video.lost}")
    except LinkError as error:
        raise ConfigError(str(error)) from None
    finally:
        video.close()
    header = {"Times": "container", "Colour": "luminance (BT.601)"}
    return make_recording(path, entries, np.stack(images), header=header)


def write_clip(sequence: Sequence, path: Path) -> Path:
    """A sequence as a DICOM clip; its pixel size is taken from the first frame's ``ImageTo...`` transform.

    Frames marked INVALID are refused: DICOM has no place to say so. Raises ``ConfigError`` and ``RecordError``.
    """
    if sequence.pixels is None or not sequence.frames:
        raise ConfigError(f"{sequence.path}: holds no images, so it cannot become a DICOM clip")
    invalid = [frame.index for frame in sequence.frames if not frame.image_valid]
    if invalid:
        raise ConfigError(f"{sequence.path}: {len(invalid)} frames are INVALID (first: {invalid[0]}), remove them")
    if sequence.pixels.dtype != np.uint8:
        raise ConfigError(f"{sequence.path}: {sequence.pixels.dtype} pixels do not go into an 8-bit clip")
    images = np.stack([sequence.image(n) for n in range(len(sequence.frames))]).astype(np.uint8, copy=False)
    times = check_times(sequence)
    region = _region(sequence, images.shape[2], images.shape[1])
    return write_dicom(path, images, times, region, simulated=sequence.simulated, comment=f"from {sequence.path.name}")


def _region(sequence: Sequence, columns: int, rows: int) -> Region:
    for name, matrix in sequence.frames[0].transforms.items():
        if name.startswith("ImageTo"):
            x_mm, y_mm = (float(np.linalg.norm(matrix[:3, k])) for k in (0, 1))
            box = [0, 0, columns - 1, rows - 1]
            if "ImageRegion" in sequence.header:
                box = [int(word) for word in sequence.header["ImageRegion"].split()]
            return Region(box[0], box[1], box[2], box[3], "2D", x_mm, y_mm)
    raise ConfigError(
        f"{sequence.path}: no frame has an ImageTo... transform, so the size of a pixel is unknown and no calibrated"
        " clip can be written"
    )
