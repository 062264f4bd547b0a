"""Serial lines: real ports, ptys, ``socket://host:port`` and simulated devices at ``rigsim://NAME``.

The only importer of pyserial (with its URL handler in ``hal.links.handlers``).
"""

from __future__ import annotations

import errno
import os
from typing import Protocol

import serial
from serial.tools import list_ports

from hal.clock import NS_PER_S, Clock, Deadline
from hal.errors import BadReply, ConfigError, LinkError, NoReply
from hal.links.tcp_port import TcpPort

try:
    from termios import error as TermiosError
except ImportError:  # Windows has none, and pyserial raises OSError there
    TermiosError = OSError  # type: ignore[misc,assignment]

HANDLERS = "hal.links.handlers"
if HANDLERS not in serial.protocol_handler_packages:
    serial.protocol_handler_packages.append(HANDLERS)

POLL_S = 0.01
"""Longest single wait in a real port, so that a stopped task unwinds soon."""
SHORT_S = 0.001
"""Step of waits that are shorter than that: what a line must be silent between two requests."""
LATE_CHUNKS_MAX_N = 2
"""Bytes that arrived while this computer was busy past the deadline are still taken: all that a port gives at once, and
once more. A line that babbles gives more for ever."""
ARRIVED_CHUNKS_MAX_N = 256
"""Chunks that are taken without waiting: a line that has more of them babbles."""
BUFFER_MAX_BYTES = 1 << 16
"""No reply of any device here has a hundredth of it: a line that brings more without an end is babbling."""


class BytePort(Protocol):
    """Interface of a port that moves bytes; failures are ``OSError`` (pyserial's are)."""

    def write(self, data: bytes) -> int | None: ...

    def await_bytes(self, at_ns: int) -> bytes:
        """Return what has arrived, waiting for the first byte until ``at_ns``; empty when there was none."""

    def reset_input_buffer(self) -> None: ...

    def close(self) -> None: ...


class _DevicePort:
    """A real serial port or a pty."""

    def __init__(self, url: str, baudrate: int, clock: Clock, write_s: float) -> None:
        self._clock = clock
        exclusive = True if os.name == "posix" else None  # Windows ports are always exclusive
        self._serial = serial.Serial(url, baudrate=baudrate, timeout=POLL_S, write_timeout=write_s, exclusive=exclusive)

    def write(self, data: bytes) -> int | None:
        written: int | None = self._serial.write(data)
        return written

    def await_bytes(self, at_ns: int) -> bytes:
        while True:
            waiting_n = self._serial.in_waiting
            if waiting_n:
                arrived: bytes = self._serial.read(waiting_n)
                return arrived
            remaining_s = (at_ns - self._clock.now_ns()) / NS_PER_S
            if remaining_s <= 0.0:
                return b""
            if remaining_s < POLL_S:
                self._clock.sleep(min(remaining_s, SHORT_S))
                continue
            first: bytes = self._serial.read(1)
            if first:
                rest: bytes = self._serial.read(self._serial.in_waiting)
                return first + rest
            self._clock.sleep(0)

    def reset_input_buffer(self) -> None:
        try:
            self._serial.reset_input_buffer()
        except TermiosError as error:  # tcflush on an unplugged USB adapter; it is no OSError
            raise OSError(*error.args) from error

    def close(self) -> None:
        self._serial.close()


