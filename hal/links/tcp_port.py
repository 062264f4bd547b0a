"""A plain TCP connection that carries the bytes of a serial line (``socket://``, Modbus over TCP)."""

from __future__ import annotations

import select
import socket
from urllib.parse import urlsplit

from hal.clock import NS_PER_S, Clock
from hal.errors import ConfigError

POLL_S = 0.01
"""How often a wait looks whether the calling task was stopped."""
CHUNK_BYTES = 4096
DRAIN_MAX_N = 256
"""Chunks (1 MB) that are thrown away at once: more is no late reply but a peer that sends faster than it is read."""


def host_and_port(url: str) -> tuple[str, int]:
    """Split ``scheme://host:port``; raises ``ConfigError`` when one of both is missing or impossible."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{url}: the TCP port must be a number from 1 to 65535") from error
    if not parts.hostname or not port:
        raise ConfigError(f"{url}: expected {parts.scheme or 'socket'}://host:port")
    return parts.hostname, port


class TcpPort:
    """Bytes over TCP; raises ``OSError`` when the connection fails, also when the peer closes it."""

    def __init__(self, url: str, clock: Clock, connect_s: float) -> None:
        self._clock = clock
        self._socket = socket.create_connection(host_and_port(url), timeout=connect_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, data: bytes) -> int:
        self._socket.sendall(data)
        return len(data)

    def await_bytes(self, at_ns: int) -> bytes:
        while True:
            remaining_s = (at_ns - self._clock.now_ns()) / NS_PER_S
            ready, _, _ = select.select([self._socket], [], [], min(POLL_S, max(0.0, remaining_s)))
            if ready:
                data = self._socket.recv(CHUNK_BYTES)
                if not data:
                    raise ConnectionResetError("the other end closed the connection")
                return data
            if remaining_s <= 0:
                return b""
            self._clock.sleep(0)

    def reset_input_buffer(self) -> None:
        for _ in range(DRAIN_MAX_N):
            if not select.select([self._socket], [], [], 0)[0]:
                return
            if not self._socket.recv(CHUNK_BYTES):
                raise ConnectionResetError("the other end closed the connection")

    def close(self) -> None:
        self._socket.close()
