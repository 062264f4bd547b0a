"""A straight path after ISO 9283: accuracy, repeatability, and the velocity along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.qa.methods.readings import Readings, checked
from hal.errors import ConfigError


@dataclass(frozen=True)
class PathFigures:
    """Accuracy and repeatability of a path."""

    cycles_n: int
    points_n: int
    at_mm: float
    """Largest distance of the mean path from the commanded one, in planes normal to it."""
    rt_mm: float
    """Largest mean distance plus three standard deviations about the mean path."""
    offset_mm: Readings
    """Distance of the mean path at each point."""
    spread_mm: Readings
    """Mean distance plus three standard deviations at each point."""


@dataclass(frozen=True)
class VelocityFigures:
    """Velocity along a path."""

    runs_n: int
    accuracy_percent: float
    """AV: mean velocity against the commanded one."""
    repeatability_percent: float
    """RV: three standard deviations of the runs' means, to be read as plus or minus."""
    fluctuation_mm_s: float
    """FV: largest difference of fastest and slowest within one run."""


def path(attained_mm: ArrayLike, commanded_mm: ArrayLike) -> PathFigures:
    """AT and RT of a straight path.

    Args:
        attained_mm: where each cycle crossed the plane of each point, shape (cycles, m, 3); see ``crossings``.
        commanded_mm: points of the path, shape (m, 3), m >= 2; the standard takes 10 or more, and 10 cycles.
    """
    wanted = checked(commanded_mm, (-1, 3), "commanded points", 2)
    at = checked(attained_mm, (-1, len(wanted), 3), "attained paths", 2)
    along = _direction(wanted)
    offset = _across(at.mean(axis=0) - wanted, along)
    away = _across(at - at.mean(axis=0), along)
    spread = away.mean(axis=0) + 3.0 * away.std(axis=0, ddof=1)
    return PathFigures(len(at), len(wanted), float(offset.max()), float(spread.max()), offset, spread)


def crossings(track_mm: ArrayLike, commanded_mm: ArrayLike) -> Readings:
    """Where a recorded track, shape (k, 3), crosses the plane of each commanded point, shape (m, 3); interpolated.

    Raises ``ConfigError`` when the track does not reach all planes.
    """
    track = checked(track_mm, (-1, 3), "recorded track", 2)
    wanted = checked(commanded_mm, (-1, 3), "commanded points", 2)
    along = _direction(wanted)
    # Jitter of a slow track runs backwards now and then; the furthest reach so far is what crosses a plane.
    reach = np.maximum.accumulate((track - wanted[0]) @ along)
    planes = (wanted - wanted[0]) @ along
    slack = 1e-9 * float(np.ptp(planes))
    if reach[0] > planes[0] + slack or reach[-1] < planes[-1] - slack:
        raise ConfigError(
            f"the track runs from {reach[0]:.3f} to {reach[-1]:.3f} mm along the path; "
            f"{planes[0]:.3f} to {planes[-1]:.3f} mm are needed"
        )
    ahead = np.concatenate([[True], np.diff(reach) > 0.0])
    return np.column_stack([np.interp(planes, reach[ahead], track[ahead, axis]) for axis in range(3)])


def velocity(runs_mm_s: Sequence[ArrayLike], commanded_mm_s: float) -> VelocityFigures:
    """AV, RV and FV from the velocities within each run, each of shape (k,), taken in the steady part of the path."""
    if commanded_mm_s <= 0.0:
        raise ConfigError(f"commanded velocity: must be above 0, got {commanded_mm_s:g} mm/s")
    if len(runs_mm_s) < 2:
        raise ConfigError(f"velocity: {len(runs_mm_s)} runs, at least 2 are needed")
    runs = [checked(run, (-1,), "velocities of a run", 2) for run in runs_mm_s]
    means = np.array([run.mean() for run in runs])
    return VelocityFigures(
        runs_n=len(runs),
        accuracy_percent=100.0 * float(means.mean() - commanded_mm_s) / commanded_mm_s,
        repeatability_percent=300.0 * float(means.std(ddof=1)) / commanded_mm_s,
        fluctuation_mm_s=max(float(np.ptp(run)) for run in runs),
    )


def _direction(points: Readings) -> Readings:
    whole = points[-1] - points[0]
    length = float(np.linalg.norm(whole))
    if length <= 0.0:
        raise ConfigError("commanded points: the path ends where it begins")
    along: Readings = whole / length
    bend = float(_across(points - points[0], along).max())
    if bend > 1e-6 * length:
        raise ConfigError(f"commanded points: not on a straight line ({bend:.3g} mm off it)")
    return along


def _across(vectors: Readings, along: Readings) -> Readings:
    found: Readings = np.linalg.norm(vectors - (vectors @ along)[..., None] * along, axis=-1)
    return found
