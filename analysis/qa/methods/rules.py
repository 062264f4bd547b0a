"""Rules of a Shewhart chart of individuals, by name: Western Electric and Nelson.

A rule looks at the newest points, in standard deviations from the centre line, and fires on the last of them. Points
before the first are missing (NaN) and match nothing, so no rule fires before it has all its points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Fires = NDArray[np.bool_]
Windows = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """One rule."""

    name: str
    words: str
    points_n: int
    """How many points it looks at."""
    fires: Callable[[Windows], Fires]
    """For windows of shape (..., points_n), the newest point last."""


def _both_sides(z: Windows, beyond: float, least: int) -> Fires:
    """At least ``least`` points beyond a bound on the same side, the last one among them."""
    up, down = z > beyond, z < -beyond
    found: Fires = ((up.sum(axis=-1) >= least) & up[..., -1]) | ((down.sum(axis=-1) >= least) & down[..., -1])
    return found


def _one_side(z: Windows) -> Fires:
    found: Fires = np.asarray((z > 0.0).all(axis=-1) | (z < 0.0).all(axis=-1))
    return found


def _trend(z: Windows) -> Fires:
    step = np.diff(z, axis=-1)
    return _one_side(step)


def _alternating(z: Windows) -> Fires:
    step = np.sign(np.diff(z, axis=-1))
    found: Fires = np.asarray((step[..., 1:] * step[..., :-1] < 0.0).all(axis=-1))
    return found


def _beyond(z: Windows) -> Fires:
    found: Fires = np.asarray(np.abs(z[..., -1]) > 3.0)
    return found


def _quiet(z: Windows) -> Fires:
    found: Fires = np.asarray((np.abs(z) < 1.0).all(axis=-1))
    return found


def _away(z: Windows) -> Fires:
    found: Fires = np.asarray((np.abs(z) > 1.0).all(axis=-1))
    return found


BEYOND_3S = Rule("beyond 3 s", "one point beyond 3 s", 1, _beyond)
TWO_OF_3 = Rule("2 of 3", "two of three points beyond 2 s on one side", 3, lambda z: _both_sides(z, 2.0, 2))
FOUR_OF_5 = Rule("4 of 5", "four of five points beyond 1 s on one side", 5, lambda z: _both_sides(z, 1.0, 4))
RUN_OF_8 = Rule("8 on one side", "eight points in a row on one side of the centre", 8, _one_side)
RUN_OF_9 = Rule("9 on one side", "nine points in a row on one side of the centre", 9, _one_side)
TREND_OF_6 = Rule("6 rising or falling", "six points in a row rising or falling", 6, _trend)
ALTERNATING_14 = Rule("14 alternating", "fourteen points in a row going up and down in turn", 14, _alternating)
QUIET_15 = Rule("15 within 1 s", "fifteen points in a row within 1 s of the centre", 15, _quiet)
AWAY_8 = Rule("8 outside 1 s", "eight points in a row further than 1 s from the centre", 8, _away)

WESTERN_ELECTRIC = (BEYOND_3S, TWO_OF_3, FOUR_OF_5, RUN_OF_8)
"""Rules 1 to 4 of the handbook of 1956; healthy points fire them every 92 points, not every 370."""
NELSON = (BEYOND_3S, RUN_OF_9, TREND_OF_6, ALTERNATING_14, TWO_OF_3, FOUR_OF_5, QUIET_15, AWAY_8)
"""Tests 1 to 8 of Nelson 1984, J Qual Technol 16:237."""
RULES = {rule.name: rule for rule in (*NELSON, RUN_OF_8)}


def trailing(z: NDArray[np.float64], points_n: int) -> Windows:
    """Windows of shape (n, points_n) that end at each of n points; what lies before the first is NaN."""
    padded = np.concatenate([np.full(points_n - 1, np.nan), z])
    found: Windows = np.lib.stride_tricks.sliding_window_view(padded, points_n)
    return found
