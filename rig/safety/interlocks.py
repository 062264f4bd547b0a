"""Interlocks: conditions on the level and on the age of what the lanes read, evaluated on every scan.

Levels, never edges: a condition that was true before the interlock was installed trips it all the same. The
self-test feeds example readings through the same ``evaluate`` and shows that each interlock can trip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hal.clock import NS_PER_S
from hal.types import (
    CarrierState,
    ContactReading,
    ForceReading,
    HolderState,
    MotionMode,
    NeedlePose,
    Pose6,
    PressureReading,
    PumpState,
)
from rig.lanes import Channel, Sample
from rig.safety.limits import Limits
from rig.safety.polling import Polling
from rig.safety.stop import Severity, Trip


@dataclass(frozen=True)
class Level:
    """One limit on one reading; ``quantity(reading)`` at or above ``limit`` trips."""

    name: str
    role: str
    severity: Severity
    quantity: Callable[[Any], float]
    limit: float
    text: str
    """Description of the event; the value, the limit and the unit follow."""
    unit: str
    trips_on: Any
    passes_on: Any
    detail: Callable[[Any], str] | None = None

    def evaluate(self, reading: Any) -> Trip | None:
        value = self.quantity(reading)
        if value < self.limit:
            return None
        more = self.detail(reading) if self.detail is not None else ""
        words = f"{self.text}: {value:.3g} {self.unit}, limit {self.limit:.3g}" if self.unit else self.text
        return Trip(self.name, self.severity, words + (f" ({more})" if more else ""), value, self.limit)


MEASURED: dict[str, Callable[[Any], float]] = {
    "pressure": lambda reading: float(reading.pressure_kpa),
    "needle_force": lambda reading: float(reading.force_n),
    "probe_force": lambda reading: float(reading.force_n),
}
"""Roles whose reading is one measured quantity."""


class Watch(Protocol):
    """Checks an actuator against its orders; one per actuator."""

    def evaluate(self, sample: Sample[Any]) -> Trip | None:
        """Judge a new reading."""

    def forget(self) -> None:
        """Accept the next reading at rest: a person has seen to the bench."""

    def by_hand(self, guided: bool) -> None:
        """Begin or end a declared hand-guided step."""


class Guard:
    """All conditions of one role: fault, age, levels, what an actuator does unasked, a value that stands still.

    A level is a pure function of the reading, so the verdict on a reading is kept until the next one arrives.
    """

    def __init__(
        self,
        channel: Channel[Any],
        levels: tuple[Level, ...],
        polling: Polling,
        start_ns: int,
        watch: Watch | None = None,
    ) -> None:
        self.role = channel.role
        self.watch = watch
        self.channel = channel
        self.levels = levels
        self.holds: tuple[Trip, ...] = ()
        """Hold conditions that are true for the newest reading."""
        self._polling = polling
        self._judged: Sample[Any] | None = None
        self._hard: Trip | None = None
        self._since_ns = start_ns
        self._max_age_ns = 0
        self._attended = False
        self._value: float | None = None
        self._equal_n = 0
        """Attended readings in a row that equalled the one before."""
        self.attend(False, start_ns)

    def attend(self, attended: bool, now_ns: int) -> None:
        """Choose the age limit; a reading may be as old as the moment of the change without counting as stale."""
        seconds = self._polling.stale_attended_s if attended else self._polling.stale_idle_s
        self._max_age_ns = int(seconds * NS_PER_S)
        self._since_ns = now_ns
        self._attended = attended

    @property
    def judges_frozen(self) -> bool:
        """True when this role's readings must change while something depends on them."""
        return self._polling.frozen_n > 0 and self.role in MEASURED

    def evaluate_frozen(self, equal_n: int) -> Trip | None:
        """Trip on a constant value behind intact replies, which is no measurement: real sensors carry noise."""
        if not self.judges_frozen or equal_n < self._polling.frozen_n:
            return None
        reason = (
            f"{self.role}: {equal_n} readings in a row are equal to the last digit; the sensor or its amplifier hangs "
            "(or its steps are coarser than its noise: limits.polling, frozen_n)"
        )
        return Trip(f"{self.role}_frozen", Severity.HARD, reason, float(equal_n), float(self._polling.frozen_n))

    def _count_equal(self, reading: Any) -> None:
        value = MEASURED[self.role](reading)
        if value != self._value:
            self._value, self._equal_n = value, 0
        elif self._attended:
            self._equal_n += 1

    def evaluate_age(self, sample_ns: int | None, now_ns: int) -> Trip | None:
        """Trip on a reading that is too old, which is as bad as one that is too high."""
        if self._max_age_ns == 0:
            return None
        base_ns = self._since_ns if sample_ns is None else max(sample_ns, self._since_ns)
        age_ns = now_ns - base_ns
        if age_ns <= self._max_age_ns:
            return None
        age_s, limit_s = age_ns / NS_PER_S, self._max_age_ns / NS_PER_S
        reason = f"{self.role}: no reading for {age_s:.2f} s (limit {limit_s:.2f} s); check its cable and power"
        return Trip(f"{self.role}_stale", Severity.HARD, reason, age_s, limit_s)

    def evaluate_fault(self, fault: Exception | None) -> Trip | None:
        if fault is None:
            return None
        return Trip(f"{self.role}_fault", Severity.HARD, f"{self.role}: {fault}")

    def check(self, now_ns: int) -> Trip | None:
        """First hard trip of this role, or None; refreshes ``holds``."""
        channel = self.channel
        if channel.fault is not None:
            return self.evaluate_fault(channel.fault)
        sample = channel.sample
        trip = self.evaluate_age(None if sample is None else sample.time_ns, now_ns)
        if trip is not None:
            return trip
        if sample is not self._judged:
            assert sample is not None
            self._judged = sample
            trips = [t for t in (level.evaluate(sample.value) for level in self.levels) if t is not None]
            self._hard = next((t for t in trips if t.severity is Severity.HARD), None)
            self.holds = tuple(t for t in trips if t.severity is Severity.HOLD)
            if self._hard is None and self.watch is not None:
                self._hard = self.watch.evaluate(sample)
            if self._hard is None and self.judges_frozen:
                self._count_equal(sample.value)
                self._hard = self.evaluate_frozen(self._equal_n)
        return self._hard


