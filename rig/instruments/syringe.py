"""One injection under watched pressure."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hal.clock import NS_PER_S
from hal.errors import DeviceError, NoReply
from hal.interfaces import Pump
from hal.types import PressureReading, PumpState
from rig.control.controller import Controller
from rig.control.pump_count import PumpCount
from rig.lanes import Sample
from rig.roles import PRESSURE, PUMP
from rig.safety.pressure import LineModel, PressureWatch, TipReading, Verdict
from rig.safety.run_on import Undeclared, check_run_on
from rig.safety.stop import HoldRequested, Trip
from rig.safety.volume import PumpedVolume

OWN_HOLDS = frozenset({"tip_pressure", "line_blocked"})
"""Stop rules that end an injection with a verdict instead of an exception."""
PLATEAU_SHARE = 0.3
"""The plateau is the median tip pressure over this last part of the pumping time."""
FULL_FLOW = 0.8
"""Share of the pump's rate above which the flow through the needle counts as the pump's."""
SETTLE_TAU = 5.0
SETTLE_S = (0.4, 3.0)
COMPLETE_SHARE = 0.95
"""Less of the volume than this by the pump's own count is not the volume: a syringe pump counts to 1 % [A]."""
COUNT_TRIES = 4
"""The pump's count is asked for again after so many holds less one; each stop rule is reported once, and there are not
more that can come within one exchange [A]."""


@dataclass(frozen=True)
class InjectionResult:
    """Volume and pressures of an injection. Pressures are at the tip, line loss removed; NaN = not measured."""

    verdict: Verdict
    reason: str
    test: bool
    rate_ml_min: float
    pumped: PumpedVolume
    """By the pump's own count; bounds where the pump could not tell."""
    stored_ml: float
    """Still in the compliant line at the end: C times the remaining pressure."""
    opening_kpa: float
    peak_kpa: float
    plateau_kpa: float
    warned: bool
    """The tip pressure passed the warning level."""
    time_ns: NDArray[np.int64] = field(repr=False)
    sensor_kpa: NDArray[np.float64] = field(repr=False)
    tip_kpa: NDArray[np.float64] = field(repr=False)
    flow_ml_min: NDArray[np.float64] = field(repr=False)

    @property
    def pumped_ml(self) -> float:
        """The counted volume; NaN when only its bounds are known."""
        return self.pumped.min_ml if self.pumped.known else float("nan")

    @property
    def delivered_ml(self) -> float:
        """Volume that left the tip: pumped minus stored; NaN when the pumped volume is not known."""
        return self.pumped_ml - self.stored_ml

    def as_dict(self) -> dict[str, str | float | bool | None]:
        """Content for the journal: everything but the traces."""
        number = {
            name: None if value != value else value
            for name, value in (
                ("rate_ml_min", self.rate_ml_min), ("pumped_ml", self.pumped_ml),
                ("pumped_min_ml", self.pumped.min_ml), ("pumped_max_ml", self.pumped.max_ml),
                ("stored_ml", self.stored_ml),
                ("delivered_ml", self.delivered_ml), ("opening_kpa", self.opening_kpa), ("peak_kpa", self.peak_kpa),
                ("plateau_kpa", self.plateau_kpa),
            )
        }  # fmt: skip
        words = {"verdict": self.verdict.value, "reason": self.reason}
        return {**words, "test": self.test, "warned": self.warned, **number}


def line_drop_kpa(result: InjectionResult) -> float:
    """Pressure of the sensor over the last part of the pumping time above that before the flow; NaN without flow.

    A thin needle empties the line for seconds after the pump has stopped: that flow is not the pump's.
    """
    flowing = np.flatnonzero(result.flow_ml_min > FULL_FLOW * result.rate_ml_min)
    plateau = result.sensor_kpa[flowing[int(0.6 * len(flowing)) :]]
    return float(np.median(plateau) - result.sensor_kpa[0]) if len(plateau) else float("nan")


def line_model(controller: Controller) -> LineModel:
    """Line of the rig file as the pressure rule uses it."""
    return controller.rig.config.line.model


