"""Arrival at a pose after ISO 9283: position stabilisation time and overshoot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.qa.methods.readings import checked
from hal.errors import ConfigError

REST_S = 0.5
"""The attained pose is the mean of so long at the end of the record, during which it must stay in the band [A]."""


@dataclass(frozen=True)
class Settling:
    """One arrival."""

    stabilisation_s: float
    """From the first entry into the band to the last."""
    settled_at_s: float
    """Time of the last entry, counted from the first reading."""
    overshoot_mm: float
    """Largest distance from the attained pose after the band was left again; 0 when it never was."""


def settling(time_s: ArrayLike, position_mm: ArrayLike, band_mm: float, *, rest_s: float = REST_S) -> Settling:
    """Stabilisation time and overshoot of one arrival.

    Args:
        time_s: shape (n,), rising.
        position_mm: shape (n, 3), from the approach until the rest.
        band_mm: half width of the band around the attained pose: RP, or as stated.
        rest_s: end of the record whose mean is the attained pose; vibration must be gone by then.

    Raises:
        ConfigError: the record begins within the band, or is not at rest at its end.
    """
    at = checked(time_s, (-1,), "times of the arrival", 10)
    if np.any(np.diff(at) <= 0.0):
        raise ConfigError("times of the arrival: must rise")
    path = checked(position_mm, (len(at), 3), "positions of the arrival")
    rest = path[at >= at[-1] - rest_s]
    away = np.linalg.norm(path - rest.mean(axis=0), axis=1)
    inside = away <= band_mm
    if not np.all(inside[-len(rest) :]):
        raise ConfigError(f"the record of the arrival ends before the pose stays within {band_mm:g} mm")
    if inside[0]:
        raise ConfigError("the record of the arrival begins within the band: it must begin before the pose is reached")
    first = int(np.argmax(inside))
    last = len(at) - int(np.argmax(~inside[::-1]))
    left = away[first:last][~inside[first:last]]
    return Settling(float(at[last] - at[first]), float(at[last] - at[0]), float(left.max()) if len(left) else 0.0)
