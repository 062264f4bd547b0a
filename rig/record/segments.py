"""Append-only segments: blocks with a length and a checksum, readable up to any cut.

Layout: 8 bytes of magic, then per block ``<u32 length><u32 crc32 of kind and payload><u8 kind><payload>``.
A kill or cut at any byte loses at most the block that was being written.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from hal.errors import RecordError
from rig.record.appendfile import AppendFile

MAGIC = b"PRSEG\x01\r\n"
_HEAD = struct.Struct("<IIB")


class SegmentWriter:
    """Writes blocks; each one is with the operating system when ``block`` returns."""

    def __init__(self, path: Path) -> None:
        self._file = AppendFile(path)
        self._file.append(MAGIC)

    @property
    def path(self) -> Path:
        return self._file.path

    def block(self, kind: int, payload: bytes) -> None:
        crc = zlib.crc32(payload, zlib.crc32(bytes([kind])))
        self._file.append(_HEAD.pack(len(payload), crc, kind) + payload)

    def close(self) -> None:
        self._file.close()


def read_segment(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield ``(kind, payload)`` of every whole block; stops at the first that is cut or damaged.

    Raises ``RecordError`` when the file is absent or begins as something else.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise RecordError(f"cannot read the segment {path}: {error.strerror}") from error
    with file:
        magic = file.read(len(MAGIC))
        if magic != MAGIC[: len(magic)]:
            raise RecordError(f"{path} is not a record segment")
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, crc, kind = _HEAD.unpack(head)
            payload = file.read(length)
            if len(payload) < length or zlib.crc32(payload, zlib.crc32(bytes([kind]))) != crc:
                return
            yield kind, payload
