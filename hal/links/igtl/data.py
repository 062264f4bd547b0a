"""OpenIGTLink message bodies for tracking data, points and measured values.

Same contract as ``hal.links.igtl.messages``: ``decode`` raises ``BadReply`` and nothing else.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from hal.errors import BadReply, ConfigError
from hal.links.igtl import framing as igtl
from hal.links.igtl.messages import MAX_PIXEL_BYTES, SCALAR_CODES, SCALARS, matrix_content, matrix_of, single_floats
from hal.types import Matrix

if TYPE_CHECKING:
    from hal.links.igtl.messages import Message

COMPLEX = 13
"""Scalar code of NDARRAY only: two doubles."""


@dataclass(frozen=True)
class Position:
    """Position (mm) with no, a three-term or a four-term quaternion (x, y, z[, w])."""

    position: tuple[float, float, float]
    quaternion: tuple[float, ...] = ()
    type: ClassVar[str] = "POSITION"

    def content(self) -> bytes:
        if len(self.quaternion) not in (0, 3, 4):
            raise ConfigError(f"OpenIGTLink POSITION cannot carry {len(self.quaternion)} quaternion terms")
        return single_floats([*self.position, *self.quaternion])

    @classmethod
    def decode(cls, content: memoryview) -> Position:
        if len(content) not in (12, 24, 28):
            raise BadReply(f"POSITION has {len(content)} bytes instead of 12, 24 or 28")
        values = [float(value) for value in np.frombuffer(content, ">f4")]
        return cls((values[0], values[1], values[2]), tuple(values[3:]))


@dataclass(frozen=True)
class TrackedTool:
    """One instrument in a TDATA message; kinds: 1 tracker, 2 six, 3 three, 4 five degrees of freedom."""

    name: str
    matrix: Matrix
    kind: int = 2


@dataclass(frozen=True)
class TrackingData:
    """Poses of several tools of one moment."""

    tools: tuple[TrackedTool, ...]
    type: ClassVar[str] = "TDATA"

    def content(self) -> bytes:
        return b"".join(
            struct.pack(">20sBB", igtl.text_field(tool.name, 20, "tool name"), tool.kind, 0)
            + matrix_content(tool.matrix)
            for tool in self.tools
        )

    @classmethod
    def decode(cls, content: memoryview) -> TrackingData:
        _whole("TDATA", content, 70)
        tools = []
        for at in range(0, len(content), 70):
            name, kind, _ = struct.unpack_from(">20sBB", content, at)
            tools.append(TrackedTool(igtl.field_text(name, "tool name"), matrix_of(content[at + 22 : at + 70]), kind))
        return cls(tuple(tools))


@dataclass(frozen=True)
class StartTracking:
    """``STT_TDATA``: send tracking data no faster than every ``period_ms``, in the named frame."""

    period_ms: int
    frame: str = ""
    type: ClassVar[str] = "STT_TDATA"

    def content(self) -> bytes:
        return struct.pack(">i32s", self.period_ms, igtl.text_field(self.frame, 32, "frame name"))

    @classmethod
    def decode(cls, content: memoryview) -> StartTracking:
        if len(content) != 36:
            raise BadReply(f"STT_TDATA has {len(content)} bytes instead of 36")
        period_ms, frame = struct.unpack(">i32s", content)
        return cls(period_ms, igtl.field_text(frame, "frame name"))


@dataclass(frozen=True)
class LabelledPoint:
    """A landmark: position and radius in mm, colour as four bytes."""

    name: str
    position: tuple[float, float, float]
    group: str = ""
    colour: tuple[int, int, int, int] = (255, 255, 255, 255)
    radius_mm: float = 0.0
    owner: str = ""


_POINT = struct.Struct(">64s32s4B4f20s")


@dataclass(frozen=True)
class PointList:
    """Landmarks."""

    points: tuple[LabelledPoint, ...]
    type: ClassVar[str] = "POINT"

    def content(self) -> bytes:
        return b"".join(
            _POINT.pack(
                igtl.text_field(point.name, 64, "point name"),
                igtl.text_field(point.group, 32, "point group"),
                *point.colour,
                *point.position,
                point.radius_mm,
                igtl.text_field(point.owner, 20, "point owner"),
            )
            for point in self.points
        )

    @classmethod
    def decode(cls, content: memoryview) -> PointList:
        _whole("POINT", content, _POINT.size)
        points = []
        for name, group, r, g, b, a, x, y, z, radius, owner in _POINT.iter_unpack(content):
            label, tag, image = (igtl.field_text(raw, "point text") for raw in (name, group, owner))
            points.append(LabelledPoint(label, (x, y, z), tag, (r, g, b, a), radius, image))
        return cls(tuple(points))


@dataclass(frozen=True)
class Sensor:
    """Measured values; ``unit`` is the packed SI unit of the standard, kept as it came (0 = not given)."""

    values: tuple[float, ...]
    unit: int = 0
    status: int = 0
    type: ClassVar[str] = "SENSOR"

    def content(self) -> bytes:
        if len(self.values) > 255:
            raise ConfigError(f"OpenIGTLink SENSOR carries at most 255 values, not {len(self.values)}")
        return struct.pack(f">BBQ{len(self.values)}d", len(self.values), self.status, self.unit, *self.values)

    @classmethod
    def decode(cls, content: memoryview) -> Sensor:
        if len(content) < 10 or len(content) != 10 + 8 * content[0]:
            raise BadReply(f"SENSOR has {len(content)} bytes, which does not fit its number of values")
        _, status, unit, *values = struct.unpack(f">BBQ{content[0]}d", content)
        return cls(tuple(values), unit, status)


@dataclass(frozen=True)
class Capability:
    """Message types that the peer understands."""

    types: tuple[str, ...]
    type: ClassVar[str] = "CAPABILITY"

    def content(self) -> bytes:
        return b"".join(struct.pack(">12s", igtl.text_field(name, 12, "type")) for name in self.types)

    @classmethod
    def decode(cls, content: memoryview) -> Capability:
        _whole("CAPABILITY", content, 12)
        return cls(tuple(igtl.field_text(bytes(content[at : at + 12]), "type") for at in range(0, len(content), 12)))


@dataclass(frozen=True)
class NumberArray:
    """``NDARRAY``: an array of any rank, row-major."""

    values: NDArray[np.generic] = field(repr=False)
    type: ClassVar[str] = "NDARRAY"

    def content(self) -> bytes:
        kind = self.values.dtype
        code = COMPLEX if kind == np.complex128 else SCALAR_CODES.get((kind.kind, kind.itemsize))
        if code is None or self.values.ndim > 255:
            raise ConfigError(f"OpenIGTLink NDARRAY cannot carry rank {self.values.ndim} of type {kind}")
        head = struct.pack(f">BB{self.values.ndim}H", code, self.values.ndim, *self.values.shape)
        return head + self.values.astype(kind.newbyteorder(">")).tobytes()

    @classmethod
    def decode(cls, content: memoryview) -> NumberArray:
        if len(content) < 2 or len(content) < 2 + 2 * content[1]:
            raise BadReply(f"NDARRAY of {len(content)} bytes is too short for its list of sizes")
        code, rank = content[0], content[1]
        if code != COMPLEX and code not in SCALARS:
            raise BadReply(f"NDARRAY scalar type {code} is unknown")
        # numpy arrays have at most 64 dimensions; nobody sends more than a few
        if rank > 32:
            raise BadReply(f"NDARRAY of rank {rank} is refused (limit 32)")
        kind = (np.dtype(np.complex128) if code == COMPLEX else SCALARS[code]).newbyteorder(">")
        shape = struct.unpack_from(f">{rank}H", content, 2)
        expected = math.prod(shape) * kind.itemsize
        if expected != len(content) - 2 - 2 * rank or expected > MAX_PIXEL_BYTES:
            raise BadReply(f"NDARRAY of size {shape} needs {expected} bytes and carries {len(content) - 2 - 2 * rank}")
        if expected == 0:
            if math.prod(size for size in shape if size) * kind.itemsize > MAX_PIXEL_BYTES:
                raise BadReply(f"NDARRAY of size {shape} is empty and yet larger than {MAX_PIXEL_BYTES} bytes")
            return cls(np.empty(shape, kind))
        return cls(np.frombuffer(content, kind, offset=2 + 2 * rank).reshape(shape))


def _whole(name: str, content: memoryview, element: int) -> None:
    if len(content) % element:
        raise BadReply(f"{name} has {len(content)} bytes, which is no multiple of {element}")


def decode(name: str, content: memoryview) -> Message | None:
    """One of the messages of this module, or None when ``name`` is not among them."""
    match name:
        case "POSITION" | "QTRANS":
            return Position.decode(content)
        case "TDATA":
            return TrackingData.decode(content)
        case "STT_TDATA":
            return StartTracking.decode(content)
        case "POINT":
            return PointList.decode(content)
        case "SENSOR":
            return Sensor.decode(content)
        case "CAPABILITY":
            return Capability.decode(content)
        case "NDARRAY":
            return NumberArray.decode(content)
    return None