def inject(
    controller: Controller,
    volume_ml: float,
    rate_ml_min: float,
    *,
    test: bool = False,
    line: LineModel | None = None,
    note: Callable[[InjectionResult], None] | None = None,
    tell: Callable[[TipReading], None] | None = None,
) -> InjectionResult:
    """Infuse one volume (mL) at one rate (mL/min) and watch the pressure until the line has discharged.

    Pressure rules end it with a verdict (the pump is already stopped), and so does a pump that stands before its
    volume is in. Any other hold, while it is pumped, while the line discharges or while the count is read, is raised
    as ``HoldRequested`` with the ``InjectionResult`` as its ``partial``.

    ``infusion.started`` is journalled before anything is sent. However it ends, what the pump counted (bounds, where
    it can no longer be asked) is booked in ``controller.volumes``, journalled as ``infusion`` and handed to ``note``
    exactly once, before anything is raised. ``tell`` gets every pressure reading at once, as the rule judges it.

    Raises ``LimitViolation`` before anything is sent, ``DeviceError`` when the pump did not finish in
    ``nominal x 1.5 + 1 s``, ``SafetyStop`` when the rig stopped.
    """
    pump = controller.rig.pump
    if pump is None:
        raise DeviceError("this rig has no pump", device="pump")
    controller.volumes.check(volume_ml, rate_ml_min, test=test)
    line = line or line_model(controller)
    watchdog_s: float | Undeclared | None = getattr(pump, "watchdog_s", Undeclared())
    if "pump" not in controller.rig.unmonitored and not isinstance(watchdog_s, Undeclared):  # a rig file needs it
        rating_kpa = controller.rig.config.line.rating_kpa
        check_run_on(line, rating_kpa, controller.limits.pressure, volume_ml, rate_ml_min, watchdog_s)
    controller.require_no_hold()
    run = _Run(controller, volume_ml, rate_ml_min, line, tell)
    with controller.attending("pump", "pressure", "contact"):
        before = controller.read(PUMP)
        if run.monitored:
            run.take_baseline()
        controller.journal.append(
            "infusion.started",
            {"volume_ml": volume_ml, "rate_ml_min": rate_ml_min, "test": test, "counted_ml": before.dispensed_ml},
        )
        count = PumpCount(controller, before, volume_ml, rate_ml_min)
        with count.following():
            try:
                ended_by = run.push(pump, before, count)
                held = run.settle(ended_by)
                pumped, late = run.counted(count)
                verdict, reason = run.judge(ended_by, pumped)
                if verdict is Verdict.STOPPED and ended_by is None and held is None and late is None:
                    controller.command("pump", pump.stop, "end what is left of the infusion")
            except BaseException as error:
                # At rest first, then written down - which must not hide why the rig stopped.
                pumped = count.ended_badly(str(error))
                run.leave_line()
                try:
                    _book(controller, run.result(Verdict.STOPPED, str(error), pumped, test), note)
                except Exception as unwritten:
                    controller.record_error = controller.record_error or unwritten
                raise
    run.leave_line()
    result = run.result(verdict, reason, pumped, test)
    _book(controller, result, note)
    held = held or late
    if held is not None:
        held.partial = result
        raise held
    return result


def _book(controller: Controller, result: InjectionResult, note: Callable[[InjectionResult], None] | None) -> None:
    """Book an infusion with the limits, the journal and the caller; the one place that does so."""
    controller.volumes.add(result.pumped, test=result.test)
    controller.journal.append("infusion", dict(result.as_dict()))
    if note is not None:
        note(result)


def _start(
    controller: Controller,
    pump: Pump,
    before: PumpState,
    volume_ml: float,
    rate_ml_min: float,
    doing: str,
    count: PumpCount,
) -> None:
    """Send the infusion once. A lost reply is resolved by asking what the pump does, never by sending again."""

    def infuse() -> None:
        count.sent = True
        pump.infuse(volume_ml, rate_ml_min)

    try:
        controller.command("pump", infuse, doing)
    except NoReply as lost:
        state = controller.read(PUMP)
        started = state.running or state.dispensed_ml > before.dispensed_ml
        controller.journal.append("reply_lost", {"device": "pump", "doing": doing, "started": started})
        if not started:
            raise DeviceError(f"the pump did not start the {doing}: {lost}", device="pump") from lost


