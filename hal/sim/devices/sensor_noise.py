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


class Channel:
    """One analogue channel, evaluated on request."""

    def __init__(self, figures: Imperfection, seed: int) -> None:
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
        return settled + self._offset + self._drift_per_ns * now_ns + self._random.gauss(0.0, self._noise_sd)
