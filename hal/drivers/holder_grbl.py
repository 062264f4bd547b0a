"""Probe holder on grblHAL (six axes X Y Z A B C) or Grbl 1.1 (three-axis gantry, A B C fixed by hand)."""

from __future__ import annotations

import math

from pydantic import Field

from hal.clock import Clock
from hal.drivers.motion_pose import AxisSettings, MotionSettings, PoseMotion
from hal.types import HolderState, Pose6


def _limits() -> dict[str, AxisSettings]:
    return {
        "X": AxisSettings(low=-150, high=150, max_speed=50, acceleration=200),
        "Y": AxisSettings(low=-150, high=150, max_speed=50, acceleration=200),
        "Z": AxisSettings(low=-60, high=40, max_speed=30, acceleration=200),
        "A": AxisSettings(low=-45, high=45, max_speed=30, acceleration=200),
        "B": AxisSettings(low=-45, high=45, max_speed=30, acceleration=200),
        "C": AxisSettings(low=-120, high=120, max_speed=30, acceleration=200),
    }


class Settings(MotionSettings):
    """Probe holder; poses are ``ProbeToHolder``."""

    limits: dict[str, AxisSettings] = Field(default_factory=_limits)
    max_speed_mm_s: float = Field(default=50.0, gt=0, le=500)
    lever_mm: float = Field(default=30.0, ge=0, le=500)
    """Distance of the fastest point of the probe face from its centre: a turn moves it by lever x angle."""


class Driver(PoseMotion):
    """A ``ProbeHolder``. Speed is that of the fastest point of the probe face, at most."""

    role = "holder"
    driver = "grblhal_holder"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings, clock, "XYZABC")
        self._lever_mm = settings.lever_mm

    def path_mm(self, start: tuple[float, ...], end: tuple[float, ...]) -> float:
        """Shift of the face's centre plus lever times turn: an upper bound for every point of the face."""
        shift = math.dist(start[:3], end[:3])
        return shift + self._lever_mm * math.radians(math.dist(start[3:], end[3:]))

    def read(self) -> HolderState:
        status, pose = self.read_status()
        return HolderState(status.time_ns, Pose6(*pose), status.mode, status.estop, status.alarm)

    def jog(self, pose: Pose6, speed_mm_s: float) -> None:
        """One short absolute move of the probe; raises ``LimitViolation`` before anything is sent."""
        self.move(pose.as_tuple(), speed_mm_s)
