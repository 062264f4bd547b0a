"""Reading ultrasound DICOM: pixels in their true colours, calibrated regions in mm, times of all frames.

Frame times are decimal milliseconds in the file and become integer nanoseconds exactly. Colours of compressed
frames are those that the JPEG stream declares, whatever the header says; every correction is listed in ``remarks``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from rig.formats.jpeg_colour import stream_colours
from rig.formats.region import CM, FORMATS, MM_PER_CM, Region, box, fitted, judge_scale

NS_PER_MS = 1_000_000
FRAME_TIME, FRAME_TIME_VECTOR = 0x00181063, 0x00181065
JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
"""Transfer syntaxes that hold one JPEG stream per frame."""
RAW = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5")
"""Implicit and explicit uncompressed syntaxes, and run-length coding."""
_LARGEST_BYTES = 8 << 30
_RUN_LENGTH_GAIN = 64
"""Two bytes of run-length coding become at most 128 (PS3.5 annex G): more than that is not in the file."""


@dataclass(frozen=True)
class UltrasoundFile:
    """Content of an ultrasound DICOM file."""

    path: Path
    pixels: NDArray[np.generic] = field(repr=False)
    """(frames, rows, columns) grey or (frames, rows, columns, 3) red, green, blue."""
    time_ns: NDArray[np.int64] | None = field(repr=False)
    """Since the first frame; None when the file gives no times (they are not guessed)."""
    regions: tuple[Region, ...]
    device: str
    taken: str
    """Acquisition (or content) date and time as written."""
    remarks: tuple[str, ...]
    """Faults of the file, and how it was read all the same."""

    simulated: bool = False
    """True when a simulated rig made it, by the series' own description."""

    @property
    def image_region(self) -> Region | None:
        """The largest two-dimensional region with a length scale on both axes."""
        usable = [r for r in self.regions if r.format == "2D" and r.pitch_x_mm and r.pitch_y_mm]
        return max(usable, key=lambda r: r.columns * r.rows, default=None)


def read_dicom(path: Path) -> UltrasoundFile:
    """Read an ultrasound image or clip; raises ``ConfigError`` with one message for a file that cannot be used."""
    try:
        return _read(path)
    except ConfigError:
        raise
    except Exception as error:  # the library parses elements when they are asked for and has errors of many roots
        raise ConfigError(f"{path}: is damaged: {type(error).__name__}: {str(error)[:200]}") from None


def _read(path: Path) -> UltrasoundFile:
    dataset = _dataset(path)
    remarks: list[str] = []
    if str(dataset.get("Modality", "US")) != "US":
        raise ConfigError(f"{path}: is of modality {dataset.Modality}, not ultrasound")
    try:
        count, rows, columns = int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns)
    except (AttributeError, ValueError) as error:
        raise ConfigError(f"{path}: no size of image: {error}") from None
    if count < 1 or count * rows * columns * int(dataset.get("SamplesPerPixel", 1)) > _LARGEST_BYTES:
        raise ConfigError(f"{path}: {count} frames of {columns}x{rows} pixels are not possible")
    times = _times(dataset, count, path, remarks)
    regions = _regions(dataset, columns, rows, path, remarks)
    pixels = _pixels(dataset, count, path, remarks)
    if pixels.shape[:3] != (count, rows, columns):
        raise ConfigError(f"{path}: announces {count} frames of {columns}x{rows} and holds {pixels.shape[:3]}")
    words = [str(dataset.get(name, "")).strip() for name in ("Manufacturer", "ManufacturerModelName")]
    taken = str(dataset.get("AcquisitionDateTime", "") or "") or (
        str(dataset.get("ContentDate", "") or dataset.get("StudyDate", "") or "")
        + str(dataset.get("ContentTime", "") or dataset.get("StudyTime", "") or "")
    )
    return UltrasoundFile(path, pixels, times, regions, " ".join(filter(None, words)), taken, tuple(remarks),
                          str(dataset.get("SeriesDescription", "")).strip().upper() == "SIMULATED")  # fmt: skip


