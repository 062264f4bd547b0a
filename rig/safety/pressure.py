"""Injection pressure: its value at the tip, and its interpretation.

One compliance (syringe and line), one resistance (line and needle), and the tissue behind it. With the pump's
rate Q and the sensor's pressure P, the flow through the needle is ``Qn = Q - C dP/dt`` and the tip pressure
``P_tip = P - k_line R Qn`` (steady state: ``P - k_line R Q``, domain 3.1). A blocked needle has ``Qn = 0``: the
pressure rises by Q/C (3 mL/min into 2 uL/kPa: 25 kPa/s) and everything that was pumped is still in the line,
``V = C P``. But so it is before *any* tissue opens; the slope alone says nothing. A line is called blocked when the
tip pressure has passed the hold limit, which no acceptable tissue needs, and the balance says that nothing left.

Pure: numbers in, numbers out; nothing here knows a device.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass

from hal.clock import NS_PER_S
from rig.safety.limits import PressureLimits
from rig.safety.stop import Severity, Trip

SLOPE_WINDOW_S = 0.12
"""dP/dt is a least-squares slope over this window: six readings at 50 Hz."""
BLOCKED_ESCAPED = 0.3
"""Below this share of the pumped volume gone from the line, nothing flows: leaves room for a compliance that is
known to about 25 % [A]."""
BLOCKED_SLOPE = 0.6
"""Share of Q/C that the slope must keep to agree with the balance [A]."""
OPENED_FLOW = 0.3
"""The tissue counts as open when this share of the pump's rate goes through the needle [A]."""

OPENED_READINGS = 4
"""Readings in a row with flow before the tissue counts as open: fewer are noise of the slope."""
STARTED_KPA = 1.0
STARTED_ML = 0.05
"""A pump that has just got its command moves nothing yet: start-up, slack, stiction of the plunger (domain 3.2).
Either figure shows that it does [A]; in a line without resistance the pressure never rises by the first."""


ANSWER_ML = 0.08
"""Pumped after the onset until the sensor must have answered to the pump: 1.6 s at 3 mL/min [A]."""
ANSWER_LEAST = 0.5
"""Share of the loss of line and needle at this flow that must be seen: it is known to 20 % (PRE9), and a sensor
that shows less than half of it hides as much of the tissue's pressure [A]."""
ANSWER_FLOOR_KPA = 1.5
"""A loss that must show less than this proves nothing against noise and zero [A]."""


class Verdict(enum.Enum):
    """Outcome of an injection."""

    FLOWING = "flowing"
    BLOCKED = "blocked"
    OVER_PRESSURE = "over_pressure"
    STOPPED = "stopped"
    UNMONITORED = "unmonitored"


@dataclass(frozen=True)
class LineModel:
    """Syringe, extension and needle."""

    compliance_ul_kpa: float
    resistance_kpa_min_ml: float
    k_line: float = 1.5

    @property
    def compliance_ml_kpa(self) -> float:
        return self.compliance_ul_kpa * 1e-3

    @property
    def loss_kpa_min_ml(self) -> float:
        """Pressure lost in line and needle per flow."""
        return self.k_line * self.resistance_kpa_min_ml

    @property
    def tau_s(self) -> float:
        """Time constant of the line discharging through the needle."""
        return self.loss_kpa_min_ml * 60.0 * self.compliance_ml_kpa

    def blocked_slope_kpa_s(self, rate_ml_min: float) -> float:
        """Q/C."""
        return rate_ml_min / 60.0 / self.compliance_ml_kpa

    def stored_ml(self, pressure_kpa: float) -> float:
        """Volume C P that a line under pressure will still give after the pump has stopped."""
        return self.compliance_ml_kpa * max(0.0, pressure_kpa)


@dataclass(frozen=True)
class TipReading:
    """One pressure reading, compensated."""

    time_ns: int
    sensor_kpa: float
    tip_kpa: float
    """At the middle of the slope's window (60 ms earlier): pressure and flow then belong to the same moment."""
    flow_ml_min: float
    """Estimated flow through the needle."""
    slope_kpa_s: float


