"""One status report of a Grbl controller, as a driver understands it.

Source: Grbl 1.1 interface description ("Real-time Status Reports") and the grblHAL report extensions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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

_REPORT = re.compile(r"<([A-Za-z]+)(?::(\d+))?\|([^<>]*)>")


@dataclass(frozen=True)
class Report:
    """What one ``<...>`` line said; positions in the order of the controller's axes, mm and degrees."""

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

    @property
    def estop(self) -> bool:
        """Emergency stop (grblHAL pin E), reset pin (R) or safety door (pin D, or a Door state that is not closed)."""
        return (self.state == "Door" and self.substate != 0) or any(pin in self.pins for pin in "EDR")

    @property
    def decelerating(self) -> bool:
        """Hold:1, Door:2 and Door:3 still move."""
        return (self.state == "Hold" and self.substate == 1) or (self.state == "Door" and self.substate in (2, 3))


def parse_report(line: str) -> Report:
    """Read a report line; raises ``BadReply`` when it is damaged (state or position missing or unreadable)."""
    match = _REPORT.fullmatch(line)
    if match is None:
        raise BadReply(f"status report is damaged: {line!r}", command="?", raw=line.encode("ascii", "replace"))
    state, substate, body = match.groups()
    fields: dict[str, str] = {}
    for part in body.split("|"):
        name, _, value = part.partition(":")
        fields[name] = value
    mode = _MODES.get(state)
    place = fields.get("MPos", fields.get("WPos"))
    if mode is None or place is None:
        raise BadReply(f"status report lacks state or position: {line!r}", command="?", raw=line.encode())
    try:
        position = tuple(map(float, place.split(",")))
        offset = tuple(map(float, fields["WCO"].split(","))) if "WCO" in fields else None
        speed = fields.get("FS", fields.get("F"))
        feed = None if speed is None else float(speed.split(",")[0])
    except ValueError:
        raise BadReply(f"status report has an unreadable number: {line!r}", command="?", raw=line.encode()) from None
    if offset is not None and len(offset) != len(position):
        raise BadReply(f"status report has {len(position)} positions and {len(offset)} offsets", command="?")
    return Report(state, int(substate or 0), mode, position, "MPos" in fields, offset, feed, fields.get("Pn", ""))
