"""Sequences as NRRD (``.igs.nrrd``), read and written: the layout of PLUS, with every field of the metafile kept.

Three fields have names of their own in this format (``ultrasound image orientation``, ``ultrasound image type``,
and ``Status`` for a frame's ``ImageStatus``); everything else is a key/value line under its metafile name.
NRRD knows no images of size zero: a recording without images gets one black pixel per frame and the line
``image placeholder:=True``, which the reader takes away again.
Source of the format: NRRD definition, version 5 (teem).
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.links.sequence import (
    MAX_PIXEL_BYTES,
    MOST_BARE_FRAMES,
    Sequence,
    data_beside,
    frame_index,
    put_once,
    unpacked,
)
from rig.formats.frame_text import parse_frame
from rig.formats.igs_mha import stored
from rig.record.appendfile import write_whole

TYPES = {
    "i1": "int8",
    "u1": "uint8",
    "i2": "int16",
    "u2": "uint16",
    "i4": "int32",
    "u4": "uint32",
    "f4": "float",
    "f8": "double",
}
"""NRRD type by numpy kind."""
_ALIASES = {
    "signed char": "i1", "int8_t": "i1", "uchar": "u1", "unsigned char": "u1", "uint8_t": "u1", "short": "i2",
    "short int": "i2", "int16_t": "i2", "ushort": "u2", "unsigned short": "u2", "uint16_t": "u2", "int": "i4",
    "signed int": "i4", "int32_t": "i4", "uint": "u4", "unsigned int": "u4", "uint32_t": "u4",
    **{name: kind for kind, name in TYPES.items()},
}  # fmt: skip
_TO_NRRD = {
    "UltrasoundImageOrientation": "ultrasound image orientation",
    "UltrasoundImageType": "ultrasound image type",
}
_FROM_NRRD = {name: key for key, name in _TO_NRRD.items()}
_PLACEHOLDER = "image placeholder"
_STORAGE = (
    "NDims", "DimSize", "ElementType", "ElementDataFile", "CompressedData", "CompressedDataSize", "BinaryData",
    "BinaryDataByteOrderMSB", "ElementByteOrderMSB", "ElementNumberOfChannels", "Kinds",
)  # fmt: skip
"""Metafile fields that say how bytes are stored; NRRD has its own for that."""
_SPACING = "ElementSpacing"
_DIRECTIONS = re.compile(r"\(([^,()]+),\s*0\)\s+\(0,\s*([^,()]+)\)")
_FRAME_KEY = re.compile(r"Seq_Frame(\d+)_(\w+)\Z")
_GZIP = 47
"""zlib window: gzip or zlib framing, found by itself."""


def write_nrrd(sequence: Sequence, path: Path, *, compressed: bool = True) -> Path:
    """Write ``sequence`` as NRRD; returns ``path``. Raises ``ConfigError`` and ``RecordError``."""
    if not sequence.frames:
        raise ConfigError(f"{path.name}: NRRD cannot hold a recording without frames")
    blank = np.zeros((len(sequence.frames), 1, 1), dtype=np.uint8)
    pixels = stored(blank if sequence.pixels is None else sequence.pixels, sequence.path)
    assert pixels is not None
    colour = pixels.ndim == 4
    across, down = _pitch(sequence.header.get(_SPACING, "").split()[:2]) or ("1", "1")
    sizes = [*([pixels.shape[3]] if colour else []), pixels.shape[2], pixels.shape[1], pixels.shape[0]]
    lines = [
        "NRRD0004",
        "# a tracked ultrasound sequence",
        f"type: {TYPES[f'{pixels.dtype.kind}{pixels.dtype.itemsize}']}",
        f"dimension: {len(sizes)}",
        f"sizes: {' '.join(map(str, sizes))}",
        f"kinds: {'vector ' if colour else ''}domain domain list",
        f"encoding: {'gzip' if compressed else 'raw'}",
        "endian: little",
        "space dimension: 2",
        f"space directions: {'none ' if colour else ''}({across},0) (0,{down}) none",
        "space origin: (0,0)",
    ]
    for key, value in sequence.header.items():
        if key.startswith("#") or ":=" in key or "\n" in key:
            raise ConfigError(f"{path.name}: {key!r} cannot be the name of an NRRD field")
        if key not in _STORAGE:
            lines.append(f"{_TO_NRRD.get(key, key)}:={_escaped(value)}")
    if sequence.pixels is None:
        lines.append(f"{_PLACEHOLDER}:=True")
    for frame in sequence.frames:
        own = "Status" in frame.fields
        for name, value in frame.fields.items():
            shown = "Status" if name == "ImageStatus" and not own else name
            lines.append(f"Seq_Frame{frame.index:04d}_{shown}:={_escaped(value)}")
    data = pixels.tobytes()
    if compressed:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: gzip framing, without a time of writing
        data = packer.compress(data) + packer.flush()
    write_whole(path, ("\n".join(lines) + "\n\n").encode("utf-8") + data)
    return path


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value)


@dataclass(frozen=True)
class _Head:
    fields: dict[str, str]
    keys: dict[str, str]
    frames: dict[int, dict[str, str]]
    end: int


def read_nrrd(path: Path, *, with_pixels: bool = True) -> Sequence:
    """Read one ``.igs.nrrd``; raises ``ConfigError`` with one message for a file that cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    head = _head(path, data)
    try:
        sizes = [int(word) for word in head.fields["sizes"].split()]
        kind = np.dtype(_ALIASES[head.fields["type"].lower()])
        kinds = head.fields.get("kinds", "domain domain list").split()
        if int(head.fields.get("dimension", len(sizes))) != len(sizes):
            raise ValueError(f"dimension {head.fields['dimension']}, and {len(sizes)} sizes")
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{path}: its NRRD header has no usable type or sizes ({error})") from None
    colour = len(sizes) == 4
    last = ("list", "time", "domain", "space") if head.frames else ("list", "time")  # ITK calls every axis a domain
    if len(sizes) not in (3, 4) or min(sizes) < 1 or len(kinds) != len(sizes) or kinds[-1] not in last:
        raise ConfigError(f"{path}: sizes {sizes} of kinds {' '.join(kinds)} are not images in a list")
    if colour and kinds[0] in ("domain", "space"):
        raise ConfigError(f"{path}: a list of volumes is not a sequence of images")
    count = sizes[-1]
    expected = int(np.prod(sizes, dtype=object)) * kind.itemsize
    if expected > MAX_PIXEL_BYTES:
        raise ConfigError(f"{path}: announces {expected} bytes of pixels, which is not possible")
    if count > len(head.frames) + MOST_BARE_FRAMES:
        raise ConfigError(f"{path}: announces {count} frames and has fields of {len(head.frames)}")
    if max(head.frames, default=-1) >= count:
        raise ConfigError(f"{path}: has fields of frame {max(head.frames)} but announces {count} frames")
    frames = tuple(parse_frame(path, index, _renamed(head.frames.get(index, {}))) for index in range(count))
    header = {_FROM_NRRD.get(key, key): value for key, value in head.keys.items()}
    placeholder = header.pop(_PLACEHOLDER, "") == "True"
    pitch = _pitch(_directions(head.fields))
    if pitch is not None and pitch != ("1", "1"):
        header.setdefault(_SPACING, " ".join((*pitch, "1")))
    pixels = _pixels(path, data, head, sizes, kind) if with_pixels and not placeholder else None
    return Sequence(path, header, frames, pixels)


