"""Frames and numbers of the New Era pump protocol, as the driver reads the manual (NE-1000 user manual, RS-232).

Basic: address, command, CR to the pump; STX, two address digits, status, data, ETX back.
Safe: STX, length, payload, CRC-16/XMODEM of the payload (high byte first), ETX in both directions; the length counts
itself, the payload, the check sum and ETX.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from hal.clock import Deadline
from hal.errors import BadReply, LimitViolation
from hal.links.serial import SerialLink

STX, ETX, CR = 0x02, 0x03, 0x0D
SAFE_OVERHEAD = 4
"""Length byte, two check-sum bytes, ETX."""

ALARMS = {
    "R": "reset or power interruption",
    "S": "motor stalled",
    "T": "no valid packet within the Safe-mode time-out",
    "E": "program error",
    "O": "program phase out of range",
}
ERRORS = {
    "?": "command not recognised",
    "?NA": "not applicable now",
    "?OOR": "value out of range",
    "?COM": "packet damaged on the way",
    "?IGN": "ignored, a new phase started at the same time",
}
_REPLY = re.compile(r"(\d\d)(?:A\?([A-Z])|([IWSPTUX]))(.*)", re.DOTALL)


@dataclass(frozen=True)
class Reply:
    """One answer. ``alarm`` set: the command was not executed."""

    address: int
    status: str
    alarm: str
    data: str

    @property
    def error(self) -> str:
        """``?``, ``?NA``, ``?OOR``, ``?COM``, ``?IGN``, or empty."""
        return self.data if self.data.startswith("?") else ""


def encode(address: int, command: str, *, safe: bool) -> bytes:
    """One command on the wire."""
    payload = f"{address}{command}".encode("ascii")
    if not safe:
        return payload + bytes((CR,))
    crc = binascii.crc_hqx(payload, 0)
    return bytes((STX, len(payload) + SAFE_OVERHEAD)) + payload + crc.to_bytes(2, "big") + bytes((ETX,))


def receive(link: SerialLink, deadline: Deadline) -> Reply:
    """Read one answer in whichever framing it comes (a change of mode is answered in the new one).

    Raises ``NoReply`` or ``BadReply``.
    """
    head = link.read(2, deadline)
    if head[0] != STX:
        raise _bad(link, head)
    if 0x30 <= head[1] <= 0x39:  # an address digit: no Safe packet is that long
        tail = link.read_until(bytes((ETX,)), deadline)
        return decode(head[1:] + tail[:-1], link)
    if head[1] <= SAFE_OVERHEAD:
        raise _bad(link, head)
    tail = link.read(head[1] - 1, deadline)
    payload, crc = tail[:-3], int.from_bytes(tail[-3:-1], "big")
    if tail[-1] != ETX or binascii.crc_hqx(payload, 0) != crc:
        raise _bad(link, head + tail)
    return decode(payload, link)


def decode(payload: bytes, link: SerialLink) -> Reply:
    """Address, status and data out of the payload; raises ``BadReply``."""
    match = _REPLY.fullmatch(payload.decode("ascii", errors="replace"))
    if match is None:
        raise _bad(link, payload)
    address, alarm, status, data = match.groups()
    return Reply(int(address), status or "", alarm or "", data)


def number(quantity: str, value: float) -> str:
    """A value as the pump takes it: four digits at most, three decimals at most, 0.001 to 9999."""
    for decimals in (3, 2, 1, 0):
        if value >= 0.0005 and round(value, decimals) < 10 ** (4 - decimals):
            return f"{value:.{decimals}f}"
    raise LimitViolation(quantity, value, "0.001..9999, what four digits can hold")


def _bad(link: SerialLink, raw: bytes) -> BadReply:
    return BadReply(f"{link.url}: not a New Era reply: {raw[:40]!r}", port=link.url, raw=raw)
