"""One status report of a Grbl controller, as a driver understands it.

A report travels without a checksum and carries the emergency-stop inputs, so its whole shape is held against what the
firmwares can print: every field by its name, each at most once, every number with the decimals that they give it.
What is damaged and still has the right shape is caught by ``hal.drivers.motion_belief``.
Source: Grbl 1.1 interface description ("Real-time Status Reports") and the grblHAL report extensions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from hal.errors import BadReply
from hal.types import MotionMode

_MODES = {
    "Idle": MotionMode.IDLE,
    "Run": MotionMode.MOVING,
    "Jog": MotionMode.MOVING,
    "Home": MotionMode.MOVING,
    "Hold": MotionMode.HOLD,
    "Door": MotionMode.HOLD,
    "Alarm": MotionMode.ALARM,
    "Sleep": MotionMode.ALARM,
    "Check": MotionMode.ALARM,
    "Tool": MotionMode.HOLD,
}
"""Check (no motion) and Sleep (motors off) will not act on a jog, so they count as alarms."""

_STATE = re.compile(r"Idle|Run(?::[12])?|Jog|Home|Hold:[01]|Door:[0-3]|Alarm(?::[1-9]\d?)?|Sleep|Check|Tool")
COORDINATE = r"-?(?:0|[1-9]\d{0,4})\.\d{3}"
"""Millimetres and degrees have three decimals and no leading zeros; inches would have four."""
COORDINATES = rf"{COORDINATE}(?:,{COORDINATE})*"
_FIELDS = {
    name: re.compile(shape)
    for name, shape in {
        "MPos": COORDINATES,
        "WPos": COORDINATES,
        "Bf": r"\d{1,4},\d{1,5}",
        "Ln": r"\d+",
        "F": r"\d+(?:\.\d+)?",
        "FS": r"\d+(?:\.\d+)?,\d+(?:,\d+)?",
        "Pn": r"(?:([PXYZABCUVWDRHSEOLTMFQ])(?!.*\1))+",
        "WCO": COORDINATES,
        "WCS": r"G5[4-9](?:\.[1-3])?",
        "Ov": r"\d{1,3},\d{1,3},\d{1,3}",
        "A": r"[SCFMTE]*",
        "Sc": r"[XYZABCUVW]*",
        "MPG": r"[01]",
        "H": r"[01](?:,\d+)?",
        "D": r"[01]",
        "T": r"\d+",
        "TLR": r"[01]",
        "In": r"-?\d+",
        "FW": r"\w+",
        "AR": r"\d*",
        "SD": r"[^|<>]*",
    }.items()
}


@dataclass(frozen=True)
class Report:
    """Content of one ``<...>`` line; positions in the order of the controller's axes, mm and degrees."""

    state: str
    substate: int
    mode: MotionMode
    position: tuple[float, ...]
    machine: bool
    """True when ``position`` is a machine position (MPos), False for a work position (WPos)."""
    work_offset: tuple[float, ...] | None
    feed: float | None
    """Path speed per minute, when reported."""
    pins: str
    news: str = ""
    """Changes that grblHAL announces once and that a rig may not work with: another coordinate system, a
    pendant in control, scaling, lost homing. Empty: nothing of the kind."""

    @cached_property
    def estop(self) -> bool:
        """Emergency stop (grblHAL pin E), reset pin (R) or safety door (pin D, or a Door state that is not closed)."""
        return (self.state == "Door" and self.substate != 0) or any(pin in self.pins for pin in "EDR")

    @cached_property
    def decelerating(self) -> bool:
        """Hold:1, Door:2 and Door:3 still move."""
        return (self.state == "Hold" and self.substate == 1) or (self.state == "Door" and self.substate in (2, 3))

    @cached_property
    def moving(self) -> bool:
        return self.mode is MotionMode.MOVING or self.decelerating


def coordinates(text: str) -> tuple[float, ...]:
    """Numbers of a list that has the shape ``COORDINATES``."""
    return tuple(map(float, text.split(",")))


@lru_cache(maxsize=64)
def parse_report(line: str) -> Report:
    """Read a report line; raises ``BadReply`` for anything that the firmwares cannot have printed.

    A controller at rest says the same a thousand times: equal lines are read once.
    """
    if not (line.startswith("<") and line.endswith(">")):
        raise _damaged(line, "it does not begin with < and end with >")
    head, *parts = line[1:-1].split("|")
    if _STATE.fullmatch(head) is None:
        raise _damaged(line, f"there is no state {head!r}")
    fields: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition(":")
        shape = _FIELDS.get(name)
        if shape is None or name in fields or shape.fullmatch(value) is None:
            raise _damaged(line, f"no firmware writes {part!r}" if name not in fields else f"{name} stands twice")
        fields[name] = value
    if not parts or ("MPos" in fields) == ("WPos" in fields):
        raise _damaged(line, "it must hold one position")
    position = coordinates(fields.get("MPos") or fields["WPos"])
    offset = coordinates(fields["WCO"]) if "WCO" in fields else None
    if offset is not None and len(offset) != len(position):
        raise _damaged(line, f"{len(position)} positions and {len(offset)} offsets")
    speed = fields.get("FS", fields.get("F"))
    feed = None if speed is None else float(speed.split(",")[0])
    state, _, substate = head.partition(":")
    return Report(
        state, int(substate or 0), _MODES[state], position, "MPos" in fields, offset, feed, fields.get("Pn", ""),
        _news(fields),
    )  # fmt: skip


def _news(fields: dict[str, str]) -> str:
    news = (
        (fields.get("WCS", "G54") != "G54", f"coordinate system {fields.get('WCS')} became active"),
        (fields.get("MPG") == "1", "a pendant took control (MPG)"),
        (fields.get("Sc", "") != "", f"scaling of {fields.get('Sc')} became active (G51)"),
        (fields.get("D") == "1", "diameter mode became active (G7)"),
        (fields.get("H", "1")[0] == "0", "it is no longer homed"),
    )
    return "; ".join(text for true, text in news if true)


def _damaged(line: str, why: str) -> BadReply:
    return BadReply(f"status report is damaged ({why}): {line!r}", command="?", raw=line.encode("ascii", "replace"))