def _pitch(words: list[str]) -> tuple[str, str] | None:
    """Two positive numbers as written, else None."""
    try:
        if len(words) == 2 and all(0.0 < float(word) < float("inf") for word in words):
            return words[0], words[1]
    except ValueError:
        pass
    return None


def _directions(fields: dict[str, str]) -> list[str]:
    """Distance of columns and of rows from ``space directions`` without rotation or ``spacings``, else nothing."""
    match = _DIRECTIONS.search(fields.get("space directions", ""))
    return [*match.groups()] if match else fields.get("spacings", "").split()[:2]


def _renamed(fields: dict[str, str]) -> dict[str, str]:
    if "ImageStatus" in fields or "Status" not in fields:
        return fields
    return {"ImageStatus" if name == "Status" else name: value for name, value in fields.items()}


def _head(path: Path, data: bytes) -> _Head:
    if not data.startswith(b"NRRD000"):
        raise ConfigError(f"{path}: is no NRRD file (it does not begin with NRRD000)")
    end = data.find(b"\n\n")
    dos = data.find(b"\r\n\r\n")
    skip = 2
    if dos >= 0 and (end < 0 or dos < end):
        end, skip = dos, 4
    if end < 0 and b"\ndata file: " in data.replace(b"\ndatafile: ", b"\ndata file: "):
        end = len(data)  # a detached header may end with its file
    if end < 0:
        raise ConfigError(f"{path}: was cut off inside its header (no empty line)")
    try:
        lines = [line.removesuffix("\r") for line in data[:end].decode("utf-8").split("\n")]
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: its NRRD header is not text") from None
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    frames: dict[int, dict[str, str]] = {}
    for line in lines[1:]:
        if line.startswith("#") or not line.strip():
            continue
        key, separator, value = line.partition(":=")
        match = _FRAME_KEY.match(key)
        try:
            if separator and match is not None:
                put_once(frames.setdefault(frame_index(match[1]), {}), match[2], _plain(value).strip())
            elif separator:
                put_once(keys, key, _plain(value))
            else:
                key, separator, value = line.partition(": ")
                if not separator:
                    raise ValueError("is neither a field nor a key of an NRRD header")
                put_once(fields, key.strip().lower(), value.strip())
        except ValueError as error:
            raise ConfigError(f"{path}: {line[:60]!r}: {error}") from None
    return _Head(fields, keys, frames, end + skip)


