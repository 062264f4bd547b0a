"""Accuracy of boluses and of short windows of a bench injection.

Boluses: 25 in succession at the smallest and the largest setting, after IEC 60601-2-24. The short windows are a test of
our own, and are called so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.qa.methods.readings import Readings, checked
from analysis.qa.outcome import Figure
from hal.errors import ConfigError

BOLUSES = 25
SHORT_WINDOWS_S = (2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Our own choice."""
STARTED_SHARE = 0.9
STARTED_WINDOWS = 3


@dataclass(frozen=True)
class BolusFigures:
    """Errors of successive boluses, percent of the set volume."""

    n: int
    set_ml: float
    mean_percent: float
    max_percent: float
    min_percent: float
    s_percent: float
    remarks: tuple[str, ...]

    def figures(self, name: str = "bolus") -> tuple[Figure, ...]:
        """Mean with the uncertainty of n boluses, and both extremes."""
        what = f"boluses of {self.set_ml:g} mL"
        u = self.s_percent / self.n**0.5
        return (
            Figure(f"{name}_mean_percent", f"mean error of {what}", self.mean_percent, "%", u, self.n),
            Figure(f"{name}_max_percent", f"largest error of {what}", self.max_percent, "%", None, self.n),
            Figure(f"{name}_min_percent", f"smallest error of {what}", self.min_percent, "%", None, self.n),
        )


@dataclass(frozen=True)
class ShortWindow:
    """Errors of the mean rate in all windows of one length, percent of the set rate."""

    window_s: float
    n: int
    median_percent: float
    p5_percent: float
    p95_percent: float
    worst_percent: float
    """Of the largest absolute value, signed."""


def boluses(volumes_ml: ArrayLike, set_ml: float) -> BolusFigures:
    """Errors of delivered volumes, shape (n,), against the set volume."""
    volumes = checked(volumes_ml, (-1,), "delivered boluses", 2)
    if set_ml <= 0.0:
        raise ConfigError(f"set volume: must be above 0, got {set_ml:g} mL")
    error = 100.0 * (volumes / set_ml - 1.0)
    n = len(error)
    remarks = () if n >= BOLUSES else (f"{n} boluses instead of {BOLUSES}",)
    s = float(error.std(ddof=1))
    return BolusFigures(n, set_ml, float(error.mean()), float(error.max()), float(error.min()), s, remarks)


def short_windows(
    time_s: ArrayLike, volume_ml: ArrayLike, rate_ml_min: float, windows_s: Sequence[float] = SHORT_WINDOWS_S
) -> tuple[ShortWindow, ...]:
    """Errors in every window that begins with a reading; windows longer than the record are left out.

    Args:
        time_s: shape (n,), rising; the steady part of a delivery.
        volume_ml: delivered since the first reading.
        rate_ml_min: set rate.
    """
    at, volume = _record(time_s, volume_ml)
    if rate_ml_min <= 0.0:
        raise ConfigError(f"set rate: must be above 0, got {rate_ml_min:g} mL/min")
    found = []
    for window in windows_s:
        begin = at[at + window <= at[-1] + 1e-9]
        if not len(begin):
            continue
        moved = np.interp(begin + window, at, volume) - np.interp(begin, at, volume)
        error = 100.0 * (60.0 * moved / window / rate_ml_min - 1.0)
        p5, median, p95 = (float(v) for v in np.percentile(error, [5, 50, 95]))
        found.append(ShortWindow(window, len(error), median, p5, p95, float(error[np.argmax(np.abs(error))])))
    return tuple(found)


def start_delay_s(time_s: ArrayLike, volume_ml: ArrayLike, rate_ml_min: float, window_s: float) -> float | None:
    """Begin of the first of three windows in a row at 90 % of the rate or above; None when there is none."""
    at, volume = _record(time_s, volume_ml)
    edges = np.arange(at[0], at[-1] + 1e-9, window_s)
    rate = 60.0 * np.diff(np.interp(edges, at, volume)) / window_s
    risen = rate >= STARTED_SHARE * rate_ml_min
    for k in range(len(risen) - STARTED_WINDOWS + 1):
        if risen[k : k + STARTED_WINDOWS].all():
            return float(edges[k] - at[0])
    return None


def stop_overrun_ml(time_s: ArrayLike, volume_ml: ArrayLike, stop_s: float) -> float:
    """Volume that still came after the stop was commanded. Raises ``ConfigError`` when it is not within the record."""
    at, volume = _record(time_s, volume_ml)
    if not at[0] <= stop_s < at[-1]:
        raise ConfigError(f"the stop at {stop_s:g} s is not within the record of {at[0]:g} to {at[-1]:g} s")
    return float(volume[-1] - np.interp(stop_s, at, volume))


def _record(time_s: ArrayLike, volume_ml: ArrayLike) -> tuple[Readings, Readings]:
    at = checked(time_s, (-1,), "times of the delivery", 2)
    if np.any(np.diff(at) <= 0.0):
        raise ConfigError("times of the delivery: must rise")
    return at, checked(volume_ml, (len(at),), "delivered volume")
