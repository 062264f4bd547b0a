"""Occlusion of the line: time to alarm, pressure at alarm, stored volume, compliance, and what to expect of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.qa.methods.drift import slope
from analysis.qa.methods.readings import checked
from analysis.qa.outcome import Figure
from hal.errors import ConfigError

ATMOSPHERE_KPA = 101.325
STEADY_READINGS = 3


@dataclass(frozen=True)
class Occlusion:
    """One closed line, from switching the stopcock to the alarm."""

    rate_ml_h: float
    start_kpa: float
    """Mean pressure before the line was closed."""
    alarm_kpa: float
    time_to_alarm_s: float
    compliance_ul_kpa: float
    """Rate over the slope of the pressure between closing and alarm: line, syringe and air together."""
    u_compliance_ul_kpa: float
    stored_ml: float
    """Compliance times the rise of the pressure: what a release would deliver, unless the pump takes it back."""
    bolus_ml: float | None
    """Weighed after the release; None when it was not collected."""

    def figures(self) -> tuple[Figure, ...]:
        """Figures of the report."""
        why = "" if self.bolus_ml is not None else "the volume after the release was not collected"
        return (
            Figure("time_to_alarm_s", f"time to alarm at {self.rate_ml_h:g} mL/h", self.time_to_alarm_s, "s"),
            Figure("alarm_kpa", "pressure at alarm", self.alarm_kpa, "kPa"),
            Figure(
                "compliance_ul_kpa", "compliance of line and syringe", self.compliance_ul_kpa, "uL/kPa",
                self.u_compliance_ul_kpa,
            ),
            Figure("bolus_ml", "volume after the release", self.bolus_ml, "mL", None, 0, why),
        )  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """What a line of known compliance gives."""

    time_to_alarm_s: float
    bolus_ml: float
    """Stored volume and what runs on until the alarm, less what the pump takes back."""


def occlusion(
    time_s: ArrayLike,
    pressure_kpa: ArrayLike,
    *,
    closed_s: float,
    alarm_s: float,
    rate_ml_h: float,
    bolus_ml: float | None = None,
) -> Occlusion:
    """Evaluate a pressure log.

    Args:
        time_s, pressure_kpa: shape (n,), times rising.
        closed_s: when the stopcock was switched.
        alarm_s: when the pump gave its alarm.
        rate_ml_h: set rate.
        bolus_ml: volume collected after the release.

    Raises:
        ConfigError: too few readings before or after closing, no alarm in the record, or a pressure that did not rise.
    """
    at = checked(time_s, (-1,), "times of the pressure log", 2 * STEADY_READINGS)
    kpa = checked(pressure_kpa, (len(at),), "pressure log")
    if np.any(np.diff(at) <= 0.0):
        raise ConfigError("times of the pressure log: must rise")
    if rate_ml_h <= 0.0:
        raise ConfigError(f"set rate: must be above 0, got {rate_ml_h:g} mL/h")
    if not closed_s < alarm_s <= at[-1]:
        raise ConfigError(
            f"the alarm at {alarm_s:g} s is not between closing ({closed_s:g} s) and the end ({at[-1]:g} s)"
        )
    before, rising = at <= closed_s, (at >= closed_s) & (at <= alarm_s)
    if before.sum() < STEADY_READINGS or rising.sum() < STEADY_READINGS:
        raise ConfigError(f"{STEADY_READINGS} readings are needed before closing and as many until the alarm")
    start, alarm = float(kpa[before].mean()), float(np.interp(alarm_s, at, kpa))
    rise = slope(at[rising], kpa[rising])
    if rise.value <= 0.0:
        raise ConfigError("the pressure did not rise after the line was closed: it leaks, or the pump stood")
    compliance = rate_ml_h / 3.6 / rise.value
    return Occlusion(
        rate_ml_h=rate_ml_h,
        start_kpa=start,
        alarm_kpa=alarm,
        time_to_alarm_s=alarm_s - closed_s,
        compliance_ul_kpa=compliance,
        u_compliance_ul_kpa=compliance * rise.u / rise.value,
        stored_ml=1e-3 * compliance * (alarm - start),
        bolus_ml=bolus_ml,
    )


def expected(
    compliance_ul_kpa: float,
    start_kpa: float,
    threshold_kpa: float,
    rate_ml_h: float,
    latency_s: float = 0.0,
    taken_back_ml: float = 0.0,
) -> Expected:
    """Time to alarm and bolus by V = C dp, t = V / rate + latency."""
    stored_ul = compliance_ul_kpa * (threshold_kpa - start_kpa)
    ran_on_ml = rate_ml_h * latency_s / 3600.0
    return Expected(3.6 * stored_ul / rate_ml_h + latency_s, 1e-3 * stored_ul + ran_on_ml - taken_back_ml)


def air_compliance_ul_kpa(air_ml: float, start_kpa: float, end_kpa: float | None = None) -> float:
    """Isothermal compliance of ``air_ml`` at the gauge pressure ``start_kpa``; the mean up to ``end_kpa`` if given."""
    absolute = ATMOSPHERE_KPA + start_kpa
    if end_kpa is None or end_kpa == start_kpa:
        return 1e3 * air_ml / absolute
    return 1e3 * air_ml * (1.0 - absolute / (ATMOSPHERE_KPA + end_kpa)) / (end_kpa - start_kpa)
