"""The mechanics between the motor of a syringe pump and the plunger: play, eccentric screw, stick, wrong bore."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from hal.clock import NS_PER_S

CATCH_UP_S = 3.0
"""Time constant with which a stopper that stuck follows its pusher again [A]."""
REMEMBERED = 4000
"""Corners of the plunger's path that are kept; the world asks for moments that the pump itself has passed."""


@dataclass(frozen=True)
class PlungerFigures:
    """``[sim.plunger]``: imperfections of one pump and syringe."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    flow_error: Annotated[float, Field(ge=0.0, le=0.5)] = 0.02
    """Half width of the uniform distribution of the relative flow error (syringe pumps 2..5 %)."""
    play_mm: Annotated[float, Field(ge=0.0, le=5.0)] = 0.025
    """Travel of the drive that is lost when the direction changes (assumed: screw play and the stopper)."""
    relax_mm: Annotated[float, Field(ge=0.0, le=5.0)] = 0.004
    """Travel that is lost anew after each stop (assumed): the cause of a start-up delay of seconds at low rates."""
    friction_n: Annotated[float, Field(ge=0.0, le=100.0)] = 5.0
    """Force that the stopper needs to move at all (small syringes 2..10 N)."""
    force_slow_n: Annotated[float, Field(gt=0.0, le=1000.0)] = 156.0
    """Largest force at low speed, about 35 lbf (recalled, not in a manual at hand)."""
    force_fast_n: Annotated[float, Field(gt=0.0, le=1000.0)] = 80.0
    """Largest force at full speed, about 18 lbf (recalled)."""
    bore_mm: Annotated[float, Field(gt=0.0, le=60.0)] | None = None
    """True inner diameter of the syringe; left out, what the pump is set to."""
    eccentric: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Relative amplitude of the flow within one turn of the screw: what makes a trumpet curve."""
    lead_mm: Annotated[float, Field(gt=0.0, le=20.0)] = 0.8467
    """Travel in one turn of the screw: 1/30 inch (recalled)."""


class Plunger:
    """Turns motor travel into volume. All state in mm of plunger travel; positive is towards infusion."""

    def __init__(self, figures: PlungerFigures, seed: int, bore_mm: float | None) -> None:
        """``bore_mm``: true inner diameter of the syringe; None = exactly the pump's setting."""
        self.figures = figures
        self.bore_mm = bore_mm
        self.gain = 1.0 + random.Random(seed).uniform(-figures.flow_error, figures.flow_error)
        self.displaced_ml = 0.0
        self.stuck = False
        """The stopper does not follow its pusher."""
        self._owed_mm = 0.0
        """Travel that a stopper which sticks, or stuck, is behind."""
        self._screw_mm = 0.0
        self._slack_mm = figures.play_mm
        """Motor travel towards infusion before the plunger follows; the other way it is play minus this."""

    def area_mm2(self, set_mm: float) -> float:
        """Area that presses on the fluid, for a pump that is set to the diameter ``set_mm``."""
        return math.pi * (self.bore_mm or set_mm) ** 2 / 4.0

    def move(self, volume_ml: float, set_mm: float) -> float:
        """The motor travels by what would be ``volume_ml`` with the syringe that the pump is set to.

        Returns the part (0..1) of the travel that was lost in the play before the plunger followed.
        """
        travel_mm = self._screwed_mm(volume_ml * 1000.0 / (math.pi * set_mm**2 / 4.0))
        if travel_mm >= 0.0:
            taken_mm = min(self._slack_mm, travel_mm)
        else:
            taken_mm = -min(self.figures.play_mm - self._slack_mm, -travel_mm)
        self._slack_mm -= taken_mm
        follows_mm = travel_mm - taken_mm
        if self.stuck:
            self._owed_mm += follows_mm
            follows_mm = 0.0
        self.displaced_ml += follows_mm * self.area_mm2(set_mm) * self.gain / 1000.0
        return taken_mm / travel_mm if travel_mm else 0.0

    def catch_up(self, set_mm: float, seconds: float) -> None:
        """A stopper that came loose goes after its pusher."""
        if self._owed_mm == 0.0 or self.stuck:
            return
        gone_mm = self._owed_mm * (1.0 - math.exp(-seconds / CATCH_UP_S))
        self._owed_mm -= gone_mm
        self.displaced_ml += gone_mm * self.area_mm2(set_mm) * self.gain / 1000.0

    def _screwed_mm(self, motor_mm: float) -> float:
        """Travel of the pusher for a travel that the motor believes in."""
        eccentric, lead_mm = self.figures.eccentric, self.figures.lead_mm
        if eccentric == 0.0:
            return motor_mm
        turned = 2.0 * math.pi / lead_mm
        before, self._screw_mm = self._screw_mm, self._screw_mm + motor_mm
        return motor_mm + eccentric / turned * (math.cos(turned * before) - math.cos(turned * self._screw_mm))

    def rest(self) -> None:
        """The motor stopped: the drive train relaxes."""
        self._slack_mm = min(self.figures.play_mm, self._slack_mm + self.figures.relax_mm)

    def stalls(self, pressure_kpa: float, set_mm: float, speed_fraction: float) -> bool:
        """True when the fluid pushes back harder than the motor can."""
        figures = self.figures
        limit_n = figures.force_slow_n + (figures.force_fast_n - figures.force_slow_n) * min(1.0, speed_fraction)
        return pressure_kpa * 1e-3 * self.area_mm2(set_mm) + figures.friction_n > limit_n


class PlungerPath:
    """Volume that a plunger has displaced, over time."""

    def __init__(self) -> None:
        self._path_ns: list[int] = [0]
        self._path_ml: list[float] = [0.0]

    def move(self, plunger: Plunger, volume_ml: float, set_mm: float, from_ns: int, to_ns: int) -> None:
        """The motor travels by ``volume_ml`` (negative: back) in that time."""
        before_ml = plunger.displaced_ml
        lost = plunger.move(volume_ml, set_mm)
        plunger.catch_up(set_mm, (to_ns - from_ns) / NS_PER_S)
        self._corner(from_ns + int(lost * (to_ns - from_ns)), before_ml)
        self._corner(to_ns, plunger.displaced_ml)

    def displaced_ml(self, now_ns: int) -> float:
        """Volume pushed out of the syringe up to a moment, which may lie before the last one that was computed."""
        path_ns, path_ml = self._path_ns, self._path_ml
        if now_ns >= path_ns[-1]:
            return path_ml[-1]
        after = bisect_right(path_ns, now_ns)
        if after == 0:
            return path_ml[0]
        share = (now_ns - path_ns[after - 1]) / (path_ns[after] - path_ns[after - 1])
        return path_ml[after - 1] + share * (path_ml[after] - path_ml[after - 1])

    def _corner(self, at_ns: int, displaced_ml: float) -> None:
        if len(self._path_ns) > 2 * REMEMBERED:
            del self._path_ns[:-REMEMBERED], self._path_ml[:-REMEMBERED]
        if at_ns > self._path_ns[-1]:
            self._path_ns.append(at_ns)
            self._path_ml.append(displaced_ml)
        else:
            self._path_ml[-1] = displaced_ml
