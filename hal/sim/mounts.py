"""Simulated devices on real ports: TCP on the loopback address, and pseudo-terminals.

One thread per mount carries bytes between its port and a ``WireCore``, with the clock's time, under the lock
that all cores of one world share. Clients may come and go. A device that speaks differently on a serial line and
on a network (Modbus RTU and Modbus TCP) simply mounts two cores; one core on two ports goes through ``SharedLine``.
"""

from __future__ import annotations

import os
import selectors
import socket
import termios
import threading
import tty
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

from hal.clock import NS_PER_S, Clock, utc_offset_ns
from hal.errors import ConfigError, LinkError
from hal.links.wire import WireCore

LOOPBACK = "127.0.0.1"
Lock = AbstractContextManager[bool]
"""``threading.Lock`` or ``RLock``."""
Clients = Literal["one", "all"]
"""``one``: a new client replaces the old one, as on a serial server; ``all``: several, each gets everything.

Clients of one core share its state, an OpenIGTLink server's header version for instance."""
_IDLE_S = 0.2
_REST_S = 0.001
"""Pause when a core announced data and then had none, so that its error does not become a busy loop."""
_READ_BYTES = 65536
_PENDING_BYTES = 8 << 20
"""A TCP client that leaves so much unread is disconnected: it would only see ever older data."""
_LINE_BYTES = 4096
"""Unread bytes that a pseudo-terminal keeps beside the kernel's own; more is lost, as in a serial port's buffer."""


class SharedLine:
    """One core on several ports: what it sends goes to the port that spoke last (the first one until then)."""

    def __init__(self, core: WireCore) -> None:
        self._core = core
        self._speaker: object | None = None

    def port(self) -> WireCore:
        return _PortOfLine(self, self._core)

    def speaks(self, port: object) -> None:
        self._speaker = port

    def listens(self, port: object) -> bool:
        return self._speaker is None or self._speaker is port


class _PortOfLine:
    def __init__(self, line: SharedLine, core: WireCore) -> None:
        self._line = line
        self._core = core

    def line_opened(self, now_ns: int) -> None:
        _tell_opened(self._core, now_ns)

    def stamp_utc(self, offset_ns: int) -> None:
        _tell_date(self._core, offset_ns)

    def receive(self, data: bytes, now_ns: int) -> None:
        self._line.speaks(self)
        self._core.receive(data, now_ns)

    def transmit(self, now_ns: int) -> bytes:
        return self._core.transmit(now_ns) if self._line.listens(self) else b""

    def next_ns(self, now_ns: int) -> int | None:
        return self._core.next_ns(now_ns) if self._line.listens(self) else None


def _tell_opened(core: WireCore, now_ns: int) -> None:
    opened: Callable[[int], None] | None = getattr(core, "line_opened", None)
    if opened is not None:
        opened(now_ns)


def _tell_date(core: WireCore, offset_ns: int) -> None:
    """Make devices whose messages carry dates stamp with dates from now on."""
    stamp_utc: Callable[[int], None] | None = getattr(core, "stamp_utc", None)
    if stamp_utc is not None:
        stamp_utc(offset_ns)


@dataclass
class _Client:
    """One open connection: a socket or the master side of a terminal."""

    number: int
    """File descriptor."""
    connection: socket.socket | None
    pending: bytearray = field(default_factory=bytearray)