_POSE = Pose6(0.0, 0.0, 0.0)
_NEEDLE = NeedlePose(0.0, 0.0, 0.0, 0.0, -10.0)


def levels_for(limits: Limits, gauge: int, *, pedal_holds: bool = True) -> tuple[Level, ...]:
    """The interlocks of a rig by role; roles that a rig lacks are simply not guarded (and reported as such)."""
    needle_n = limits.needle_force_n(gauge)
    hard_n = needle_n * limits.force.hard_factor
    probe_n = limits.force.probe_n
    line_kpa, zero_kpa = limits.pressure.line_kpa, limits.pressure.zero_kpa
    hard, hold = Severity.HARD, Severity.HOLD
    found = [
        Level(
            "holder_alarm", "holder", hard, lambda s: float(s.mode is MotionMode.ALARM or bool(s.alarm)), 1.0,
            "the probe holder reports an alarm", "",
            HolderState(0, _POSE, MotionMode.ALARM, alarm="test"), HolderState(0, _POSE, MotionMode.IDLE),
            lambda s: s.alarm,
        ),
        Level(
            "carrier_alarm", "carrier", hard, lambda s: float(s.mode is MotionMode.ALARM or bool(s.alarm)), 1.0,
            "the needle carrier reports an alarm", "",
            CarrierState(0, _NEEDLE, MotionMode.ALARM, alarm="test"), CarrierState(0, _NEEDLE, MotionMode.IDLE),
            lambda s: s.alarm,
        ),
        Level(
            "pump_alarm", "pump", hard, lambda s: float(bool(s.alarm)), 1.0, "the pump reports an alarm", "",
            PumpState(0, False, 0.0, 0.0, alarm="test"), PumpState(0, False, 0.0, 0.0), lambda s: s.alarm,
        ),
        Level(
            "line_pressure", "pressure", hard, lambda s: s.pressure_kpa, line_kpa,
            "line pressure near the sensor's range", "kPa",
            PressureReading(0, line_kpa, 20.0), PressureReading(0, 0.0, 20.0),
        ),
        Level(
            "pressure_zero", "pressure", hold, lambda s: -s.pressure_kpa, zero_kpa,
            "the line reads below zero, which is impossible: its sensor's zero has drifted (open to air, zero it). By",
            "kPa", PressureReading(0, -2.0 * zero_kpa, 20.0), PressureReading(0, 0.0, 20.0),
        ),
        Level(
            "needle_force_hard", "needle_force", hard, lambda s: abs(s.force_n), hard_n, "axial needle force", "N",
            ForceReading(0, hard_n), ForceReading(0, needle_n),
        ),
        Level(
            "needle_force", "needle_force", hold, lambda s: abs(s.force_n), needle_n, "strong resistance at the needle",
            "N", ForceReading(0, needle_n), ForceReading(0, 0.5 * needle_n),
        ),
        Level(
            "probe_force_hard", "probe_force", hard, lambda s: abs(s.force_n), probe_n * limits.force.hard_factor,
            "probe contact force", "N", ForceReading(0, probe_n * limits.force.hard_factor), ForceReading(0, probe_n),
        ),
        Level(
            "probe_force", "probe_force", hold, lambda s: abs(s.force_n), probe_n, "probe pressed too hard", "N",
            ForceReading(0, probe_n), ForceReading(0, 0.5 * probe_n),
        ),
        Level(
            "nerve_contact", "contact", hold, lambda s: float(s.nerve), 1.0, "the needle touches a nerve insert", "",
            ContactReading(0, True, False, False), ContactReading(0, False, True, True),
        ),
        Level(
            "vessel_contact", "contact", hold, lambda s: float(s.vessel), 1.0, "the needle is in a vessel insert", "",
            ContactReading(0, False, True, False), ContactReading(0, True, False, True),
        ),
    ]  # fmt: skip
    if pedal_holds:
        found.append(
            Level(
                "pedal",
                "contact",
                hold,
                lambda s: float(s.pedal),
                1.0,
                "the foot pedal is pressed",
                "",
                ContactReading(0, False, False, True),
                ContactReading(0, True, True, False),
            )
        )
    return tuple(found)
