"""OpenIGTLink framing: header, checksum, extended header and metadata of one message.

Protocol versions 1 and 2 have header version 1; protocol version 3 has header version 2, whose body starts
with an extended header and ends with metadata (OpenIGTLink specification, v2 header and v3 body pages).
Everything is big-endian; the checksum is CRC-64/ECMA-182 over the body. What a body means is in
``hal.links.igtl.messages``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastcrc import crc64

from hal.errors import BadReply, ConfigError

HEADER = struct.Struct(">H12s20sIIQQ")
EXTENDED = struct.Struct(">HHII")
_INDEX_ENTRY = struct.Struct(">HHI")
_COUNT = struct.Struct(">H")
_MOST_METADATA = (0xFFFF - _COUNT.size) // _INDEX_ENTRY.size
HEADER_VERSIONS = (1, 2, 3)
"""Versions on the wire that this codec reads; 3 is laid out like 2."""
DEFAULT_PORT = 18944
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Receiving limit: a 256 x 512 x 512 byte volume; nothing that a rig exchanges is larger."""
NS_PER_S = 1_000_000_000
ASCII, LATIN_1, UTF_8 = 3, 4, 106
"""Character sets as IANA MIB numbers."""
_CODECS = {ASCII: "utf-8", LATIN_1: "latin-1", UTF_8: "utf-8"}  # senders often label UTF-8 text as ASCII
_TYPE_NAME = re.compile(rb"[A-Z0-9_]{1,12}\0*\Z")


@dataclass(frozen=True, slots=True)
class Packet:
    """One message with its checksum proven and its content not yet read."""

    type: str
    device: str
    stamp_ns: int
    """Device time; 0 when the sender gave none."""
    content: memoryview = field(repr=False)
    version: int = 1
    message_id: int = 0
    """From the extended header; 0 in header version 1."""
    metadata: Mapping[str, str] = field(default_factory=dict)


