"""OpenIGTLink bodies beside those of ``igtl_data``: tracking data as quaternions, and planned trajectories.

Same contract: ``decode`` raises ``BadReply`` and nothing else. Lengths in mm.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hal.errors import BadReply
from hal.links.igtl import framing as igtl
from hal.links.igtl.data import StartTracking

if TYPE_CHECKING:
    from hal.links.igtl.messages import Message

_QUATERNION_TOOL = struct.Struct(">20sBB7f")
_TRAJECTORY = struct.Struct(">64s32sBB4B7f20s")


@dataclass(frozen=True)
class QuaternionTool:
    """One instrument in a QTDATA message; quaternion as x, y, z, w; kinds as in TDATA."""

    name: str
    position: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]
    kind: int = 2


@dataclass(frozen=True)
class QuaternionTracking:
    """Poses of several tools of one moment, with quaternions."""

    tools: tuple[QuaternionTool, ...]
    type: ClassVar[str] = "QTDATA"

    def content(self) -> bytes:
        return b"".join(
            _QUATERNION_TOOL.pack(
                igtl.text_field(tool.name, 20, "tool name"), tool.kind, 0, *tool.position, *tool.quaternion
            )
            for tool in self.tools
        )

    @classmethod
    def decode(cls, content: memoryview) -> QuaternionTracking:
        _whole("QTDATA", content, _QUATERNION_TOOL.size)
        tools = []
        for name, kind, _, x, y, z, qx, qy, qz, w in _QUATERNION_TOOL.iter_unpack(content):
            tools.append(QuaternionTool(igtl.field_text(name, "tool name"), (x, y, z), (qx, qy, qz, w), kind))
        return cls(tuple(tools))


class StartQuaternionTracking(StartTracking):
    """``STT_QTDATA``: same layout as ``STT_TDATA``."""

    type: ClassVar[str] = "STT_QTDATA"


@dataclass(frozen=True)
class Trajectory:
    """A planned path from ``entry`` to ``target``, mm; kinds: 1 entry only, 2 target only, 3 both."""

    name: str
    entry: tuple[float, float, float]
    target: tuple[float, float, float]
    group: str = "Trajectory"
    kind: int = 3
    colour: tuple[int, int, int, int] = (255, 255, 0, 255)
    radius_mm: float = 0.0
    owner: str = ""


@dataclass(frozen=True)
class TrajectoryList:
    """Planned paths."""

    paths: tuple[Trajectory, ...]
    type: ClassVar[str] = "TRAJ"

    def content(self) -> bytes:
        return b"".join(
            _TRAJECTORY.pack(
                igtl.text_field(path.name, 64, "trajectory name"),
                igtl.text_field(path.group, 32, "trajectory group"),
                path.kind,
                0,
                *path.colour,
                *path.entry,
                *path.target,
                path.radius_mm,
                igtl.text_field(path.owner, 20, "trajectory owner"),
            )
            for path in self.paths
        )

    @classmethod
    def decode(cls, content: memoryview) -> TrajectoryList:
        _whole("TRAJ", content, _TRAJECTORY.size)
        paths = []
        for name, group, kind, _, r, g, b, a, *place, radius_mm, owner in _TRAJECTORY.iter_unpack(content):
            label, tag, image = (igtl.field_text(raw, "trajectory text") for raw in (name, group, owner))
            entry, target = (place[0], place[1], place[2]), (place[3], place[4], place[5])
            paths.append(Trajectory(label, entry, target, tag, kind, (r, g, b, a), radius_mm, image))
        return cls(tuple(paths))


def _whole(name: str, content: memoryview, element: int) -> None:
    if len(content) % element:
        raise BadReply(f"{name} has {len(content)} bytes, which is no multiple of {element}")


def decode(name: str, content: memoryview) -> Message | None:
    """One of the messages of this module, or None when ``name`` is not among them."""
    match name:
        case "QTDATA":
            return QuaternionTracking.decode(content)
        case "STT_QTDATA":
            return StartQuaternionTracking.decode(content)
        case "TRAJ":
            return TrajectoryList.decode(content)
    return None
