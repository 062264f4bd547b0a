"""Configuration of a simulated motion controller: firmware, axes, mechanical imperfection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Firmware(Enum):
    """Two firmwares that speak almost the same protocol."""

    GRBL = "Grbl 1.1h"
    GRBLHAL = "grblHAL"


@dataclass(frozen=True)
class Axis:
    """One axis: travel in work coordinates (what a driver sends), rates per minute, acceleration per s2."""

    letter: str
    low: float
    high: float
    rate_per_min: float
    acceleration: float
    steps: float = 800.0
    """Steps per mm or degree: a resolution of 0.00125."""

    @property
    def travel(self) -> float:
        return self.high - self.low


@dataclass(frozen=True)
class GrblConfig:
    """One controller as it is powered up.

    Machine coordinates run from ``-travel`` to 0 (Grbl's convention after homing), so the work offset of
    each axis is ``-high``.
    """

    firmware: Firmware
    axes: tuple[Axis, ...]
    start: tuple[float, ...]
    """Work position at power-up."""
    homed: bool = True
    """False: homing is required and was not done (Grbl starts in Alarm, grblHAL checks no limits)."""
    soft_limits: bool = True
    homing: bool = True
    hard_limits: bool = True
    note: str = "rigsim"
    """The user's text in ``$I``: a driver that reads it labels its data as simulated."""
    backlash: float = 0.02
    """Play of every axis, mm or degrees: ball screws and worm gears of small stages, assumed.

    Reports are of the motors' side. The slide follows by half of the play, which ``calibrate latency`` cannot tell
    from a lag of that length over the speed: 0.9 ms at 11 mm/s.
    """
    scale: float = 1.0
    """True way over the way that is counted: 1 unless a fault is planted."""
    scale_error: float = 1e-4
    """Standard deviation of the error of scale, assumed (0.01 mm in 100 mm: a rolled screw)."""

    def as_stated(self, letters: str, limits: Mapping[str, Any]) -> GrblConfig:
        """The axes of these letters, in that order, with the windows, rates and accelerations that a rig file states.

        ``limits``: by letter, with ``low``, ``high`` (work coordinates), ``max_speed`` (per second), ``acceleration``.
        Letters that this configuration lacks are left out. An axis that would start outside its window starts at its
        end.
        """
        known = {axis.letter: (axis, start) for axis, start in zip(self.axes, self.start, strict=True)}
        axes, start = [], []
        for letter in letters:
            if letter not in known:
                continue
            axis, at = known[letter]
            if letter in limits:
                limit = limits[letter]
                axis = replace(
                    axis,
                    low=float(limit["low"]),
                    high=float(limit["high"]),
                    rate_per_min=60.0 * float(limit["max_speed"]),
                    acceleration=float(limit["acceleration"]),
                )
            axes.append(axis)
            start.append(min(max(at, axis.low), axis.high))
        return replace(self, axes=tuple(axes), start=tuple(start))

    @property
    def letters(self) -> str:
        return "".join(axis.letter for axis in self.axes)

    @property
    def work_offset(self) -> NDArray[np.float64]:
        return np.array([0.0 - axis.high for axis in self.axes])


def holder_config(firmware: Firmware = Firmware.GRBLHAL, **changes: object) -> GrblConfig:
    """Six-axis probe holder (x y z a b c), or the three-axis gantry for Grbl 1.1; parked 30 mm above the skin."""
    axes = (
        Axis("X", -150.0, 150.0, 3000.0, 200.0),
        Axis("Y", -150.0, 150.0, 3000.0, 200.0),
        Axis("Z", -60.0, 40.0, 1800.0, 200.0),
        Axis("A", -45.0, 45.0, 1800.0, 200.0),
        Axis("B", -45.0, 45.0, 1800.0, 200.0),
        Axis("C", -120.0, 120.0, 1800.0, 200.0),
    )
    start = (0.0, 0.0, -30.0, 0.0, 0.0, 0.0)
    count = 6 if firmware is Firmware.GRBLHAL else 3
    return _changed(GrblConfig(firmware, axes[:count], start[:count]), changes)


def carrier_config(firmware: Firmware = Firmware.GRBLHAL, letters: str = "XYZABC", **changes: object) -> GrblConfig:
    """Needle carrier: X, Y entry, Z feed, A lateral angle, B tilt, C bevel; ``letters`` picks the axes that exist."""
    every = {
        "X": (Axis("X", -150.0, 150.0, 3000.0, 200.0), 0.0),
        "Y": (Axis("Y", -150.0, 150.0, 3000.0, 200.0), 0.0),
        "Z": (Axis("Z", -80.0, 140.0, 1200.0, 400.0), -40.0),
        "A": (Axis("A", -80.0, 80.0, 1800.0, 200.0), 0.0),
        "B": (Axis("B", -80.0, 80.0, 1800.0, 200.0), 0.0),
        "C": (Axis("C", -360.0, 360.0, 10800.0, 720.0), 0.0),
    }
    chosen = [every[letter] for letter in letters]
    config = GrblConfig(firmware, tuple(axis for axis, _ in chosen), tuple(start for _, start in chosen))
    return _changed(config, changes)


def _changed(config: GrblConfig, changes: dict[str, object]) -> GrblConfig:
    values: dict[str, object] = {**config.__dict__, **changes}
    return GrblConfig(**values)  # type: ignore[arg-type]
