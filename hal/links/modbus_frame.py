"""Modbus frames as a master sees them: their end, their sender, and whether they can answer a given question.

Sources: MODBUS application protocol specification V1.1b3 (shapes of the answers), MODBUS over serial line V1.02
(RTU frame), MODBUS messaging on TCP/IP implementation guide V1.0b (MBAP header). Nothing is believed that is not of
the exact shape: an answer without a number (RTU) may belong to an older question, and only its shape can tell.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pymodbus.framer import FramerRTU

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, still busy",
    6: "device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}
"""Exception codes of the MODBUS application protocol specification V1.1b3, section 7; 7 is of older ones."""
FRAME_MAX_BYTES = 260
"""Longest Modbus frame (TCP: 7 bytes of header and 253 of message; RTU 256)."""
_MBAP = struct.Struct(">HHHB")
_RTU_LEAST_BYTES = 5
"""An exception: unit, function, code, two of check sum."""
_GLITCH = b"\x00\xff"
"""Byte that an RS-485 line gives while its driver turns on; no unit has such a number."""


class Damaged(ValueError):
    """The bytes at the start are no frame, or one whose check sum is wrong."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame."""

    unit: int
    pdu: bytes
    """Function code and what follows, without the check sum."""
    transaction: int
    """Number of the question; 0 on RTU lines, which know none."""


def first_rtu(data: bytes) -> tuple[Frame | None, int]:
    """First frame and the number of bytes that it took; None and 0 while it is not complete. Raises ``Damaged``."""
    start = len(data) - len(data.lstrip(_GLITCH))
    body = data[start:]
    if len(body) < _RTU_LEAST_BYTES:
        return None, 0
    length = _rtu_length(body)
    if len(body) < length:
        return None, 0
    if not FramerRTU.check_CRC(body[: length - 2], body[length - 2] << 8 | body[length - 1]):
        raise Damaged("check sum")
    return Frame(body[0], bytes(body[1 : length - 2]), 0), start + length


def _rtu_length(body: bytes) -> int:
    function = body[1]
    if function & 0x80:
        return 5
    if function in (1, 2, 3, 4):
        return 5 + body[2]
    if function in (5, 6, 8, 15, 16):
        return 8
    raise Damaged(f"function {function}")


def first_mbap(data: bytes) -> tuple[Frame | None, int]:
    """Like ``first_rtu``, for a TCP connection."""
    if len(data) < _MBAP.size + 1:
        return None, 0
    transaction, protocol, length, unit = _MBAP.unpack_from(data)
    if protocol != 0 or not 3 <= length <= 254:
        raise Damaged("header")
    end = _MBAP.size - 1 + length
    if len(data) < end:
        return None, 0
    return Frame(unit, bytes(data[_MBAP.size : end]), transaction), end


def answers(question: bytes, answer: bytes) -> bool:
    """True when a message can be the answer to ``question`` (both from the function code on): function, number of
    values and, where the standard repeats them, address and content agree.
    """
    function = question[0]
    if answer[0] == function | 0x80:
        return len(answer) == 2 and answer[1] != 0  # makers have codes of their own
    if answer[0] != function:
        return False
    if function in (1, 2, 3, 4):
        count = int.from_bytes(question[3:5], "big")
        size = (count + 7) // 8 if function in (1, 2) else 2 * count
        return len(answer) == 2 + size and answer[1] == size
    if function in (15, 16):
        return answer == question[:5]
    return answer == question
