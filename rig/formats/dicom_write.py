"""Writing ultrasound DICOM: a clip with its region in cm and the time of every frame.

Uncompressed, Ultrasound Multi-frame Image Storage (PS3.4 B.5). Times go out as a FrameTimeVector in milliseconds
with six decimals, so that integer nanoseconds come back exactly. Identifiers are made from the content: the same
recording gives the same file.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from rig.formats.dicom import FRAME_TIME_VECTOR, NS_PER_MS, pydicom_module
from rig.formats.region import CM, MM_PER_CM, Region, fitted, judge_scale
from rig.record.appendfile import write_whole

MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"
_LONGEST_DS = 16
"""Characters of one decimal string (PS3.5 6.2)."""


def write_dicom(
    path: Path,
    pixels: NDArray[np.uint8],
    time_ns: NDArray[np.int64],
    region: Region,
    *,
    simulated: bool,
    device: str = "phantomrig",
    comment: str = "",
) -> Path:
    """Write 8-bit frames (n, rows, columns[, 3]) with their times and one calibrated region.

    Raises ``ConfigError`` for unusable pixels, times or region, and ``RecordError`` when the disk refuses.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] != 3):
        raise ConfigError(f"{path.name}: DICOM takes 8-bit grey or RGB frames, not {pixels.dtype} {pixels.shape}")
    if len(time_ns) != len(pixels) or (len(time_ns) > 1 and int(np.diff(time_ns).min()) <= 0):
        raise ConfigError(f"{path.name}: {len(pixels)} frames need as many times, each after the one before")
    if not region.pitch_x_mm or not region.pitch_y_mm:
        raise ConfigError(f"{path.name}: the size of a pixel is not known, so no calibrated image can be written")
    region, remark = fitted(region, pixels.shape[2], pixels.shape[1], path.name)
    if remark:
        raise ConfigError(f"{path.name}: {remark}")
    judge_scale(region, None, path.name)
    steps = ["0", *(_ms(int(step)) for step in np.diff(time_ns))]
    pydicom = pydicom_module()
    data = pydicom.Dataset()
    seed = hashlib.sha256(pixels.tobytes() + np.asarray(time_ns, dtype="<i8").tobytes()).hexdigest()
    uids = {name: pydicom.uid.generate_uid(entropy_srcs=[seed, name]) for name in ("SOP", "Study", "Series")}
    data.SOPClassUID, data.SOPInstanceUID = MULTI_FRAME, uids["SOP"]
    data.StudyInstanceUID, data.SeriesInstanceUID = uids["Study"], uids["Series"]
    data.Modality, data.Manufacturer = "US", device[:64]
    data.PatientName, data.PatientID = "PHANTOM", "PHANTOM"
    data.PatientBirthDate = data.PatientSex = data.StudyID = data.AccessionNumber = ""
    data.StudyDate = data.StudyTime = data.ReferringPhysicianName = ""
    data.SeriesNumber, data.InstanceNumber = 1, 1
    data.ImageType = ["DERIVED" if simulated else "ORIGINAL", "PRIMARY"]
    data.SeriesDescription = "SIMULATED" if simulated else "phantom"
    if comment:
        data.ImageComments = comment[:10240]
    colour = pixels.ndim == 4
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    data.NumberOfFrames, data.Rows, data.Columns = len(pixels), pixels.shape[1], pixels.shape[2]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.FrameTimeVector = steps if len(steps) > 1 else steps[0]
    data.FrameIncrementPointer = FRAME_TIME_VECTOR
    data.SequenceOfUltrasoundRegions = pydicom.Sequence([_item(pydicom.Dataset(), region)])
    raw = pixels.tobytes()
    data.add_new(0x7FE00010, "OB", raw + b"\0" * (len(raw) % 2))
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = MULTI_FRAME, uids["SOP"]
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data, enforce_file_format=True)
    write_whole(path, buffer.getvalue())
    return path


def _ms(step_ns: int) -> str:
    whole, rest = divmod(step_ns, NS_PER_MS)
    text = f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
    if len(text) > _LONGEST_DS:
        raise ConfigError(f"a pause of {step_ns / 1e9:.0f} s between two frames does not fit a DICOM frame time")
    return text


def _item(item: Any, region: Region) -> Any:
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 2
    item.RegionLocationMinX0, item.RegionLocationMinY0 = region.left, region.top
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = region.right, region.bottom
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = CM
    assert region.pitch_x_mm is not None and region.pitch_y_mm is not None
    item.PhysicalDeltaX, item.PhysicalDeltaY = region.pitch_x_mm / MM_PER_CM, region.pitch_y_mm / MM_PER_CM
    if region.frequency_khz is not None:
        item.TransducerFrequency = region.frequency_khz
    return item
