"""The pumping program of a New Era pump: phases, motor and dispensed totals, computed up to the requested time."""

from __future__ import annotations

import math

from hal.sim.devices.pump_new_era_values import LAST_PHASE, ML_PER_UNIT, Phase, rate_limits_ml_min
from hal.sim.devices.pump_plunger import Plunger, PlungerPath

NS_PER_MIN = 60_000_000_000
TIMELESS_PHASES = 200
"""A program that goes through so many phases without taking time is an endless loop."""


def unprogrammed() -> list[Phase]:
    """The program of a new pump: phase 1 pumps, all others stop, so that a volume alone ends an infusion."""
    return [Phase() if n == 0 else Phase("STP") for n in range(LAST_PHASE)]


class Motor:
    """Status letters as the pump reports them: I, W, S, P, T (pause phase), X (purge)."""

    def __init__(self, plunger: Plunger) -> None:
        self.plunger = plunger
        self.diameter_mm = 26.59
        self.phases = unprogrammed()
        self.phase_n = 1
        self.volume_unit = "ML"
        self.status = "S"
        self.infused_ml = 0.0
        self.withdrawn_ml = 0.0
        self.alarm = ""
        """Set by a program error, taken by the pump."""
        self._rate_ml_min = 0.0
        self._left_ml = math.inf
        self._end_ns: int | None = None
        self._time_ns = 0
        self._paused = "I"
        self._loops: dict[int, int] = {}
        self._path = PlungerPath()

    @property
    def moving(self) -> bool:
        return self.status in ("I", "W", "X")

    @property
    def running(self) -> bool:
        """A program is under way (moving or in a timed pause)."""
        return self.moving or self.status == "T"

    @property
    def speed_fraction(self) -> float:
        return self._rate_ml_min / rate_limits_ml_min(self.diameter_mm)[1]

    @property
    def phase(self) -> Phase:
        return self.phases[self.phase_n - 1]

    def advance(self, now_ns: int) -> None:
        """Bring everything to ``now_ns``; phases that end on the way are followed by the next."""
        while self._end_ns is not None and self._end_ns <= now_ns:
            end_ns = self._end_ns
            self._move(end_ns, whole_phase=True)
            self._begin(self.phase_n + 1, end_ns)
        self._move(now_ns)

    def run(self, first: int | None, now_ns: int) -> None:
        """Start at a phase; without one resume a paused program, or start at phase 1."""
        if first is None and self.status == "P":
            self._go(self._paused, now_ns)
            return
        self._loops.clear()
        self._begin(first or 1, now_ns)

    def purge(self, now_ns: int) -> None:
        self._left_ml = math.inf
        self._rate_ml_min = rate_limits_ml_min(self.diameter_mm)[1]
        self._go("X", now_ns)

    def pause(self, now_ns: int) -> None:
        """First stop: the program can be resumed (a purge cannot)."""
        if self.status == "X":
            self.stop(now_ns)
            return
        self._paused = self.status
        self._halt("P", now_ns)

    def stop(self, now_ns: int) -> None:
        self.phase_n = 1
        self._halt("S", now_ns)

    def change_rate(self, rate_ml_min: float, now_ns: int) -> None:
        """Another rate while pumping: effective at once."""
        self._rate_ml_min = rate_ml_min
        self._go(self.status, now_ns)

    def reverse(self, now_ns: int) -> None:
        self._go("W" if self.status == "I" else "I", now_ns)

    def _halt(self, status: str, now_ns: int) -> None:
        if self.moving:
            self.plunger.rest()
        self.status = status
        self._end_ns = None
        self._time_ns = now_ns

    def _go(self, status: str, now_ns: int) -> None:
        self.status = status
        self._time_ns = now_ns
        if status == "T":
            self._end_ns = now_ns + int(self._left_ml * 1e9)  # a pause counts seconds in the same place
        elif math.isfinite(self._left_ml) and self._rate_ml_min > 0.0:
            self._end_ns = now_ns + math.ceil(self._left_ml / self._rate_ml_min * NS_PER_MIN)
        else:
            self._end_ns = None

    def _move(self, now_ns: int, *, whole_phase: bool = False) -> None:
        elapsed_ns = now_ns - self._time_ns
        if elapsed_ns < 0:
            return
        self._time_ns = now_ns
        if self.status == "T":
            self._left_ml -= elapsed_ns / 1e9
        if not self.moving:
            return
        if elapsed_ns == 0 and not whole_phase:
            return
        volume_ml = self._left_ml if whole_phase else min(self._left_ml, self._rate_ml_min * elapsed_ns / NS_PER_MIN)
        self._left_ml -= volume_ml
        if self.status == "W":
            self.withdrawn_ml += volume_ml
        else:
            self.infused_ml += volume_ml
        signed_ml = -volume_ml if self.status == "W" else volume_ml
        self._path.move(self.plunger, signed_ml, self.diameter_mm, now_ns - elapsed_ns, now_ns)

    def displaced_ml(self, now_ns: int) -> float:
        """Volume pushed out of the syringe up to a moment, which may lie before the last one that was computed."""
        return self._path.displaced_ml(now_ns)

    def _begin(self, number: int, now_ns: int) -> None:
        """Go to a phase, through those that take no time."""
        for _ in range(TIMELESS_PHASES):
            if not 1 <= number <= LAST_PHASE:
                self._fail("O", now_ns)
                return
            self.phase_n = number
            phase = self.phase
            name, argument = phase.function[:3], phase.function[3:]
            if name in ("RAT", "INC", "DEC", "FIL"):
                self._pump_phase(phase, name, now_ns)
                return
            if name == "PAS":
                self._left_ml = float(argument)
                self._go("T", now_ns)
                return
            if name == "STP":
                self.stop(now_ns)
                return
            number = self._jump(name, argument, number)
        self._fail("E", now_ns)

    def _jump(self, name: str, argument: str, number: int) -> int:
        """Follow phases that only steer the program; returns where it continues."""
        if name == "JMP":
            return int(argument)
        if name == "LOP":
            left = self._loops.get(number, int(argument)) - 1
            if left > 0:
                self._loops[number] = left
                starts = [n for n in range(1, number) if self.phases[n - 1].function == "LPS"]
                return starts[-1] if starts else 1
            self._loops.pop(number, None)
        elif name == "CLD":
            self.infused_ml = self.withdrawn_ml = 0.0
        return number + 1  # LPS marks a place, BEP sounds

    def _pump_phase(self, phase: Phase, name: str, now_ns: int) -> None:
        volume_ml = phase.volume * ML_PER_UNIT[self.volume_unit]
        direction = phase.direction
        if name == "FIL":  # take back what was dispensed
            volume_ml, direction = self.infused_ml, "WDR"
        if name == "INC":
            self._rate_ml_min += phase.rate_ml_min
        elif name == "DEC":
            self._rate_ml_min = max(0.0, self._rate_ml_min - phase.rate_ml_min)
        else:
            self._rate_ml_min = phase.rate_ml_min
        self._left_ml = volume_ml if volume_ml > 0.0 else math.inf
        low, high = rate_limits_ml_min(self.diameter_mm)
        if not low <= self._rate_ml_min <= high:
            self._fail("O", now_ns)
            return
        self._go("I" if direction == "INF" else "W", now_ns)

    def _fail(self, alarm: str, now_ns: int) -> None:
        self.alarm = alarm
        self.stop(now_ns)
