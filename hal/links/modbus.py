"""Modbus master on RTU lines and TCP; the only importer of pymodbus.

pymodbus builds and parses the messages (``ModbusClientMixin`` with the framers). Its own clients are not used
for moving bytes: they re-send writes by default, poll with ``time.sleep`` and time out on wall time, none of which
may happen here. ``execute`` is the mixin's documented place for another transport; ours is a ``SerialLink``, so that a
silent device times out on the rig's clock, simulated or not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU

from hal.clock import NS_PER_S, Clock
from hal.errors import BadReply, ConfigError, DeviceError, NoReply
from hal.links.serial import LATE_CHUNKS_MAX_N, SerialLink, open_serial
from hal.links.tcp_port import host_and_port

WordOrder = Literal["big", "little"]
"""``big``: the register with the lower address holds the upper half of a 32-bit value."""

READ_ATTEMPTS = 3
"""First attempt and two more; writes get one."""
PATIENCE_S = 0.15
"""With a write and with the last attempt of a read; the attempts before it get a third and two thirds of it, so that
one lost reply does not make a watched value too old (0.2 s for a pressure). At 9600 baud a request for four registers
and its reply take 22 ms, the device some more, a USB adapter up to 16 ms."""

FRAME_MAX_BYTES = 260
"""Longest Modbus frame (TCP: 7 bytes of header and 253 of message; RTU 256). pymodbus asks for more after bytes whose
function code it does not know (0 among them), so that a line that brings zeros would be waited for without end."""

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, still busy",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}
"""Exception codes of the MODBUS application protocol specification V1.1b3, section 7."""


class _Master(ModbusClientMixin[ModbusPDU]):
    """pymodbus requests over our link: one request, one reply, one deadline, never sent twice."""

    def __init__(self, link: SerialLink, clock: Clock, framer: FramerRTU | FramerSocket, quiet_s: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._link = link
        self._clock = clock
        self._framer = framer
        self._quiet_ns = int(quiet_s * NS_PER_S)
        self._free_ns = 0
        self._transaction = 0
        self.patience_s = link.timeout_s
        """With the next reply."""

    def execute(self, no_response_expected: bool, request: ModbusPDU) -> ModbusPDU:
        """Send ``request`` and wait for its reply; raises ``NoReply``, ``BadReply`` or ``LinkError``."""
        self._transaction = self._transaction % 65000 + 1
        request.transaction_id = self._transaction
        if self._clock.now_ns() < self._free_ns:
            self._clock.sleep_until(self._free_ns)
        self._link.drain()
        try:
            self._link.write(self._framer.buildFrame(request))
            return self._reply(request)
        finally:
            self._free_ns = self._clock.now_ns() + self._quiet_ns

    def be_quiet(self, quiet_s: float) -> None:
        """Keep at least this silence between requests."""
        self._quiet_ns = max(self._quiet_ns, int(quiet_s * NS_PER_S))

    def _reply(self, request: ModbusPDU) -> ModbusPDU:
        what = f"Modbus function {request.function_code} to unit {request.dev_id}"
        deadline = self._clock.deadline(self.patience_s)
        data = b""
        late_n = 0
        while True:
            chunk = self._link.read_some(deadline) if late_n < LATE_CHUNKS_MAX_N else b""
            if not chunk:
                got = f"only {data[:40].hex(' ')} came" if data else "nothing came"
                raise NoReply(
                    f"{self._link.url}: {what} was not answered within {self.patience_s:g} s ({got}); "
                    "check power, wiring (A/B), baud rate and unit number",
                    port=self._link.url,
                    command=what,
                )
            data += chunk
            late_n += deadline.expired
            try:
                used, reply = self._framer.handleFrame(data, request.dev_id, self._transaction)
            except (ModbusException, ValueError, IndexError, struct.error) as error:
                raise self._bad(what, data) from error
            if reply is not None:
                return reply
            if used or len(data) > FRAME_MAX_BYTES:  # a whole frame that is damaged or another unit's, or no frame
                raise self._bad(what, data)

    def _bad(self, what: str, data: bytes) -> BadReply:
        return BadReply(
            f"{self._link.url}: the answer to {what} is damaged or not Modbus: {data[:40].hex(' ')}",
            port=self._link.url,
            command=what,
            raw=data,
        )


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

    Reads are tried three times at most, writes once. Every method raises ``NoReply``/``BadReply``/``LinkError``, or
    ``DeviceError`` (``code`` = the Modbus exception number) when the device refuses.
    """

    def __init__(self, link: SerialLink, master: _Master, unit: int, bus: _Bus | None = None) -> None:
        self.url = link.url
        self.unit = unit
        self.simulated = link.simulated
        self._link = link
        self._master = master
        self._bus = bus
        self._closed = False

    def read_registers(self, address: int, count: int, *, function: int = 3) -> list[int]:
        """``count`` 16-bit registers; ``function`` 3 (holding) or 4 (input)."""
        call = self._master.read_input_registers if function == 4 else self._master.read_holding_registers
        reply = self._read(lambda: call(address, count=count, device_id=self.unit))
        registers = [int(value) for value in reply.registers]
        if len(registers) != count:
            raise self._short(address, count, len(registers))
        return registers

    def read_float32(
        self, address: int, count: int = 1, *, word_order: WordOrder = "big", function: int = 3
    ) -> tuple[float, ...]:
        """``count`` consecutive IEEE 754 single floats in one request."""
        return unpack("f", self.read_registers(address, 2 * count, function=function), word_order)

    def read_discrete_inputs(self, address: int, count: int) -> list[bool]:
        """``count`` single-bit inputs (function 2)."""
        reply = self._read(lambda: self._master.read_discrete_inputs(address, count=count, device_id=self.unit))
        bits = [bool(bit) for bit in reply.bits]
        if len(bits) < count:
            raise self._short(address, count, len(bits))
        return bits[:count]

    def write_register(self, address: int, value: int) -> None:
        """Function 6, sent once."""
        self._accepted(self._master.write_register(address, value, device_id=self.unit))

    def write_registers(self, address: int, values: Sequence[int]) -> None:
        """Function 16, sent once."""
        self._accepted(self._master.write_registers(address, list(values), device_id=self.unit))

    def write_float32(self, address: int, value: float, *, word_order: WordOrder = "big") -> None:
        """One single float in two registers, sent once."""
        words = list(struct.unpack(">HH", struct.pack(">f", value)))
        self.write_registers(address, words if word_order == "big" else words[::-1])

    def write_coil(self, address: int, value: bool) -> None:
        """Function 5, sent once."""
        self._accepted(self._master.write_coil(address, value, device_id=self.unit))

    def echo(self, data: bytes) -> bytes:
        """Function 8, subfunction 0: the device should return ``data`` (two bytes)."""
        reply = self._read(lambda: self._master.diag_query_data(data, device_id=self.unit))
        message = reply.message  # type: ignore[attr-defined]
        return bytes(message) if isinstance(message, bytes | bytearray) else b""

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
        for attempt in range(1, READ_ATTEMPTS + 1):
            self._master.patience_s = self._link.timeout_s * attempt / READ_ATTEMPTS
            try:
                return self._accepted(call())
            except (NoReply, BadReply):
                if attempt == READ_ATTEMPTS:
                    raise
            finally:
                self._master.patience_s = self._link.timeout_s
        raise AssertionError("unreachable")

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

    def _short(self, address: int, wanted: int, got: int) -> BadReply:
        return BadReply(
            f"{self.url}: unit {self.unit} returned {got} values from address {address}, expected {wanted}",
            port=self.url,
        )


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