class _Run:
    """The moving parts of one injection."""

    def __init__(
        self,
        controller: Controller,
        volume_ml: float,
        rate_ml_min: float,
        line: LineModel,
        tell: Callable[[TipReading], None] | None,
    ) -> None:
        self.doing = f"infusion of {volume_ml:g} mL at {rate_ml_min:g} mL/min"
        self.nominal_s = volume_ml / rate_ml_min * 60.0
        self.monitored = "pressure" in controller.rig.channels and "pressure" not in controller.rig.unmonitored
        self.line = line
        self.watch = PressureWatch(line, controller.limits.pressure)
        self._controller = controller
        self._tell = tell
        self._volume_ml = volume_ml
        self._rate_ml_min = rate_ml_min
        self._began_ns: int | None = None
        self._ended_ns: int | None = None
        self._seen: Sample[PressureReading] | None = None
        self._baseline_kpa = 0.0
        self._settled = False
        """The line has discharged as long as it takes."""

    def take_baseline(self) -> None:
        """Read the pressure before the pump runs, from which the balance counts.

        Raises ``HoldRequested`` for a value that no line at rest can have.
        """
        reading = self._controller.read(PRESSURE)
        wrong = self._controller.line_at_rest.evaluate(reading.pressure_kpa)
        if wrong is not None:
            self._controller.refuse(wrong)
        self._baseline_kpa = reading.pressure_kpa
        self.watch = PressureWatch(self.line, self._controller.limits.pressure, self._baseline_kpa)

    def push(self, pump: Pump, before: PumpState, count: PumpCount) -> HoldRequested | None:
        """Have the volume infused; returns the hold that ended it early, if one did."""
        controller = self._controller
        try:
            ordered = controller.delivery.ordered(before.dispensed_ml, self._volume_ml, self._rate_ml_min)
            with controller.watching(self.rule), ordered:
                _start(controller, pump, before, self._volume_ml, self._rate_ml_min, self.doing, count)
                self.begin()
                controller.wait_until(self.finished, self.nominal_s * 1.5 + 1.0, self.doing, self.seen)
                self.end(controller.clock.now_ns())
        except HoldRequested as hold:
            self.end(controller.clock.now_ns())
            return hold
        return None

    def counted(self, count: PumpCount) -> tuple[PumpedVolume, HoldRequested | None]:
        """Volume that the pump counted, and the hold that came while it was asked: a hold cancels the question with
        everything else on its way to the pump, so it is asked again."""
        came: HoldRequested | None = None
        for _ in range(COUNT_TRIES):
            try:
                return count.settled(self._controller.read(PUMP)), came
            except HoldRequested as hold:
                came = came or hold
        return count.unanswered(), came

    def judge(self, ended_by: HoldRequested | None, pumped: PumpedVolume) -> tuple[Verdict, str]:
        """Verdict on the injection, with the reason in words."""
        if ended_by is not None:
            verdict = Verdict.STOPPED
            if ended_by.source in OWN_HOLDS:
                verdict = Verdict.BLOCKED if ended_by.source == "line_blocked" else Verdict.OVER_PRESSURE
            return verdict, ended_by.reason
        if pumped.min_ml < COMPLETE_SHARE * self._volume_ml:
            part = f"{pumped.min_ml:.3g} of {self._volume_ml:g} mL" if pumped.known else f"{pumped} ({self.doing})"
            return Verdict.STOPPED, (
                f"the pump stands after {part} and nothing here stopped it; was it stopped at its own keys?"
            )
        if not self.monitored:
            return Verdict.UNMONITORED, "volume reached; no pressure sensor was watched"
        if self.watch.nothing_leaves(0.0):
            share = max(0.0, 100.0 * self.watch.escaped_share())
            return Verdict.BLOCKED, f"{share:.0f} % of the volume left the line: it is closed"
        return Verdict.FLOWING, "volume reached"

    def begin(self) -> None:
        self._began_ns = self._controller.clock.now_ns()

    def end(self, now_ns: int) -> None:
        if self._began_ns is None:  # the hold came while the command was on its way
            self._began_ns = now_ns
        self._ended_ns = min(now_ns, self._began_ns + int(self.nominal_s * NS_PER_S))

    def _pump_at(self, time_ns: int) -> tuple[float, float]:
        """Rate and pumped volume commanded up to a moment; the pump's count corrects it at the end."""
        if self._began_ns is None or time_ns <= self._began_ns:
            return 0.0, 0.0
        end_ns = self._began_ns + int(self.nominal_s * NS_PER_S) if self._ended_ns is None else self._ended_ns
        rate = self._rate_ml_min if time_ns < end_ns else 0.0
        return rate, self._rate_ml_min / 60.0 * (min(time_ns, end_ns) - self._began_ns) / NS_PER_S

    def rule(self, now_ns: int) -> Trip | None:
        """Stop rule: take each new reading once and judge the newest."""
        channel = self._controller.rig.channels.get("pressure")
        if channel is None or channel.sample is None or channel.sample is self._seen or not self.monitored:
            return None
        self._seen = channel.sample
        reading: PressureReading = channel.sample.value
        rate, pumped_ml = self._pump_at(reading.time_ns)
        judged = self.watch.update(reading.time_ns, reading.pressure_kpa, rate, pumped_ml)
        if self._tell is not None:
            self._tell(judged)
        return self.watch.judge(rate)[1]

    def finished(self) -> bool:
        if "pump" in self._controller.rig.unmonitored:  # a person: the command returned when it was done
            return True
        sample = self._controller.rig.channels["pump"].sample
        assert self._began_ns is not None
        return sample is not None and sample.time_ns >= self._began_ns and not sample.value.running

    def seen(self) -> str:
        state = self._controller.newest(PUMP)
        if state is None:
            return "no pump state"
        return f"{state.dispensed_ml:.3f} mL, {'running' if state.running else 'stopped'} {state.alarm}".strip()

    def settle(self, ended_by: HoldRequested | None) -> HoldRequested | None:
        """Let the line discharge; readings continue, pressure rules do not (the pump stands still).

        Returns the hold that the technique must answer, if one came: then nothing is waited for.
        """
        if ended_by is not None and ended_by.source not in OWN_HOLDS:
            return ended_by
        if not self.monitored:
            return None
        seconds = min(max(SETTLE_TAU * self.line.tau_s, SETTLE_S[0]), SETTLE_S[1])

        def listen(now_ns: int) -> Trip | None:
            self.rule(now_ns)
            return None

        try:
            with self._controller.watching(listen):
                self._controller.wait(seconds)
        except HoldRequested as hold:
            return hold
        self._settled = True
        return None if ended_by is not None else self._wrong_fall()

    def leave_line(self) -> None:
        """Note the pressure in the line for the next check at rest; the highest reading where nobody waited for it to
        fall."""
        readings = [r.sensor_kpa for r in self.watch.readings]
        if readings:
            self._controller.line_at_rest.left(readings[-1] if self._settled else max(readings))

    def _wrong_fall(self) -> HoldRequested | None:
        """Fault of the sensor's response to the end of a flow that ran to completion."""
        if self._ended_ns is None:
            return None
        trip = self.watch.fall_fault(self._rate_ml_min, self._ended_ns)
        return None if trip is None else HoldRequested(trip)

    def result(self, verdict: Verdict, reason: str, pumped: PumpedVolume, test: bool) -> InjectionResult:
        watch = self.watch
        readings = watch.readings
        end_kpa = readings[-1].sensor_kpa if readings else float("nan")
        stored_ml = self.line.compliance_ml_kpa * max(0.0, end_kpa - self._baseline_kpa) if readings else 0.0
        pumping = [r for r in readings if self._began_ns is not None and r.time_ns > self._began_ns]
        if self._ended_ns is not None:
            pumping = [r for r in pumping if r.time_ns <= self._ended_ns]
        late = pumping[int(len(pumping) * (1.0 - PLATEAU_SHARE)) :]
        opening = watch.opening_kpa
        return InjectionResult(
            verdict=verdict,
            reason=reason,
            test=test,
            rate_ml_min=self._rate_ml_min,
            pumped=pumped,
            stored_ml=stored_ml,
            opening_kpa=float("nan") if opening is None else opening,
            peak_kpa=watch.peak_kpa,
            plateau_kpa=statistics.median(r.tip_kpa for r in late) if late else float("nan"),
            warned=watch.warned,
            time_ns=np.array([r.time_ns for r in readings], dtype=np.int64),
            sensor_kpa=np.array([r.sensor_kpa for r in readings]),
            tip_kpa=np.array([r.tip_kpa for r in readings]),
            flow_ml_min=np.array([r.flow_ml_min for r in readings]),
        )
