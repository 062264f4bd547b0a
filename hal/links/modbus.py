"""Modbus master on RTU lines and TCP; the only importer of pymodbus.

pymodbus builds and parses the messages (``ModbusClientMixin`` with the framers). Its own clients are not used
for moving bytes: they re-send writes by default, poll with ``time.sleep`` and time out on wall time, none of which
may happen here. ``execute`` is the mixin's documented place for another transport; ours is a ``SerialLink``, so that a
silent device times out on the rig's clock, simulated or not.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU

from hal.clock import NS_PER_S, Clock, Deadline
from hal.errors import BadReply, ConfigError, DeviceError, NoReply
from hal.links.modbus_frame import EXCEPTIONS, FRAME_MAX_BYTES, Damaged, Frame, answers, first_mbap, first_rtu
from hal.links.serial import LATE_CHUNKS_MAX_N, SerialLink, open_serial
from hal.links.tcp_port import host_and_port

WordOrder = Literal["big", "little"]
"""``big``: the register with the lower address holds the upper half of a 32-bit value."""

READ_ATTEMPTS = 3
"""First attempt and two more; writes get one."""
PATIENCE_S = 0.15
"""The longest that a device may take: with a write and with the last attempt of a read; the attempts before it get a
third and two thirds of it, so that two lost replies do not make a watched value too old (0.2 s for a pressure). At
9600 baud a request for four registers and its reply take 22 ms, the device some more, a USB adapter up to 16 ms."""
HUSH = 0.1
"""Part of the patience that a line must be silent after bytes that belong to no answer: 15 ms, what an answer of four
registers takes at 9600 baud."""
GAP = 0.2
"""Part of the patience after which no more of a frame comes that has begun: 30 ms. On the line 1.5 characters are the
most; a USB adapter hands over what it has every 16 ms."""

HUSH_TRIES = 3
"""So many times that silence is waited for on a line that babbles; a question is then asked all the same, and its
answer is not believed, since no silence follows it."""
LATEST_S = 1.0
"""An answer that was given up is waited for so long before another question of the same function is asked of the unit,
whose answer it could be taken for; ten times what a busy slave or gateway takes [A]. The same question may be asked
again at once: whichever answer comes is one to it, as old as the first time that it was asked."""
READS = frozenset((1, 2, 3, 4, 8))
"""Functions that may be asked again."""

BUSY = frozenset(("5", "6"))
"""Exceptions of a healthy device that cannot answer just now: it is asked again after a moment."""

logging.getLogger("pymodbus.logging").addHandler(logging.NullHandler())  # what it has to say stands in our errors


Question = tuple[int, bytes]
"""Unit, and the message from the function code on."""


class _Master(ModbusClientMixin[ModbusPDU]):
    """pymodbus requests over our own link: one request, one reply, one deadline, never sent twice.

    A TCP connection numbers its questions: answers to older ones are passed over. An RTU line does not, so a frame is
    an answer when nothing else can be meant: the line was silent before the question, the frame has the shape of the
    answer, and silence follows it.
    """

    def __init__(self, link: SerialLink, clock: Clock, framer: FramerRTU | FramerSocket, quiet_s: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._link = link
        self._clock = clock
        self._framer = framer
        self._numbered = isinstance(framer, FramerSocket)
        self._quiet_ns = int(quiet_s * NS_PER_S)
        self._free_ns = 0
        self._transaction = 0
        self._came = b""
        """Not yet understood; on TCP it may be the beginning of a frame."""
        self._adrift = False
        """Where the next frame begins is not known."""
        self._owed: dict[Question, list[int]] = {}
        """When each question was asked to which no answer came (yet), oldest first."""
        self._asked: dict[int, int] = {}
        """When each question of the exchange under way was sent, by number."""
        self.asked_ns = 0
        """The earliest time at which the question was sent that the last answer can belong to."""
        self.patience_s = link.timeout_s
        """With the next reply."""
        self.late_n = 0
        """Frames that belonged to no question, or to an older one."""

    def begin(self) -> None:
        """Mark the next question as new, not an old one asked again."""
        self._asked.clear()

    def execute(self, no_response_expected: bool, request: ModbusPDU) -> ModbusPDU:
        """Send ``request`` and wait for its reply; raises ``NoReply``, ``BadReply`` or ``LinkError``."""
        self._transaction = self._transaction % 65000 + 1
        request.transaction_id = self._transaction
        question = request.dev_id, bytes((request.function_code,)) + request.encode()
        what = f"Modbus function {request.function_code} to unit {request.dev_id}"
        self._settle()
        self._await_owed(question)
        sent_ns = self._clock.now_ns()
        self._asked[self._transaction] = sent_ns
        self._owed.setdefault(question, []).append(sent_ns)
        self._link.write(self._framer.buildFrame(request))
        answer = self._answer(what, question)
        self.asked_ns = self._paid(question)
        if self._numbered:
            self.asked_ns = self._asked[answer.transaction]
            self._owed.clear()
        self._be_alone(what)
        return self._decoded(what, answer)

    def be_quiet(self, quiet_s: float) -> None:
        """Keep at least this silence between requests."""
        self._quiet_ns = max(self._quiet_ns, int(quiet_s * NS_PER_S))

    def wait_for_it(self) -> None:
        """Leave a busy device alone for a moment."""
        self._clock.sleep(self._link.timeout_s * HUSH)

    def _answer(self, what: str, question: Question) -> Frame:
        deadline = self._clock.deadline(self.patience_s)
        foreign = b""
        late_n = 0
        while True:
            while (frame := self._frame(what, question)) is not None:
                if self._meant(frame, question):
                    if foreign and question[1][0] in READS:  # one of the two is an older answer; which, nobody can say
                        raise self._bad(what, foreign)
                    return frame
                self.late_n += 1
                if not self._numbered:
                    foreign += bytes((frame.unit,)) + frame.pdu
            until = deadline
            if self._came and not self._numbered:
                gap_ns = int(self._link.timeout_s * GAP * NS_PER_S)
                until = Deadline(self._clock, min(deadline.at_ns, self._clock.now_ns() + gap_ns))
            chunk = self._link.read_some(until) if late_n < LATE_CHUNKS_MAX_N else b""
            if not chunk:
                if self._came and not foreign and not deadline.expired:
                    raise self._half(what, question)
                if foreign:
                    raise self._bad(what, foreign)
                raise self._silent(what)
            self._came += chunk
            late_n += deadline.expired

    def _frame(self, what: str, question: Question) -> Frame | None:
        """Next whole frame of the received bytes; raises ``BadReply`` for bytes that are none."""
        came = self._came
        try:
            frame, used = first_mbap(came) if self._numbered else first_rtu(came)
            if frame is None and len(came) > FRAME_MAX_BYTES:
                raise Damaged("no end")
        except Damaged:
            self._paid(question)  # that was it: no other is to be expected
            raise self._bad(what, came) from None
        self._came = came[used:]
        return frame

    def _meant(self, frame: Frame, question: Question) -> bool:
        if self._numbered and frame.transaction not in self._asked:
            return False
        return frame.unit == question[0] and answers(question[1], frame.pdu)

    def _settle(self) -> None:
        """Wait until the line may be used and, where answers have no numbers, until it is silent."""
        if self._numbered and not self._adrift:
            if self._clock.now_ns() < self._free_ns:
                self._clock.sleep_until(self._free_ns)
            return
        more = self._came + self._hear(self._free_ns)
        if more:
            self._unasked(more)
            limit_ns = self._clock.now_ns() + HUSH_TRIES * self._hush_ns
            while self._hear(self._clock.now_ns() + self._hush_ns) and self._clock.now_ns() < limit_ns:
                pass
        self._came = b""
        self._adrift = False
        self._link.drain()

    def _unasked(self, data: bytes) -> None:
        """Handle bytes that nobody waited for: they may be an owed answer of a unit."""
        self.late_n += 1
        for question in [q for q in self._owed if q[0] == data[0]]:
            self._paid(question)

    def _paid(self, question: Question) -> int:
        """Settle one owed answer; returns when its question was asked, at the earliest."""
        times = self._owed[question]
        asked_ns = times.pop(0)
        if not times:
            del self._owed[question]
        return asked_ns

    def _await_owed(self, question: Question) -> None:
        """Drop owed answers that cannot come any more; await those that could be taken for the answer to
        ``question``."""
        if not self._owed or self._numbered:
            return
        now_ns = self._clock.now_ns()
        silent_ns, latest_ns = int(self._link.timeout_s * NS_PER_S), int(LATEST_S * NS_PER_S)
        for asked, times in list(self._owed.items()):
            if now_ns - times[-1] >= (silent_ns if asked == question else latest_ns):
                del self._owed[asked]
        unit, message = question
        while others := [q for q in self._owed if q != question and q[0] == unit and q[1][0] == message[0]]:
            more = self._hear(max(self._owed[q][-1] for q in others) + latest_ns)
            if not more:
                for asked in others:
                    del self._owed[asked]
                return
            self._spoilt()
            self._unasked(more)
            self._settle()

    def _be_alone(self, what: str) -> None:
        """Listen during the silence that the line must keep: a second answer makes the first one doubtful."""
        self._free_ns = self._clock.now_ns() + self._quiet_ns
        if self._numbered:
            return
        more = self._came + self._hear(self._free_ns)
        if more:
            self.late_n += 1
            raise self._bad(what, more)

    def _hear(self, until_ns: int) -> bytes:
        """Bytes that arrive until the deadline; ends with the first ones."""
        return self._link.read_some(Deadline(self._clock, max(until_ns, self._clock.now_ns())))

    @property
    def _hush_ns(self) -> int:
        return int(self._link.timeout_s * HUSH * NS_PER_S)

    def _decoded(self, what: str, answer: Frame) -> ModbusPDU:
        reply = self._framer.decoder.decode(answer.pdu)
        if reply is None:
            raise self._bad(what, answer.pdu)
        reply.dev_id, reply.transaction_id = answer.unit, answer.transaction
        return reply

    def _silent(self, what: str) -> NoReply:
        came = self._came
        if came and not self._numbered:
            self._spoilt()
        got = f"only {came[:40].hex(' ')} came" if came else "nothing came"
        return NoReply(
            f"{self._link.url}: {what} was not answered within {self.patience_s:g} s ({got}); "
            "check power, wiring (A/B), baud rate and unit number",
            port=self._link.url,
            command=what,
        )

    def _half(self, what: str, question: Question) -> BadReply:
        """Handle a frame that stopped in the middle; the silence after it has already passed."""
        self._paid(question)
        half = self._bad(what, self._came)
        self._free_ns = self._clock.now_ns() + self._quiet_ns
        return half

    def _bad(self, what: str, data: bytes) -> BadReply:
        self._spoilt()
        return BadReply(
            f"{self._link.url}: the answer to {what} is damaged, not Modbus or that to an older question: "
            f"{data[:40].hex(' ')}",
            port=self._link.url,
            command=what,
            raw=data,
        )

    def _spoilt(self) -> None:
        """Discard the received bytes; the rest of the message may still be on its way."""
        self._came = b""
        self._adrift = True
        self._free_ns = self._clock.now_ns() + max(self._quiet_ns, self._hush_ns)


class _Bus:
    """An RS-485 line with several units: opened once, closed by its last user. All users share one lane."""

    _open: ClassVar[dict[str, _Bus]] = {}

    def __init__(self, url: str, baudrate: int, clock: Clock, timeout_s: float, quiet_s: float) -> None:
        self.link = open_serial(url, baudrate, clock, timeout_s=timeout_s)
        self.master = _Master(self.link, clock, FramerRTU(DecodePDU(False)), quiet_s)
        self._url = url
        self._baudrate = baudrate
        self._users = 0

    @classmethod
    def join(cls, url: str, baudrate: int, clock: Clock, timeout_s: float, quiet_s: float) -> _Bus:
        bus = cls._open.get(url)
        if bus is None:
            bus = cls._open[url] = cls(url, baudrate, clock, timeout_s, quiet_s)
        elif bus._baudrate != baudrate:
            raise ConfigError(f"{url}: devices on one line must use one baud rate, not {bus._baudrate} and {baudrate}")
        bus.master.be_quiet(quiet_s)
        bus._users += 1
        return bus

    def leave(self) -> None:
        self._users -= 1
        if self._users == 0:
            del self._open[self._url]
            self.link.close()


class ModbusLink:
    """One unit behind one line or connection.

    Reads are tried three times at most, writes once; an answer has the shape that its question asks for. Every
    method raises ``NoReply``/``BadReply``/``LinkError``, or ``DeviceError`` (``code`` = the Modbus exception number)
    when the device refuses.
    """

    def __init__(self, link: SerialLink, master: _Master, unit: int, bus: _Bus | None = None) -> None:
        self.url = link.url
        self.unit = unit
        self.simulated = link.simulated
        self._link = link
        self._master = master
        self._bus = bus
        self._closed = False

    @property
    def late_n(self) -> int:
        """Number of answers on this line that came late, twice or from elsewhere, and were ignored."""
        return self._master.late_n

    @property
    def asked_ns(self) -> int:
        """Moment at which the question of the last answer was sent: its content cannot be shown to be younger."""
        return self._master.asked_ns

    def read_registers(self, address: int, count: int, *, function: int = 3) -> list[int]:
        """``count`` 16-bit registers; ``function`` 3 (holding) or 4 (input)."""
        call = self._master.read_input_registers if function == 4 else self._master.read_holding_registers
        reply = self._read(lambda: call(address, count=count, device_id=self.unit))
        return [int(value) for value in reply.registers]

    def read_float32(
        self, address: int, count: int = 1, *, word_order: WordOrder = "big", function: int = 3
    ) -> tuple[float, ...]:
        """``count`` consecutive IEEE 754 single floats in one request."""
        return unpack("f", self.read_registers(address, 2 * count, function=function), word_order)

    def read_discrete_inputs(self, address: int, count: int) -> list[bool]:
        """``count`` single-bit inputs (function 2)."""
        reply = self._read(lambda: self._master.read_discrete_inputs(address, count=count, device_id=self.unit))
        return [bool(bit) for bit in reply.bits[:count]]

    def write_register(self, address: int, value: int) -> None:
        """Function 6, sent once."""
        self._write(lambda: self._master.write_register(address, value, device_id=self.unit))

    def write_registers(self, address: int, values: Sequence[int]) -> None:
        """Function 16, sent once."""
        self._write(lambda: self._master.write_registers(address, list(values), device_id=self.unit))

    def write_float32(self, address: int, value: float, *, word_order: WordOrder = "big") -> None:
        """One single float in two registers, sent once."""
        words = list(struct.unpack(">HH", struct.pack(">f", value)))
        self.write_registers(address, words if word_order == "big" else words[::-1])

    def write_coil(self, address: int, value: bool) -> None:
        """Function 5, sent once."""
        self._write(lambda: self._master.write_coil(address, value, device_id=self.unit))

    def echo(self, data: bytes) -> bytes:
        """Function 8, subfunction 0: the device returns ``data`` (two bytes), else ``BadReply``."""
        self._read(lambda: self._master.diag_query_data(data, device_id=self.unit))
        return data

    def close(self) -> None:
        """Leave the line; closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        if self._bus is None:
            self._link.close()
        else:
            self._bus.leave()

    def _read(self, call: Callable[[], ModbusPDU]) -> ModbusPDU:
        self._master.begin()
        for attempt in range(1, READ_ATTEMPTS + 1):
            self._master.patience_s = self._link.timeout_s * attempt / READ_ATTEMPTS
            try:
                return self._accepted(call())
            except (NoReply, BadReply):
                if attempt == READ_ATTEMPTS:
                    raise
            except DeviceError as refused:
                if attempt == READ_ATTEMPTS or refused.code not in BUSY:
                    raise
                self._master.wait_for_it()
            finally:
                self._master.patience_s = self._link.timeout_s
        raise AssertionError("unreachable")

    def _write(self, call: Callable[[], ModbusPDU]) -> None:
        self._master.begin()
        self._accepted(call())

    def _accepted(self, reply: ModbusPDU) -> ModbusPDU:
        if reply.isError():
            code = int(getattr(reply, "exception_code", 0))
            meaning = EXCEPTIONS.get(code, "unknown exception")
            number = reply.function_code & 0x7F
            raise DeviceError(
                f"{self.url}: unit {self.unit} refused function {number}: {meaning} (exception {code})",
                device=self.url,
                code=str(code),
            )
        return reply


