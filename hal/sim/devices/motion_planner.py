"""Motion of a simulated step controller: queued straight moves with trapezoidal speed and look-ahead.

The planner keeps the motion as a list of segments of constant acceleration over absolute time, so the
position at any moment, past or still to come, is one look-up. Lengths are Euclidean over all axes, a
degree counting like a millimetre, which is how Grbl measures a block.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

NS_PER_S = 1_000_000_000
JUNCTION_DEVIATION_MM = 0.01
"""Default of ``$11`` in the Grbl 1.1 settings table."""
KEEP_SEGMENTS = 4096
"""About four minutes of unbroken 200 ms jogs: further back nobody asks where the axes were."""

Axes = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Block:
    """One straight move, or what is left of it."""

    start: Axes
    unit: Axes
    length: float
    speed: float
    """Nominal, per second."""
    acceleration: float
    entry: float
    """Highest speed at which the corner into this block may be taken."""
    end_ns: int = 0
    jog: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """Constant acceleration along one direction from ``start_ns`` on."""

    start_ns: int
    end_ns: int
    start: Axes
    unit: Axes
    speed: float
    acceleration: float
    play: Axes
    """Where the backlash stood at the start: position of the driven side."""

    def travelled(self, at_ns: int) -> float:
        t_s = (min(at_ns, self.end_ns) - self.start_ns) / NS_PER_S
        return t_s * (self.speed + 0.5 * self.acceleration * t_s)

    def speed_at(self, at_ns: int) -> float:
        return max(0.0, self.speed + self.acceleration * (min(at_ns, self.end_ns) - self.start_ns) / NS_PER_S)


class Planner:
    """Positions over time, shape (n,), mm and degrees; speeds per second."""

    def __init__(self, position: Axes, rates: Axes, accelerations: Axes, backlash: Axes) -> None:
        self._rates = rates
        self._accelerations = accelerations
        self._half_play = backlash / 2.0
        self._blocks: list[Block] = []
        self._segments: list[Segment] = []
        self._starts: list[int] = []
        self.held = False
        self.settle(position, 0)

    def rate(self, rates: Axes, accelerations: Axes) -> None:
        """Largest speeds and accelerations of moves planned from now on."""
        self._rates, self._accelerations = rates, accelerations

    def settle(self, position: Axes, at_ns: int) -> None:
        """Forget all motion; the axes stand at ``position``, with the backlash in the middle."""
        rest = np.array(position, dtype=np.float64)
        self._blocks.clear()
        self.held = False
        self._segments = [Segment(at_ns, at_ns, rest, np.zeros_like(rest), 0.0, 0.0, rest.copy())]
        self._starts = [at_ns]

    @property
    def end_ns(self) -> int:
        """Moment at which the planned motion comes to rest."""
        return self._segments[-1].end_ns

    @property
    def target(self) -> Axes:
        """Position at which the queued motion ends."""
        if self._blocks:
            last = self._blocks[-1]
            return last.start + last.unit * last.length
        return self._rest()

    def moving(self, at_ns: int) -> bool:
        return at_ns < self._segments[-1].end_ns

    def _rest(self) -> Axes:
        last = self._segments[-1]
        return last.start + last.unit * last.travelled(last.end_ns)

    def _segment(self, at_ns: int) -> Segment:
        if at_ns >= self._starts[-1]:
            return self._segments[-1]
        return self._segments[max(0, bisect_right(self._starts, at_ns) - 1)]

    def position(self, at_ns: int) -> Axes:
        """Commanded position."""
        segment = self._segment(at_ns)
        return segment.start + segment.unit * segment.travelled(max(at_ns, segment.start_ns))

    def driven(self, at_ns: int) -> Axes:
        """Position behind the backlash: follows the command once the play is taken up (exact: axes are monotonic)."""
        segment = self._segment(at_ns)
        commanded = segment.start + segment.unit * segment.travelled(max(at_ns, segment.start_ns))
        return self._follow(segment.play, commanded)

    def _follow(self, play: Axes, commanded: Axes) -> Axes:
        followed: Axes = np.minimum(np.maximum(play, commanded - self._half_play), commanded + self._half_play)
        return followed

    def speed(self, at_ns: int) -> float:
        """Path speed per second."""
        return self._segment(at_ns).speed_at(at_ns) if self.moving(at_ns) else 0.0

    def queued(self, at_ns: int) -> int:
        """Blocks not finished yet."""
        if self.held:
            return len(self._blocks)
        return sum(1 for block in self._blocks if block.end_ns > at_ns)

    def first_end_ns(self, at_ns: int) -> int:
        """Moment at which the next place in the queue becomes free."""
        return next((block.end_ns for block in self._blocks if block.end_ns > at_ns), at_ns)

    def add(self, target: Axes, speed: float, at_ns: int) -> bool:
        """Queue a straight move at a path speed; False when there is nothing to move."""
        left = self._remaining(at_ns)
        start = left[-1].start + left[-1].unit * left[-1].length if left else self.position(at_ns)
        delta = target - start
        length = float(np.sqrt(delta @ delta))
        if length < 1e-9:
            return False
        unit = delta / length
        share = np.abs(unit)
        with np.errstate(divide="ignore"):
            fastest = float(np.min(np.where(share > 0, self._rates / share, math.inf)))
            acceleration = float(np.min(np.where(share > 0, self._accelerations / share, math.inf)))
        speed = min(speed, fastest)
        entry = 0.0
        if left:
            entry = min(_corner_speed(left[-1].unit, unit, acceleration), speed, left[-1].speed)
        left.append(Block(start, unit, length, speed, acceleration, entry))
        self._plan(left, at_ns)
        return True

    def cancel(self, at_ns: int) -> None:
        """Decelerate along the path and drop the rest of the queue."""
        left = self._remaining(at_ns)
        if not left:
            return
        self._brake(left, at_ns)
        self._blocks = []

    def hold(self, at_ns: int) -> None:
        """Decelerate along the path and keep the rest of the queue for ``resume``."""
        left = self._remaining(at_ns)
        if left:
            self._blocks = self._brake(left, at_ns)
            self.held = True

    def resume(self, at_ns: int) -> None:
        left, self.held = self._blocks, False
        self._plan(left, max(at_ns, self.end_ns))

    def halt(self, at_ns: int) -> None:
        """Stop the steps at once (reset in motion)."""
        if self.moving(at_ns):
            self._cut(at_ns)
        self._blocks = []
        self.held = False

    def _remaining(self, at_ns: int) -> list[Block]:
        """Unfinished blocks, the first one shortened to what is left of it."""
        left = [block for block in self._blocks if block.end_ns > at_ns]
        if left:
            here = self.position(at_ns)
            first = left[0]
            done = float((here - first.start) @ first.unit)
            left[0] = replace(first, start=here, length=max(0.0, first.length - done))
        return left

    def _cut(self, at_ns: int) -> float:
        """End the known motion at a moment; returns the speed there."""
        speed = self.speed(at_ns)
        while len(self._segments) > 1 and self._segments[-1].start_ns >= at_ns:
            self._segments.pop()
            self._starts.pop()
        last = self._segments[-1]
        if last.end_ns > at_ns:
            self._segments[-1] = replace(last, end_ns=at_ns)
        return speed

    def _append(self, start_ns: int, duration_s: float, start: Axes, unit: Axes, speed: float, accel: float) -> int:
        last = self._segments[-1]
        end_ns = start_ns + round(duration_s * NS_PER_S)
        play = self._follow(last.play, last.start + last.unit * last.travelled(last.end_ns))
        self._segments.append(Segment(start_ns, end_ns, start, unit, speed, accel, play))
        self._starts.append(start_ns)
        if len(self._segments) > 2 * KEEP_SEGMENTS:
            del self._segments[:KEEP_SEGMENTS], self._starts[:KEEP_SEGMENTS]
        return end_ns

    def _plan(self, left: list[Block], at_ns: int) -> None:
        """Plan speeds over the queue: backward for stopping in time, forward for what acceleration reaches."""
        speed = self._cut(at_ns) if self.moving(at_ns) else 0.0
        entries = [speed] + [block.entry for block in left[1:]] + [0.0]
        for i in range(len(left) - 1, 0, -1):
            entries[i] = min(entries[i], math.sqrt(entries[i + 1] ** 2 + 2.0 * left[i].acceleration * left[i].length))
        now_ns, planned = at_ns, []
        for i, block in enumerate(left):
            v0, a, length = entries[i], block.acceleration, block.length
            v1 = min(entries[i + 1], math.sqrt(v0 * v0 + 2.0 * a * length))
            entries[i + 1] = v1
            peak = min(max(block.speed, v0, v1), math.sqrt(max(0.0, a * length + 0.5 * (v0 * v0 + v1 * v1))))
            peak = max(peak, v0, v1)
            up, down = (peak * peak - v0 * v0) / (2.0 * a), (peak * peak - v1 * v1) / (2.0 * a)
            flat = max(0.0, length - up - down)
            point = block.start
            for distance, v, accel, duration in (
                (up, v0, a, (peak - v0) / a),
                (flat, peak, 0.0, flat / peak if peak > 0 else 0.0),
                (down, peak, -a, (peak - v1) / a),
            ):
                if duration * NS_PER_S >= 0.5:
                    now_ns = self._append(now_ns, duration, point, block.unit, v, accel)
                point = point + block.unit * distance
            planned.append(replace(block, end_ns=now_ns))
        if left:
            # The rest position is exactly the target, free of rounding to nanoseconds.
            end = left[-1].start + left[-1].unit * left[-1].length
            self._append(now_ns, 0.0, end, np.zeros_like(end), 0.0, 0.0)
        self._blocks = planned

    def _brake(self, left: list[Block], at_ns: int) -> list[Block]:
        """Stop along the path; returns what is left of the queue."""
        speed, now_ns = self._cut(at_ns), at_ns
        while left and speed > 0.0:
            block = left[0]
            need = speed * speed / (2.0 * block.acceleration)
            distance = min(need, block.length)
            exit_speed = math.sqrt(max(0.0, speed * speed - 2.0 * block.acceleration * distance))
            now_ns = self._append(
                now_ns, (speed - exit_speed) / block.acceleration, block.start, block.unit, speed, -block.acceleration
            )
            speed = exit_speed if need > block.length else 0.0
            if need >= block.length:
                left = left[1:]
            else:
                point = block.start + block.unit * distance
                left = [replace(block, start=point, length=block.length - distance), *left[1:]]
        end = left[0].start if left else self._rest()
        self._append(now_ns, 0.0, end, np.zeros_like(end), 0.0, 0.0)
        return left


def _corner_speed(before: Axes, after: Axes, acceleration: float) -> float:
    """Speed through a corner by the junction-deviation rule (Grbl planner: v^2 = a d sin(t/2) / (1 - sin(t/2)))."""
    cosine = -float(before @ after)
    if cosine > 0.999999:
        return 0.0
    if cosine < -0.999999:
        return math.inf
    half_sine = math.sqrt(0.5 * (1.0 - cosine))
    return math.sqrt(acceleration * JUNCTION_DEVIATION_MM * half_sine / (1.0 - half_sine))
