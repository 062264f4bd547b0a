"""Windows of allowed values, and the way back into them."""

from __future__ import annotations

import math
from collections.abc import Sequence

ROUNDING = 1e-6
"""Rounding of a sum of decimals: nothing moves by so little."""
Window = tuple[float, float]
"""Lowest and highest allowed value."""


def outside(value: float, window: Window) -> float:
    """Distance of a value from its window: 0 inside, negative below, positive above; not finite: infinite."""
    low, high = window
    if not math.isfinite(value):
        return math.inf
    if value < low - ROUNDING:
        return value - low
    return value - high if value > high + ROUNDING else 0.0


def leads_back(start: Sequence[float], end: Sequence[float], windows: Sequence[Window]) -> bool:
    """True for a step between places outside that shortens the way back and lengthens it in no coordinate.

    Who stands outside (a limit that was narrowed, an axis moved by hand) must be able to return; a step that jumps
    over a window to its other side, or leaves one coordinate better and another one worse, is none.
    """
    before = [outside(value, window) for value, window in zip(start, windows, strict=True)]
    after = [outside(value, window) for value, window in zip(end, windows, strict=True)]
    if not all(math.isfinite(value) for value in (*before, *after)):
        return False
    if any(a * b < 0.0 or abs(b) > abs(a) + ROUNDING for a, b in zip(before, after, strict=True)):
        return False
    return sum(map(abs, after)) < sum(map(abs, before)) - ROUNDING
