"""Volume pumped since an infusion began: the pump's own count where there is one, otherwise bounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hal.clock import NS_PER_S
from hal.types import PumpState
from rig.control.controller import Controller
from rig.control.scan import EXCHANGE_S
from rig.lanes import Sample
from rig.safety.volume import NOTHING, PumpedVolume

COUNT_STEP_ML = 1e-3
"""A count that falls by more than this was lost, with the pump's power for example: the NE-1000 counts in
microlitres."""


class PumpCount:
    """One infusion as its pump reports it. If nobody can ask at the end, the unknown volume is bounded."""

    def __init__(self, controller: Controller, before: PumpState, volume_ml: float, rate_ml_min: float) -> None:
        self.sent = False
        """The command has begun to go out: from now on something may have been pumped."""
        self._controller = controller
        self._before_ml = before.dispensed_ml
        self._volume_ml = volume_ml
        self._rate_ml_min = rate_ml_min
        self._highest = Sample(before, before.time_ns)
        """The report with the highest count, the newest of these."""
        self._lost_ns: int | None = None
        """When the count was first seen to have fallen: the pump does not know any more what it pumped."""

    @contextmanager
    def following(self) -> Iterator[None]:
        """Look at every report of the pump inside the block."""
        listeners = self._controller.rig.channels["pump"].listeners
        listeners.append(self.report)
        try:
            yield
        finally:
            listeners.remove(self.report)

    def report(self, sample: Sample[Any]) -> None:
        """Take one report; called in the lane's task."""
        counted_ml = sample.value.dispensed_ml
        if counted_ml >= self._highest.value.dispensed_ml:
            if self._lost_ns is None:
                self._highest = sample
        elif self._highest.value.dispensed_ml - counted_ml > COUNT_STEP_ML and self._lost_ns is None:
            self._lost_ns = sample.time_ns

    def settled(self, after: PumpState) -> PumpedVolume:
        """Settle by a report requested after the infusion ended: the count, if the pump stands still and has kept
        it."""
        if self._lost_ns is None and not after.running:
            return PumpedVolume.counted(self._counted_ml)
        return self._bounds(self._lost_ns)

    def ended_badly(self, reason: str) -> PumpedVolume:
        """After an error: the rig is made safe, the pump that proved to stand is asked once more, else bounds hold."""
        controller = self._controller
        proven = any(r.device == "pump" and r.safe for r in controller.make_safe(reason))
        by_ns = self._watchdog_ns()
        stands_ns = controller.clock.now_ns() if proven else None
        if not self.sent:
            return NOTHING
        channel = controller.rig.channels["pump"]
        if proven and channel.fault is None and "pump" not in controller.rig.unmonitored:
            ticket = controller.rig.lanes["pump"].request("pump")
            deadline = controller.clock.deadline(EXCHANGE_S)
            while not ticket.done and not deadline.expired:  # the rig stands: nothing is scanned any more
                controller.clock.sleep(0.005)
            newest = channel.sample
            if newest is not None and stands_ns is not None and newest.time_ns >= stands_ns:
                return self.settled(newest.value)
        ends = [t for t in (self._lost_ns, stands_ns, by_ns) if t is not None]
        return self._bounds(min(ends) if ends else None)

    def unanswered(self) -> PumpedVolume:
        """Note that the pump was stopped, and that holds prevented asking for its count."""
        return self._bounds(self._controller.clock.now_ns())

    @property
    def _counted_ml(self) -> float:
        return max(0.0, self._highest.value.dispensed_ml - self._before_ml)

    def _watchdog_ns(self) -> int | None:
        """Latest moment at which a pump without commands stops by itself; None without a watchdog."""
        seconds = getattr(self._controller.rig.pump, "watchdog_s", None)
        return self._controller.clock.now_ns() + int(seconds * NS_PER_S) if seconds else None

    def _bounds(self, stands_ns: int | None) -> PumpedVolume:
        """Bounds from the last count to the volume at its rate until the pump stands, at most to the end of its
        program."""
        least_ml = self._counted_ml
        most_ml = self._volume_ml
        if stands_ns is not None:
            seconds = max(0, stands_ns - self._highest.time_ns) / NS_PER_S
            most_ml = min(most_ml, least_ml + self._rate_ml_min / 60.0 * seconds)
        return PumpedVolume(least_ml, max(least_ml, most_ml))
