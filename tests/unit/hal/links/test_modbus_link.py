"""The Modbus link: patience on the rig's clock, reads repeated, writes never."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

import pytest
from lossy_line import LossyLine
from pymodbus.client import ModbusSerialClient

from hal.clock import VirtualClock, WallClock
from hal.errors import BadReply, ConfigError, DeviceError, NoReply
from hal.links.modbus import open_modbus
from hal.links.wire import Endpoint, publish
from hal.sim.devices.modbus_slave import ILLEGAL_ADDRESS, ModbusFault, ModbusSlave
from rig.control.controller import SCAN_S
from rig.safety.polling import POLLING


@dataclass
class Registers:
    functions: frozenset[int] = frozenset((1, 2, 3, 4, 5, 6, 8, 15, 16))
    words: list[int] = field(default_factory=lambda: list(range(100)))
    writes: int = 0

    def read_words(self, function: int, address: int, count: int, now_ns: int) -> list[int]:
        if address + count > len(self.words):
            raise ModbusFault(ILLEGAL_ADDRESS)
        return self.words[address : address + count]

    def read_bits(self, function: int, address: int, count: int, now_ns: int) -> list[bool]:
        return [(address + i) % 3 == 0 for i in range(count)]

    def write_words(self, address: int, words: list[int], now_ns: int) -> None:
        self.writes += 1
        self.words[address : address + len(words)] = words

    def write_bits(self, address: int, bits: list[bool], now_ns: int) -> None:
        self.writes += 1


class Bench:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.bank = Registers()
        self.line = LossyLine(ModbusSlave(self.bank, unit=3))
        publish("modbus", Endpoint(self.line, self.clock))
        self.link = open_modbus("rigsim://modbus", 3, 115200, self.clock)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_registers_come_back_in_order(bench: Bench) -> None:
    assert bench.link.read_registers(10, 5) == [10, 11, 12, 13, 14]
    assert bench.link.read_registers(2, 1, function=4) == [2]


def test_bits_come_back_in_order_over_byte_borders(bench: Bench) -> None:
    assert bench.link.read_discrete_inputs(0, 11) == [i % 3 == 0 for i in range(11)]


@pytest.mark.parametrize("order", ["big", "little"])
def test_floats_survive_both_word_orders(bench: Bench, order: str) -> None:
    bench.link.write_float32(20, -12.375, word_order=order)  # type: ignore[arg-type]
    assert bench.link.read_float32(20, word_order=order) == (-12.375,)  # type: ignore[arg-type]


def test_a_silent_device_times_out_on_the_simulated_clock(bench: Bench) -> None:
    bench.line.deaf = lambda request: True
    start_ns = bench.clock.now_ns()
    with pytest.raises(NoReply, match="check power, wiring"):
        bench.link.read_registers(0, 2)
    elapsed_s = (bench.clock.now_ns() - start_ns) / 1e9
    assert elapsed_s == pytest.approx(0.05 + 0.10 + 0.15, abs=0.01)
    assert len(bench.line.requests) == 3


def test_a_lost_answer_is_made_good_before_a_watched_pressure_is_too_old(bench: Bench) -> None:
    pressure = POLLING["pressure"]
    bench.line.deaf = lambda request: len(bench.line.requests) == 1
    start_ns = bench.clock.now_ns()
    bench.link.read_registers(0, 4)
    made_good_s = (bench.clock.now_ns() - start_ns) / 1e9
    assert len(bench.line.requests) == 2
    assert pressure.attended_s + made_good_s + SCAN_S < pressure.stale_attended_s


def test_a_lost_answer_to_a_read_is_asked_for_again(bench: Bench) -> None:
    bench.line.deaf = lambda request: len(bench.line.requests) <= 2
    assert bench.link.read_registers(7, 1) == [7]
    assert len(bench.line.requests) == 3


def test_a_lost_answer_to_a_write_is_an_error_and_the_write_happened_once(bench: Bench) -> None:
    bench.line.spoil = lambda request, answer: b""
    for write in (
        lambda: bench.link.write_register(0, 5),
        lambda: bench.link.write_registers(0, [5, 6]),
        lambda: bench.link.write_coil(0, True),
    ):
        before = (bench.bank.writes, len(bench.line.requests))
        with pytest.raises(NoReply):
            write()
        assert (bench.bank.writes, len(bench.line.requests)) == (before[0] + 1, before[1] + 1)


def test_a_damaged_answer_is_noticed_at_once_and_read_again(bench: Bench) -> None:
    spoiled = []

    def spoil(request: bytes, answer: bytes) -> bytes:
        spoiled.append(answer)
        return answer[:-1] + bytes((answer[-1] ^ 1,)) if len(spoiled) == 1 else answer

    bench.line.spoil = spoil
    start_ns = bench.clock.now_ns()
    assert bench.link.read_registers(7, 1) == [7]
    assert bench.clock.now_ns() - start_ns < 50_000_000


def test_a_stranger_on_the_line_is_a_bad_reply(bench: Bench) -> None:
    bench.line.spoil = lambda request, answer: b"ok\r\nGrbl 1.1h ['$' for help]\r\n"
    with pytest.raises((BadReply, NoReply)):
        bench.link.read_registers(7, 1)


def test_an_exception_answer_is_a_device_error_and_not_repeated(bench: Bench) -> None:
    with pytest.raises(DeviceError, match="illegal data address") as refused:
        bench.link.read_registers(99, 2)
    assert refused.value.code == "2"
    assert len(bench.line.requests) == 1


@pytest.mark.parametrize("code", [5, 6])
def test_a_device_that_is_busy_is_asked_again(bench: Bench, code: int) -> None:
    read, busy = bench.bank.read_words, [1, 2]

    def busy_at_first(function: int, address: int, count: int, now_ns: int) -> list[int]:
        if busy:
            busy.pop()
            raise ModbusFault(code)
        return read(function, address, count, now_ns)

    bench.bank.read_words = busy_at_first  # type: ignore[method-assign]
    assert bench.link.read_registers(7, 1) == [7]
    assert len(bench.line.requests) == 3
    busy += [1, 2, 3]
    with pytest.raises(DeviceError, match="busy"):
        bench.link.read_registers(7, 1)


def test_requests_keep_their_distance(bench: Bench) -> None:
    link = open_modbus("rigsim://modbus", 3, 115200, bench.clock, quiet_s=0.02)
    link.read_registers(0, 1)
    first_ns = bench.clock.now_ns()
    link.read_registers(0, 1)
    assert bench.clock.now_ns() - first_ns >= 20_000_000


def test_the_library_client_itself_can_talk_to_a_simulated_device() -> None:
    wall = WallClock()
    publish("foreign", Endpoint(ModbusSlave(Registers(), unit=1), wall))
    client = ModbusSerialClient("rigsim://foreign", baudrate=115200, timeout=10, retries=0)
    assert client.connect()
    assert client.read_holding_registers(4, count=2, device_id=1).registers == [4, 5]
    client.close()


@pytest.mark.skipif(sys.platform == "win32", reason="ptys are a POSIX thing")
def test_units_on_one_port_share_it_until_the_last_one_leaves() -> None:
    master, slave = os.openpty()
    name, clock = os.ttyname(slave), WallClock()
    try:
        first = open_modbus(name, 1, 9600, clock)
        second = open_modbus(name, 2, 9600, clock)
        with pytest.raises(ConfigError, match="one baud rate"):
            open_modbus(name, 3, 19200, clock)
        first.close()
        first.close()
        with pytest.raises(NoReply):  # the line is still open
            second.write_register(0, 1)
        second.close()
        open_modbus(name, 3, 19200, clock).close()
    finally:
        os.close(master)
        os.close(slave)
