"""Watch over a pump's delivery: it pumps what was ordered and nothing else, by its own count, attended or idle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hal.clock import NS_PER_S, Clock
from hal.errors import DeviceError
from hal.types import PumpState
from rig.lanes import Sample
from rig.safety.limits import VolumeLimits
from rig.safety.stop import Severity, Trip

COUNT_ML = 0.005
"""How far a count may be off by itself: five of its steps [A]."""
COUNT_SHARE = 0.01
"""A syringe pump counts to 1 % [A]."""
SETTLE_NS = NS_PER_S
"""After the last order, or its stop, the plunger must stand within this."""


@dataclass(frozen=True)
class Order:
    """One ordered infusion."""

    before_ml: float
    volume_ml: float
    rate_ml_min: float
    since_ns: int
    """Before the command went out: the plunger cannot have begun earlier."""


class DeliveryWatch:
    """Watch over one pump; used from the scan's task only."""

    role = "pump"

    def __init__(self, limits: VolumeLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._order: Order | None = None
        self._ended_ns: int | None = None
        """When the newest order, or its stop, was through; None while it is under way."""
        self._rest_ml: float | None = None
        self._by_hand = False

    @contextmanager
    def ordered(self, before_ml: float, volume_ml: float, rate_ml_min: float) -> Iterator[None]:
        """Allow an infusion inside the block; raises ``DeviceError`` while a person works the pump by hand."""
        if self._by_hand:
            raise DeviceError("the pump is worked by hand at present: nothing was sent", device=self.role)
        self._order = Order(before_ml, volume_ml, rate_ml_min, self._clock.now_ns())
        self._ended_ns = None
        try:
            yield
        finally:
            self._ended_ns = self._clock.now_ns()

    def forget(self) -> None:
        """Accept the next count at rest: a person has seen to the bench."""
        self._order, self._rest_ml = None, None

    def by_hand(self, guided: bool) -> None:
        """Begin or end a declared hand-guided step; inside it, its own volume is the limit."""
        self._by_hand = guided
        self.forget()

    def evaluate(self, sample: Sample[PumpState]) -> Trip | None:
        """Judge a new report."""
        state = sample.value
        if not math.isfinite(state.dispensed_ml):
            return self._trip("uncommanded", f"the pump counts {state.dispensed_ml}, which is no volume")
        if self._order is not None:
            return self._judge(self._order, sample)
        if self._rest_ml is None:
            self._rest_ml = state.dispensed_ml if self._by_hand or not state.running else None
            return self._running(state)
        more_ml = state.dispensed_ml - self._rest_ml
        if self._by_hand:
            most_ml = self._limits.hand_ml
            if more_ml <= most_ml:
                return None
            return self._trip(
                "hand", f"{more_ml:.3f} mL were pumped by hand, at most {most_ml:g} are", more_ml, most_ml
            )
        if more_ml > COUNT_ML:
            words = f"the pump has pumped {more_ml:.3f} mL that nobody ordered"
            return self._trip("uncommanded", words, more_ml, COUNT_ML)
        if more_ml < 0.0:  # cleared, or its power was lost, which is an alarm of its own
            self._rest_ml = state.dispensed_ml
        return self._running(state)

    def _running(self, state: PumpState) -> Trip | None:
        if not state.running or self._by_hand:
            return None
        return self._trip("uncommanded", "the pump reports an infusion that nobody has ordered")

    def _judge(self, order: Order, sample: Sample[PumpState]) -> Trip | None:
        state = sample.value
        pumped_ml = state.dispensed_ml - order.before_ml
        slack_ml = COUNT_ML + COUNT_SHARE * order.volume_ml
        if pumped_ml > order.volume_ml + slack_ml:
            words = f"the pump has counted {pumped_ml:.3f} mL of {order.volume_ml:g} that were ordered"
            return self._trip("beyond", words, pumped_ml, order.volume_ml + slack_ml)
        seconds = max(0, max(sample.time_ns, state.time_ns) - order.since_ns) / NS_PER_S
        may_ml = order.rate_ml_min / 60.0 * seconds + slack_ml
        if pumped_ml > may_ml:
            words = f"the pump has counted {pumped_ml:.3f} mL after {seconds:.2f} s at {order.rate_ml_min:g} mL/min"
            return self._trip("ahead", words, pumped_ml, may_ml)
        if self._ended_ns is None or sample.time_ns < self._ended_ns:
            return None
        if not state.running:
            self._order, self._rest_ml = None, state.dispensed_ml
        elif sample.time_ns - self._ended_ns > SETTLE_NS:
            return self._trip("uncommanded", "the pump still runs a second after its infusion ended or was stopped")
        return None

    def _trip(self, what: str, words: str, value: float = math.nan, limit: float = math.nan) -> Trip:
        reason = f"{words}; look at the pump, its keys and who else may command it"
        return Trip(f"pump_{what}", Severity.HARD, reason, value, limit)
