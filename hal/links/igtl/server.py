"""A ``Publisher`` on a TCP port: several clients, each served at its own pace, none able to hold up the rig."""

from __future__ import annotations

import contextlib
import select
import socket
from dataclasses import dataclass, field

from hal.clock import NS_PER_S, Clock, Task, utc_offset_ns
from hal.errors import BadReply, ConfigError, LinkError
from hal.links.igtl.framing import DEFAULT_PORT
from hal.links.igtl.publisher import Listener, Publisher

TURN_S = 0.005
"""Longest wait for a client's bytes before the next look at what there is to send."""
MOST_CLIENTS = 16
STALLED_S = 10.0
"""A client that takes nothing for so long is dropped."""
_READ_BYTES = 1 << 16


@dataclass
class _Client:
    """A connection and its partly sent bytes."""

    socket: socket.socket
    listener: Listener
    rest: memoryview = field(default_factory=lambda: memoryview(b""))
    moved_ns: int = 0


class PublishServer:
    """Serves until ``close``; the port is open when the constructor returns.

    Raises ``ConfigError`` on virtual time (a real client lives in real time) and ``LinkError`` when the port is
    taken. Loses nothing silently: see the counters of ``Publisher`` and ``lost_clients``.
    """

    def __init__(
        self, publisher: Publisher, clock: Clock, *, host: str = "127.0.0.1", port: int = DEFAULT_PORT
    ) -> None:
        if clock.virtual:
            raise ConfigError("publishing runs in real time and cannot be used with simulated time")
        self.publisher = publisher
        self.lost_clients: list[str] = []
        """Why connections ended that the client did not close."""
        self._clock = clock
        self._utc_offset_ns = utc_offset_ns(clock)
        publisher.utc_offset_ns = publisher.utc_offset_ns or self._utc_offset_ns
        self._clients: list[_Client] = []
        try:
            self._server = socket.create_server((host, port))
        except (OSError, OverflowError) as error:
            raise LinkError(
                f"cannot serve OpenIGTLink on {host}:{port}: {error}; is another server running there?",
                port=f"{host}:{port}",
            ) from None
        self._server.setblocking(False)
        self.port = int(self._server.getsockname()[1])
        self._task: Task = clock.spawn(f"publish {self.port}", self._serve)

    @property
    def clients(self) -> int:
        return len(self._clients)

    @property
    def error(self) -> BaseException | None:
        """Error that ended the serving, if it ended by itself."""
        return self._task.error

    def close(self, timeout_s: float = 2.0) -> None:
        """Stop serving and close all connections."""
        self._task.stop()
        self._task.join(timeout_s)

    def _serve(self) -> None:
        try:
            while True:
                self._turn()
                self._clock.sleep(0)
        finally:
            for client in self._clients:
                self.publisher.leave(client.listener)
                client.socket.close()
            self._clients.clear()
            self._server.close()

    def _turn(self) -> None:
        now_ns = self._clock.now_ns()
        for client in self._clients:
            if not client.rest:
                client.rest = memoryview(self.publisher.take(client.listener))
                client.moved_ns = now_ns
        sockets = [client.socket for client in self._clients]
        writing = [client.socket for client in self._clients if client.rest]
        readable, writable, _ = select.select([self._server, *sockets], writing, [], TURN_S)
        if self._server in readable:
            self._accept(now_ns)
        for client in list(self._clients):
            try:
                if client.socket in readable:
                    self._read(client, now_ns)
                if client.rest and client.socket in writable:
                    client.rest = client.rest[client.socket.send(client.rest) :]
                    client.moved_ns = now_ns
                elif client.rest and now_ns - client.moved_ns > STALLED_S * NS_PER_S:
                    self._drop(client, f"took nothing for {STALLED_S:g} s")
            except EOFError:
                self._drop(client, "")
            except (OSError, BadReply) as problem:
                self._drop(client, str(problem))

    def _accept(self, now_ns: int) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._server.accept()
            if len(self._clients) >= MOST_CLIENTS:
                self.lost_clients.append(f"refused: {MOST_CLIENTS} clients are connected already")
                connection.close()
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clients.append(_Client(connection, self.publisher.join(self._publisher_ns(now_ns)), moved_ns=now_ns))

    def _publisher_ns(self, now_ns: int) -> int:
        """Convert a moment to the time of the publisher, which may use another clock."""
        return now_ns + self._utc_offset_ns - self.publisher.utc_offset_ns

    def _read(self, client: _Client, now_ns: int) -> None:
        data = client.socket.recv(_READ_BYTES)
        if not data:
            raise EOFError
        self.publisher.receive(client.listener, data, self._publisher_ns(now_ns))

    def _drop(self, client: _Client, why: str) -> None:
        if client not in self._clients:
            return
        if why:
            self.lost_clients.append(why)
        self.publisher.leave(client.listener)
        client.socket.close()
        self._clients.remove(client)
