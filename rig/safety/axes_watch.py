"""Watch over the axes: they stand where they were last read at rest, or they are on their ordered way.

Judged on what the controller of the axes reports, attended or idle. An order is a corridor: in each axis between the
place where the move began and the farthest target sent so far. What leaves the corridor, moves without an order, goes
faster than was ordered, or is not where it was last read at rest is a hard stop: the pose of everything that
was measured since is in doubt.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from contextlib import contextmanager

from hal.clock import NS_PER_S, Clock
from hal.errors import DeviceError
from hal.types import CarrierState, HolderState, MotionMode
from rig.lanes import Sample
from rig.safety.limits import Box, MotionLimits
from rig.safety.stop import Severity, Trip

Values = tuple[float, ...]
"""Axes in the order of the pose, mm and degrees."""

SETTLE_NS = NS_PER_S
"""After the last order, or its stop, the axes must rest within this: 200 ms of queue and a stop with its read-back."""
AHEAD_MM = 1.0
"""How far a move may be ahead of speed x time: one reading and the rounding of short jogs [A]."""
LINEAR = {"holder": (0, 1, 2), "carrier": (0, 1, 4)}
"""Axes of a pose that are lengths."""
NAMES = {"holder": ("x", "y", "z", "A", "B", "C"), "carrier": ("x", "y", "lateral", "tilt", "feed", "bevel")}


class Phase(enum.Enum):
    """Motion that the axes are allowed."""

    UNKNOWN = "unknown"
    """Never read, or a person had the bench: the next reading at rest is believed."""
    REST = "rest"
    ORDERED = "ordered"
    SETTLING = "settling"
    BY_HAND = "by hand"


class AxesWatch:
    """Watch over one set of axes; used from the scan's task, except ``extend``, which is called in the lane's."""

    def __init__(self, role: str, limits: MotionLimits, clock: Clock) -> None:
        self.role = role
        self.phase = Phase.UNKNOWN
        self._limits = limits
        self._clock = clock
        self._box: Box = limits.holder if role == "holder" else limits.needle_entry
        self._rest: Values = ()
        self._low: Values = ()
        self._high: Values = ()
        self._start: Values = ()
        self._speed_mm_s = 0.0
        self._since_ns = 0
        self._last: Sample[HolderState | CarrierState] | None = None

    # -- orders ------------------------------------------------------------------------------------------

    @contextmanager
    def ordered(self, start: Values, speed_mm_s: float) -> Iterator[None]:
        """Allow the move from ``start`` inside the block; each jog is announced by ``extend`` before it is sent.

        Raises ``DeviceError`` while a person guides these axes by hand.
        """
        if self.phase is Phase.BY_HAND:
            raise DeviceError(f"the {self.role} is guided by hand at present: nothing was sent", device=self.role)
        at_rest = self._rest or start
        self._low, self._high = tuple(map(min, start, at_rest)), tuple(map(max, start, at_rest))
        self._start, self._speed_mm_s, self._since_ns = start, speed_mm_s, self._clock.now_ns()
        self.phase = Phase.ORDERED
        try:
            yield
        finally:
            self.phase, self._since_ns = Phase.SETTLING, self._clock.now_ns()

    def extend(self, target: Values) -> None:
        """Announce the target of the next jog before it is sent, so before any report of it can come."""
        self._low, self._high = tuple(map(min, self._low, target)), tuple(map(max, self._high, target))

    def forget(self) -> None:
        """Accept the next reading at rest as the place of the axes: a person has seen to the bench."""
        self.phase, self._rest = Phase.UNKNOWN, ()

    def by_hand(self, guided: bool) -> None:
        """Begin or end a declared hand-guided step; inside it, workspace and speed have limits of their own."""
        self.phase, self._rest, self._last = (Phase.BY_HAND if guided else Phase.UNKNOWN), (), None

    # -- what happened -----------------------------------------------------------------------------------

    def evaluate(self, sample: Sample[HolderState | CarrierState]) -> Trip | None:
        """Judge a new reading."""
        state = sample.value
        at, moving = state.pose.as_tuple(), state.mode is MotionMode.MOVING
        if not all(map(math.isfinite, at)):
            return self._trip("astray", f"reports a position that is no number: {at}")
        if self.phase is Phase.BY_HAND:
            return self._hand(sample, at)
        if self.phase is Phase.REST:
            if moving:
                return self._trip("uncommanded", "reports motion that nobody has ordered")
            return self._moved(at)
        if self.phase is Phase.UNKNOWN:
            if not moving:
                self._rest, self.phase = at, Phase.REST
            return None
        astray = self._astray(at) or self._ahead(sample, at)
        if astray is not None or self.phase is Phase.ORDERED:
            return astray
        if moving:
            if sample.time_ns - self._since_ns <= SETTLE_NS:
                return None
            return self._trip("uncommanded", "is still moving a second after its last order")
        if sample.time_ns >= self._since_ns:
            self._rest, self.phase = at, Phase.REST
        return None

    def _moved(self, at: Values) -> Trip | None:
        for name, now, before in zip(NAMES[self.role], at, self._rest, strict=True):
            if abs(now - before) > self._limits.stray:
                return self._trip(
                    "moved",
                    f"is not where it was last read at rest, and nobody has ordered a move: {name} "
                    f"{before:.3f} before, {now:.3f} now",
                    abs(now - before),
                    self._limits.stray,
                )
        return None

    def _astray(self, at: Values) -> Trip | None:
        slack = 2.0 * self._limits.stray
        for name, value, low, high in zip(NAMES[self.role], at, self._low, self._high, strict=True):
            beyond = max(low - value, value - high)
            if beyond > slack:
                words = f"is not where it was sent: {name} {value:.3f}, ordered {low:.3f} to {high:.3f}"
                return self._trip("astray", words, beyond, slack)
        return None

    def _ahead(self, sample: Sample[HolderState | CarrierState], at: Values) -> Trip | None:
        """Trip for motion faster than ordered; judged on lengths, and by the latest moment of the reading."""
        if self.phase is not Phase.ORDERED:
            return None
        gone = math.dist([at[i] for i in LINEAR[self.role]], [self._start[i] for i in LINEAR[self.role]])
        seconds = max(0, max(sample.time_ns, sample.value.time_ns) - self._since_ns) / NS_PER_S
        may = self._speed_mm_s * seconds + AHEAD_MM
        if gone <= may:
            return None
        return self._trip(
            "ahead", f"moved {gone:.2f} mm in {seconds:.2f} s, ordered at {self._speed_mm_s:g} mm/s", gone, may
        )

    def _hand(self, sample: Sample[HolderState | CarrierState], at: Values) -> Trip | None:
        """Check a hand-guided step: the workspace, the needle out of the gel, and the speed of the hand."""
        last, self._last = self._last, sample
        x, y, z = (at[i] for i in LINEAR[self.role])
        for name, value, (low, high) in zip("xyz", (x, y, z), self._box.windows, strict=True):
            if not low - self._limits.stray <= value <= high + self._limits.stray:
                words = f"was guided by hand out of its workspace: {name} {value:.1f} mm, {low:g} to {high:g}"
                return self._trip("hand", words, value, high if value > high else low)
        if self.role == "carrier" and z > self._limits.stray:
            return self._trip("hand", f"was guided by hand into the gel: feed {z:.2f} mm", z, 0.0)
        if last is None or sample.time_ns <= last.time_ns:
            return None
        before = last.value.pose.as_tuple()
        gone = math.dist((x, y, z), [before[i] for i in LINEAR[self.role]])
        speed = gone / ((sample.time_ns - last.time_ns) / NS_PER_S)
        if speed <= self._limits.hand_speed_mm_s:
            return None
        return self._trip("hand", f"was guided by hand at {speed:.0f} mm/s", speed, self._limits.hand_speed_mm_s)

    def _trip(self, what: str, words: str, value: float = math.nan, limit: float = math.nan) -> Trip:
        reason = f"the {self.role} {words}; look at the axes, the controller and who else may command it"
        return Trip(f"{self.role}_{what}", Severity.HARD, reason, value, limit)