class Mount:
    """A running mount; ``url`` is what a client opens."""

    def __init__(self, url: str, core: WireCore, clock: Clock, lock: Lock, clients: Clients) -> None:
        if clock.virtual:
            raise ConfigError(f"{url} runs in real time and cannot serve simulated time; use rigsim://")
        self.url = url
        self.error: BaseException | None = None
        """Error that ended the mount, if it was not ``close``."""
        self._core = core
        self._clock = clock
        self._lock = lock
        self._sharing = clients
        self._clients: dict[int, _Client] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._stopping = False
        self._closed = False
        self._rest_s = 0.0
        _tell_date(core, utc_offset_ns(clock))
        self._thread = threading.Thread(target=self._run, name=f"mount {url}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self, timeout_s: float = 2.0) -> None:
        """Disconnect everybody and end the thread; raises ``LinkError`` when it does not end in time."""
        self._stopping = True
        if self._closed:
            return
        # The thread may end by itself at any moment, so the pipe is not its to close: the number could by then
        # belong to another file.
        os.write(self._wake_write, b"x")
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise LinkError(f"mount {self.url} did not end within {timeout_s:g} s", port=self.url)
        self._closed = True
        os.close(self._wake_read)
        os.close(self._wake_write)

    def __enter__(self) -> Mount:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # ---- the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:  # kept for the owner: a mount must not die unnoticed
            self.error = error
        finally:
            for client in list(self._clients.values()):
                self._drop(client)
            self._release()
            self._selector.close()

    def _turn(self) -> None:
        for key, events in self._selector.select(self._pause_s()):
            if key.fd == self._wake_read:
                continue
            client = self._clients.get(key.fd)
            if client is None:
                self._ready(key.fd)
                continue
            if events & selectors.EVENT_READ:
                self._read(client)
            if events & selectors.EVENT_WRITE and key.fd in self._clients:
                self._flush(client)
        if self._clients and not self._stopping:
            with self._lock:
                data = self._core.transmit(self._clock.now_ns())
            self._rest_s = 0.0 if data else _REST_S
            if data:
                self._broadcast(data)

    def _pause_s(self) -> float:
        if not self._clients:
            return _IDLE_S
        now_ns = self._clock.now_ns()
        with self._lock:
            due_ns = self._core.next_ns(now_ns)
        return _IDLE_S if due_ns is None else min(_IDLE_S, max(self._rest_s, (due_ns - now_ns) / NS_PER_S))

    def _read(self, client: _Client) -> None:
        try:
            data = os.read(client.number, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        with self._lock:
            self._core.receive(data, self._clock.now_ns())

    def _broadcast(self, data: bytes) -> None:
        for client in list(self._clients.values()):
            client.pending += data
            self._flush(client)

    def _flush(self, client: _Client) -> None:
        try:
            sent = os.write(client.number, client.pending) if client.pending else 0
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._drop(client)
            return
        del client.pending[:sent]
        if not self._keeps(client):
            self._drop(client)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.pending else 0)
        self._selector.modify(client.number, events)

    def _accept(self, client: _Client) -> None:
        if self._sharing == "one":
            for other in list(self._clients.values()):
                self._drop(other)
        with self._lock:
            now_ns = self._clock.now_ns()
            if self._sharing == "one":
                self._core.transmit(now_ns)  # what was sent to nobody is lost, as on a real line
            if not self._clients:
                _tell_opened(self._core, now_ns)
        self._clients[client.number] = client
        self._selector.register(client.number, selectors.EVENT_READ)

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.number, None) is not None:
            self._selector.unregister(client.number)
            self._hang_up(client)

    # ---- what differs between ports ---------------------------------------------------------------------------

    def _ready(self, number: int) -> None:
        """A descriptor that is no client became readable."""

    def _keeps(self, client: _Client) -> bool:
        """Policy for unread data: False disconnects the client."""
        return len(client.pending) <= _PENDING_BYTES

    def _hang_up(self, client: _Client) -> None:
        """Close one client's connection."""

    def _release(self) -> None:
        """Close the listening socket."""


class _TcpMount(Mount):
    def __init__(
        self, scheme: str, listener: socket.socket, core: WireCore, clock: Clock, lock: Lock, clients: Clients
    ) -> None:
        super().__init__(f"{scheme}://{LOOPBACK}:{listener.getsockname()[1]}", core, clock, lock, clients)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def _ready(self, number: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._accept(_Client(connection.fileno(), connection))

    def _hang_up(self, client: _Client) -> None:
        if client.connection is not None:
            client.connection.close()

    def _release(self) -> None:
        self._listener.close()


class _PtyMount(Mount):
    """The slave side is kept open here too: a client that leaves does not end the line."""

    def __init__(self, core: WireCore, clock: Clock, lock: Lock) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        os.set_blocking(self._master, False)
        super().__init__(os.ttyname(self._slave), core, clock, lock, "one")
        self._accept(_Client(self._master, None))

    def _keeps(self, client: _Client) -> bool:
        del client.pending[_LINE_BYTES:]
        return True

    def _release(self) -> None:
        os.close(self._master)
        os.close(self._slave)


def mount_tcp(
    core: WireCore, clock: Clock, lock: Lock, port: int = 0, *, scheme: str = "socket", clients: Clients = "one"
) -> Mount:
    """Serve ``core`` on 127.0.0.1; ``port`` 0 takes a free one. Raises ``ConfigError`` when it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()
        listener.setblocking(False)
        mount = _TcpMount(scheme, listener, core, clock, lock, clients)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot serve on {LOOPBACK}:{port}: {error}; choose another port or 0") from None
    except ConfigError:
        listener.close()
        raise
    mount.start()
    return mount


def mount_pty(core: WireCore, clock: Clock, lock: Lock) -> Mount:
    """Serve ``core`` on a new pseudo-terminal; ``url`` is its path. A pty has no line speed of its own."""
    if clock.virtual:
        raise ConfigError("a pseudo-terminal runs in real time and cannot serve simulated time; use rigsim://")
    mount = _PtyMount(core, clock, lock)
    mount.start()
    return mount
