"""Byte streams to devices that speak over TCP, and to simulated ones in the same process.

``tcp://host:port`` and ``igtl://host:port`` are sockets (wall clock only); ``rigsim://NAME`` is a simulated
device published in ``hal.links.wire``. No call waits without a deadline; a peer that went away raises
``LinkError`` on the next call, after what it had sent was read.
"""

from __future__ import annotations

import select
import socket
from typing import Protocol
from urllib.parse import urlsplit

from hal.clock import NS_PER_S, Clock, Deadline
from hal.errors import ConfigError, LinkError, NoReply
from hal.links.igtl.framing import DEFAULT_PORT
from hal.links.wire import Endpoint, endpoint

LATENCY_NS = 100_000
"""Cost of a write on an in-process line: there and back on a wired local network."""
_SLICE_S = 0.02
"""Longest wait in one piece: so long a told-to-stop task or a pulled cable may go unnoticed."""
_CHUNK_BYTES = 1 << 18
_BACKLOG_BYTES = 16 << 20
"""Most that is taken from a socket at once: 60 frames of 512x512; the rest waits in the kernel."""


class ByteStream(Protocol):
    """A connection that carries bytes both ways."""

    url: str
    shares_clock: bool
    """True when the peer stamps with this process's own clock (a simulated device in-process)."""

    def available(self) -> int:
        """Number of bytes that ``read`` would return at once; raises ``LinkError`` when the peer is gone and all is
        read."""

    def read(self, limit: int, deadline: Deadline) -> bytes:
        """One to ``limit`` bytes; raises ``NoReply`` when none came before the deadline."""

    def write(self, data: bytes, deadline: Deadline) -> None:
        """Send all of it; raises ``LinkError``."""

    def close(self) -> None: ...


def open_stream(url: str, clock: Clock, timeout_s: float) -> ByteStream:
    """Connect; raises ``ConfigError`` for an impossible address and ``LinkError`` when nobody answers."""
    if url.startswith("rigsim://"):
        return InProcessStream(url, endpoint(url))
    parts = urlsplit(url)
    if parts.scheme not in ("tcp", "igtl"):
        raise ConfigError(f"stream address {url!r} must start with tcp://, igtl:// or rigsim://")
    try:
        port = parts.port or (DEFAULT_PORT if parts.scheme == "igtl" else 0)
    except ValueError:
        port = 0
    if not parts.hostname or not port:
        raise ConfigError(f"stream address {url!r} must read {parts.scheme}://host:port")
    if clock.virtual:
        raise ConfigError(f"{url} runs in real time and cannot be used with simulated time; use rigsim://")
    return TcpStream(url, parts.hostname, port, clock, timeout_s)


class InProcessStream:
    """A simulated device behind an endpoint: infinite line speed, a small fixed latency."""

    shares_clock = True

    def __init__(self, url: str, line: Endpoint) -> None:
        self.url = url
        self._line = line
        self._closed = False
        self._received = b""
        opened = getattr(line.core, "line_opened", None)
        if opened is not None:
            with line.lock:
                opened(line.clock.now_ns())

    def _check(self) -> None:
        if self._closed:
            raise LinkError(f"{self.url} is closed", port=self.url)
        if not self._line.connected and not self._received:
            raise LinkError(f"{self.url}: the line is interrupted; check cable and power of the device", port=self.url)

    def _pull(self) -> None:
        if self._line.connected:
            now_ns = self._line.clock.now_ns()
            with self._line.lock:
                fresh = self._line.core.transmit(now_ns)
            self._received = self._received + fresh if self._received else fresh

    def available(self) -> int:
        self._pull()
        self._check()
        return len(self._received)

    def read(self, limit: int, deadline: Deadline) -> bytes:
        clock = self._line.clock
        while True:
            if not self._received:
                self._pull()
            if self._received:
                data, self._received = self._received[:limit], self._received[limit:]
                return data
            self._check()
            now_ns = clock.now_ns()
            if now_ns >= deadline.at_ns:
                raise NoReply(f"{self.url}: nothing came before the deadline", port=self.url)
            with self._line.lock:
                due_ns = self._line.core.next_ns(now_ns)
            wake_ns = min(now_ns + int(_SLICE_S * NS_PER_S), deadline.at_ns)
            if due_ns is not None:
                wake_ns = min(wake_ns, max(due_ns, now_ns + LATENCY_NS))
            clock.sleep_until(wake_ns)

    def write(self, data: bytes, deadline: Deadline) -> None:
        self._check()
        clock = self._line.clock
        clock.sleep_until(clock.now_ns() + LATENCY_NS)
        self._check()
        with self._line.lock:
            self._line.core.receive(data, clock.now_ns())

    def close(self) -> None:
        self._closed = True
        self._received = b""


class TcpStream:
    """A socket; reads collect what has arrived without blocking, waits use the clock's own wake-up."""

    shares_clock = False

    def __init__(self, url: str, host: str, port: int, clock: Clock, timeout_s: float) -> None:
        self.url = url
        self._clock = clock
        self._received = bytearray()
        self._gone = ""
        try:
            self._socket = socket.create_connection((host, port), timeout_s)
        except OSError as error:
            raise LinkError(
                f"cannot connect to {url} within {timeout_s:g} s ({error}); is the server running, is the port right?",
                port=url,
            ) from None
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _pull(self) -> None:
        while not self._gone and len(self._received) < _BACKLOG_BYTES:
            try:
                data = self._socket.recv(_CHUNK_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._gone = str(error)
                return
            if not data:
                self._gone = "the peer closed the connection"
                return
            self._received += data

    def _check(self) -> None:
        if self._gone and not self._received:
            raise LinkError(f"{self.url}: {self._gone}", port=self.url)

    def available(self) -> int:
        self._pull()
        self._check()
        return len(self._received)

    def read(self, limit: int, deadline: Deadline) -> bytes:
        while not self.available():
            self._wait(deadline, sending=False)
        data = bytes(self._received[:limit])
        del self._received[:limit]
        return data

    def write(self, data: bytes, deadline: Deadline) -> None:
        rest = memoryview(data)
        while rest:
            if self._gone:
                raise LinkError(f"{self.url}: {self._gone}", port=self.url)
            try:
                sent = self._socket.send(rest)
            except (BlockingIOError, InterruptedError):
                self._wait(deadline, sending=True)
                continue
            except OSError as error:
                self._gone = str(error)
                raise LinkError(f"{self.url}: {error}", port=self.url) from None
            rest = rest[sent:]

    def _wait(self, deadline: Deadline, sending: bool) -> None:
        self._clock.sleep(0.0)  # a task that was stopped leaves here
        wait_s = min(_SLICE_S, deadline.remaining_s)
        if wait_s <= 0.0:
            action = "took no more data" if sending else "sent nothing"
            raise NoReply(f"{self.url}: the peer {action} before the deadline", port=self.url)
        select.select([] if sending else [self._socket], [self._socket] if sending else [], [], wait_s)

    def close(self) -> None:
        self._gone = self._gone or "the link was closed"
        self._received.clear()
        self._socket.close()
