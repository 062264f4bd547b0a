"""Changes of a device's clock: set back, set forward, standing still, or a single wrong stamp.

Only stamps and arrivals are there to tell by. On one connection nothing overtakes, so a stamp that falls is a clock
that was set back, or a wrong stamp. A message that waits longer or shorter keeps the steps between its stamps; a clock
that is set changes one of them. The next stamp shows which of the two clocks goes on.
"""

from __future__ import annotations

import enum
from collections import Counter, deque
from dataclasses import dataclass
from statistics import median

from hal.clock import NS_PER_S

STEP_NS = 15_000_000
"""A clock that is set by less cannot be distinguished from a disturbed one: half an image at 30 Hz [A]."""
LEAP_NS = NS_PER_S
"""No message waits so much less than all before it."""
STILL_NS = NS_PER_S
"""A stamp that stays for so long stands still; servers that send faster than they measure repeat one for less."""
STEPS_N = 15
"""Steps between stamps that say what the usual one is; half of them must be there."""
KEPT_N = 100
"""Changes that are kept one by one; all are counted."""
SET_BACK, SET_FORWARD, STANDS_STILL, BAD_STAMP, DRIFTS = (
    "set back",
    "set forward",
    "stands still",
    "bad stamp",
    "drifts",
)


class Verdict(enum.Enum):
    """Use that can be made of a stamp."""

    FOLLOWS = "follows the ones before"
    REPEATED = "says nothing new"
    DOUBTFUL = "belongs to another clock, or to none"
    SET = "belongs to the clock as it was set, beyond doubt"


@dataclass(frozen=True, slots=True)
class ClockChange:
    """One noticed change, and the arrival of its message."""

    name: str
    by_ns: int
    """Arrival minus stamp, compared with what it was; standing still: for how long."""
    at_ns: int

    def __str__(self) -> str:
        return f"{self.name} by {abs(self.by_ns) / 1e6:.0f} ms"


@dataclass(frozen=True, slots=True)
class _Stamp:
    stamp_ns: int
    arrival_ns: int

    @property
    def waited_ns(self) -> int:
        """Waiting time, which includes the unknown offset of the clock."""
        return self.arrival_ns - self.stamp_ns


class ClockWatch:
    """Compares each stamp with the ones before."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How often each change was noticed."""
        self.changes: deque[ClockChange] = deque(maxlen=KEPT_N)
        self.new_ns = 0
        """After ``Verdict.SET``: arrival minus stamp of the message that waited least since the clock was set."""
        self._last: dict[str, _Stamp] = {}
        self._steps: dict[str, deque[int]] = {}
        self._doubt: tuple[_Stamp, ClockChange] | None = None
        self._still: set[str] = set()

    def note(self, change: ClockChange) -> None:
        self.counts[change.name] += 1
        self.changes.append(change)

    def judge(self, stamp_ns: int, arrival_ns: int, floor_ns: int | None, source: str) -> Verdict:
        """``floor_ns``: the smallest arrival minus stamp of the last minute; None before the first stamp."""
        now, last = _Stamp(stamp_ns, arrival_ns), self._last.get(source)
        if last is None or floor_ns is None:
            self._last[source] = now
            return Verdict.FOLLOWS
        if stamp_ns == last.stamp_ns:
            self._stands(source, now, last)
            return Verdict.REPEATED
        if self._doubt is not None:
            return self._settle(self._doubt, now, last, source)
        change = self._change(now, last, floor_ns, source)
        if change is not None:
            self._doubt = now, change
            self.note(change)
            return Verdict.DOUBTFUL
        self._goes_on(now, last, source)
        return Verdict.FOLLOWS

    def _settle(self, doubt: tuple[_Stamp, ClockChange], now: _Stamp, last: _Stamp, source: str) -> Verdict:
        """Decide on a doubtful stamp: the stamp after it belongs to the clock that it is nearer to."""
        first, change = doubt
        if now == first:
            return Verdict.DOUBTFUL
        self._doubt = None
        if abs(now.waited_ns - first.waited_ns) <= abs(now.waited_ns - last.waited_ns):
            self.new_ns = min(first.waited_ns, now.waited_ns)
            self._last = {source: now}
            return Verdict.SET
        self.counts.subtract({change.name: 1})
        if self.changes and self.changes[-1] is change:
            self.changes.pop()
        self.note(ClockChange(BAD_STAMP, change.by_ns, change.at_ns))
        self._last[source] = now
        return Verdict.FOLLOWS

    def _change(self, now: _Stamp, last: _Stamp, floor_ns: int, source: str) -> ClockChange | None:
        by_ns = now.waited_ns - last.waited_ns
        step_ns = now.stamp_ns - last.stamp_ns
        if step_ns < 0:
            return ClockChange(SET_BACK, by_ns, now.arrival_ns)
        odd_ns = self._odd_ns(step_ns, source)
        less_ns = floor_ns - now.waited_ns
        in_bunch = now.arrival_ns - last.arrival_ns < (step_ns - odd_ns) / 2  # what had waited comes at once
        if less_ns > LEAP_NS or (less_ns > STEP_NS and odd_ns > STEP_NS and not in_bunch):
            return ClockChange(SET_FORWARD, -less_ns, now.arrival_ns)
        too_short = odd_ns < 0.0 and step_ns < min(self._steps[source]) - STEP_NS
        if by_ns > STEP_NS and (too_short or source in self._still):  # it stood, and goes on from there
            return ClockChange(SET_BACK, by_ns, now.arrival_ns)
        return None

    def _odd_ns(self, step_ns: int, source: str) -> float:
        """Excess of a step between two stamps over the usual one; 0 where steps are not regular."""
        steps = self._steps.get(source, ())
        if len(steps) < STEPS_N // 2:
            return 0.0
        usual_ns = median(steps)
        if median(abs(step - usual_ns) for step in steps) > STEP_NS / 3:
            return 0.0
        return step_ns - usual_ns

    def _goes_on(self, now: _Stamp, last: _Stamp, source: str) -> None:
        self._steps.setdefault(source, deque(maxlen=STEPS_N)).append(now.stamp_ns - last.stamp_ns)
        self._last[source] = now
        self._still.discard(source)

    def _stands(self, source: str, now: _Stamp, last: _Stamp) -> None:
        still_ns = now.arrival_ns - last.arrival_ns
        if still_ns > STILL_NS and source not in self._still:
            self._still.add(source)
            self.note(ClockChange(STANDS_STILL, still_ns, now.arrival_ns))
