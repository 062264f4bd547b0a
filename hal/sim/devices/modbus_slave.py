"""A Modbus slave on the wire: RTU frames or MBAP (TCP) headers around a bank of registers.

Our own reading of the MODBUS application protocol V1.1b3 and MODBUS over serial line V1.02, apart from the
library that the drivers use. Functions 1-6, 8 (echo), 15, 16. As on a real RS-485 line the slave is silent when
the unit is foreign or the check sum is wrong, and executes a broadcast (unit 0) without answering.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Protocol

from hal.clock import NS_PER_S

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3

PARTIAL_NS = 100_000_000
"""A request that stays unfinished this long is forgotten. On a real line 3.5 characters; a pty or a TCP
connection may cut a frame anywhere, so more is allowed."""


class ModbusFault(Exception):
    """The request is refused with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


class RegisterBank(Protocol):
    """Registers of a device behind its Modbus address; every method may raise ``ModbusFault``."""

    functions: frozenset[int]
    """Function codes that the device knows."""

    def read_words(self, function: int, address: int, count: int, now_ns: int) -> list[int]: ...

    def read_bits(self, function: int, address: int, count: int, now_ns: int) -> list[bool]: ...

    def write_words(self, address: int, words: list[int], now_ns: int) -> None: ...

    def write_bits(self, address: int, bits: list[bool], now_ns: int) -> None: ...


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS: polynomial 0x8005 reflected, start 0xFFFF; sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _crc_row(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC_TABLE = tuple(_crc_row(byte) for byte in range(256))


class ModbusSlave:
    """One unit as a ``WireCore``. ``mbap`` = Modbus TCP framing; otherwise RTU."""

    def __init__(
        self, bank: RegisterBank, *, unit: int = 1, mbap: bool = False, turnaround_s: float = 0.002, any_unit: int = -1
    ) -> None:
        """``turnaround_s``: time from request to reply. ``any_unit``: a second address that always answers."""
        self.bank = bank
        self.unit = unit
        self.any_unit = any_unit
        self.mbap = mbap
        self.turnaround_ns = int(turnaround_s * NS_PER_S)
        self.ignored_n = 0
        """Frames not answered: damaged or for another unit."""
        self._input = bytearray()
        self._input_ns = 0
        self._output: deque[tuple[int, bytes]] = deque()

    def receive(self, data: bytes, now_ns: int) -> None:
        if now_ns - self._input_ns > PARTIAL_NS:
            self._input.clear()
        self._input_ns = now_ns
        self._input += data
        while self._one_frame(now_ns):
            pass

    def transmit(self, now_ns: int) -> bytes:
        if not self._output or self._output[0][0] > now_ns:
            return b""
        sent = bytearray()
        while self._output and self._output[0][0] <= now_ns:
            sent += self._output.popleft()[1]
        return bytes(sent)

    def next_ns(self, now_ns: int) -> int | None:
        return self._output[0][0] if self._output else None

    def _one_frame(self, now_ns: int) -> bool:
        """Take one frame off the input; False when none is complete."""
        if self.mbap:
            return self._one_mbap(now_ns)
        return self._one_rtu(now_ns)

    def _one_rtu(self, now_ns: int) -> bool:
        length = _rtu_length(self._input)
        if length is None or len(self._input) < length:
            return False
        frame = bytes(self._input[:length])
        if crc16(frame[:-2]) != frame[-2] | frame[-1] << 8:
            # Nothing marks the start of the next frame: all that came is dropped, as after a line error.
            self._input.clear()
            self.ignored_n += 1
            return False
        del self._input[:length]
        reply = self._answer(frame[0], frame[1:-2], now_ns)
        if reply:
            body = frame[:1] + reply
            self._send(body + struct.pack("<H", crc16(body)), now_ns)
        return True

    def _one_mbap(self, now_ns: int) -> bool:
        if len(self._input) < 8:
            return False
        transaction, protocol, length, unit = struct.unpack(">HHHB", self._input[:7])
        if protocol != 0 or not 2 <= length <= 254:
            self._input.clear()
            self.ignored_n += 1
            return False
        if len(self._input) < 6 + length:
            return False
        pdu = bytes(self._input[7 : 6 + length])
        del self._input[: 6 + length]
        reply = self._answer(unit, pdu, now_ns)
        if reply:
            self._send(struct.pack(">HHHB", transaction, 0, len(reply) + 1, unit) + reply, now_ns)
        return True

    def _send(self, frame: bytes, now_ns: int) -> None:
        self._output.append((now_ns + self.turnaround_ns, frame))

    def _answer(self, unit: int, pdu: bytes, now_ns: int) -> bytes:
        if unit not in (0, self.unit, self.any_unit):
            self.ignored_n += 1
            return b""
        try:
            reply = self._execute(pdu, now_ns)
        except ModbusFault as fault:
            reply = bytes((pdu[0] | 0x80, fault.code))
        except struct.error:
            reply = bytes((pdu[0] | 0x80, ILLEGAL_VALUE))
        return b"" if unit == 0 and not self.mbap else reply

    def _execute(self, pdu: bytes, now_ns: int) -> bytes:
        function = pdu[0]
        if function not in self.bank.functions:
            raise ModbusFault(ILLEGAL_FUNCTION)
        if function == 8:
            if pdu[1:3] != b"\x00\x00":
                raise ModbusFault(ILLEGAL_FUNCTION)
            return pdu
        address, second = struct.unpack(">HH", pdu[1:5])
        if function in (1, 2):
            return self._read_bits(function, address, second, now_ns)
        if function in (3, 4):
            if not 1 <= second <= 125:
                raise ModbusFault(ILLEGAL_VALUE)
            words = self.bank.read_words(function, address, second, now_ns)
            return struct.pack(f">BB{second}H", function, 2 * second, *words)
        if function == 5:
            if second not in (0x0000, 0xFF00):
                raise ModbusFault(ILLEGAL_VALUE)
            self.bank.write_bits(address, [second == 0xFF00], now_ns)
            return pdu
        if function == 6:
            self.bank.write_words(address, [second], now_ns)
            return pdu
        content = pdu[6:]
        if function == 15:
            if not 1 <= second <= 1968 or pdu[5] != len(content) or len(content) != (second + 7) // 8:
                raise ModbusFault(ILLEGAL_VALUE)
            self.bank.write_bits(address, [bool(content[i // 8] >> i % 8 & 1) for i in range(second)], now_ns)
        elif function == 16:
            if not 1 <= second <= 123 or pdu[5] != len(content) or len(content) != 2 * second:
                raise ModbusFault(ILLEGAL_VALUE)
            self.bank.write_words(address, list(struct.unpack(f">{second}H", content)), now_ns)
        else:
            raise ModbusFault(ILLEGAL_FUNCTION)
        return pdu[:5]

    def _read_bits(self, function: int, address: int, count: int, now_ns: int) -> bytes:
        if not 1 <= count <= 2000:
            raise ModbusFault(ILLEGAL_VALUE)
        packed = bytearray((count + 7) // 8)
        for i, bit in enumerate(self.bank.read_bits(function, address, count, now_ns)):
            packed[i // 8] |= bit << i % 8
        return bytes((function, len(packed))) + bytes(packed)


def _rtu_length(data: bytes | bytearray) -> int | None:
    """Length of the request that starts here; None when more bytes are needed to know it.

    A function that this table does not know is taken as one frame with all that has come so far.
    """
    if len(data) < 4:
        return None
    function = data[1]
    if function in (1, 2, 3, 4, 5, 6, 8):
        return 8
    if function in (15, 16):
        return 9 + data[6] if len(data) > 6 else None
    return len(data)


def float_words(value: float, *, big: bool = True) -> list[int]:
    """IEEE 754 single float as two registers; ``big`` = upper half first."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return [high, low] if big else [low, high]


def words_float(words: list[int]) -> float:
    """The single float in two registers, upper half first."""
    value: float = struct.unpack(">f", struct.pack(">HH", *words))[0]
    return value
