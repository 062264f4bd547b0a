"""``rigsim://NAME`` as a pyserial port: the line to a simulated device in this process.

Line time is charged in both directions at 10 bits per byte (8N1) and the set baud rate, on the clock of the
endpoint, so that a transaction takes in simulated time what it takes on the bench and costs few clock sleeps.
"""

from __future__ import annotations

from collections import deque

from serial import PortNotOpenError, SerialBase, SerialException

from hal.clock import NS_PER_S
from hal.errors import LinkError
from hal.links.wire import Endpoint, endpoint

BITS_PER_BYTE = 10
"""8N1: start bit, eight data bits, stop bit."""

SLICE_NS = 20_000_000
"""A wait looks at least this often whether the cable is still plugged in."""


class Serial(SerialBase):  # type: ignore[misc]  # pyserial carries no types
    """One end of an in-process line; the other end is a ``hal.links.wire.Endpoint``."""

    BAUDRATES = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)

    _end: Endpoint
    is_open: bool
    _byte_ns: int = 0

    def open(self) -> None:
        if self._port is None:
            raise SerialException("no address given")
        if self.is_open:
            raise SerialException("the port is already open")
        try:
            self._end = endpoint(self._port)
        except LinkError as error:
            raise SerialException(str(error)) from error
        self._reconfigure_port()
        self._arrived = bytearray()
        self._flight: deque[tuple[int, bytes]] = deque()
        self._line_free_ns = 0
        self._due_ns: int | None = None
        self._silent_ns: int | None = None
        """The moment at which the device said that it sends later: it need not be asked again at the same moment."""
        if not self._end.connected:
            raise SerialException(f"nothing is plugged in at {self._port}")
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def _reconfigure_port(self) -> None:
        self._byte_ns = BITS_PER_BYTE * NS_PER_S // self._baudrate

    def _check(self) -> Endpoint:
        if not self.is_open:
            raise PortNotOpenError()
        if not self._end.connected:
            raise SerialException(f"the cable at {self._port} was pulled")
        return self._end

    def write(self, data: bytes) -> int:
        end = self._check()
        clock = end.clock
        clock.sleep_until(clock.now_ns() + len(data) * self._byte_ns)
        self._check()
        now_ns = clock.now_ns()
        with end.lock:
            end.core.receive(bytes(data), now_ns)
            self._due_ns = due_ns = end.core.next_ns(now_ns)
        self._silent_ns = now_ns if due_ns is not None and due_ns > now_ns else None
        return len(data)

    def _collect(self, now_ns: int) -> None:
        """Put what the device has sent on the line, and take off what has arrived."""
        end = self._check()
        with end.lock:
            sent = end.core.transmit(now_ns)
        if sent:
            # It left the device when it was announced for, which may be long before somebody looked.
            left_ns = now_ns if self._due_ns is None else min(now_ns, self._due_ns)
            self._line_free_ns = max(left_ns, self._line_free_ns) + len(sent) * self._byte_ns
            self._flight.append((self._line_free_ns, sent))
        while self._flight and self._flight[0][0] <= now_ns:
            self._arrived += self._flight.popleft()[1]

    def await_bytes(self, at_ns: int) -> bytes:
        """Return everything that has arrived, waiting for the first byte until ``at_ns``; empty when none came."""
        end = self._check()
        clock = end.clock
        while True:
            now_ns = clock.now_ns()
            if now_ns != self._silent_ns or self._flight or self._arrived:
                self._collect(now_ns)
                if self._arrived:
                    taken = bytes(self._arrived)
                    self._arrived.clear()
                    return taken
            if now_ns >= at_ns:
                return b""
            wake_ns = min(at_ns, now_ns + SLICE_NS)
            if self._flight:
                wake_ns = min(at_ns, self._flight[0][0])
            else:
                if now_ns != self._silent_ns:
                    with end.lock:
                        self._due_ns = end.core.next_ns(now_ns)
                due_ns = self._due_ns
                if due_ns is not None and now_ns < due_ns < wake_ns:
                    wake_ns = due_ns
            clock.sleep_until(wake_ns)

    def read(self, size: int = 1) -> bytes:
        """pyserial's own way to read, for foreign clients (pymodbus); waits at most ``timeout``."""
        clock = self._check().clock
        limit_s = 3600.0 if self._timeout is None else self._timeout
        at_ns = clock.now_ns() + int(limit_s * NS_PER_S)
        taken = bytearray()
        while len(taken) < size:
            chunk = self.await_bytes(at_ns)
            if not chunk:
                break
            taken += chunk
        self._arrived[:0] = taken[size:]
        return bytes(taken[:size])

    @property
    def in_waiting(self) -> int:
        self._collect(self._end.clock.now_ns())
        return len(self._arrived)

    def reset_input_buffer(self) -> None:
        self._collect(self._end.clock.now_ns())
        self._arrived.clear()

    def reset_output_buffer(self) -> None:
        """Do nothing: output is never held back."""

    def flush(self) -> None:
        """``write`` returns when the last bit is out."""

    def _update_dtr_state(self) -> None: ...

    def _update_rts_state(self) -> None: ...

    def _update_break_state(self) -> None: ...
