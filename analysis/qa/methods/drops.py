"""Signs that a weighing does not show the flow: whole drops from a free outlet, and a balance that holds its zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.qa.methods.readings import Readings, checked

DROP_G = (0.004, 0.060)
"""Drops of water off needles and cut tubes."""
LEAST_OF_STEP = 0.2
"""Smaller drops than this share of a step cannot be distinguished from a flow that swings."""
COHERENCE, OFF_SHARE = 0.9, 0.05
"""Of a candidate, and the largest RMS distance of the steps from whole multiples, in drops."""
LEAST_N, MOST_N = 20, 240
DIFFER_SHARE = 0.08
"""So many steps must hold another number of drops than most do: an even flow is a multiple of anything."""
HELD_READINGS = 5.0


@dataclass(frozen=True)
class Plateau:
    """A reading that stood still while liquid arrived."""

    start_s: float
    end_s: float
    missed_g: float
    """Mass that arrived meanwhile by the set rate."""


def whole_drops_g(steps_g: ArrayLike) -> float | None:
    """Mass of a drop when nearly all steps are whole multiples of one; None when they are not.

    ``steps_g``: increase of each sample, shape (n,). Grams or millilitres of water alike.
    """
    steps = np.asarray(steps_g, np.float64)
    steps = steps[np.isfinite(steps)][:MOST_N]
    low, high = max(DROP_G[0], LEAST_OF_STEP * float(steps.mean()) if len(steps) else 0.0), DROP_G[1]
    if len(steps) < LEAST_N or low >= high:
        return None
    # Coherence of the phases of all steps with a period of one drop: 1 for whole multiples, about 0 for any others.
    masses = np.geomspace(low, high, 600)
    coherence = np.abs(np.exp(2j * np.pi * steps[None, :] / masses[:, None]).mean(axis=1))
    for k in np.flatnonzero(coherence > COHERENCE)[::-1]:
        mass = float(masses[k])
        for _ in range(3):
            counts = np.round(steps / mass)
            if not counts.any():
                break
            mass = float(steps @ counts / (counts @ counts))
        off = float(np.sqrt(np.mean((steps - mass * counts) ** 2)))
        if off < OFF_SHARE * mass and _vary_throughout(counts):
            return mass
    return None


def _vary_throughout(counts: Readings) -> bool:
    """Whether numbers of drops differ in each third: a plunger that sticks once does it in one place."""
    values, often = np.unique(counts, return_counts=True)
    differ = counts != values[np.argmax(often)]
    return differ.mean() >= DIFFER_SHARE and all(part.any() for part in np.array_split(differ, 3))


def plateaus(time_s: ArrayLike, mass_g: ArrayLike, rate_g_h: float, readability_g: float) -> tuple[Plateau, ...]:
    """Times in which the shown mass did not change although at least five digits' worth of liquid arrived."""
    at: Readings = checked(time_s, (-1,), "times of the weighings", 2)
    mass = checked(mass_g, (len(at),), "weighings")
    moved = np.flatnonzero(np.abs(np.diff(mass)) > 0.5 * readability_g)
    edges = np.concatenate([[-1], moved, [len(at) - 1]])
    found = []
    for begin, end in zip(edges[:-1] + 1, edges[1:], strict=True):
        missed = rate_g_h * float(at[end] - at[begin]) / 3600.0
        if missed >= HELD_READINGS * readability_g:
            found.append(Plateau(float(at[begin]), float(at[end]), missed))
    return tuple(found)
