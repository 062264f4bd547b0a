"""Ports between the simulated devices and the world, in both directions.

The world is pulled: it is advanced to a moment when somebody asks for a value, and asks the actuators
where they were. Device cores hold one of these ports, never the world itself.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hal.types import ImagingSettings, Matrix, Pixels


class AxesSource(Protocol):
    """A motion controller core."""

    def axes_at(self, now_ns: int) -> NDArray[np.float64]:
        """Axis positions, shape (n,), mm and degrees; defined for any time, the latest command's end and beyond."""


class PlungerSource(Protocol):
    """A pump core."""

    def displaced_ml(self, now_ns: int) -> float:
        """Volume that the plunger has pushed out of the syringe since power-up (mL, may fall on withdrawal)."""


class PressurePort(Protocol):
    """Pressure at a transmitter in the line."""

    def line_pressure_kpa(self, now_ns: int) -> float: ...

    def temperature_c(self, now_ns: int) -> float: ...


class ForcePort(Protocol):
    """Forces on the load cells at needle and probe."""

    def needle_force_n(self, now_ns: int) -> float: ...

    def probe_force_n(self, now_ns: int) -> float: ...


class ContactPort(Protocol):
    """Circuits that the conductive inserts and the pedal close."""

    def touches(self, now_ns: int) -> tuple[bool, bool, bool]:
        """Needle on a nerve insert, needle in a vessel insert, foot pedal pressed."""


class EStopPort(Protocol):
    """The wired emergency stop."""

    def estop_pressed(self, now_ns: int) -> bool: ...


class ImagePort(Protocol):
    """View of the scanner."""

    def render(self, now_ns: int, settings: ImagingSettings) -> Pixels:
        """Grey image of the moment, shape (rows, columns)."""


class PanPort(Protocol):
    """Load on the pan of a balance."""

    def pan(self, now_ns: int) -> tuple[float, float]:
        """Reading of a perfect balance (g), and its present rate (g/s)."""


class TrackerPort(Protocol):
    """View of a tracker."""

    def tracked(self, now_ns: int) -> dict[str, Matrix | None]:
        """Transforms by name (``NeedleTipToTracker``, ``ProbeToTracker``, ``PhantomToTracker``); None = not seen."""
