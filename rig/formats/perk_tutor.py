"""Perk Tutor's transform log (``<TransformRecorderLog>``): read and written with every nanosecond.

A pose is a ``log`` element of type ``transform`` with whole seconds, nanoseconds, the transform's name and sixteen
numbers; a ``message`` marks the beginning of a task.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from hal.clock import NS_PER_S
from hal.errors import ConfigError
from rig.formats.frame_text import parse_matrix
from rig.formats.recording import matrix_text
from rig.record.appendfile import write_whole

SIMULATED = "SIMULATED data"
"""The format has no field for it: a message says that a simulated rig made the poses."""
_NO_TEXT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML file can hold."""
_LARGEST_BYTES = 512 << 20
_LARGEST_S = (1 << 63) // NS_PER_S - 1
"""Seconds whose nanoseconds 64 bits hold."""


@dataclass(frozen=True)
class PoseTrack:
    """Poses of one transform in the order of the log."""

    time_ns: NDArray[np.int64]
    """Shape (n,)."""
    matrices: NDArray[np.float64] = field(repr=False)
    """Shape (n, 4, 4), mm, to world."""


@dataclass(frozen=True)
class PerkLog:
    """A log: tracks by the name of their transform, in order of first appearance, and messages."""

    tracks: Mapping[str, PoseTrack]
    messages: tuple[tuple[int, str], ...] = ()
    """Time (ns) and text."""
    simulated: bool = False
    """True when a simulated rig made it: in the file a first message, :data:`SIMULATED`."""


def read_perk_log(path: Path) -> PerkLog:
    """Read a log; raises ``ConfigError`` (not such a file, cut off, a stamp or matrix that cannot be read)."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ConfigError(f"{path}: is larger than {_LARGEST_BYTES >> 20} MiB and is not read")
        data = path.read_bytes()
        if any(mark in data for mark in (b"<!DOCTYPE", b"<!ENTITY")) or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise ConfigError(f"{path}: declares entities or is UTF-16, which no log is; refused")
        root = ElementTree.fromstring(data)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ElementTree.ParseError as error:
        raise ConfigError(f"{path}: is damaged or was cut off: {error}") from None
    if root.tag != "TransformRecorderLog":
        raise ConfigError(f"{path}: is no transform log (its root is {root.tag!r})")
    times: dict[str, list[int]] = {}
    matrices: dict[str, list[NDArray[np.float64]]] = {}
    messages: list[tuple[int, str]] = []
    for n, entry in enumerate(root.iter("log"), 1):
        try:
            time_ns = _time_ns(entry.attrib["TimeStampSec"], entry.attrib["TimeStampNSec"])
            if "type" not in entry.attrib:
                raise ValueError("it does not say its type")
            if entry.get("type") == "message":
                messages.append((time_ns, entry.attrib["message"]))
            elif entry.get("type") == "transform":
                name = entry.attrib["DeviceName"]
                matrix = parse_matrix(entry.attrib["transform"])
                if not np.isfinite(matrix).all():
                    raise ValueError(f"the pose of {name} is not finite")
                matrices.setdefault(name, []).append(matrix)
                times.setdefault(name, []).append(time_ns)
        except (KeyError, ValueError) as error:
            raise ConfigError(f"{path}: entry {n} cannot be read: {error}") from None
    if not times and not messages:
        raise ConfigError(f"{path}: holds no pose and no message")
    return PerkLog(
        {name: PoseTrack(np.array(times[name], dtype=np.int64), np.array(matrices[name])) for name in times},
        tuple(m for m in messages if m[1] != SIMULATED),
        simulated=any(text == SIMULATED for _, text in messages),
    )


def _time_ns(seconds: str, nanoseconds: str) -> int:
    """Time of two whole numbers; raises ``ValueError`` for a second that has more nanoseconds than fit into one."""
    whole, rest_ns = int(seconds), int(nanoseconds)
    if not 0 <= rest_ns < NS_PER_S or abs(whole) > _LARGEST_S:
        raise ValueError(f"{whole} s and {rest_ns} ns are no possible time")
    return whole * NS_PER_S + rest_ns


def write_perk_log(path: Path, log: PerkLog) -> Path:
    """Write a log, entries in order of time.

    Raises ``RecordError``, and ``ConfigError`` for a name or message that no XML file can hold.
    """
    for text in (*log.tracks, *(text for _, text in log.messages)):
        if _NO_TEXT.search(text) or text == SIMULATED:
            raise ConfigError(f"{path.name}: {text!r} cannot be a name or message of a log")
    entries: list[tuple[int, int, str]] = []
    for name, track in log.tracks.items():
        for time_ns, matrix in zip(track.time_ns.tolist(), track.matrices, strict=True):
            entries.append((time_ns, len(entries), _pose(time_ns, name, matrix)))
    for time_ns, text in log.messages:
        entries.append((time_ns, len(entries), f'{_stamp(time_ns)} type="message" message={quoteattr(text)} />'))
    if log.simulated:
        first_ns = min((time_ns for time_ns, _, _ in entries), default=0)
        entries.append((first_ns, -1, f'{_stamp(first_ns)} type="message" message="{SIMULATED}" />'))
    lines: Sequence[str] = [line for _, _, line in sorted(entries)]
    text = "<TransformRecorderLog>\n" + "".join(f"  {line}\n" for line in lines) + "</TransformRecorderLog>\n"
    write_whole(path, text.encode("utf-8"))
    return path


def _stamp(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    return f'<log TimeStampSec="{seconds}" TimeStampNSec="{rest_ns}"'


def _pose(time_ns: int, name: str, matrix: NDArray[np.float64]) -> str:
    return f'{_stamp(time_ns)} type="transform" DeviceName={quoteattr(name)} transform="{matrix_text(matrix)} " />'
