"""Imperfections of a sensor: low-pass, offset that drifts, and noise."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

NS_PER_HOUR = 3_600_000_000_000

SETTLED_TAUS = 5.0
"""After so many time constants without a reading the filter is taken as settled: nobody knows how the input moved."""


@dataclass(frozen=True)
class Imperfection:
    """Figures in the unit of the value; the offset and the sign of the drift are drawn once per sensor."""

    noise_sd: float
    offset_sd: float
    drift_per_h: float
    low_pass_hz: float


@dataclass(frozen=True)
class SensorError:
    """A fault that was planted in a sensor; in the unit of the value."""

    gain: float = 1.0
    offset: float = 0.0
    drift_per_h: float = 0.0
    hysteresis: float = 0.0
    """Width of the play: a rising value reads half of it low, a falling one half of it high."""
    bend: float = 0.0
    """Departure from a straight line at the middle of the range ``bend_range``, zero at its ends."""
    bend_range: float = 1.0


class Channel:
    """One analogue channel, evaluated on request."""

    def __init__(self, figures: Imperfection, seed: int, error: SensorError | None = None) -> None:
        self._error = error
        self._play = 0.0
        self._random = random.Random(seed)
        self._noise_sd = figures.noise_sd
        self._offset = self._random.gauss(0.0, figures.offset_sd) if figures.offset_sd else 0.0
        self._drift_per_ns = self._random.uniform(-1.0, 1.0) * figures.drift_per_h / NS_PER_HOUR
        self._tau_ns = 1e9 / (2.0 * math.pi * figures.low_pass_hz)
        self._input = 0.0
        self._state = 0.0
        self._time_ns: int | None = None

    def filtered(self, value: float, now_ns: int) -> float:
        """First-order low-pass, exact for an input that went straight from its last value to this one."""
        if self._time_ns is None or now_ns - self._time_ns > SETTLED_TAUS * self._tau_ns:
            self._state = value
        elif now_ns > self._time_ns:
            duration_ns = now_ns - self._time_ns
            lag = (value - self._input) / duration_ns * self._tau_ns
            self._state = value - lag + (self._state - self._input + lag) * math.exp(-duration_ns / self._tau_ns)
        else:
            return self._state
        self._input = value
        self._time_ns = now_ns
        return self._state

    def sample(self, value: float, now_ns: int) -> float:
        """The reading at ``now_ns`` for a true ``value``."""
        settled = self.filtered(value, now_ns)
        if self._error is not None:
            settled = self._faulty(self._error, settled, now_ns)
        return settled + self._offset + self._drift_per_ns * now_ns + self._random.gauss(0.0, self._noise_sd)

    def _faulty(self, error: SensorError, value: float, now_ns: int) -> float:
        """Value with the planted fault."""
        half = error.hysteresis / 2.0
        self._play = min(max(self._play, value - half), value + half)
        share = self._play / error.bend_range
        bent = 4.0 * error.bend * share * (1.0 - share) if error.bend else 0.0
        return error.gain * self._play + error.offset + bent + error.drift_per_h * now_ns / NS_PER_HOUR
