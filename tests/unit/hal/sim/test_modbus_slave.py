"""The simulators' own Modbus slave: both framings, frames in pieces, what it refuses and what it ignores."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import pytest
from fastcrc import crc16 as library
from hypothesis import given
from hypothesis import strategies as st

from hal.sim.devices.modbus_slave import ILLEGAL_ADDRESS, ModbusFault, ModbusSlave, crc16

S = 1_000_000_000


@dataclass
class Bank:
    functions: frozenset[int] = frozenset((1, 2, 3, 4, 5, 6, 8, 15, 16))
    words: list[int] = field(default_factory=lambda: [0] * 200)
    bits: list[bool] = field(default_factory=lambda: [False] * 32)

    def read_words(self, function: int, address: int, count: int, now_ns: int) -> list[int]:
        if address + count > len(self.words):
            raise ModbusFault(ILLEGAL_ADDRESS)
        return self.words[address : address + count]

    def read_bits(self, function: int, address: int, count: int, now_ns: int) -> list[bool]:
        return self.bits[address : address + count]

    def write_words(self, address: int, words: list[int], now_ns: int) -> None:
        self.words[address : address + len(words)] = words

    def write_bits(self, address: int, bits: list[bool], now_ns: int) -> None:
        self.bits[address : address + len(bits)] = bits


def _rtu(body: bytes) -> bytes:
    return body + struct.pack("<H", library.modbus(body))


def _ask(slave: ModbusSlave, body: bytes, now_ns: int = 0) -> bytes:
    slave.receive(_rtu(body), now_ns)
    answer = slave.transmit(now_ns + S)
    assert answer == b"" or answer == _rtu(answer[:-2])
    return answer[:-2]


@given(st.binary(max_size=64))
def test_the_check_sum_agrees_with_another_implementation(data: bytes) -> None:
    assert crc16(data) == library.modbus(data)


def test_an_answer_comes_after_the_turnaround() -> None:
    slave = ModbusSlave(Bank(), turnaround_s=0.004)
    slave.receive(_rtu(bytes.fromhex("010300000001")), S)
    assert slave.next_ns(S) == S + 4_000_000
    assert slave.transmit(S + 3_999_999) == b""
    assert slave.transmit(S + 4_000_000) != b""


def test_several_coils_are_written_and_read_back() -> None:
    bank = Bank()
    slave = ModbusSlave(bank)
    assert _ask(slave, bytes.fromhex("010F0013000A02CD01")) == bytes.fromhex("010F0013000A")
    assert bank.bits[19:29] == [True, False, True, True, False, False, True, True, True, False]
    assert _ask(slave, bytes.fromhex("01010013000A")) == bytes.fromhex("010102CD01")


@pytest.mark.parametrize(
    ("request_hex", "code"),
    [
        ("01030000007E", 3),  # 126 registers
        ("010300000000", 3),
        ("010300C70002", 2),
        ("010500001234", 3),  # a coil is FF00 or 0000
        ("01100000000203000102", 3),  # byte count does not fit
        ("010800010000", 1),  # only the echo
        ("0107", 1),
        ("01410000", 1),
    ],
)
def test_what_makes_no_sense_is_refused_by_code(request_hex: str, code: int) -> None:
    body = bytes.fromhex(request_hex)
    assert _ask(ModbusSlave(Bank()), body) == bytes((1, body[1] | 0x80, code))


def test_a_frame_in_pieces_is_put_together_but_not_over_a_long_pause() -> None:
    frame = _rtu(bytes.fromhex("010600050007"))
    bank = Bank()
    slave = ModbusSlave(bank)
    for i, byte in enumerate(frame):
        slave.receive(bytes((byte,)), i * 50_000_000)
    assert bank.words[5] == 7
    slave.receive(_rtu(bytes.fromhex("010600050009"))[:5], 10 * S)
    slave.receive(_rtu(bytes.fromhex("01060005000B")), 11 * S)
    assert bank.words[5] == 11


def test_a_foreign_unit_and_a_damaged_frame_are_ignored_and_counted() -> None:
    slave = ModbusSlave(Bank(), unit=4)
    assert _ask(slave, bytes.fromhex("050300000001")) == b""
    slave.receive(b"\x04\x03\x00\x00\x00\x01\x00\x00", S)
    assert slave.transmit(2 * S) == b""
    assert slave.ignored_n == 2
    assert _ask(slave, bytes.fromhex("040300000001"), 3 * S) == bytes.fromhex("0403020000")


def test_a_broadcast_is_executed_in_silence() -> None:
    bank = Bank()
    assert _ask(ModbusSlave(bank), bytes.fromhex("000600010063")) == b""
    assert bank.words[1] == 99


def test_tcp_framing_keeps_the_transaction_number_and_takes_several_requests_at_once() -> None:
    slave = ModbusSlave(Bank(words=[7, 8]), mbap=True)
    one = struct.pack(">HHHB", 0x1234, 0, 6, 1) + bytes.fromhex("0300000001")
    two = struct.pack(">HHHB", 0x1235, 0, 6, 1) + bytes.fromhex("0300010001")
    slave.receive(one + two[:5], 0)
    slave.receive(two[5:], 0)
    expected = bytes.fromhex("1234 0000 0005 01 03 02 0007 1235 0000 0005 01 03 02 0008")
    assert slave.transmit(S) == expected


def test_rubbish_on_tcp_is_dropped() -> None:
    slave = ModbusSlave(Bank(), mbap=True)
    slave.receive(b"GET / HTTP/1.1\r\n\r\n", 0)
    assert slave.transmit(S) == b""
    slave.receive(struct.pack(">HHHB", 1, 0, 6, 1) + bytes.fromhex("0300000001"), S)
    assert slave.transmit(2 * S) != b""


@given(st.lists(st.binary(max_size=40), max_size=8), st.booleans())
def test_no_input_breaks_the_slave(chunks: list[bytes], mbap: bool) -> None:
    slave = ModbusSlave(Bank(), mbap=mbap)
    for i, chunk in enumerate(chunks):
        slave.receive(chunk, i * 1000)
    slave.transmit(S)
    slave.receive(b"", 2 * S)
    good = bytes.fromhex("010300000001")
    slave.receive(struct.pack(">HHHB", 1, 0, 6, 1) + good[1:] if mbap else _rtu(good), 2 * S)
    assert slave.transmit(3 * S) != b""