def pydicom_module() -> Any:
    """The library, imported on demand; raises ``ConfigError`` when it is not installed."""
    try:
        import pydicom
    except ImportError:
        raise ConfigError("DICOM files need the package pydicom (pip install pydicom)") from None
    return pydicom


def _dataset(path: Path) -> Any:
    import warnings

    pydicom = pydicom_module()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd character sets of names that we do not read
            dataset = pydicom.dcmread(path)
            dataset.get("PixelData")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (pydicom.errors.InvalidDicomError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(f"{path}: is no DICOM file, or was cut off: {error}") from None
    if "PixelData" not in dataset:
        raise ConfigError(f"{path}: holds no pixels, or was cut off before them")
    return dataset


def _ms(text: object) -> int:
    """Nanoseconds of decimal milliseconds; raises ``ValueError``."""
    try:
        return int((Decimal(str(text)) * NS_PER_MS).to_integral_value())
    except (InvalidOperation, OverflowError) as error:
        raise ValueError(f"{text!r} is no number of milliseconds") from error


def _times(dataset: Any, count: int, path: Path, remarks: list[str]) -> NDArray[np.int64] | None:
    if count == 1:
        return np.zeros(1, dtype=np.int64)
    pointer = dataset.get("FrameIncrementPointer")
    steps: list[int] | None = None
    try:
        if (pointer == FRAME_TIME_VECTOR or pointer is None) and "FrameTimeVector" in dataset:
            vector = dataset["FrameTimeVector"].value
            steps = [_ms(step) for step in (vector if not isinstance(vector, str | float | int) else [vector])]
            if len(steps) != count:
                raise ValueError(f"{len(steps)} frame times for {count} frames")
            steps[0] = 0
        elif "FrameTime" in dataset and dataset.FrameTime is not None:
            steps = [0] + [_ms(dataset["FrameTime"].value)] * (count - 1)
            if pointer != FRAME_TIME:
                remarks.append("no FrameIncrementPointer to FrameTime; FrameTime used")
    except ValueError as error:
        raise ConfigError(f"{path}: frame times cannot be used: {error}") from None
    if steps is None:
        remarks.append(f"no FrameTime and no FrameTimeVector: the times of {count} frames are unknown")
        return None
    if min(steps[1:]) <= 0:
        raise ConfigError(f"{path}: a frame time of {min(steps[1:]) / NS_PER_MS:g} ms is not after the frame before")
    return np.cumsum(np.array(steps, dtype=np.int64))


def _regions(dataset: Any, columns: int, rows: int, path: Path, remarks: list[str]) -> tuple[Region, ...]:
    depth = dataset.get("DepthOfScanField")
    found = []
    for n, item in enumerate(dataset.get("SequenceOfUltrasoundRegions") or [], 1):
        name = f"{path}: region {n}"
        try:
            region = Region(
                int(item.RegionLocationMinX0),
                int(item.RegionLocationMinY0),
                int(item.RegionLocationMaxX1),
                int(item.RegionLocationMaxY1),
                FORMATS.get(int(item.get("RegionSpatialFormat", 0)), "unknown"),
                _pitch(item, "X"),
                _pitch(item, "Y"),
                int(item.TransducerFrequency) if "TransducerFrequency" in item else None,
            )
        except (AttributeError, ValueError, TypeError) as error:
            raise ConfigError(f"{name}: cannot be read: {error}") from None
        region, remark = fitted(region, columns, rows, name)
        if remark:
            remarks.append(remark)
        judge_scale(region, None if depth is None else float(depth), name)
        found.append(region)
    scaled = [region for region in found if region.format == "2D" and region.pitch_x_mm and region.pitch_y_mm]
    if len({(region.pitch_x_mm, region.pitch_y_mm) for region in scaled}) > 1:
        remarks.append(f"{len(scaled)} regions of different scale; outside the largest its scale does not hold")
    used = max(scaled, key=lambda region: region.columns * region.rows, default=None)
    others = [f"{box(region)} {region.format}" for region in found if region is not used]
    if used is not None and others:
        remarks.append(f"of {len(found)} regions {box(used)} is taken as the image; not used: {', '.join(others)}")
    if not found:
        remarks.append("no calibrated region: the size of a pixel is unknown")
    elif not scaled:
        remarks.append("no two-dimensional region gives the size of its pixels in cm: it is unknown")
    return tuple(found)


def _pitch(item: Any, axis: str) -> float | None:
    if int(item.get(f"PhysicalUnits{axis}Direction", 0)) != CM:
        return None
    value = abs(float(item.get(f"PhysicalDelta{axis}", 0.0))) * MM_PER_CM
    if not np.isfinite(value):
        raise ValueError(f"PhysicalDelta{axis} is no finite number")
    return value if value > 0 else None


def _pixels(dataset: Any, count: int, path: Path, remarks: list[str]) -> NDArray[np.generic]:
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", RAW[0]))
    if syntax in JPEG:
        return _from_jpeg(dataset, count, path, remarks)
    if syntax not in RAW:
        raise ConfigError(f"{path}: compression {syntax} is not read; known: JPEG, run-length, none")
    pydicom = pydicom_module()
    depth = int(dataset.get("BitsAllocated", 8)) // 8 * int(dataset.get("SamplesPerPixel", 1))
    if count * int(dataset.Rows) * int(dataset.Columns) * depth > _RUN_LENGTH_GAIN * len(dataset.PixelData):
        raise ConfigError(
            f"{path}: was cut off: {len(dataset.PixelData)} bytes cannot hold the {count} frames announced"
        )
    try:
        values: NDArray[np.generic] = dataset.pixel_array
    except (ValueError, AttributeError, KeyError, RuntimeError, NotImplementedError) as error:
        raise ConfigError(f"{path}: its pixels were cut off or are damaged: {error}") from None
    if count == 1:
        values = values[np.newaxis]
    colours = str(dataset.PhotometricInterpretation)
    if colours == "PALETTE COLOR":
        values = pydicom.pixels.apply_color_lut(values, dataset)[..., :3]
        if values.dtype == np.uint16:
            values = (values.astype(np.uint16) >> 8).astype(np.uint8)
    elif colours == "MONOCHROME1":
        if values.dtype.kind != "u":
            raise ConfigError(f"{path}: signed pixels with white as zero are not read")
        values = np.asarray((1 << int(dataset.BitsStored)) - 1 - values.astype(np.int64)).astype(values.dtype)
    elif colours not in ("RGB", "MONOCHROME2", "YBR_FULL", "YBR_FULL_422"):  # pixel_array gives YBR as RGB
        raise ConfigError(f"{path}: colours {colours!r} are not read")
    return np.asarray(values)


def _from_jpeg(dataset: Any, count: int, path: Path, remarks: list[str]) -> NDArray[np.generic]:
    from pydicom.encaps import generate_frames

    images = []
    try:
        streams = list(generate_frames(dataset.PixelData, number_of_frames=count))
    except (ValueError, EOFError) as error:
        raise ConfigError(f"{path}: its compressed frames were cut off or are damaged: {error}") from None
    if len(streams) != count:
        raise ConfigError(f"{path}: was cut off: {len(streams)} of {count} compressed frames are there")
    stated = str(dataset.PhotometricInterpretation)
    meant = stream_colours(streams[0])
    if meant in ("RGB", "YBR") and not stated.startswith(meant):
        remarks.append(f"the header says {stated} but the JPEG stream is {meant}; the stream was believed")
    for n, stream in enumerate(streams):
        if b"\xff\xd9" not in stream[-8:]:
            raise ConfigError(f"{path}: was cut off: frame {n + 1} of {count} has no end")
        image = cv2.imdecode(np.frombuffer(stream, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise ConfigError(f"{path}: frame {n + 1} of {count} cannot be decoded; the file is damaged")
        images.append(image[..., ::-1] if image.ndim == 3 else image)
    return np.stack(images)
