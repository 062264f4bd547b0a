"""Total volume infused by a Harvard pump, counted over portions, each of which the pump counts from zero."""

from __future__ import annotations

import math

from hal.clock import Clock
from hal.drivers.pump_count import ENOUGH, MOVING, Count, Dispensed
from hal.drivers.pump_harvard_line import READ_ATTEMPTS, HarvardLine
from hal.errors import BadReply

COUNT_ATTEMPTS = 6
FASTEST_CM_MIN = 16.0
"""Plunger speed of the Pump 11 Elite (88 mL/min with a 60 mL syringe) [calc]."""
STEP_ML = 2e-4
"""Counts agree to this [A]: how the pump rounds is not documented."""


class PortionCount:
    """Asks for the count and checks it as ``hal.drivers.pump_count`` does."""

    def __init__(self, line: HarvardLine, clock: Clock, diameter_mm: float) -> None:
        self.line = line
        self.portion_ml = 0.0
        """Target of the newest run."""
        self._clock = clock
        self._count = Count(math.pi * (diameter_mm / 20.0) ** 2 * FASTEST_CM_MIN)
        self._before_ml = 0.0
        """Volume of the portions before this one."""
        self._zeroing_ml = 0.0
        """The pump's count when it got the command to count from zero, until it was seen to."""

    def total_ml(self, seen: Dispensed) -> float:
        """Volume infused since the last clear."""
        return self._before_ml + seen.infused_ml

    def through(self, seen: Dispensed) -> bool:
        """True when the portion has been infused (a pump counts to 1 %)."""
        return seen.infused_ml >= ENOUGH * self.portion_ml - STEP_ML

    def run(self, portion_ml: float, rate_ml_min: float) -> None:
        """Note that a portion is about to start, from a count of zero."""
        self.portion_ml = portion_ml
        self._count.run(0.0, portion_ml, rate_ml_min)

    def stop(self) -> None:
        """Note that the pump gets a stop, wherever it is."""
        self._count.stop()

    def forget(self) -> None:
        """Note that the pump was sent the command to clear its counts."""
        self._count.forget()

    def cleared(self) -> None:
        """Note that its counts were seen to be zero; so is the total."""
        self._before_ml = self._zeroing_ml = 0.0

    def from_zero(self) -> None:
        """Have the pump count from zero and verify it; its earlier count is kept here."""
        seen = self.newest()
        if seen.infused_ml == 0.0:
            return
        self._zeroing_ml = seen.infused_ml
        self.line.attempt("civolume")
        self._count.forget()
        now = self.newest()
        if now.infused_ml != 0.0:
            raise self.line.refused("civolume", f"the infused volume still reads {now.infused_ml:g} mL")

    def newest(self) -> Dispensed:
        """The count; one that is not possible after the last one, or not expected, is asked for once more."""
        before: Dispensed | None = None
        for _ in range(COUNT_ATTEMPTS):
            now = self.once()
            if self._count.possible(now) or (before is not None and self._count.agree(before, now)):
                self._count.believe(now)
                if self._zeroing_ml and now.infused_ml < self._zeroing_ml / 2.0:
                    self._before_ml += self._zeroing_ml
                    self._zeroing_ml = 0.0
                return now
            before = now
        raise BadReply(
            f"pump on {self.line.link.url}: no two answers to ivolume agree; the last says {now.status} and"
            f" {now.infused_ml:g} mL; is the line disturbed?",
            port=self.line.link.url,
            command="ivolume",
        )

    def stands(self) -> str:
        """Empty when two answers, each asked for once, agree on a plunger at rest; else their content."""
        first, second = self.once(1), self.once(1)
        if {first.status, second.status}.isdisjoint(MOVING) and abs(second.infused_ml - first.infused_ml) <= STEP_ML:
            return ""
        return f"{first.status}, {second.status} and {second.infused_ml:g} mL"

    def once(self, attempts: int = READ_ATTEMPTS) -> Dispensed:
        """Read one answer without judging it."""
        asked_ns = self._clock.now_ns()
        reply = self.line.ask("ivolume", attempts)
        self.line.check("ivolume", reply)
        return Dispensed(reply.status, reply.value("ivolume") or 0.0, 0.0, STEP_ML, asked_ns, self._clock.now_ns())
