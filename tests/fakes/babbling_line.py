"""A line that brings the same bytes for ever, whatever is sent: a wrong baud rate, a broken chip, a stuck key."""

from __future__ import annotations

from hal.clock import Clock
from hal.links.serial import BytePort

CHUNK_S = 0.001
"""How long the next bytes take; a port has some whenever it is asked, past any deadline as well."""


class BabblingPort:
    """A port (``hal.links.serial.BytePort``) on which ``pattern`` arrives without a pause."""

    def __init__(self, clock: Clock, pattern: bytes = b"\x00") -> None:
        self.clock = clock
        self.pattern = pattern
        self.requests: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.requests.append(data)
        return len(data)

    def await_bytes(self, at_ns: int) -> bytes:
        self.clock.sleep(CHUNK_S)
        return self.pattern * max(1, 8 // len(self.pattern))

    def reset_input_buffer(self) -> None:
        """There is more at once."""

    def close(self) -> None:
        """Nothing is held."""


class TurningPort:
    """A good port until it is ``turned`` into a bad one."""

    def __init__(self, good: BytePort, bad: BytePort) -> None:
        self._ports = (good, bad)
        self.turned = False

    @property
    def _port(self) -> BytePort:
        return self._ports[self.turned]

    def write(self, data: bytes) -> int | None:
        return self._port.write(data)

    def await_bytes(self, at_ns: int) -> bytes:
        return self._port.await_bytes(at_ns)

    def reset_input_buffer(self) -> None:
        self._port.reset_input_buffer()

    def close(self) -> None:
        for port in self._ports:
            port.close()
