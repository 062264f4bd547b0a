"""Polling period of each device, idle and while something depends on it, and the age at which its value is too old."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from rig.safety.bounds import STRICT, between

STALE_IDLE_MAX_S = 10.0
STALE_MAX_S = 2.0
"""A reading on which something depends protects nobody when it may be older: the needle goes 2 mm near bone in it
[A]."""


@dataclass(frozen=True)
class Polling:
    """Periods at which a role is read, and ages at which its newest value is too old.

    ``attended`` holds while something depends on the value (the needle moves, the pump runs), ``idle`` otherwise.
    A period of 0 means: read on demand only, and then age is not judged.
    """

    __pydantic_config__: ClassVar = STRICT
    idle_s: Annotated[float, between(0.0, 5.0)]
    attended_s: Annotated[float, between(0.0, 1.0)]
    stale_idle_s: Annotated[float, between(0.0, STALE_IDLE_MAX_S)]
    stale_attended_s: Annotated[float, between(0.0, STALE_MAX_S)]
    frozen_n: Annotated[int, Field(ge=0, le=1000)] = 0
    """So many attended readings in a row that are equal to the last digit: the sensor no longer measures. 0 = not
    judged (for an instrument whose steps are coarser than its noise)."""


POLLING: dict[str, Polling] = {
    "holder": Polling(0.5, 0.1, 2.0, 0.6),
    "carrier": Polling(0.5, 0.1, 2.0, 0.6),
    "pump": Polling(0.25, 0.1, 2.0, 0.6),
    "pressure": Polling(0.25, 0.02, 1.0, 0.2, 50),
    "needle_force": Polling(0.25, 0.04, 1.0, 0.25, 50),
    "probe_force": Polling(0.5, 0.1, 2.0, 0.5),
    "contact": Polling(0.25, 0.04, 1.0, 0.25),
    "estop": Polling(0.1, 0.1, 0.5, 0.5),
    "temperature": Polling(0.0, 0.0, 0.0, 0.0),
    "balance": Polling(0.0, 0.0, 0.0, 0.0),
    "tracker": Polling(0.0, 0.0, 0.0, 0.0),
    "ultrasound": Polling(0.0, 0.0, 0.0, 0.0),
    "operator": Polling(0.0, 0.0, 0.0, 0.0),
}
"""Defaults by role [A]. The pump's watchdog of 1 s hears four idle readings; pressure at 50 Hz while injecting (domain
3.2 asks for at least 20 Hz). 50 equal readings are 1 s of injecting, or 2 s of advancing: 2 mm near bone."""

ESTOP_S = 0.04
"""Longest time between two readings of an emergency-stop input, whatever the rig does. From a press to the stop command
pass at most this, one reading and one scan of 20 ms, which leaves a third of the 100 ms of domain 3.2 to the lane that
is to stop [A]."""
