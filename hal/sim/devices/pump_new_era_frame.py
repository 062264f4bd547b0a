"""Packets of the New Era protocol as the pump sees them (our reading of the manual's RS-232 chapter).

Text packets end with CR; spaces and control characters do not count, nor does case. A packet that starts with
STX is a Safe packet: length, payload, CRC-CCITT (start 0, high byte first), ETX; half a second between two of its
bytes discards it.
"""

from __future__ import annotations

from dataclasses import dataclass

PARTIAL_NS = 500_000_000
"""Manual: inter-byte time-out of Safe packets."""
LONGEST = 80
"""More text than this without CR is noise."""


@dataclass(frozen=True)
class Packet:
    """One received packet; ``intact`` is False when its check sum or its end is wrong."""

    text: str
    safe: bool
    intact: bool


def crc_ccitt(data: bytes) -> int:
    """x^16 + x^12 + x^5 + 1, most significant bit first, start value 0."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def frame(text: str, *, safe: bool) -> bytes:
    """An answer on the wire."""
    body = text.encode("ascii")
    if safe:
        body = bytes([len(body) + 4]) + body + crc_ccitt(body).to_bytes(2, "big")
    return b"\x02" + body + b"\x03"


class Receiver:
    """Cuts the incoming bytes into packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._last_ns = 0

    def feed(self, data: bytes, now_ns: int) -> list[Packet]:
        if self._buffer[:1] == b"\x02" and now_ns - self._last_ns > PARTIAL_NS:
            self._buffer.clear()
        self._last_ns = now_ns
        self._buffer += data
        packets: list[Packet] = []
        while self._buffer:
            packet, used = self._first()
            if not used:
                break
            del self._buffer[:used]
            if packet is not None:
                packets.append(packet)
        return packets

    def _first(self) -> tuple[Packet | None, int]:
        """The packet at the start of the buffer and the bytes it took; 0 bytes = not complete."""
        buffer = self._buffer
        if buffer[0] == 0x02:
            if len(buffer) < 2 or len(buffer) < buffer[1] + 1:
                return None, 0
            if buffer[1] < 5:
                return Packet("", True, False), 2
            whole = bytes(buffer[: buffer[1] + 1])
            payload, crc = whole[2:-3], int.from_bytes(whole[-3:-1], "big")
            intact = whole[-1] == 0x03 and crc_ccitt(payload) == crc
            return Packet(_plain(payload), True, intact), len(whole)
        end = buffer.find(b"\r")
        if end < 0:
            return None, len(buffer) if len(buffer) > LONGEST else 0
        return Packet(_plain(bytes(buffer[:end])), False, True), end + 1


def _plain(raw: bytes) -> str:
    return "".join(chr(byte) for byte in raw if 0x20 < byte < 0x7F).upper()
