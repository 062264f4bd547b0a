"""The inside of a laboratory balance: cell, filter, zero, tare, zero tracking and the verdict "stable".

Looked at on request, like any device here; the filter is exact for a load that went straight from look to look.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from hal.clock import NS_PER_S
from hal.sim.ports import PanPort

STABLE_DIGITS = 0.25
"""The load is stable while filter and load differ by less: a flow of 1.25 digits/s at 0.2 s is just not [A]."""
SILENCE_TAUS = 5.0
"""After so many time constants without a look only the present flow is known, not how the load came to be."""
TRACKED_DIGITS_S = 0.5
"""Zero tracking follows what is no faster, recalled."""
TRACKED_WITHIN_DIGITS = 1.0
"""And only from there around zero [A]."""
DRAUGHT_S = 1.0
"""Time over which moving air keeps its pressure [A]."""
NS_PER_H = 3600 * NS_PER_S


@dataclass(frozen=True)
class BalanceFigures:
    """``[sim.balance]``: the balance and its state, as stated; only the sign and size of the drift are drawn."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    capacity_g: Annotated[float, Field(ge=1.0, le=100_000.0)] = 220.0
    decimals: Annotated[int, Field(ge=0, le=6)] = 4
    """Decimals of the reading in grams."""
    unit: Literal["g", "mg"] = "g"
    """Unit 1 of its menu."""
    repeatability_mg: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.08
    """Standard deviation of one reading."""
    drift_mg_h: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.2
    """At most, up or down."""
    span_ppm: Annotated[float, Field(ge=-10_000.0, le=10_000.0)] = 0.0
    """Error of its adjustment."""
    time_constant_s: Annotated[float, Field(ge=0.02, le=10.0)] = 0.2
    wait_s: Annotated[float, Field(ge=0.5, le=60.0)] = 30.0
    """How long it waits for a stable weight: 30 s seen on one make, 3 s on another."""
    stream_hz: Annotated[float, Field(ge=0.1, le=50.0)] = 10.0
    zero_tracking: bool = False
    """Left on by an earlier user (``M03``)."""
    draught_mg: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0
    """Standard deviation of what moving air presses."""
    stuck_flag: bool = False
    """It calls everything stable."""


@dataclass(frozen=True)
class Look:
    """One evaluation of the cell, g."""

    gross_g: float
    """Load less the zero."""
    stable: bool
    load_g: float
    """Truly on the pan, as the cell sees it."""


class WeighCell:
    """``zero_tracking``, ``draught_mg`` and ``stuck_flag`` may be changed at any time, as at its keys or by a door."""

    def __init__(self, port: PanPort, figures: BalanceFigures, seed: int) -> None:
        self.figures = figures
        self.zero_tracking = figures.zero_tracking
        self.draught_mg = figures.draught_mg
        self.stuck_flag = figures.stuck_flag
        self.digit_g = 10.0**-figures.decimals
        self.zero_g = 0.0
        self.tare_g = 0.0
        self._port = port
        self._draw = random.Random(f"balance {seed}")
        self._drift_g_ns = self._draw.uniform(-1.0, 1.0) * figures.drift_mg_h / 1000.0 / NS_PER_H
        self._air_g = 0.0
        self._input_g = self._state_g = 0.0
        self._time_ns: int | None = None
        self._net_g = math.inf
        """At the last look, before zero tracking."""
        self._seen_g = self._load_g = 0.0
        """As weighed at the last look, before the zero is taken off; and what truly was on the pan."""
        self._settled = False

    def look(self, now_ns: int) -> Look:
        """The load at ``now_ns``; the same again for the same moment."""
        if self._time_ns is None or now_ns > self._time_ns:
            self._weigh(now_ns)
        return Look(self._seen_g - self.zero_g, self._settled or self.stuck_flag, self._load_g)

    def _weigh(self, now_ns: int) -> None:
        dt_s = math.inf if self._time_ns is None else (now_ns - self._time_ns) / NS_PER_S
        load_g, rate_g_s = self._port.pan(now_ns)
        self._filter(load_g, rate_g_s, dt_s)
        self._time_ns = now_ns
        figures = self.figures
        seen_g = self._state_g * (1.0 + figures.span_ppm * 1e-6) + self._drift_g_ns * now_ns
        if self.zero_tracking:
            self._track(seen_g, dt_s)
        self._settled = abs(self._input_g - self._state_g) < STABLE_DIGITS * self.digit_g
        self._seen_g = seen_g + self._draw.gauss(0.0, figures.repeatability_mg / 1000.0)
        self._load_g = load_g

    def restart(self) -> None:
        """Power came back: whatever is on the pan is zero, the tare is gone."""
        self.tare_g = 0.0
        self.zero_g = self._state_g
        self._net_g = math.inf

    def _filter(self, load_g: float, rate_g_s: float, dt_s: float) -> None:
        """First-order low-pass with the draught on its input."""
        tau_s = self.figures.time_constant_s
        if dt_s > SILENCE_TAUS * tau_s:
            self._blow(dt_s)
            self._state_g = load_g - rate_g_s * tau_s + self._air_g
            self._blow(tau_s)
            self._input_g = load_g + self._air_g
            return
        self._blow(dt_s)
        value_g = load_g + self._air_g
        lag_g = (value_g - self._input_g) / dt_s * tau_s
        self._state_g = value_g - lag_g + (self._state_g - self._input_g + lag_g) * math.exp(-dt_s / tau_s)
        self._input_g = value_g

    def _blow(self, dt_s: float) -> None:
        """Draught as noise that forgets itself within ``DRAUGHT_S``."""
        if self.draught_mg <= 0.0:
            self._air_g = 0.0
            return
        kept = math.exp(-dt_s / DRAUGHT_S)
        fresh_g = self.draught_mg / 1000.0 * math.sqrt(1.0 - kept * kept)
        self._air_g = self._air_g * kept + self._draw.gauss(0.0, fresh_g)

    def _track(self, seen_g: float, dt_s: float) -> None:
        """A display at zero that creeps is set back to zero."""
        net_g = seen_g - self.zero_g - self.tare_g
        at_zero = abs(self._net_g) <= TRACKED_WITHIN_DIGITS * self.digit_g
        if at_zero and abs(net_g) <= TRACKED_DIGITS_S * self.digit_g * dt_s:
            self.zero_g += net_g
            net_g = 0.0
        self._net_g = net_g
