"""Plausibility of a syringe pump's count: a possible count is accepted at once, another one when confirmed.

A line without check sum (New Era in Basic mode, Harvard) makes 0.015 mL of 0.075 mL by a single changed character. The
plunger cannot jump: since the last reading it has moved at most at the rate that was set, and at rest not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from hal.clock import NS_PER_S

MOVING = frozenset("IWTX")
"""Status letters of the New Era pump: infusing, withdrawing, timed pause, purge; S = stands."""
RATE_MARGIN = 1.05
"""A pump may run a little fast by our clock: quartz and gear, far below 5 % [A]."""
ENOUGH = 0.99
"""Part of the volume after which a pump that stands has finished (it counts to 1 %)."""


@dataclass(frozen=True, slots=True)
class Dispensed:
    """One answer of a pump to a query of its count."""

    status: str
    infused_ml: float
    withdrawn_ml: float
    step_ml: float
    """Last digit of the answer."""
    asked_ns: int
    arrived_ns: int


class Count:
    """Follows the dispensed total of one pump."""

    def __init__(self, fastest_ml_min: float) -> None:
        """``fastest_ml_min``: the largest rate of the pump, whoever set it."""
        self._fastest_ml_min = fastest_ml_min
        self._last: Dispensed | None = None
        self._from_ml = 0.0
        self._target_ml = 0.0
        self._rate_ml_min = 0.0
        self._stop_sent = False

    def forget(self) -> None:
        """Forget the total, which was cleared: nothing is known about it."""
        self._last = None

    def run(self, before_ml: float, volume_ml: float, rate_ml_min: float) -> None:
        """Note that an infusion is about to start."""
        self._from_ml, self._target_ml, self._rate_ml_min = before_ml, before_ml + volume_ml, rate_ml_min
        self._stop_sent = False

    def stop(self) -> None:
        """Note that the pump gets a stop, wherever it is."""
        self._stop_sent = True

    def believe(self, now: Dispensed) -> None:
        """Accept the newest answer."""
        if now.status not in MOVING:
            self._rate_ml_min = 0.0
            self._stop_sent = False
        self._last = now

    def possible(self, now: Dispensed) -> bool:
        """True when the pump can have come so far, and is doing what it was commanded."""
        last = self._last
        if last is None or now.withdrawn_ml != last.withdrawn_ml:
            return False
        step_ml = max(now.step_ml, last.step_ml)
        if (
            not _follows(last, now, self._rate_ml_min)
            or now.infused_ml > max(self._target_ml, last.infused_ml) + step_ml
        ):
            return False
        if not self._rate_ml_min:
            return now.status == last.status
        finished = now.infused_ml >= self._from_ml + ENOUGH * (self._target_ml - self._from_ml) - step_ml
        return now.status == "I" or (now.status == "S" and (finished or self._stop_sent))

    def agree(self, first: Dispensed, second: Dispensed) -> bool:
        """True when two answers, one after the other, agree."""
        rate_ml_min = self._fastest_ml_min if first.status in MOVING else 0.0
        return (
            first.status == second.status
            and first.withdrawn_ml == second.withdrawn_ml
            and _follows(first, second, rate_ml_min)
        )


def _follows(first: Dispensed, second: Dispensed, rate_ml_min: float) -> bool:
    step_ml = max(first.step_ml, second.step_ml)
    elapsed_min = (second.arrived_ns - first.asked_ns) / NS_PER_S / 60.0
    return -step_ml <= second.infused_ml - first.infused_ml <= rate_ml_min * RATE_MARGIN * elapsed_min + step_ml
