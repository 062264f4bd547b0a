"""A line that loses or spoils what a simulated device sends."""

from __future__ import annotations

from collections.abc import Callable

from hal.links.wire import WireCore


class LossyLine:
    """Passes everything on until told otherwise; counts what the device was sent."""

    def __init__(self, core: WireCore) -> None:
        self.core = core
        self.requests: list[bytes] = []
        self.spoil: Callable[[bytes, bytes], bytes] = lambda request, answer: answer
        """(last request, answer of the device) -> what arrives."""
        self.deaf: Callable[[bytes], bool] = lambda request: False
        """True: this request never reaches the device."""

    def receive(self, data: bytes, now_ns: int) -> None:
        self.requests.append(data)
        if not self.deaf(data):
            self.core.receive(data, now_ns)

    def transmit(self, now_ns: int) -> bytes:
        answer = self.core.transmit(now_ns)
        return self.spoil(self.requests[-1] if self.requests else b"", answer) if answer else b""

    def next_ns(self, now_ns: int) -> int | None:
        return self.core.next_ns(now_ns)

    def count(self, part: bytes) -> int:
        """How often a request that contains ``part`` was sent."""
        return sum(part in request for request in self.requests)