def stamp_of(time_ns: int) -> tuple[int, int]:
    """Seconds and 2^-32 fractions; the fraction is fine enough (0.23 ns) to give the nanosecond back."""
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    fraction = ((rest_ns << 32) + NS_PER_S // 2) // NS_PER_S
    return seconds & 0xFFFFFFFF, fraction


def time_of(seconds: int, fraction: int) -> int:
    """Nanoseconds of a stamp, rounded to the nearest."""
    return seconds * NS_PER_S + ((fraction * NS_PER_S + (1 << 31)) >> 32)


def text_field(text: str, size: int, what: str) -> bytes:
    """A name of at most ``size`` bytes, to be zero-padded; raises ``ConfigError`` when it does not fit."""
    raw = text.encode("utf-8")
    if len(raw) > size:
        raise ConfigError(f"OpenIGTLink {what} {text!r} has {len(raw)} bytes; the field holds {size}")
    return raw


def field_text(raw: bytes, what: str) -> str:
    """Text of a zero-padded field; raises ``BadReply``."""
    try:
        return raw.split(b"\0", 1)[0].decode("utf-8")
    except UnicodeDecodeError:
        raise BadReply(f"OpenIGTLink {what} is not text", raw=raw) from None


def decode_text(raw: bytes, encoding: int, what: str) -> str:
    """Text in one of the IANA character sets that are in use; raises ``BadReply`` for others."""
    try:
        return raw.decode(_CODECS[encoding])
    except (KeyError, UnicodeDecodeError):
        raise BadReply(f"OpenIGTLink {what} is not text in character set {encoding}", raw=raw[:64]) from None


def encode_text(text: str) -> tuple[int, bytes]:
    """Character set and bytes: ASCII where possible, else UTF-8."""
    return (ASCII if text.isascii() else UTF_8), text.encode("utf-8")


def pack(
    type_name: str,
    device: str,
    content: bytes,
    stamp_ns: int,
    *,
    version: int = 1,
    message_id: int = 0,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """One complete message. Metadata and message id need header version 2 (else ``ConfigError``)."""
    if version not in HEADER_VERSIONS:
        raise ConfigError(f"OpenIGTLink header version {version} is unknown; use one of {HEADER_VERSIONS}")
    parts: tuple[bytes, ...] = (content,)
    if version == 1:
        if metadata:
            raise ConfigError("OpenIGTLink metadata needs header version 2")
    else:
        index, values = _pack_metadata(metadata or {})
        parts = (EXTENDED.pack(EXTENDED.size, len(index), len(values), message_id), content, index, values)
    crc = 0
    for part in parts:
        crc = crc64.ecma_182(part, crc)
    seconds, fraction = stamp_of(stamp_ns)
    head = HEADER.pack(
        version,
        text_field(type_name, 12, "type"),
        text_field(device, 20, "device name"),
        seconds,
        fraction,
        sum(len(part) for part in parts),
        crc,
    )
    return b"".join((head, *parts))


def _pack_metadata(metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
    values = []
    try:
        index = [_COUNT.pack(len(metadata))]
        for key, value in metadata.items():
            raw_key = key.encode("utf-8")
            encoding, raw = encode_text(value)
            index.append(_INDEX_ENTRY.pack(len(raw_key), encoding, len(raw)))
            values += [raw_key, raw]
    except (struct.error, UnicodeEncodeError) as error:
        raise ConfigError(f"OpenIGTLink metadata cannot be written: {error}") from None
    if len(metadata) > _MOST_METADATA:
        raise ConfigError(f"OpenIGTLink metadata of {len(metadata)} entries do not fit (at most {_MOST_METADATA})")
    return b"".join(index), b"".join(values)


def _split_body(body: memoryview) -> tuple[memoryview, int, dict[str, str]]:
    """Content, message id and metadata of a header-version-2 body."""
    if len(body) < EXTENDED.size:
        raise BadReply(f"OpenIGTLink body of {len(body)} bytes is too short for its extended header")
    size, index_size, values_size, message_id = EXTENDED.unpack_from(body)
    end = len(body) - index_size - values_size
    if size < EXTENDED.size or size > end:
        raise BadReply(
            f"OpenIGTLink extended header does not fit: header {size}, metadata {index_size}+{values_size},"
            f" body {len(body)} bytes"
        )
    metadata = _read_metadata(body[end : end + index_size], body[end + index_size :])
    return body[size:end], message_id, metadata


def _read_metadata(index: memoryview, values: memoryview) -> dict[str, str]:
    if len(index) == 0 and len(values) == 0:
        return {}
    if len(index) < _COUNT.size:
        raise BadReply("OpenIGTLink metadata has no count")
    (count,) = _COUNT.unpack_from(index)
    if len(index) != _COUNT.size + count * _INDEX_ENTRY.size:
        raise BadReply(f"OpenIGTLink metadata index says {count} entries but has {len(index)} bytes")
    found: dict[str, str] = {}
    at = 0
    for entry in range(count):
        key_size, encoding, size = _INDEX_ENTRY.unpack_from(index, _COUNT.size + entry * _INDEX_ENTRY.size)
        if at + key_size + size > len(values):
            raise BadReply("OpenIGTLink metadata values run past the end of the message")
        key = decode_text(bytes(values[at : at + key_size]), UTF_8, "metadata key")
        if key in found:
            raise BadReply(f"OpenIGTLink metadata names {key!r} twice; which value holds is unknown")
        found[key] = decode_text(bytes(values[at + key_size : at + key_size + size]), encoding, "metadata value")
        at += key_size + size
    if at != len(values):
        raise BadReply(f"OpenIGTLink metadata has {len(values) - at} bytes that belong to no entry")
    return found


class Parser:
    """Bytes in, packets out. After ``lost`` is set the byte stream cannot be followed any more: reconnect."""

    def __init__(self, port: str = "", max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self.port = port
        self.lost = False
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()
        self._head: tuple[int, str, str, int, int, int] | None = None

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next_packet(self) -> Packet | None:
        """The next complete message, or None; raises ``BadReply`` for one that must not be believed."""
        if self.lost:
            raise BadReply("the OpenIGTLink stream was lost by an unreadable header; reconnect", port=self.port)
        if self._head is None:
            if len(self._buffer) < HEADER.size:
                return None
            self._head = self._read_header(bytes(self._buffer[: HEADER.size]))
        version, type_name, device, stamp_ns, size, crc = self._head
        total = HEADER.size + size
        if len(self._buffer) < total:
            return None
        body = self._buffer[HEADER.size : total]  # a copy of its own, so that pixels stay writable without another
        del self._buffer[:total]
        self._head = None
        seen = crc64.ecma_182(body)
        if seen != crc:
            raise BadReply(
                f"OpenIGTLink {type_name} from {device!r}: checksum {seen:016x} instead of {crc:016x}, message dropped",
                port=self.port,
            )
        if version == 1:
            return Packet(type_name, device, stamp_ns, memoryview(body))
        content, message_id, metadata = _split_body(memoryview(body))
        return Packet(type_name, device, stamp_ns, content, version, message_id, metadata)

    def _read_header(self, raw: bytes) -> tuple[int, str, str, int, int, int]:
        version, type_raw, device_raw, seconds, fraction, size, crc = HEADER.unpack(raw)
        problem = ""
        if version not in HEADER_VERSIONS:
            problem = f"header version {version}"
        elif _TYPE_NAME.match(type_raw) is None:
            problem = f"type {type_raw!r}"
        elif size > self._max_body_bytes:
            problem = f"body of {size} bytes (limit {self._max_body_bytes})"
        if problem:
            self.lost = True
            raise BadReply(f"not an OpenIGTLink message that can be read: {problem}", port=self.port, raw=raw)
        device = device_raw.split(b"\0", 1)[0].decode("utf-8", errors="replace")
        type_name = type_raw.rstrip(b"\0").decode("ascii")
        return version, type_name, device, time_of(seconds, fraction), size, crc