def _pixels(path: Path, data: bytes, head: _Head, sizes: list[int], kind: np.dtype[np.generic]) -> NDArray[np.generic]:
    if kind.itemsize > 1:
        endian = head.fields.get("endian", "")
        if endian not in ("little", "big"):
            raise ConfigError(f"{path}: pixels of {kind.itemsize} bytes without a byte order (endian: little or big)")
        kind = kind.newbyteorder("<" if endian == "little" else ">")
    expected = int(np.prod(sizes, dtype=object)) * kind.itemsize
    for skip in ("byte skip", "byteskip", "line skip", "lineskip"):
        if head.fields.get(skip, "0") != "0":
            raise ConfigError(f"{path}: pixels that begin somewhere inside a file ({skip}) are not read")
    raw = data[head.end :]
    name = head.fields.get("data file") or head.fields.get("datafile")
    if name is not None:
        try:
            raw = data_beside(path, name).read_bytes()
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from None
        except OSError as error:
            raise ConfigError(f"{path}: its data file {name} cannot be read: {error.strerror}") from None
    encoding = head.fields.get("encoding", "").lower()
    there = len(raw)
    if encoding in ("gz", "gzip"):
        try:
            raw = unpacked(raw, expected, _GZIP)
            there = expected
        except ValueError as error:
            if len(error.args) == 1:
                raise ConfigError(f"{path}: {error}") from None
            there = error.args[1]
    elif encoding != "raw":
        raise ConfigError(f"{path}: encoding {encoding!r} is not read; use raw or gzip")
    if there < expected:
        whole = there // (expected // sizes[-1])
        raise ConfigError(f"{path}: was cut off: pixels of {whole} of {sizes[-1]} frames are there")
    if there > expected:
        raise ConfigError(f"{path}: holds {there - expected} bytes more than the {expected} that its header announces")
    shape = tuple(reversed(sizes[-3:])) + ((sizes[0],) if len(sizes) == 4 else ())
    return np.frombuffer(raw, kind, count=expected // kind.itemsize).reshape(shape)
