"""Proof, before the first trial, that every interlock can trip: example readings through the evaluation in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from hal.clock import NS_PER_S
from rig.safety.estop import EStopLatch, EStopState
from rig.safety.interlocks import Guard
from rig.safety.limits import Limits
from rig.safety.line_at_rest import LineAtRest
from rig.safety.pressure import ANSWER_FLOOR_KPA, LineModel, PressureWatch, Verdict
from rig.safety.stop import Severity
from rig.safety.watch_proof import STORIES


class Line(Protocol):
    """The rig file's line section."""

    @property
    def compliance_ul_kpa(self) -> float: ...
    @property
    def resistance_kpa_min_ml(self) -> float: ...
    @property
    def k_line(self) -> float: ...


@dataclass(frozen=True)
class Proof:
    """One interlock: it tripped on readings that must trip it, and let pass those that must pass."""

    name: str
    trips: bool
    passes: bool

    @property
    def proven(self) -> bool:
        return self.trips and self.passes

    def as_dict(self) -> dict[str, str | bool]:
        return {"name": self.name, "trips": self.trips, "passes": self.passes}


def prove_all(guards: Sequence[Guard], limits: Limits, line: Line) -> tuple[Proof, ...]:
    """Every guard's levels, age and fault; what actuators do unasked; the emergency-stop latch; with a pressure sensor
    the ladder and what judges the sensor itself."""
    proofs = [proof for guard in guards for proof in _prove_guard(guard)]
    for guard in guards:
        if guard.watch is not None:
            proofs.extend(Proof(*story) for story in STORIES[guard.role](limits))
    proofs.append(_prove_estop())
    if any(guard.role == "pressure" for guard in guards):
        proofs.extend(_prove_pressure(limits, line))
    return tuple(proofs)


def _prove_guard(guard: Guard) -> Iterator[Proof]:
    for level in guard.levels:
        yield Proof(level.name, level.evaluate(level.trips_on) is not None, level.evaluate(level.passes_on) is None)
    century_ns = 10**10 * NS_PER_S
    tripped = guard.evaluate_age(0, century_ns)
    yield Proof(f"{guard.role}_stale", tripped is not None, guard.evaluate_age(century_ns, century_ns) is None)
    if guard.judges_frozen:
        yield Proof(f"{guard.role}_frozen", guard.evaluate_frozen(10**6) is not None, guard.evaluate_frozen(1) is None)
    fault = guard.evaluate_fault(RuntimeError("test"))
    yield Proof(f"{guard.role}_fault", fault is not None, guard.evaluate_fault(None) is None)


def _prove_estop() -> Proof:
    latch = EStopLatch()
    absent = latch.update(None) is EStopState.ABSENT and not latch.acknowledge()
    passes = latch.update(False) is EStopState.DISENGAGED
    pressed = latch.update(True) is EStopState.PRESSED and not latch.acknowledge()
    latched = latch.update(False) is EStopState.LATCHED
    return Proof("estop", absent and pressed and latched, passes and latch.acknowledge())


def _prove_pressure(limits: Limits, line: Line) -> Iterator[Proof]:
    """A closed line and an open one at the same pump rate, and one step of the ladder each."""
    model = LineModel(line.compliance_ul_kpa, line.resistance_kpa_min_ml, line.k_line)
    ladder = limits.pressure
    rate_ml_min = 3.0

    def run(top_kpa: float, *, closed: bool) -> tuple[Verdict, Severity | None]:
        """Readings at 50 Hz up to a tip pressure: a ramp Q/C, or a level with flow."""
        watch = PressureWatch(model, ladder)
        step_s = 0.02
        slope = model.blocked_slope_kpa_s(rate_ml_min)
        verdict, trip = Verdict.FLOWING, None
        for i in range(1, 100_000):
            kpa = slope * step_s * i if closed else top_kpa + model.loss_kpa_min_ml * rate_ml_min
            if closed and kpa > top_kpa:
                break
            pumped_ml = rate_ml_min / 60.0 * step_s * i + (0.0 if closed else 1.0)
            watch.update(int(i * step_s * NS_PER_S), kpa, rate_ml_min, pumped_ml)
            if not closed and i < 20:  # the level is a steady one: let the slope's window fill
                continue
            verdict, trip = watch.judge(rate_ml_min)
            if trip is not None or not closed:
                break
        return verdict, trip.severity if trip is not None else None

    def answers(share: float) -> bool:
        """Sensor that shows this share of the loss in line and needle, at a flow whose loss is visible."""
        rate = max(rate_ml_min, 4.0 * ANSWER_FLOOR_KPA / max(model.loss_kpa_min_ml, 1e-9))
        watch = PressureWatch(model, ladder)
        for i in range(1, 500):
            kpa = share * model.loss_kpa_min_ml * rate
            watch.update(int(i * 0.02 * NS_PER_S), kpa, rate, rate / 60.0 * 0.02 * i)
            trip = watch.judge(rate)[1]
            if trip is not None:
                return trip.source != "pressure_silent"
        return True

    if model.loss_kpa_min_ml > 0.0:
        yield Proof("pressure_silent", not answers(0.2), answers(1.0))
    rest = LineAtRest(ladder)
    outside = (-2.0 * ladder.zero_kpa, 2.0 * ladder.zero_kpa, float("nan"))
    yield Proof("pressure_at_rest", all(rest.evaluate(kpa) for kpa in outside), rest.evaluate(0.0) is None)
    below = 0.9 * ladder.hold_kpa
    yield Proof(
        "line_blocked",
        run(1.5 * ladder.hard_kpa, closed=True)[0] in (Verdict.BLOCKED, Verdict.OVER_PRESSURE),
        run(below, closed=True)[0] is Verdict.FLOWING,
    )
    hold = run(0.5 * (ladder.hold_kpa + ladder.stop_kpa), closed=False)
    passes = run(below, closed=False)[1] is None
    yield Proof("tip_pressure", hold == (Verdict.OVER_PRESSURE, Severity.HOLD), passes)
    hard = run(1.05 * ladder.hard_kpa, closed=False)
    yield Proof("tip_pressure_hard", hard == (Verdict.OVER_PRESSURE, Severity.HARD), passes)