class PressureWatch:
    """Follows one injection, reading by reading."""

    def __init__(self, line: LineModel, limits: PressureLimits, baseline_kpa: float = 0.0) -> None:
        self.line = line
        self.limits = limits
        self.readings: list[TipReading] = []
        self.opening_kpa: float | None = None
        self.warned = False
        self._baseline_kpa = baseline_kpa
        self._window: deque[tuple[float, float, float]] = deque()
        """Time (s), pressure (kPa), pumped volume (mL)."""
        self._pumped_ml = 0.0
        self._flowing_n = 0
        """Readings in a row with flow."""
        self._onset_ml: float | None = None
        """Commanded volume at which the pressure began to rise: what went before was slack and stiction."""
        self._mean_kpa = baseline_kpa
        """Mean pressure in the slope's window."""
        self._top_kpa = baseline_kpa
        """Highest of these means."""
        self._last_flow = (baseline_kpa, 0.0)
        """Sensor pressure and pumped volume when something last went through the needle."""

    def update(self, time_ns: int, sensor_kpa: float, rate_ml_min: float, pumped_ml: float) -> TipReading:
        """Take one reading with the pump's rate at that moment and the volume pumped since the start."""
        t_s = time_ns / NS_PER_S
        self._pumped_ml = pumped_ml
        if self._onset_ml is None and (sensor_kpa > self._baseline_kpa + STARTED_KPA or pumped_ml > STARTED_ML):
            self._onset_ml = pumped_ml
            self._last_flow = (self._baseline_kpa, pumped_ml)
            self._window.clear()
        self._window.append((t_s, sensor_kpa, pumped_ml))
        while t_s - self._window[0][0] > SLOPE_WINDOW_S:
            self._window.popleft()
        middle, slope = _line_through(self._window)
        self._mean_kpa, self._top_kpa = middle, max(self._top_kpa, middle)
        flow = 0.0
        span_s = t_s - self._window[0][0]
        if self._onset_ml is not None and span_s > 0.0:
            rate = 60.0 * (pumped_ml - self._window[0][2]) / span_s
            flow = max(0.0, rate - 60.0 * self.line.compliance_ml_kpa * slope)
        tip = middle - self.line.loss_kpa_min_ml * flow
        reading = TipReading(time_ns, sensor_kpa, tip, flow, slope)
        self.readings.append(reading)
        flows = rate_ml_min > 0.0 and flow >= OPENED_FLOW * rate_ml_min
        self._flowing_n = self._flowing_n + 1 if flows else 0
        if self._flowing_n >= OPENED_READINGS:
            self._last_flow = (sensor_kpa, pumped_ml)
            if self.opening_kpa is None:
                self.opening_kpa = max(tip, self._baseline_kpa)
        return reading

    @property
    def newest(self) -> TipReading | None:
        return self.readings[-1] if self.readings else None

    @property
    def peak_kpa(self) -> float:
        """Highest tip pressure so far (NaN before the first reading)."""
        return max((r.tip_kpa for r in self.readings), default=float("nan"))

    def escaped_share(self) -> float:
        """Share of the volume pumped so far that is no longer in the line; 1 when nothing was pumped."""
        return self._escaped_since(self._baseline_kpa, 0.0)

    def _escaped_since(self, kpa: float, pumped_ml: float) -> float:
        newest = self.newest
        volume_ml = self._pumped_ml - pumped_ml
        if newest is None or volume_ml <= 0.0:
            return 1.0
        return 1.0 - self.line.compliance_ml_kpa * (newest.sensor_kpa - kpa) / volume_ml

    def nothing_leaves(self, rate_ml_min: float) -> bool:
        """True when the balance and, while the pump runs, the slope agree that the needle passes nothing.

        Running: counted from the last reading with flow, so that a line that closes late is seen as well.
        Standing (rate 0): counted over the whole injection.
        """
        newest = self.newest
        if newest is None:
            return False
        if rate_ml_min <= 0.0:
            return self.escaped_share() < BLOCKED_ESCAPED
        steep = newest.slope_kpa_s >= BLOCKED_SLOPE * self.line.blocked_slope_kpa_s(rate_ml_min)
        return steep and self._escaped_since(*self._last_flow) < BLOCKED_ESCAPED

    def _silent(self, rate_ml_min: float) -> Trip | None:
        """Trip when the pump runs and the sensor shows less than the loss of the flow in line and needle.

        Tissue can only add to it. So the zero or the gain is wrong, the value is stuck, or the fluid does not pass
        through this line: whatever the tissue's pressure is, it is not what is read.
        """
        if self._onset_ml is None or self._pumped_ml - self._onset_ml < ANSWER_ML or rate_ml_min <= 0.0:
            return None
        seconds = 60.0 * (self._pumped_ml - self._onset_ml) / rate_ml_min
        filled = 1.0 - math.exp(-seconds / self.line.tau_s) if self.line.tau_s > 0.0 else 1.0
        least_kpa = ANSWER_LEAST * self.line.loss_kpa_min_ml * rate_ml_min * filled
        if least_kpa < ANSWER_FLOOR_KPA:
            return None
        level_kpa = self._mean_kpa - min(0.0, self._baseline_kpa)
        rise_kpa = self._top_kpa - self._baseline_kpa
        if level_kpa >= least_kpa and rise_kpa >= 0.5 * least_kpa:
            return None
        reason = (
            f"the pressure does not respond to the pump: {self._mean_kpa:.1f} kPa at {rate_ml_min:g} mL/min, from "
            f"{self._baseline_kpa:.1f} kPa at rest; line and needle alone take {least_kpa / ANSWER_LEAST:.1f} kPa. "
            "Check the sensor's zero, gain and tap, and the line for a leak"
        )
        return Trip("pressure_silent", Severity.HOLD, reason, level_kpa, least_kpa)

    def fall_fault(self, rate_ml_min: float, end_ns: int) -> Trip | None:
        """Fault after the pump has stopped and the line has discharged: the loss at this flow must have gone.

        A sensor whose gain is too low, or that is stuck, falls by less. Only for a line that took the flow to the end.
        """
        before = [r for r in self.readings if r.time_ns <= end_ns][-OPENED_READINGS:]
        after = [r.sensor_kpa for r in self.readings if r.time_ns > end_ns][-OPENED_READINGS:]
        least_kpa = ANSWER_LEAST * self.line.loss_kpa_min_ml * rate_ml_min
        if len(before) < OPENED_READINGS or len(after) < OPENED_READINGS or least_kpa < ANSWER_FLOOR_KPA:
            return None
        if min(r.flow_ml_min for r in before) < (1.0 - OPENED_FLOW) * rate_ml_min:
            return None
        fall_kpa = sum(r.sensor_kpa for r in before) / len(before) - sum(after) / len(after)
        if fall_kpa >= least_kpa:
            return None
        reason = (
            f"the pressure fell by {fall_kpa:.1f} kPa when the pump stopped; line and needle took "
            f"{least_kpa / ANSWER_LEAST:.1f} kPa at {rate_ml_min:g} mL/min. Check the sensor's gain and tap"
        )
        return Trip("pressure_fall", Severity.HOLD, reason, fall_kpa, least_kpa)

    def judge(self, rate_ml_min: float) -> tuple[Verdict, Trip | None]:
        """Verdict on the newest reading, with the trip that ends the injection (None: continue)."""
        newest, limits = self.newest, self.limits
        if newest is None:
            return Verdict.FLOWING, None
        silent = self._silent(rate_ml_min)
        if silent is not None:
            return Verdict.STOPPED, silent
        closed = self.nothing_leaves(rate_ml_min)
        tip = newest.sensor_kpa if closed else newest.tip_kpa  # without flow there is no loss, and no reason to wait
        self.warned = self.warned or tip >= limits.warn_kpa
        if tip < limits.hold_kpa:
            return Verdict.FLOWING, None
        if tip >= limits.hard_kpa:
            reason = f"tip pressure {tip:.0f} kPa, hard limit {limits.hard_kpa:g}"
            return Verdict.OVER_PRESSURE, Trip("tip_pressure_hard", Severity.HARD, reason, tip, limits.hard_kpa)
        if closed:
            expected = self.line.blocked_slope_kpa_s(rate_ml_min)
            escaped = max(0.0, 100.0 * self._escaped_since(*self._last_flow))
            reason = (
                f"needle or line blocked: tip pressure {tip:.0f} kPa, rising {newest.slope_kpa_s:.0f} kPa/s of"
                f" {expected:.0f} for a closed line, {escaped:.0f} % of the last volume left it"
            )
            return Verdict.BLOCKED, Trip("line_blocked", Severity.HOLD, reason, tip, limits.hold_kpa)
        limit = limits.stop_kpa if tip >= limits.stop_kpa else limits.hold_kpa
        reason = f"tip pressure {tip:.0f} kPa, {'stop' if tip >= limits.stop_kpa else 'hold'} limit {limit:g}"
        return Verdict.OVER_PRESSURE, Trip("tip_pressure", Severity.HOLD, reason, tip, limit)


def _line_through(window: deque[tuple[float, float, float]]) -> tuple[float, float]:
    """Mean (kPa) and least-squares slope (kPa/s) over the window; slope 0 for fewer than two moments."""
    n = len(window)
    mean_p = sum(p for _, p, _ in window) / n
    if n < 2:
        return mean_p, 0.0
    mean_t = sum(t for t, _, _ in window) / n
    below = sum((t - mean_t) ** 2 for t, _, _ in window)
    return mean_p, sum((t - mean_t) * (p - mean_p) for t, p, _ in window) / below if below > 0.0 else 0.0
