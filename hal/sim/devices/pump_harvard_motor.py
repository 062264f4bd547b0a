"""The motor of a simulated Harvard pump: one run at a time, computed up to the requested time."""

from __future__ import annotations

import math

from hal.sim.devices.pump_plunger import Plunger, PlungerPath

NS_PER_MIN = 60_000_000_000
FASTEST_CM_MIN = 15.9
SLOWEST_CM_MIN = 7.8e-7
"""Plunger speeds of the Pump 11 Elite: 26.0035 mL/min and 1.28 nL/min with a syringe of 14.43 mm [calc]."""


def rate_limits_ml_min(diameter_mm: float) -> tuple[float, float]:
    """Slowest and fastest rate: plunger area times plunger speed."""
    area_cm2 = math.pi * (diameter_mm / 20.0) ** 2
    return area_cm2 * SLOWEST_CM_MIN, area_cm2 * FASTEST_CM_MIN


class Motor:
    """``prompt``: ``:`` idle, ``>`` infusing, ``<`` withdrawing, ``*`` stalled, ``T*`` target reached."""

    def __init__(self, plunger: Plunger) -> None:
        self.plunger = plunger
        self.diameter_mm = 4.61
        self.prompt = ":"
        self.infused_ml = 0.0
        self.withdrawn_ml = 0.0
        self.rate_ml_min = 0.0
        self.end_ns: int | None = None
        """When it will have reached its target; None = it does not end by itself."""
        self._left_ml = math.inf
        self._time_ns = 0
        self._path = PlungerPath()

    @property
    def moving(self) -> bool:
        return self.prompt in "<>"

    def run(self, prompt: str, rate_ml_min: float, volume_ml: float, now_ns: int) -> None:
        """Move until the volume is through (infinity: until stopped); with none left the target is reached at once."""
        self.rate_ml_min, self._left_ml, self._time_ns = rate_ml_min, volume_ml, now_ns
        self.prompt, self.end_ns = prompt, None
        if volume_ml <= 0.0:
            self.halt("T*", now_ns)
        elif math.isfinite(volume_ml):
            self.end_ns = now_ns + math.ceil(volume_ml / rate_ml_min * NS_PER_MIN)

    def halt(self, prompt: str, now_ns: int) -> None:
        if self.moving:
            self.plunger.rest()
        self.prompt, self.end_ns, self._time_ns = prompt, None, now_ns

    def advance(self, now_ns: int) -> None:
        """Bring everything to ``now_ns``."""
        if self.end_ns is not None and self.end_ns <= now_ns:
            end_ns = self.end_ns
            self._move(self._left_ml, end_ns)
            self.halt("T*", end_ns)
        elif self.moving and now_ns > self._time_ns:
            self._move(min(self._left_ml, self.rate_ml_min * (now_ns - self._time_ns) / NS_PER_MIN), now_ns)

    def displaced_ml(self, now_ns: int) -> float:
        """Volume pushed out of the syringe up to a moment, which may lie before the last one that was computed."""
        return self._path.displaced_ml(now_ns)

    def _move(self, volume_ml: float, now_ns: int) -> None:
        self._left_ml -= volume_ml
        if self.prompt == "<":
            self.withdrawn_ml += volume_ml
        else:
            self.infused_ml += volume_ml
        signed_ml = -volume_ml if self.prompt == "<" else volume_ml
        self._path.move(self.plunger, signed_ml, self.diameter_mm, self._time_ns, now_ns)
        self._time_ns = now_ns
