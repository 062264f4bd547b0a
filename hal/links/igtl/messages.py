"""OpenIGTLink bodies in everyday use: transform, image, status, string, command, query.

Each class reads and writes its own content (``decode``, ``content``); ``hal.links.igtl.decode`` turns a checked packet
into one of them. Byte layouts: OpenIGTLink specification v2/v3, checked against the official test vectors.
Lengths in mm. Every ``decode`` raises ``BadReply`` and nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.errors import BadReply, ConfigError
from hal.links.igtl import framing as igtl
from hal.types import Matrix

SCALARS: dict[int, np.dtype[np.generic]] = {
    2: np.dtype("i1"),
    3: np.dtype("u1"),
    4: np.dtype("i2"),
    5: np.dtype("u2"),
    6: np.dtype("i4"),
    7: np.dtype("u4"),
    10: np.dtype("f4"),
    11: np.dtype("f8"),
}
SCALAR_CODES = {(kind.kind, kind.itemsize): code for code, kind in SCALARS.items()}
BIG, LITTLE = 1, 2
RAS, LPS = 1, 2
MAX_PIXEL_BYTES = igtl.MAX_BODY_BYTES
STATUS_TEXT = (
    "invalid packet", "OK", "unknown error", "panic mode", "not found", "access denied", "busy", "time out",
    "overflow", "checksum error", "configuration error", "not enough resources", "unknown instruction",
    "device not ready", "manual mode", "device disabled", "device not present", "unknown version",
    "hardware failure", "shutting down",
)  # fmt: skip
"""Meaning of the STATUS codes 0..19 (OpenIGTLink specification, STATUS)."""
STATUS_OK = 1


class Message(Protocol):
    """Methods of every message."""

    @property
    def type(self) -> str: ...

    def content(self) -> bytes: ...


@dataclass(frozen=True)
class Transform:
    """A pose: ``matrix`` 4x4, mm."""

    matrix: Matrix
    type: ClassVar[str] = "TRANSFORM"

    def content(self) -> bytes:
        return matrix_content(self.matrix)

    @classmethod
    def decode(cls, content: memoryview) -> Transform:
        if len(content) != 48:
            raise BadReply(f"TRANSFORM has {len(content)} bytes instead of 48")
        return cls(matrix_of(content))


def matrix_content(matrix: Matrix) -> bytes:
    """Twelve big-endian floats: the columns R1 R2 R3 and T of a 4x4 matrix; errors as ``single_floats``."""
    return single_floats(matrix[:3, :4].T)


def single_floats(values: ArrayLike) -> bytes:
    """Big-endian; raises ``ConfigError`` for a finite value that would become infinite."""
    try:
        with np.errstate(over="raise"):
            return np.asarray(values, dtype=np.float64).astype(">f4").tobytes()
    except FloatingPointError:
        raise ConfigError("OpenIGTLink poses are single floats; a value of this one is too large") from None


def matrix_of(content: memoryview) -> Matrix:
    """The 4x4 matrix of 48 bytes."""
    matrix = np.eye(4)
    with np.errstate(invalid="ignore"):  # a NaN on the wire stays one
        matrix[:3, :4] = np.frombuffer(content, ">f4", 12).reshape(4, 3).T
    return matrix


_IMAGE_HEAD = struct.Struct(">HBBBB3H")
_IMAGE_WINDOW = struct.Struct(">6H")
_IMAGE_BYTES = 72


@dataclass(frozen=True)
class Image:
    """Pixels with their position in space.

    ``coordinates`` says in which space the sender means its matrix; ``IndexToSpace`` is always RAS, as transforms are.
    ``pixels`` has shape (k, j, i) or (k, j, i, components). ``centre_matrix`` is what the wire carries: columns
    are the i, j and k axes **with spacing** and the position of the image **centre**; ``IndexToSpace`` has the
    corner pixel as its origin instead, which is what everybody computes with. A sub-volume of a larger image
    gives its ``offset`` and the ``full_size`` (i, j, k).
    """

    pixels: NDArray[np.generic] = field(repr=False)
    centre_matrix: Matrix = field(repr=False)
    coordinates: int = RAS
    offset: tuple[int, int, int] = (0, 0, 0)
    full_size: tuple[int, int, int] | None = None
    type: ClassVar[str] = "IMAGE"

    @classmethod
    def placed(cls, pixels: NDArray[np.generic], IndexToSpace: Matrix) -> Image:
        """An image whose pixel (0, 0, 0) has its centre at the origin of ``IndexToSpace``."""
        volume = pixels if pixels.ndim > 2 else pixels[np.newaxis]
        matrix = IndexToSpace.astype(np.float64, copy=True)
        matrix[:3, 3] += matrix[:3, :3] @ _half_extent(_size(volume))
        return cls(volume, matrix)

    @property
    def size(self) -> tuple[int, int, int]:
        return self.full_size or _size(self.pixels)

    @property
    def IndexToSpace(self) -> Matrix:
        """4x4 to RAS, mm per index; origin at the centre of pixel (0, 0, 0) of the full image."""
        matrix = self.centre_matrix.copy()
        matrix[:3, 3] -= matrix[:3, :3] @ _half_extent(self.size)
        if self.coordinates == LPS:
            matrix[:2] *= -1.0
        return matrix

    def content(self) -> bytes:
        kind = self.pixels.dtype
        code = SCALAR_CODES.get((kind.kind, kind.itemsize))
        if code is None:
            raise ConfigError(f"OpenIGTLink IMAGE cannot carry pixels of type {kind}")
        window = _size(self.pixels)
        components = self.pixels.shape[3] if self.pixels.ndim == 4 else 1
        endian = BIG if kind.byteorder == ">" else LITTLE
        return b"".join((
            _IMAGE_HEAD.pack(1, components, code, endian, self.coordinates, *self.size),
            matrix_content(self.centre_matrix),
            _IMAGE_WINDOW.pack(*self.offset, *window),
            np.ascontiguousarray(self.pixels).data.cast("B"),
        ))  # fmt: skip

    @classmethod
    def decode(cls, content: memoryview) -> Image:
        if len(content) < _IMAGE_BYTES:
            raise BadReply(f"IMAGE has {len(content)} bytes; its header alone has {_IMAGE_BYTES}")
        version, components, code, endian, coordinates, *full = _IMAGE_HEAD.unpack_from(content)
        *offset, wide, high, deep = _IMAGE_WINDOW.unpack_from(content, 60)
        if version != 1 or components == 0 or code not in SCALARS or endian not in (BIG, LITTLE):
            raise BadReply(f"IMAGE header version {version}, {components} components, scalar {code}, endian {endian}")
        if coordinates not in (RAS, LPS):  # 0 was LPS for senders before 2013, and is what a careless one leaves
            raise BadReply(f"IMAGE coordinate system {coordinates} is neither RAS (1) nor LPS (2)")
        if any(at + size > whole for at, size, whole in zip(offset, (wide, high, deep), full, strict=True)):
            raise BadReply(f"IMAGE part {wide}x{high}x{deep} at {offset} lies outside the image {full}")
        kind = SCALARS[code].newbyteorder(">" if endian == BIG else "<")
        expected = wide * high * deep * components * kind.itemsize
        if expected != len(content) - _IMAGE_BYTES or expected == 0 or expected > MAX_PIXEL_BYTES:
            raise BadReply(f"IMAGE announces {expected} bytes of pixels and carries {len(content) - _IMAGE_BYTES}")
        shape = (deep, high, wide) if components == 1 else (deep, high, wide, components)
        pixels = np.frombuffer(content, kind, offset=_IMAGE_BYTES).reshape(shape)
        return cls(
            pixels,
            matrix_of(content[12:60]),
            coordinates,
            (offset[0], offset[1], offset[2]),
            (full[0], full[1], full[2]),
        )


def _size(pixels: NDArray[np.generic]) -> tuple[int, int, int]:
    return pixels.shape[2], pixels.shape[1], pixels.shape[0]


def _half_extent(size: tuple[int, int, int]) -> NDArray[np.float64]:
    return (np.array(size, dtype=np.float64) - 1.0) / 2.0


_STATUS = struct.Struct(">Hq20s")


@dataclass(frozen=True)
class Status:
    """State of a device: code 1 is OK."""

    code: int
    subcode: int = 0
    name: str = ""
    text: str = ""
    type: ClassVar[str] = "STATUS"

    @property
    def meaning(self) -> str:
        known = STATUS_TEXT[self.code] if self.code < len(STATUS_TEXT) else f"code {self.code}"
        return " - ".join(part for part in (known, self.name, self.text) if part)

    def content(self) -> bytes:
        name = igtl.text_field(self.name, 20, "status name")
        return _STATUS.pack(self.code, self.subcode, name) + self.text.encode("utf-8") + b"\0"

    @classmethod
    def decode(cls, content: memoryview) -> Status:
        if len(content) < _STATUS.size:
            raise BadReply(f"STATUS has {len(content)} bytes; at least {_STATUS.size} are needed")
        code, subcode, name = _STATUS.unpack_from(content)
        text = igtl.field_text(bytes(content[_STATUS.size :]), "status text")
        return cls(code, subcode, igtl.field_text(name, "status name"), text)


@dataclass(frozen=True)
class String:
    """Text of at most 65535 bytes."""

    text: str
    type: ClassVar[str] = "STRING"

    def content(self) -> bytes:
        encoding, raw = igtl.encode_text(self.text)
        if len(raw) > 0xFFFF:
            raise ConfigError(f"OpenIGTLink STRING of {len(raw)} bytes is longer than 65535")
        return struct.pack(">HH", encoding, len(raw)) + raw

    @classmethod
    def decode(cls, content: memoryview) -> String:
        if len(content) < 4:
            raise BadReply(f"STRING has {len(content)} bytes; at least 4 are needed")
        encoding, length = struct.unpack_from(">HH", content)
        if length != len(content) - 4:
            raise BadReply(f"STRING announces {length} bytes and carries {len(content) - 4}")
        return cls(igtl.decode_text(bytes(content[4:]), encoding, "string"))


_COMMAND = struct.Struct(">I128sHI")


@dataclass(frozen=True)
class Command:
    """A named request with an identity; in a reply (``RTS_COMMAND``) the name field carries the error text."""

    command_id: int
    name: str
    text: str
    type: str = "COMMAND"

    def content(self) -> bytes:
        encoding, raw = igtl.encode_text(self.text)
        name = igtl.text_field(self.name, 128, "command name")
        return _COMMAND.pack(self.command_id, name, encoding, len(raw)) + raw

    @classmethod
    def decode(cls, content: memoryview, type_name: str = "COMMAND") -> Command:
        if len(content) < _COMMAND.size:
            raise BadReply(f"{type_name} has {len(content)} bytes; at least {_COMMAND.size} are needed")
        command_id, name, encoding, length = _COMMAND.unpack_from(content)
        if length != len(content) - _COMMAND.size:
            raise BadReply(f"{type_name} announces {length} bytes and carries {len(content) - _COMMAND.size}")
        text = igtl.decode_text(bytes(content[_COMMAND.size :]), encoding, "command")
        return cls(command_id, igtl.field_text(name, "command name"), text, type_name)


@dataclass(frozen=True)
class Query:
    """A request: ``GET_<TYPE>``, ``STP_<TYPE>``, and ``STT_<TYPE>`` where no class here reads its body.

    The standard gives them no body; one that comes all the same is kept.
    """

    type: str
    body: bytes = field(default=b"", repr=False)

    def content(self) -> bytes:
        return self.body


@dataclass(frozen=True)
class Answer:
    """``RTS_<TYPE>``: reply that grants or refuses a query."""

    type: str
    granted: bool

    def content(self) -> bytes:
        return b"\0" if self.granted else b"\1"

    @classmethod
    def decode(cls, content: memoryview, type_name: str) -> Answer:
        if len(content) != 1:
            raise BadReply(f"{type_name} has {len(content)} bytes instead of 1")
        return cls(type_name, content[0] == 0)


def pack(
    message: Message,
    device: str,
    stamp_ns: int,
    *,
    version: int = 1,
    message_id: int = 0,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """A complete message on the wire; raises ``ConfigError`` for one that the format cannot hold."""
    try:
        content = message.content()
    except (struct.error, OverflowError, UnicodeEncodeError) as error:
        raise ConfigError(f"OpenIGTLink {message.type} cannot carry this: {error}") from None
    return igtl.pack(
        message.type,
        device,
        content,
        stamp_ns,
        version=version,
        message_id=message_id,
        metadata=metadata,
    )
