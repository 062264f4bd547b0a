"""Needle carrier on grblHAL or Grbl: X, Y entry, A lateral angle, B tilt, Z feed, C bevel rotation.

With fewer axes (a feed stage on a hand-set guide: ``axes = "Z"``) the rest is read off the guide's scales.
"""

from __future__ import annotations

import math

from pydantic import Field

from hal.clock import Clock
from hal.drivers.motion_pose import RESOLUTION, AxisSettings, MotionSettings, PoseMotion
from hal.errors import LimitViolation
from hal.types import CarrierState, NeedlePose

FEED_STEP_MM = 1.0
"""Longest advance or withdrawal by one jog."""

ARC_PIECES = 16
"""Chords that measure a turning tip's way: 0.02 % short over 60 degrees."""


def _limits() -> dict[str, AxisSettings]:
    return {
        "X": AxisSettings(low=-150, high=150, max_speed=50, acceleration=200),
        "Y": AxisSettings(low=-150, high=150, max_speed=50, acceleration=200),
        "Z": AxisSettings(low=-80, high=140, max_speed=20, acceleration=400),
        "A": AxisSettings(low=-80, high=80, max_speed=30, acceleration=200),
        "B": AxisSettings(low=-80, high=80, max_speed=30, acceleration=200),
        "C": AxisSettings(low=-360, high=360, max_speed=180, acceleration=720),
    }


class Settings(MotionSettings):
    """Needle carrier; see ``hal.types.NeedlePose`` for the axes."""

    limits: dict[str, AxisSettings] = Field(default_factory=_limits)
    max_speed_mm_s: float = Field(default=20.0, gt=0, le=500)


def _tip(pose: tuple[float, ...]) -> tuple[float, float, float]:
    """Tip of a straight needle in the carrier frame (``hal.types.NeedlePose``)."""
    x, y, lateral, tilt, feed = pose[0], pose[1], math.radians(pose[2]), math.radians(pose[3]), pose[4]
    return (
        x - feed * math.sin(lateral),
        y - feed * math.sin(tilt) * math.cos(lateral),
        feed * math.cos(lateral) * math.cos(tilt),
    )


class Driver(PoseMotion):
    """A ``NeedleCarrier``. Speed is that of the tip (of the entry point, when that moves faster)."""

    role = "carrier"
    driver = "grblhal_carrier"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings, clock, "XYABZC")

    def path_mm(self, start: tuple[float, ...], end: tuple[float, ...]) -> float:
        """Length of the tip's path (an arc when angles change), or of the entry point's, whichever is longer."""
        turns = start[2] != end[2] or start[3] != end[3]
        count = ARC_PIECES if turns else 1
        way, last = 0.0, _tip(start)
        for k in range(1, count + 1):
            here = _tip(tuple(a + (b - a) * k / count for a, b in zip(start, end, strict=True)))
            way += math.dist(last, here)
            last = here
        return max(way, math.dist(start[:2], end[:2]))

    def check_step(self, start: tuple[float, ...], end: tuple[float, ...]) -> None:
        feed = end[4] - start[4]
        if abs(feed) > FEED_STEP_MM + RESOLUTION:
            raise LimitViolation("carrier: feed step (mm)", feed, f"-{FEED_STEP_MM:g} to {FEED_STEP_MM:g}")

    def read(self) -> CarrierState:
        status, pose = self.read_status()
        return CarrierState(status.time_ns, NeedlePose(*pose), status.mode, status.estop, status.alarm)

    def jog(self, pose: NeedlePose, speed_mm_s: float) -> None:
        """One short absolute move; raises ``LimitViolation`` before anything is sent."""
        self.move(pose.as_tuple(), speed_mm_s)
