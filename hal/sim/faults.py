"""Faults on the line of a simulated device: those of cables, adapters and firmwares.

``FaultyCore`` stands between a ``WireCore`` and its mount and follows a schedule in simulated time; with the
same seed the same bytes are hit. A *reply* is what the device hands over at one moment. The device behind
goes on living: a dropped acknowledgement does not undo the action.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from hal.clock import NS_PER_S
from hal.links.wire import Endpoint, WireCore


class FaultKind(Enum):
    """Kind of fault."""

    DROP_REPLY = "drop_reply"
    """The device's bytes are lost."""
    DROP_COMMAND = "drop_command"
    """The host's bytes never reach the device."""
    DELAY = "delay"
    """Replies come ``delay_s`` later, in order."""
    CORRUPT = "corrupt"
    """One bit of every reply flips, at a random place."""
    TRUNCATE = "truncate"
    """Only the first ``keep_n`` bytes of a reply arrive."""
    WRONG_CRC = "wrong_crc"
    """The byte at ``position`` is wrong: the last one (Modbus RTU), or wherever a protocol keeps its check."""
    DUPLICATE = "duplicate"
    """Replies arrive twice."""
    STALE = "stale"
    """Every reply is the last one from before the fault."""
    SILENT = "silent"
    """Nothing passes in either direction; the port stays open."""
    UNPLUGGED = "unplugged"
    """The cable is pulled: nothing passes, and the port reports it (``FaultyEndpoint``)."""


_DEAF = (FaultKind.DROP_COMMAND, FaultKind.SILENT, FaultKind.UNPLUGGED)
_MUTE = (FaultKind.DROP_REPLY, FaultKind.SILENT, FaultKind.UNPLUGGED)


@dataclass(frozen=True)
class Fault:
    """One fault from ``start_ns`` (included) to ``end_ns`` (not included; None = for good)."""

    kind: FaultKind
    start_ns: int
    end_ns: int | None = None
    probability: float = 1.0
    """Chance that a reply or command in this time is hit."""
    count: int | None = None
    """Hits after which the fault is over; None = no limit."""
    delay_s: float = 0.0
    keep_n: int = 0
    position: int = -1

    def covers(self, now_ns: int) -> bool:
        return self.start_ns <= now_ns and (self.end_ns is None or now_ns < self.end_ns)


class FaultyCore:
    """A ``WireCore`` with faults; anything else (``axes_at``, ...) is the inner core's."""

    def __init__(self, core: WireCore, schedule: Sequence[Fault], seed: int = 0) -> None:
        self.core = core
        self.schedule = tuple(schedule)
        self.hits = [0] * len(self.schedule)
        """How often each fault of the schedule has struck."""
        self._rng = np.random.default_rng([seed, 0x6661])
        self._late: deque[tuple[int, bytes]] = deque()
        self._before = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)

    def _strikes(self, now_ns: int, kinds: tuple[FaultKind, ...]) -> list[Fault]:
        struck = []
        for index, fault in enumerate(self.schedule):
            if fault.kind not in kinds or not fault.covers(now_ns):
                continue
            if fault.count is not None and self.hits[index] >= fault.count:
                continue
            if fault.probability < 1.0 and self._rng.uniform() >= fault.probability:
                continue
            self.hits[index] += 1
            struck.append(fault)
        return struck

    def unplugged(self, now_ns: int) -> bool:
        """True while the cable is out."""
        return any(fault.kind is FaultKind.UNPLUGGED and fault.covers(now_ns) for fault in self.schedule)

    def receive(self, data: bytes, now_ns: int) -> None:
        if not self._strikes(now_ns, _DEAF):
            self.core.receive(data, now_ns)

    def transmit(self, now_ns: int) -> bytes:
        sent = self.core.transmit(now_ns)
        if sent:
            self._pass_on(sent, now_ns)
        taken = bytearray()
        while self._late and self._late[0][0] <= now_ns:
            taken += self._late.popleft()[1]
        return bytes(taken)

    def _pass_on(self, sent: bytes, now_ns: int) -> None:
        struck = self._strikes(now_ns, tuple(kind for kind in FaultKind if kind is not FaultKind.DROP_COMMAND))
        at_ns = now_ns
        stale = False
        data = sent
        for fault in struck:
            if fault.kind in _MUTE:
                data = b""
            elif fault.kind is FaultKind.STALE:
                data, stale = self._before, True
            elif fault.kind is FaultKind.DELAY:
                at_ns += int(fault.delay_s * NS_PER_S)
            elif fault.kind is FaultKind.TRUNCATE:
                data = data[: fault.keep_n]
            elif fault.kind is FaultKind.DUPLICATE:
                data = data * 2
            elif data:
                hit = bytearray(data)
                if fault.kind is FaultKind.CORRUPT:
                    place, bit = int(self._rng.integers(len(hit))), int(self._rng.integers(8))
                    hit[place] ^= 1 << bit
                elif -len(hit) <= fault.position < len(hit):
                    hit[fault.position] ^= 0x01
                data = bytes(hit)
        if not stale:
            self._before = sent
        if data:
            at_ns = max(at_ns, self._late[-1][0]) if self._late else at_ns
            self._late.append((at_ns, data))

    def next_ns(self, now_ns: int) -> int | None:
        moments = [self._late[0][0]] if self._late else []
        own = self.core.next_ns(now_ns)
        if own is not None:
            moments.append(own)
        return min(moments) if moments else None


class FaultyEndpoint(Endpoint):
    """An endpoint whose cable comes out when its ``FaultyCore`` says so."""

    @property
    def connected(self) -> bool:
        """False while the cable is out, by schedule or by hand."""
        faulty = self.core
        out = isinstance(faulty, FaultyCore) and faulty.unplugged(self.clock.now_ns())
        return self._plugged and not out

    @connected.setter
    def connected(self, plugged: bool) -> None:
        self._plugged = plugged
