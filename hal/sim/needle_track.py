"""The channel cut by a needle: points at fixed arc spacing, with the friction up to each of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hal.types import Vector

SPACING_MM = 0.5
"""Between stored points: at a radius of 225 mm (25G) the chord misses the arc by 0.14 um."""

Point = tuple[float, float, float]


class CutChannel:
    """Polyline from the skin to the deepest cut, Phantom frame; grown at the end, cut off for a branch."""

    def __init__(self, start: Point) -> None:
        self._nodes: list[Point] = [start]
        self._friction: list[float] = [0.0]
        self.end: Point = start
        self.length_mm = 0.0
        self._end_friction = 0.0

    def grow(self, end: Point, step_mm: float, friction_n_mm: float) -> None:
        """Cut on to ``end``; steps are no longer than the spacing."""
        self.length_mm += step_mm
        self._end_friction += step_mm * friction_n_mm
        self.end = end
        if self.length_mm >= len(self._nodes) * SPACING_MM:
            self._nodes.append(end)
            self._friction.append(self._end_friction)

    def _place(self, arc_mm: float) -> tuple[int, float]:
        """Index of the node before an arc length, and the share of the way to the next point."""
        index = min(int(arc_mm / SPACING_MM), len(self._nodes) - 1)
        before = index * SPACING_MM
        span = SPACING_MM if index + 1 < len(self._nodes) else self.length_mm - before
        return index, min(1.0, max(0.0, (arc_mm - before) / span)) if span > 1e-9 else 0.0

    def point(self, arc_mm: float) -> Point:
        if arc_mm >= self.length_mm:
            return self.end
        index, share = self._place(arc_mm)
        a = self._nodes[index]
        b = self._nodes[index + 1] if index + 1 < len(self._nodes) else self.end
        return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2]))

    def friction(self, arc_mm: float) -> float:
        """Friction of a 22G shaft that lies in the track up to ``arc_mm`` (N)."""
        if arc_mm >= self.length_mm:
            return self._end_friction
        index, share = self._place(arc_mm)
        a = self._friction[index]
        b = self._friction[index + 1] if index + 1 < len(self._friction) else self._end_friction
        return a + share * (b - a)

    def polyline(self, arc_mm: float) -> Vector:
        """Points from the skin to ``arc_mm``, shape (n, 3), n >= 2."""
        index, share = self._place(min(arc_mm, self.length_mm))
        nodes = self._nodes[: index + 1]
        tip = self.point(arc_mm)
        if share < 1e-9 and index > 0:
            nodes = nodes[:-1]
        return np.array([*nodes, tip], dtype=np.float64)

    def cut_off(self, arc_mm: float) -> Vector:
        """Remove what lies beyond ``arc_mm``; returns it as a polyline."""
        whole = self.polyline(self.length_mm)
        tip, friction = self.point(arc_mm), self.friction(arc_mm)
        keep = min(int(arc_mm / SPACING_MM), len(self._nodes) - 1) + 1
        rest = np.vstack([np.array([tip]), whole[keep:]])
        self._nodes, self._friction = self._nodes[:keep], self._friction[:keep]
        self.end, self.length_mm, self._end_friction = tip, arc_mm, friction
        return rest

    def drag(self, shift: Vector, turn: Vector, decay_mm: float) -> None:
        """Drag the channel sideways: by ``shift + s turn`` at arc length s, fading with ``exp(-s / decay)``."""
        arcs: NDArray[np.float64] = np.arange(len(self._nodes), dtype=np.float64) * SPACING_MM
        moved = np.array(self._nodes) + (shift + arcs[:, None] * turn) * np.exp(-arcs / decay_mm)[:, None]
        self._nodes = [(x, y, z) for x, y, z in moved.tolist()]
        end = np.array(self.end) + (shift + self.length_mm * turn) * np.exp(-self.length_mm / decay_mm)
        self.end = (float(end[0]), float(end[1]), float(end[2]))
