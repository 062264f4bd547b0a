"""Answers that come late or twice: never taken for the answer to another question, never a reason to give up."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from late_line import LateLine
from lossy_line import LossyLine
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from hal.clock import VirtualClock
from hal.errors import BadReply, NoReply
from hal.links.modbus import ModbusLink, _Master, open_modbus
from hal.links.modbus_frame import Damaged, answers, first_mbap, first_rtu
from hal.links.serial import SerialLink, open_serial
from hal.links.wire import Endpoint, publish, withdraw
from hal.sim.devices.modbus_slave import ModbusSlave, crc16

MS = 1_000_000


class Counting:
    """Registers whose content says when they were read: address times 1000 plus the number of the reading."""

    functions = frozenset((1, 2, 3, 4, 6, 16))

    def __init__(self) -> None:
        self.read_n = 0
        self.read_ns: list[int] = []
        self.written: list[tuple[int, list[int]]] = []

    def read_words(self, function: int, address: int, count: int, now_ns: int) -> list[int]:
        self.read_n += 1
        self.read_ns.append(now_ns)
        return [address * 1000 + self.read_n] * count

    def read_bits(self, function: int, address: int, count: int, now_ns: int) -> list[bool]:
        return [address % 2 == 1] * count

    def write_words(self, address: int, words: list[int], now_ns: int) -> None:
        self.written.append((address, words))

    def write_bits(self, address: int, bits: list[bool], now_ns: int) -> None: ...


def reply(function: int, *words: int, unit: int = 1) -> bytes:
    """A frame on an RTU line."""
    body = bytes((unit, function, 2 * len(words))) + struct.pack(f">{len(words)}H", *words)
    return body + struct.pack("<H", crc16(body))


class Bench:
    def __init__(self, numbered: bool) -> None:
        self.clock = VirtualClock()
        self.bank = Counting()
        self.line = LateLine(ModbusSlave(self.bank, mbap=numbered))
        publish("late", Endpoint(self.line, self.clock))
        if numbered:  # what a TCP connection carries, on simulated time
            port = open_serial("rigsim://late", 115200, self.clock, timeout_s=0.15)
            self.link = ModbusLink(port, _Master(port, self.clock, FramerSocket(DecodePDU(False)), 0.0), 1)
        else:
            self.link = open_modbus("rigsim://late", 1, 115200, self.clock)


@pytest.fixture(params=[False, True], ids=["rtu", "tcp"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield Bench(request.param)
    withdraw("late")


@pytest.fixture
def rtu() -> Iterator[Bench]:
    yield Bench(False)
    withdraw("late")


@pytest.mark.parametrize("late_ms", [0, 20, 60, 100, 140])
def test_a_device_that_always_answers_late_is_read_and_its_values_are_dated_when_they_were_asked_for(
    bench: Bench, late_ms: int, capfd: pytest.CaptureFixture[str]
) -> None:
    bench.line.delay_s = lambda n: late_ms / 1000
    for n in range(1, 6):
        before_ns = bench.clock.now_ns()
        number = bench.link.read_registers(n, 2)[0] - 1000 * n
        assert 1 <= number <= bench.bank.read_n
        assert before_ns <= bench.link.asked_ns <= bench.bank.read_ns[number - 1]
        bench.clock.sleep(0.02)
    if late_ms < 50:
        assert len(bench.line.requests) == 5
    assert capfd.readouterr() == ("", "")


def test_over_tcp_the_answer_to_an_earlier_attempt_counts_with_its_own_time(capfd: pytest.CaptureFixture[str]) -> None:
    bench = Bench(numbered=True)
    bench.line.delay_s = lambda n: 0.28
    for n in range(1, 6):
        number = bench.link.read_registers(n, 1)[0] - 1000 * n
        assert number == bench.bank.read_n - 2, "the first of three attempts"
        assert 0 <= bench.bank.read_ns[number - 1] - bench.link.asked_ns < 5 * MS
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("late_ms", [-30, -0.5, 1, 3, 20, 60, 149])
def test_one_late_answer_is_never_that_to_the_next_question(rtu: Bench, late_ms: float) -> None:
    """The answer to a question of another shape arrives before, while or after the next one is answered."""
    rtu.clock.sleep(0.5)
    rtu.line.delay_s = lambda n: 0.04
    rtu.line.send(reply(3, 7777, 7777), rtu.clock.now_ns() + int(late_ms * MS))
    for address in (9, 8):
        assert rtu.link.read_registers(address, 1)[0] // 1000 == address


@pytest.mark.parametrize("late_s", [0.16, 0.2, 0.31, 0.44])
def test_a_device_slower_than_the_patience_is_not_believed_about_another_register(rtu: Bench, late_s: float) -> None:
    """Every answer comes after its question was given up; all have the same shape."""
    rtu.line.delay_s = lambda n: late_s
    for address in (1, 2, 3, 4, 5, 6):
        try:
            assert rtu.link.read_registers(address, 1)[0] // 1000 == address
        except (NoReply, BadReply):
            continue


def test_an_answer_that_comes_twice_is_not_taken_for_the_next(rtu: Bench) -> None:
    for doubled_ms in (0.5, 1.0, 1.5, 10.0, 30.0):
        rtu.line.again = lambda n, doubled_s=doubled_ms / 1000: doubled_s if n % 3 == 0 else None  # type: ignore[misc]
        for address in (1, 2, 3, 4):
            assert rtu.link.read_registers(address, 1)[0] // 1000 == address
            rtu.clock.sleep(0.05)


def test_the_same_question_is_asked_again_soon_and_its_answer_is_dated_by_the_first_time(rtu: Bench) -> None:
    """Which of the two was answered nobody can prove, and then which of the next."""
    rtu.line.delay_s = lambda n: 3600.0 if n == 0 else 0.0
    asked_ns = []
    for _ in range(4):
        asked_ns.append(rtu.clock.now_ns())
        assert rtu.link.read_registers(5, 1)[0] // 1000 == 5
        assert rtu.link.asked_ns <= asked_ns[-1]
        rtu.clock.sleep(0.02)
    assert 50 * MS <= rtu.clock.now_ns() - rtu.link.asked_ns <= 150 * MS
    assert rtu.link.asked_ns < asked_ns[-1], "one answer may still be owed"
    rtu.clock.sleep(0.2)  # silence: nothing is owed any more
    asked_again_ns = rtu.clock.now_ns()
    rtu.link.read_registers(5, 1)
    assert rtu.link.asked_ns >= asked_again_ns


def test_another_question_waits_until_the_answer_that_was_given_up_can_not_come_any_more(rtu: Bench) -> None:
    rtu.line.delay_s = lambda n: 3600.0 if n == 0 else 0.0
    rtu.link.read_registers(5, 1)
    rtu.link.read_registers(6, 1)
    assert rtu.clock.now_ns() > 1000 * MS
    begun_ns = rtu.clock.now_ns()
    rtu.link.read_registers(5, 1)
    assert rtu.clock.now_ns() - begun_ns < 10 * MS


@pytest.mark.parametrize("late_s", [0.06, 0.09, 0.14])
def test_a_polled_value_of_a_slow_device_is_never_younger_than_it_says(rtu: Bench, late_s: float) -> None:
    """The answers come one poll late, each in time for the next question."""
    rtu.line.delay_s = lambda n: late_s
    for _ in range(30):
        number = rtu.link.read_registers(5, 1)[0] - 5000
        assert rtu.link.asked_ns <= rtu.bank.read_ns[number - 1]
        rtu.clock.sleep(0.02)


@pytest.mark.parametrize("cut", [1, 3, 5, 6], ids=lambda n: f"{n} bytes")
def test_an_answer_that_stops_in_the_middle_is_asked_for_again_within_a_twentieth_of_a_second(cut: int) -> None:
    """So that damaged answers in a row do not make a watched value too old; it was the answer: none is owed."""
    clock, bank = VirtualClock(), Counting()
    line = LossyLine(ModbusSlave(bank))
    publish("late", Endpoint(line, clock))
    link = open_modbus("rigsim://late", 1, 115200, clock)
    line.spoil = lambda request, answer: answer[:cut] if len(line.requests) == 1 else answer
    assert link.read_registers(5, 1) == [5002]
    assert clock.now_ns() < 50 * MS
    asked_ns = clock.now_ns()
    assert link.read_registers(5, 1) == [5003]
    assert link.asked_ns >= asked_ns
    withdraw("late")


def test_a_write_is_sent_once_and_passes_over_an_older_answer(rtu: Bench) -> None:
    rtu.line.delay_s = lambda n: 0.02
    rtu.line.send(reply(3, 7777), 3 * MS)
    rtu.link.write_registers(4, [1, 2])
    assert rtu.bank.written == [(4, [1, 2])]
    assert len(rtu.line.requests) == 1


def test_a_confirmation_of_another_write_is_no_confirmation(rtu: Bench) -> None:
    other = bytes((1, 6)) + struct.pack(">HH", 4, 1)
    other += struct.pack("<H", crc16(other))
    rtu.line.delay_s = lambda n: 3600.0
    rtu.line.send(other, 3 * MS)
    with pytest.raises(BadReply, match="older question"):
        rtu.link.write_register(4, 2)


def test_another_units_answer_is_waited_out(rtu: Bench) -> None:
    rtu.line.delay_s = lambda n: 0.02
    rtu.line.send(reply(3, 7777, unit=2), 3 * MS)
    assert rtu.link.read_registers(8, 1)[0] // 1000 == 8


class _CaseOfTheLateReply:
    """A port without a clock: the late reply lies in front of the true one, both at hand at once."""

    def __init__(self) -> None:
        self.late = self.out = b""
        self.asked_n = 0

    def write(self, data: bytes) -> int:
        self.asked_n += 1
        address = int.from_bytes(data[2:4], "big")
        self.out, self.late = self.late + self.reply(address), b""
        return len(data)

    @staticmethod
    def reply(address: int) -> bytes:
        content = {0x03A0: struct.pack(">ff", 0.0, 3.5), 0x0100: struct.pack(">ff", 1.234, 21.5), 0x020F: b"\x0c\x05"}
        body = bytes((1, 3, len(content[address]))) + content[address]
        return body + struct.pack("<H", crc16(body))

    def await_bytes(self, at_ns: int) -> bytes:
        taken, self.out = self.out[:13], self.out[13:]
        return taken

    def reset_input_buffer(self) -> None:
        self.out = b""

    def close(self) -> None: ...


@pytest.mark.parametrize(("address", "count"), [(0x020F, 1), (0x0100, 4)])
def test_a_late_reply_in_front_of_the_true_one_is_asked_about_again(address: int, count: int) -> None:
    clock, port = VirtualClock(), _CaseOfTheLateReply()
    line = SerialLink(port, "fake", clock, 0.15)
    link = ModbusLink(line, _Master(line, clock, FramerRTU(DecodePDU(False)), 0.0), 1)
    port.late = port.reply(0x03A0)
    words = link.read_registers(address, count)
    true = port.reply(address)[3:-2]
    assert struct.pack(f">{count}H", *words) == true
    assert port.asked_n == 2


READ = bytes.fromhex("03 01 00 00 02")


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        ("03 04 3F 9E 04 19", True),
        ("03 08 3F 9E 04 19 41 B0 00 00", False),
        ("03 02 3F 9E", False),
        ("04 04 3F 9E 04 19", False),
        ("03 04 3F 9E 04", False),
        ("83 02", True),
        ("84 02", False),
        ("83 00", False),
        ("83", False),
    ],
)
def test_an_answer_has_the_shape_that_was_asked_for(answer: str, fits: bool) -> None:
    assert answers(READ, bytes.fromhex(answer)) is fits


@pytest.mark.parametrize("question", ["05 00 07 FF 00", "06 00 07 00 03", "08 00 00 12 34"])
def test_an_action_is_confirmed_word_by_word(question: str) -> None:
    asked = bytes.fromhex(question)
    assert answers(asked, asked)
    for n in range(1, len(asked)):
        assert not answers(asked, asked[:n] + bytes((asked[n] ^ 1,)) + asked[n + 1 :])


def test_no_single_changed_lost_or_added_byte_of_an_rtu_frame_goes_unnoticed() -> None:
    frame = bytes.fromhex("01 03 08 3F 9E 04 19 41 B0 00 00 A0 D7")
    question = bytes.fromhex("03 01 00 00 04")
    whole, used = first_rtu(frame)
    assert whole is not None
    assert used == len(frame)

    def believed(data: bytes) -> bytes:
        try:
            found, used = first_rtu(data)
        except Damaged:
            return b""
        return b"" if found is None or used != len(data) or not answers(question, found.pdu) else found.pdu

    for n in range(len(frame)):
        assert not believed(frame[:n] + frame[n + 1 :])
        for bit in range(8):
            assert not believed(frame[:n] + bytes((frame[n] ^ 1 << bit,)) + frame[n + 1 :])
    assert believed(b"\x00" + frame) == believed(b"\xff" + frame) == whole.pdu  # a driver that turned on


def test_a_tcp_frame_is_cut_by_its_own_length_and_known_by_its_number() -> None:
    frame = bytes.fromhex("00 2A 00 00 00 07 01 03 04 3F 9E 04 19")
    for n in range(len(frame)):
        assert first_mbap(frame[:n]) == (None, 0)
    found, used = first_mbap(frame + frame)
    assert found is not None
    assert (found.transaction, found.unit, found.pdu.hex(), used) == (42, 1, "03043f9e0419", len(frame))
    for damaged in ("00 2A 00 01 00 07 01 03 04", "00 2A 00 00 00 02 01 03 04", "00 2A 00 00 01 07 01 03 04"):
        with pytest.raises(Damaged):
            first_mbap(bytes.fromhex(damaged))
