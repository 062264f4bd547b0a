"""Volumes written as MetaImage (``.mha``) and NRRD (``.nrrd``): one file each, gzip or zlib, readable by Slicer.

The frame of the reconstruction is taken as RAS, as Slicer takes every frame that comes to it as a transform, a point or
a live image, so that the volume lies where those do. The NRRD says ``right-anterior-superior`` and holds the numbers
of the frame; MetaImage is LPS, so there x and y are turned round. Both open at the same place.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from hal.errors import ConfigError, RecordError
from rig.calibration.volume.reconstruction import Volume
from rig.record.appendfile import write_whole


def write_volume(volume: Volume, path: Path) -> None:
    """Write by the name's ending, ``.mha`` or ``.nrrd``; raises ``ConfigError`` and ``RecordError``.

    Neither a volume that is there nor the picture beside it (``.png``) is written over.
    """
    require_new(path)
    try:
        write_whole(path, _mha(volume) if path.suffix == ".mha" else _nrrd(volume))
    except RecordError as error:
        raise RecordError(f"{path}: cannot be written: {error}") from None


def require_new(path: Path) -> None:
    """Raises ``ConfigError`` for a name that no volume can have, or when the volume or its picture is there already."""
    if path.suffix not in (".mha", ".nrrd"):
        raise ConfigError(f"{path}: a volume is written as .mha or .nrrd")
    for there in (path, path.with_suffix(".png")):
        if there.exists():
            raise ConfigError(f"{there} exists already and is not written over; give another name")


def _mha(volume: Volume) -> bytes:
    data = zlib.compress(volume.grey.tobytes(), 6)
    x, y, z = volume.origin_mm
    lines = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(len(data)),
        "TransformMatrix": "-1 0 0 0 -1 0 0 0 1",
        "Offset": _numbers((-x + 0.0, -y + 0.0, z)),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "LPI",
        "ElementSpacing": _numbers(volume.spacing_mm),
        "DimSize": _numbers(volume.size),
        "ElementType": "MET_UCHAR",
        "ElementDataFile": "LOCAL",
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items()).encode() + data


def _nrrd(volume: Volume) -> bytes:
    sx, sy, sz = volume.spacing_mm
    header = (
        "NRRD0004\n"
        "type: uint8\n"
        "dimension: 3\n"
        "space: right-anterior-superior\n"
        f"sizes: {_numbers(volume.size)}\n"
        f"space directions: ({sx!r},0,0) (0,{sy!r},0) (0,0,{sz!r})\n"
        "kinds: domain domain domain\n"
        "encoding: gzip\n"
        f"space origin: ({','.join(repr(v) for v in volume.origin_mm)})\n"
        f"frame of reference:={volume.frame}\n\n"
    )
    return header.encode() + gzip.compress(volume.grey.tobytes(), 6, mtime=0)


def _numbers(values: tuple[float, float, float] | tuple[int, int, int]) -> str:
    return " ".join(repr(v) for v in values)
