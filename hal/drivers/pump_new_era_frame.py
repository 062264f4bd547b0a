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
_REPLY = re.compile(r"(\d\d)(?:A\?([RSTEO])|([IWSPTUX]))(.*)", re.DOTALL)
_NUMBER = r"(?:\d{1,4}\.|\d{1,3}\.\d|\d{1,2}\.\d\d|\d?\.\d{3})"
"""Four digits at most and a point, three decimals at most."""
_SHAPES = {
    "count": re.compile(rf"I({_NUMBER})W({_NUMBER})([UM]L)"),
    "length": re.compile(rf"({_NUMBER})"),
    "rate": re.compile(rf"({_NUMBER})([UM][MH])"),
    "volume": re.compile(rf"({_NUMBER})([UM]L)"),
    "whole": re.compile(r"(\d{1,3})"),
    "word": re.compile(r"([A-Z]{3}\d{0,2})"),
    "version": re.compile(r"((?:NE|AL|LA)\d+(?:X2?)?)V([\d.]+\w*)"),
    "status": re.compile(""),
}
_QUERIES = {
    "DIS": "count", "DIA": "length", "RAT": "rate", "VOL": "volume", "PHN": "whole", "SAF": "whole", "PF": "whole",
    "LOC": "whole", "FUN": "word", "DIR": "word", "VER": "version",
}  # fmt: skip
"""Commands that, without a value, are answered with data; all others are answered with the status alone."""


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
        return self.data if self.data in ERRORS else ""

    def fits(self, command: str) -> bool:
        """True when this can be the answer to ``command``: an alarm, an error, or data of the right shape."""
        return self.data == "" if self.alarm else bool(self.error) or self.match(command) is not None

    def match(self, query: str) -> re.Match[str] | None:
        """Parts of the data, by the shape of the answer to ``query``."""
        return _SHAPES[kind_of(query)].fullmatch(self.data)


def kind_of(command: str) -> str:
    """Shape of the answer; commands of one kind can be mistaken for one another by their answers."""
    return _QUERIES.get(command, "status")


def encode(address: int, command: str, *, safe: bool) -> bytes:
    """One command on the wire."""
    payload = f"{address}{command}".encode("ascii")
    if not safe:
        return payload + bytes((CR,))
    crc = binascii.crc_hqx(payload, 0)
    return bytes((STX, len(payload) + SAFE_OVERHEAD)) + payload + crc.to_bytes(2, "big") + bytes((ETX,))


def receive(link: SerialLink, deadline: Deadline) -> Reply:
    """Read one answer in either framing (a change of mode is answered in the new one).

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
    """Value in the pump's format: at most four digits, at most three decimals, 0.001 to 9999."""
    for decimals in (3, 2, 1, 0):
        if value >= 0.0005 and round(value, decimals) < 10 ** (4 - decimals):
            return f"{value:.{decimals}f}"
    raise LimitViolation(quantity, value, "0.001..9999, what four digits can hold")


def resolution(text: str) -> float:
    """Value of one step of a number's last digit, in its unit."""
    return float(10.0 ** -len(text.partition(".")[2]))


def _bad(link: SerialLink, raw: bytes) -> BadReply:
    return BadReply(f"{link.url}: not a New Era reply: {raw[:40]!r}", port=link.url, raw=raw)
