"""Faults of a device or of the bench itself, in addition to those of its line (``hal.sim.faults``).

A mishap is a moment and an act: a switch closes, a plunger jams, somebody hits the emergency stop. ``MishapCore``
stands between a core and its line and lets due acts happen the next time that anything looks at the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hal.clock import Deadline
from hal.interfaces import Operator
from hal.links.wire import WireCore
from hal.sim.ports import ContactPort, TrackerPort
from hal.types import Identity, Instruction, Matrix, OperatorResponse, SafeReport


@dataclass(frozen=True)
class Span:
    """From ``start_ns`` (included) to ``end_ns`` (not included; None = for good)."""

    start_ns: int
    end_ns: int | None = None

    def covers(self, now_ns: int) -> bool:
        return self.start_ns <= now_ns and (self.end_ns is None or now_ns < self.end_ns)


@dataclass(frozen=True)
class Mishap:
    """One act at one moment; ``act`` gets the time at which it is carried out."""

    at_ns: int
    act: Callable[[int], None]


class MishapCore:
    """A ``WireCore`` that suffers faults; anything else (``axes_at``, ...) is the inner core's."""

    def __init__(self, core: WireCore, mishaps: Sequence[Mishap]) -> None:
        self.core = core
        self._due = sorted(mishaps, key=lambda m: m.at_ns)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)

    def _happen(self, now_ns: int) -> None:
        while self._due and self._due[0].at_ns <= now_ns:
            self._due.pop(0).act(now_ns)

    def receive(self, data: bytes, now_ns: int) -> None:
        self._happen(now_ns)
        self.core.receive(data, now_ns)

    def transmit(self, now_ns: int) -> bytes:
        self._happen(now_ns)
        return self.core.transmit(now_ns)

    def next_ns(self, now_ns: int) -> int | None:
        own = self.core.next_ns(now_ns)
        if not self._due:
            return own
        return self._due[0].at_ns if own is None else min(own, self._due[0].at_ns)


class ShortedInputs:
    """A ``ContactPort`` some of whose circuits are shorted for a while: 0 nerve, 1 vessel, 2 pedal."""

    def __init__(self, port: ContactPort, shorts: Sequence[tuple[int, Span]]) -> None:
        self._port = port
        self._shorts = tuple(shorts)

    def touches(self, now_ns: int) -> tuple[bool, bool, bool]:
        nerve, vessel, pedal = self._port.touches(now_ns)
        shorted = {number for number, span in self._shorts if span.covers(now_ns)}
        return nerve or 0 in shorted, vessel or 1 in shorted, pedal or 2 in shorted


class HiddenStylus:
    """A ``TrackerPort`` that loses sight of the stylus for a while."""

    def __init__(self, port: TrackerPort, hidden: Sequence[Span]) -> None:
        self._port = port
        self._hidden = tuple(hidden)

    def tracked(self, now_ns: int) -> dict[str, Matrix | None]:
        found = self._port.tracked(now_ns)
        if any(span.covers(now_ns) for span in self._hidden):
            found |= {name: None for name in found if name.startswith("Stylus")}
        return found


class MoodyOperator:
    """An operator who declines what he is asked while ``declines`` says so, and never answers while ``absent`` does."""

    def __init__(
        self, operator: Operator, now_ns: Callable[[], int], declines: Sequence[Span], absent: Sequence[Span]
    ) -> None:
        self.role = "operator"
        self._operator = operator
        self._now_ns = now_ns
        self._declines = tuple(declines)
        self._absent = tuple(absent)

    def open(self) -> Identity:
        return self._operator.open()

    def close(self) -> None:
        self._operator.close()

    def make_safe(self, deadline: Deadline) -> SafeReport:
        return self._operator.make_safe(deadline)

    def show(self, text: str) -> None:
        self._operator.show(text)

    def begin(self, instruction: Instruction) -> None:
        self._operator.begin(instruction)

    def poll(self) -> OperatorResponse | None:
        now_ns = self._now_ns()
        if any(span.covers(now_ns) for span in self._absent):
            return None
        answer = self._operator.poll()
        if answer is not None and any(span.covers(now_ns) for span in self._declines):
            return replace(answer, done=False, text="declined")
        return answer

    def cancel(self) -> None:
        self._operator.cancel()
