"""Slow changes of a reading under a constant input: drift per hour or per kelvin, and creep under load."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.qa.methods.readings import checked
from hal.errors import ConfigError

LEAST_N = 3
CREEP_FROM_S, CREEP_TO_S = 30.0, 300.0
"""Times of ISO 376 after the load was put on."""


@dataclass(frozen=True)
class Slope:
    """Least-squares slope of a reading and its standard uncertainty."""

    value: float
    u: float
    """From the scatter about the line alone; autocorrelated noise makes it too small."""
    at_mean: float
    """Reading at the mean of the abscissa."""
    span: float
    """Length of the abscissa."""
    n: int


def slope(x: ArrayLike, reading: ArrayLike) -> Slope:
    """Slope of readings over ``x`` (hours, or kelvin), both of shape (n,). Raises ``ConfigError``."""
    at = checked(x, (-1,), "abscissa of the slope", LEAST_N)
    values = checked(reading, (len(at),), "readings of the slope")
    centred = at - at.mean()
    spread = float(centred @ centred)
    if spread <= 0.0:
        raise ConfigError("a slope cannot be given: all readings were taken at the same time or temperature")
    found = float(centred @ values) / spread
    residual = values - values.mean() - found * centred
    s = float(np.sqrt(residual @ residual / (len(at) - 2)))
    return Slope(found, s / spread**0.5, float(values.mean()), float(np.ptp(at)), len(at))


def creep(
    time_s: ArrayLike,
    reading: ArrayLike,
    load: float,
    *,
    from_s: float = CREEP_FROM_S,
    to_s: float = CREEP_TO_S,
) -> float:
    """Change of the reading between two times after loading, percent of the load; signed, interpolated.

    ``time_s`` counts from the moment the load was on. Raises ``ConfigError`` when the record does not cover the times.
    """
    at = checked(time_s, (-1,), "times of the creep record", 2)
    values = checked(reading, (len(at),), "readings of the creep record")
    if np.any(np.diff(at) <= 0.0):
        raise ConfigError("times of the creep record: must rise")
    if at[0] > from_s or at[-1] < to_s:
        raise ConfigError(f"the creep record runs from {at[0]:g} to {at[-1]:g} s; {from_s:g} to {to_s:g} s are needed")
    first, last = np.interp([from_s, to_s], at, values)
    return float(100.0 * (last - first) / load)