def unpack(code: Literal["f", "i"], registers: Sequence[int], word_order: WordOrder) -> tuple[float, ...]:
    """32-bit floats (``f``) or integers (``i``) from pairs of registers."""
    pairs = [registers[i : i + 2] for i in range(0, len(registers), 2)]
    words = [word for pair in pairs for word in (pair if word_order == "big" else pair[::-1])]
    return struct.unpack(f">{len(pairs)}{code}", struct.pack(f">{len(words)}H", *words))


def open_modbus(
    url: str, unit: int, baudrate: int, clock: Clock, *, timeout_s: float = PATIENCE_S, quiet_s: float | None = None
) -> ModbusLink:
    """Open one Modbus unit.

    ``url``: a serial port, pty or ``rigsim://NAME`` (RTU), ``modbus+tcp://host:port`` (MBAP header),
    ``rtu+tcp://host:port`` (RTU frames over TCP, e.g. a raw serial server).
    Several units on one serial port share it (one lane, one baud rate).
    ``quiet_s``: silence kept before the next request; by default 3.5 characters, at least 1.75 ms (MODBUS over serial
    line V1.02, section 2.5.1.1), and none on TCP.
    """
    on_tcp = url.startswith(("modbus+tcp://", "rtu+tcp://"))
    if on_tcp:
        host, port = host_and_port(url)
        line = f"socket://[{host}]:{port}" if ":" in host else f"socket://{host}:{port}"
    else:
        line = url
    if quiet_s is None:
        quiet_s = 0.0 if on_tcp else max(0.00175, 3.5 * 11 / baudrate)
    if not on_tcp and "://" not in url:
        bus = _Bus.join(url, baudrate, clock, timeout_s, quiet_s)
        return ModbusLink(bus.link, bus.master, unit, bus)
    decoder = DecodePDU(False)
    framer = FramerSocket(decoder) if url.startswith("modbus+tcp://") else FramerRTU(decoder)
    link = open_serial(line, baudrate, clock, timeout_s=timeout_s)
    return ModbusLink(link, _Master(link, clock, framer, quiet_s), unit)
