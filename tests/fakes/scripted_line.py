"""A device that says only what is written down: for playing golden exchanges against drivers and links."""

from __future__ import annotations

from collections.abc import Callable

from hal.clock import VirtualClock
from hal.links.wire import Endpoint, publish


class ScriptedLine:
    """Answers each expected request once, in order; remembers what was asked otherwise."""

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self.pairs = list(pairs)
        self.seen: list[bytes] = []
        self.unexpected: list[bytes] = []
        self._out = b""

    def receive(self, data: bytes, now_ns: int) -> None:
        self.seen.append(data)
        if self.pairs and self.pairs[0][0] == data:
            self._out += self.pairs.pop(0)[1]
        else:
            self.unexpected.append(data)

    def transmit(self, now_ns: int) -> bytes:
        out, self._out = self._out, b""
        return out

    def next_ns(self, now_ns: int) -> int | None:
        return now_ns if self._out else None


class AnsweringLine(ScriptedLine):
    """Answers by rule."""

    def __init__(self, rule: Callable[[bytes], bytes]) -> None:
        super().__init__([])
        self.rule = rule

    def receive(self, data: bytes, now_ns: int) -> None:
        self.seen.append(data)
        self._out += self.rule(data)


def on_line(name: str, core: object) -> VirtualClock:
    """Publish ``core`` as ``rigsim://name`` on a fresh virtual clock."""
    clock = VirtualClock()
    publish(name, Endpoint(core, clock))  # type: ignore[arg-type]
    return clock
