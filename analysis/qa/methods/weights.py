"""A log of weighings on the time grid of the flow method: gaps stay gaps, steps backwards are named.

A balance under a running pump shows more mass at every look. A reading that is lower by more than noise was tared,
touched or lost a drop, and no flow is computed across it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.qa.methods.readings import Readings
from hal.errors import ConfigError

SAMPLE_S = 30.0
GAP_SAMPLES = 1.5
"""Readings further apart than so many samples leave a gap."""
FALL_G = 0.002
"""A step down of more is no noise of a 0.1 mg balance [A]."""


@dataclass(frozen=True)
class Gap:
    """A time without readings, seconds from the start of the flow."""

    start_s: float
    end_s: float

    @property
    def words(self) -> str:
        return f"no readings from minute {self.start_s / 60:.1f} to {self.end_s / 60:.1f}"


@dataclass(frozen=True)
class Fall:
    """A reading below the one before it."""

    time_s: float
    mass_g: float
    """How much was lost, above 0."""

    @property
    def words(self) -> str:
        return f"{1000 * self.mass_g:.1f} mg less at minute {self.time_s / 60:.1f}"


@dataclass(frozen=True)
class WeightLog:
    """Mass at each sample of the grid."""

    sample_s: float
    time_s: Readings
    """0, S, 2 S ... from the start of the flow."""
    mass_g: Readings
    """As shown, interpolated between two readings; NaN within a gap."""
    gaps: tuple[Gap, ...]
    falls: tuple[Fall, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know of the data."""
        return (*(gap.words for gap in self.gaps), *(fall.words for fall in self.falls))


def weights(
    time_s: ArrayLike,
    mass_g: ArrayLike,
    *,
    start_s: float = 0.0,
    sample_s: float = SAMPLE_S,
    gap_s: float | None = None,
    fall_g: float = FALL_G,
) -> WeightLog:
    """Put readings on the grid of samples.

    Args:
        time_s: shape (n,), rising; of several readings with one stamp the last one is used.
        mass_g: shape (n,); NaN: no reading came, or an unstable one that is not used.
        start_s: time at which the flow began.
        sample_s: sample interval S.
        gap_s: readings further apart are a gap; one and a half sample intervals unless stated.
        fall_g: a step down of more is named.

    Raises:
        ConfigError: times that go back, or fewer than two readings after the start.
    """
    at, mass = np.asarray(time_s, np.float64), np.asarray(mass_g, np.float64)
    if at.ndim != 1 or at.shape != mass.shape:
        raise ConfigError(
            f"weighings: times of shape {at.shape} and masses of shape {mass.shape} do not belong together"
        )
    if not np.all(np.isfinite(at)):
        raise ConfigError("weighings: a time is missing")
    back = np.flatnonzero(np.diff(at) < 0.0)
    if len(back):
        raise ConfigError(f"weighings: reading {back[0] + 2} is earlier than the one before it")
    read = np.isfinite(mass)
    at, mass = at[read] - start_s, mass[read]
    newest = np.diff(at, append=np.inf) > 0.0
    at, mass = at[newest], mass[newest]
    if np.sum(at >= 0.0) < 2:
        raise ConfigError(f"weighings: fewer than two readings after the start of the flow at {start_s:g} s")
    longest = GAP_SAMPLES * sample_s if gap_s is None else gap_s
    steps, change = np.diff(at), np.diff(mass)
    begin = float(at[np.argmax(at >= 0.0)])
    gaps = [Gap(0.0, begin)] if at[0] > longest else []
    gaps += [Gap(max(0.0, float(at[k])), float(at[k + 1])) for k in np.flatnonzero(steps > longest) if at[k + 1] > 0.0]
    grid = np.arange(0.0, at[-1] + 1e-6 * sample_s, sample_s)
    shown = np.interp(grid, at, mass)
    for gap in gaps:
        shown[(grid > gap.start_s) & (grid < gap.end_s)] = np.nan
    shown[grid < at[0]] = np.nan
    falls = [Fall(float(at[k + 1]), float(-change[k])) for k in np.flatnonzero(change < -fall_g) if at[k + 1] > 0.0]
    return WeightLog(sample_s, grid, shown, tuple(gaps), tuple(falls))