class SerialLink:
    """One line to one device. Not shared between threads: a lane owns its link."""

    def __init__(self, port: BytePort, url: str, clock: Clock, timeout_s: float) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self.simulated = url.startswith("rigsim://")
        self._clock = clock
        self._port = port
        self._buffer = bytearray()
        self._closed = False

    def deadline(self) -> Deadline:
        """Deadline of the link's ordinary patience with a reply, from now."""
        return self._clock.deadline(self.timeout_s)

    def write(self, data: bytes) -> None:
        """Send once; raises ``LinkError`` when the line is gone."""
        try:
            self._open_port().write(data)
        except OSError as error:
            raise self._lost(error, f"send {_shown(data)}") from error

    def read_some(self, deadline: Deadline) -> bytes:
        """Return what has arrived (at least one byte), or empty bytes when nothing came before the deadline."""
        if self._buffer:
            taken = bytes(self._buffer)
            self._buffer.clear()
            return taken
        try:
            return self._open_port().await_bytes(deadline.at_ns)
        except OSError as error:
            raise self._lost(error, "read") from error

    def read_until(self, terminator: bytes, deadline: Deadline) -> bytes:
        """Read up to and including ``terminator``; what came after it stays for the next read.

        Raises ``NoReply`` at the deadline, also when bytes keep coming; an unfinished part is dropped and named in the
        message. Raises ``BadReply`` when more than 64 kB came without an end.
        """
        wanted = f"a reply ending in {_shown(terminator)}"
        looked = late_n = 0
        while True:
            found = self._buffer.find(terminator, max(0, looked - len(terminator) + 1))
            if found >= 0:
                return self._take(found + len(terminator))
            looked = len(self._buffer)
            late_n = self._more(deadline, wanted, late_n)

    def read(self, n: int, deadline: Deadline) -> bytes:
        """Read exactly ``n`` bytes; raises ``NoReply`` at the deadline."""
        late_n = 0
        while len(self._buffer) < n:
            late_n = self._more(deadline, f"{n} bytes", late_n)
        return self._take(n)

    def arrived(self, terminator: bytes) -> list[bytes]:
        """Whole messages that have arrived by now, oldest first; an incomplete one stays. Never waits.

        Raises ``BadReply`` for a line that brings more without an end.
        """
        for _ in range(ARRIVED_CHUNKS_MAX_N):
            try:
                chunk = self._open_port().await_bytes(self._clock.now_ns())
            except OSError as error:
                raise self._lost(error, "read") from error
            self._buffer += chunk
            if not chunk:
                break
            if len(self._buffer) > BUFFER_MAX_BYTES:
                raise self._babbles()
        else:
            raise self._babbles()
        end = self._buffer.rfind(terminator)
        if end < 0:
            return []
        return self._take(end + len(terminator)).split(terminator)[:-1]

    @property
    def unfinished(self) -> bool:
        """True while bytes are here that form no whole message yet."""
        return bool(self._buffer)

    def _babbles(self) -> BadReply:
        babble = bytes(self._buffer[:64])
        self._buffer.clear()
        return BadReply(f"{self.url}: sends without an end: {_shown(babble)}", port=self.url, raw=babble)

    def drain(self) -> None:
        """Discard what has arrived up to now (late replies, noise)."""
        self._buffer.clear()
        try:
            self._open_port().reset_input_buffer()
        except OSError as error:
            raise self._lost(error, "clear the input") from error

    def close(self) -> None:
        """Close the port; closing twice is allowed."""
        if not self._closed:
            self._closed = True
            self._port.close()

    def _open_port(self) -> BytePort:
        if self._closed:
            raise LinkError(f"the line to {self.url} is closed", port=self.url)
        return self._port

    def _take(self, n: int) -> bytes:
        taken = bytes(self._buffer[:n])
        del self._buffer[:n]
        return taken

    def _more(self, deadline: Deadline, wanted: str, late_n: int) -> int:
        """Take what arrives into the buffer; returns how many chunks in a row came after the deadline."""
        chunk = b""
        if late_n < LATE_CHUNKS_MAX_N:
            try:
                chunk = self._open_port().await_bytes(deadline.at_ns)
            except OSError as error:
                raise self._lost(error, "read") from error
        if not chunk:
            partial = bytes(self._buffer)
            self._buffer.clear()
            got = f"only {_shown(partial)} came" if partial else "nothing came"
            raise NoReply(f"{self.url}: waited for {wanted}, {got} before the deadline", port=self.url)
        self._buffer += chunk
        if len(self._buffer) > BUFFER_MAX_BYTES:
            raise self._babbles()
        return late_n + deadline.expired

    def _lost(self, error: OSError, action: str) -> LinkError:
        return LinkError(
            f"{self.url}: could not {action}: {error}; check that the cable is plugged in and the device has power",
            port=self.url,
            command=action,
        )


def open_serial(url: str, baudrate: int, clock: Clock, *, timeout_s: float) -> SerialLink:
    """Open a line (8N1, no flow control, exclusive).

    ``url``: a port name (``/dev/ttyUSB0``, ``COM3``, a pty), ``socket://host:port`` or ``rigsim://NAME``.
    ``timeout_s``: ordinary patience with one reply (``SerialLink.deadline``), and with connecting and sending.
    Raises ``LinkError`` with what to check, ``ConfigError`` for an address that cannot be used.
    """
    if clock.virtual and not url.startswith("rigsim://"):
        raise ConfigError(f"{url}: simulated time cannot wait for a real port; use rigsim:// or the wall clock")
    try:
        return SerialLink(_port(url, baudrate, clock, timeout_s), url, clock, timeout_s)
    except (OSError, ValueError) as error:
        raise LinkError(_explain(url, baudrate, error), port=url, command="open") from error


def _port(url: str, baudrate: int, clock: Clock, timeout_s: float) -> BytePort:
    if url.startswith("rigsim://"):
        simulated: BytePort = serial.serial_for_url(url, baudrate=baudrate, timeout=timeout_s)
        return simulated
    if url.startswith("socket://"):
        return TcpPort(url, clock, max(timeout_s, 1.0))
    if "://" in url:
        raise ConfigError(f"{url}: unknown kind of line; use a port name, socket://host:port or rigsim://NAME")
    return _DevicePort(url, baudrate, clock, max(timeout_s, 1.0))


def _explain(url: str, baudrate: int, error: OSError | ValueError) -> str:
    """One sentence: what could not be opened and what a person should check."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, ValueError):
        return f"{url}: cannot be opened at {baudrate} baud: {error}"
    if url.startswith("rigsim://"):
        return str(error)
    if url.startswith("socket://"):
        return f"{url}: no connection: {error}; check address, network and that the serial server is running"
    if number == errno.ENOENT:
        present = ", ".join(sorted(port.device for port in list_ports.comports())) or "none"
        return f"{url}: there is no such port; ports present now: {present}; check the cable and the name"
    if number in (errno.EACCES, errno.EPERM):
        return f"{url}: no permission to open the port; add this user to the group that owns it (often dialout)"
    if number in (errno.EBUSY, errno.EAGAIN):
        return f"{url}: the port is in use by another program; close it, or check that two devices do not name one port"
    return f"{url}: the port cannot be opened: {error}; check that it is a serial port and the cable is plugged in"


def _shown(data: bytes) -> str:
    """Bytes as a person can read them: printable ASCII with the rest in hex, cut at 40 bytes."""
    cut = data[:40]
    text = "".join(chr(byte) if 32 <= byte < 127 else f"<{byte:02X}>" for byte in cut)
    return text + ("..." if len(data) > len(cut) else "")
