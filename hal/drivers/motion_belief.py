"""Plausibility of reports without a checksum: by the axes' last place, their orders, and their speed.

A lost, doubled or flipped character leaves many reports in good shape and moves an axis by up to metres. A report that
the axes cannot have reached is therefore asked for again, and believed when the next one says the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from hal.clock import NS_PER_S
from hal.drivers.motion_status import Report

COUNT = 0.001
"""One count of a report, mm and degrees."""
EQUAL = COUNT / 2.0
"""Two equal numbers of a report differ by less."""
RATE_MARGIN = 1.1
"""A controller's clock may be off, and its ramps overshoot a little [A]."""
UNKNOWN_RATE_PER_S = 200.0
"""Speed of an axis whose settings were not read yet [A]: faster than any stage that carries a probe."""


@dataclass(frozen=True)
class Reach:
    """Capabilities of the axes, in the controller's order."""

    step: tuple[float, ...]
    """One step, mm or degrees: nothing is finer."""
    rate_per_s: tuple[float, ...]
    """Largest speed of each axis, per second."""

    def tolerance(self, index: int) -> float:
        """Largest distance from the target at which an axis comes to rest: its step, and the rounding of the report."""
        return self.step[index] + COUNT


@dataclass(frozen=True)
class Sighting:
    """One report, in machine coordinates, with the earliest moment that it can describe and that of its arrival."""

    report: Report
    machine: tuple[float, ...]
    time_ns: int
    arrived_ns: int


class Belief:
    """Newest report that was accepted, and the places where the axes may be by now."""

    def __init__(self) -> None:
        self.reach: Reach | None = None
        self._last: Sighting | None = None
        self._low: list[float] = []
        self._high: list[float] = []

    def forget(self) -> None:
        """Assume that the axes may be anywhere (opened, homed): the next report needs a second one that agrees."""
        self._last = None

    def expect(self, machine: dict[int, float]) -> None:
        """Note a move that was sent: axes by index may be anywhere on the way to their targets (machine
        coordinates)."""
        if self._last is not None:
            for index, value in machine.items():
                self._low[index] = min(self._low[index], value)
                self._high[index] = max(self._high[index], value)

    def doubt(self, seen: Sighting) -> str:
        """Reason why this report alone is not accepted; empty when it is."""
        last = self._last
        if last is None:
            return "nothing is known yet"
        if seen.report.machine != last.report.machine:
            return "it changed between machine and work positions"
        if last.report.estop and not seen.report.estop:
            return "the emergency stop seems released"
        if seen.machine == last.machine:
            return ""  # where they were believed to be lies between the bounds, whatever was asked of them since
        reach = self.reach
        if reach is None:
            return "the axes moved"
        elapsed_s = (seen.arrived_ns - last.time_ns) / NS_PER_S
        for index, (before, now) in enumerate(zip(last.machine, seen.machine, strict=True)):
            tolerance = reach.tolerance(index)
            if abs(now - before) > RATE_MARGIN * reach.rate_per_s[index] * elapsed_s + tolerance:
                return f"axis {index + 1} would have jumped by {now - before:.3f} in {elapsed_s:.3f} s"
            low, high = self._low[index], self._high[index]
            slack = tolerance if low < high else EQUAL  # an axis that rests is reported the same to the last digit
            if not low - slack <= now <= high + slack:
                return f"axis {index + 1} moved by {now - before:.3f} without an order"
        return ""

    def agree(self, first: Sighting, second: Sighting) -> bool:
        """True when the second report confirms the doubtful first one."""
        a, b = first.report, second.report
        if (a.machine, a.estop, len(a.position)) != (b.machine, b.estop, len(b.position)):
            return False
        resting = not (a.moving or b.moving)
        elapsed_s = 0.0 if resting else (second.arrived_ns - first.time_ns) / NS_PER_S
        for index, (before, now) in enumerate(zip(first.machine, second.machine, strict=True)):
            rate = UNKNOWN_RATE_PER_S if self.reach is None else self.reach.rate_per_s[index]
            if abs(now - before) > RATE_MARGIN * rate * elapsed_s + EQUAL:
                return False
        return True

    def believe(self, seen: Sighting) -> None:
        """Accept a report: the axes are there."""
        self._last = seen
        if seen.report.moving and len(self._low) == len(seen.machine):
            self._low = [min(a, b) for a, b in zip(self._low, seen.machine, strict=True)]
            self._high = [max(a, b) for a, b in zip(self._high, seen.machine, strict=True)]
        else:
            self._low, self._high = list(seen.machine), list(seen.machine)
