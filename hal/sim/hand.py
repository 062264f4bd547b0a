"""A hand that holds the needle: it moves to its target with tremor, and stops when it feels resistance.

It stands in the place of a needle carrier (``AxesSource`` with the same six axes), so that the world does not
care who holds the needle. Tremor: 8 Hz, 50-200 um rms (``facts/domain.md`` section 6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hal.types import NeedlePose

TREMOR_HZ = 8.1


@dataclass(frozen=True)
class Stroke:
    """One voluntary movement at constant speed."""

    start_ns: int
    end_ns: int
    before: NDArray[np.float64]
    after: NDArray[np.float64]


class Hand:
    """Axes X, Y, lateral, tilt, feed, bevel (mm, deg) in the needle frame."""

    def __init__(self, seed: int, tremor_mm: float) -> None:
        rng = np.random.default_rng([seed, 0x4A])
        self._tremor_mm = tremor_mm * math.sqrt(2.0)
        self._phase = rng.uniform(0.0, 2.0 * math.pi, 2)
        home = np.array([0.0, 0.0, 0.0, 0.0, -30.0, 0.0])
        self._stroke = Stroke(0, 0, home, home)

    def start(self, after: NeedlePose, now_ns: int, duration_s: float) -> None:
        """Begin a movement from the hand's present place."""
        before = self._voluntary(now_ns)
        self._stroke = Stroke(now_ns, now_ns + int(duration_s * 1e9), before, np.array(after.as_tuple()))

    def freeze(self, now_ns: int) -> None:
        """Stop the movement at its place at ``now_ns`` (which may lie a reaction time ahead)."""
        there = self._voluntary(now_ns)
        s = self._stroke
        self._stroke = Stroke(s.start_ns, min(now_ns, s.end_ns), s.before, there)

    @property
    def done_ns(self) -> int:
        return self._stroke.end_ns

    def pose(self, now_ns: int) -> NeedlePose:
        return NeedlePose(*(float(v) for v in self._voluntary(now_ns)))

    def _voluntary(self, now_ns: int) -> NDArray[np.float64]:
        s = self._stroke
        if now_ns >= s.end_ns:
            return s.after
        part = (now_ns - s.start_ns) / max(1, s.end_ns - s.start_ns)
        return s.before + max(0.0, part) * (s.after - s.before)

    def axes_at(self, now_ns: int) -> NDArray[np.float64]:
        """Axis positions including tremor while moving, shape (6,)."""
        axes = self._voluntary(now_ns)
        if now_ns < self._stroke.end_ns and axes[4] > 0.0:
            axes = axes.copy()
            turn = 2.0 * math.pi * TREMOR_HZ * now_ns * 1e-9
            axes[4] += self._tremor_mm * math.sin(turn + self._phase[0])
            # Sideways tremor turns the needle about its entry, a lever of about 60 mm.
            axes[2] += math.degrees(self._tremor_mm / 60.0) * math.sin(turn + self._phase[1])
        return axes
