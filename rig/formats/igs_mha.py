"""Writing sequence metafiles: ``.igs.mha`` in one piece, ``.igs.mhd`` with its ``.raw`` or ``.zraw`` beside it.

What was read is written again field by field, in its order; only the fields that describe the stored bytes are
made new. Sizes are padded with blanks as PLUS does, so that other writers can change them in place.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.links.sequence import Sequence
from rig.formats.recording import ELEMENT_NAMES
from rig.record.appendfile import write_whole

_LEVEL = 6
"""zlib's own default: the size that other writers reach."""
_DEFAULTS = {
    "ObjectType": "Image",
    "NDims": "3",
    "AnatomicalOrientation": "RAI",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CenterOfRotation": "0 0 0",
    "CompressedData": "",
    "CompressedDataSize": "",
    "DimSize": "",
    "Kinds": "domain domain list",
    "ElementNumberOfChannels": "",
    "ElementSpacing": "1 1 1",
    "ElementType": "",
    "Offset": "0 0 0",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
}
"""Order and values of a header that PLUS writes; empty ones are filled in."""
_PAD = {"DimSize": 14, "CompressedDataSize": 10}
"""Blanks after a size, as PLUS leaves them."""


def write_mha(sequence: Sequence, path: Path, *, compressed: bool = True) -> Path:
    """Write ``sequence`` to ``path`` (``.mha`` or ``.mhd``); returns ``path``.

    Raises ``ConfigError`` for pixels that the format cannot hold and ``RecordError`` when the disk refuses.
    """
    outer = path.suffix.lower() == ".mhd"
    pixels = stored(sequence.pixels, sequence.path)
    compressed = compressed and pixels is not None
    data = b"" if pixels is None else pixels.tobytes()
    if compressed:
        data = zlib.compress(data, _LEVEL)
    where = "LOCAL" if not outer else path.with_suffix(".zraw" if compressed else ".raw").name
    lines = list(_lines(sequence, pixels, len(data) if compressed else None, where))
    broken = [line for line in lines if "\n" in line]
    if broken:
        raise ConfigError(f"{path.name}: {broken[0][:40]!r} has more than one line, which this format cannot hold")
    head = "".join(f"{line}\n" for line in lines)
    if outer:
        if path.with_name(where).exists():
            raise ConfigError(f"{path.with_name(where)} exists already and is not written over; give another name")
        write_whole(path.with_name(where), data)
        write_whole(path, head.encode("utf-8"))
    else:
        write_whole(path, head.encode("utf-8") + data)
    return path


def stored(pixels: NDArray[np.generic] | None, path: Path) -> NDArray[np.generic] | None:
    """Pixels in the layout of a file: contiguous, little-endian. Raises ``ConfigError`` for a type without a name."""
    if pixels is None:
        return None
    kind = f"{pixels.dtype.kind}{pixels.dtype.itemsize}"
    if kind not in ELEMENT_NAMES or pixels.ndim not in (3, 4):
        raise ConfigError(f"{path}: pixels of type {pixels.dtype} and shape {pixels.shape} cannot be written")
    little = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little)


def size_of(sequence: Sequence) -> tuple[int, int, int]:
    """Columns, rows and frames; the first two are 0 without images."""
    if sequence.pixels is None:
        return 0, 0, len(sequence.frames)
    return sequence.pixels.shape[2], sequence.pixels.shape[1], len(sequence.frames)


def _lines(sequence: Sequence, pixels: NDArray[np.generic] | None, packed: int | None, where: str) -> Iterator[str]:
    assert sys.byteorder == "little" or pixels is None or pixels.dtype.itemsize == 1 or pixels.dtype.byteorder == "<"
    columns, rows, count = size_of(sequence)
    channels = pixels.shape[3] if pixels is not None and pixels.ndim == 4 else 1
    four = sequence.header.get("NDims") == "4"
    made = {
        "CompressedData": str(packed is not None),
        "CompressedDataSize": "" if packed is None else str(packed),
        "DimSize": f"{columns} {rows} 1 {count}" if four else f"{columns} {rows} {count}",
        "BinaryDataByteOrderMSB": "False",
        "ElementNumberOfChannels": "" if channels == 1 else str(channels),
        "ElementType": sequence.header.get("ElementType", "MET_UCHAR")
        if pixels is None
        else ELEMENT_NAMES[f"{pixels.dtype.kind}{pixels.dtype.itemsize}"],
    }
    if "ElementNumberOfChannels" in sequence.header and channels == 1:
        made["ElementNumberOfChannels"] = "1"
    fields = dict(sequence.header) if "ObjectType" in sequence.header else {**_DEFAULTS, **sequence.header}
    for name in ("ElementDataFile", "ElementByteOrderMSB"):
        fields.pop(name, None)
    fields = _with(fields, made)
    for name, value in fields.items():
        yield f"{name} = {value}" + " " * _PAD.get(name, 0)
    for frame in sequence.frames:
        for name, value in frame.fields.items():
            yield f"Seq_Frame{frame.index:04d}_{name} = {value}"
    yield f"ElementDataFile = {where}"


def _with(fields: dict[str, str], made: dict[str, str]) -> dict[str, str]:
    """Header fields with the new values in their old positions; empty ones are left out."""
    after = "CompressedData"
    result: dict[str, str] = {}
    for name, value in fields.items():
        result[name] = made.get(name, value)
        if name == after and "CompressedDataSize" not in fields:
            result["CompressedDataSize"] = made["CompressedDataSize"]
    for name, value in made.items():
        result.setdefault(name, value)
    return {name: value for name, value in result.items() if value != "" or name not in made}
