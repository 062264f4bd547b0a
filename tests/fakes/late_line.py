"""A line on which a healthy device answers late, or an answer comes twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hal.clock import NS_PER_S
from hal.links.wire import WireCore


class LateLine:
    """Hands every answer of ``core`` on after ``delay_s(n)`` seconds, n = number of the request, from 0."""

    def __init__(self, core: WireCore) -> None:
        self.core = core
        self.requests: list[bytes] = []
        self.delay_s: Callable[[int], float] = lambda n: 0.0
        self.again: Callable[[int], float | None] = lambda n: None
        """Seconds after which the answer comes once more; None: it does not."""
        self._out: deque[tuple[int, bytes]] = deque()

    def receive(self, data: bytes, now_ns: int) -> None:
        self.requests.append(data)
        self.core.receive(data, now_ns)
        due_ns = self.core.next_ns(now_ns)
        answer = b"" if due_ns is None else self.core.transmit(due_ns)
        if not answer or due_ns is None:
            return
        n = len(self.requests) - 1
        self.send(answer, due_ns + int(self.delay_s(n) * NS_PER_S))
        again_s = self.again(n)
        if again_s is not None:
            self.send(answer, due_ns + int(again_s * NS_PER_S))

    def send(self, data: bytes, at_ns: int) -> None:
        """Put bytes on the line at a moment."""
        self._out = deque(sorted((*self._out, (at_ns, data))))

    def transmit(self, now_ns: int) -> bytes:
        sent = b""
        while self._out and self._out[0][0] <= now_ns:
            sent += self._out.popleft()[1]
        return sent

    def next_ns(self, now_ns: int) -> int | None:
        return self._out[0][0] if self._out else None
