"""Where a tracked tool stands while nothing moves: the mean of new looks, taken from now on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hal.clock import NS_PER_S
from hal.errors import DeviceError
from hal.types import Vector
from rig.control.controller import Controller
from rig.instruments.sights import LEFT_OUT_MAX, Look, judge
from rig.roles import TRACKER

PERIOD_S = 0.03
WAIT_FACTOR = 5.0
"""So many times longer than the looks take is waited for them [A]."""


@dataclass(frozen=True)
class ToolAtRest:
    """Mean position in the tracker's frame, mm."""

    at_mm: Vector = field(repr=False)
    sd_mm: Vector
    """Standard deviation of one look, per axis, shape (3,)."""
    n: int


def tool_at_rest(controller: Controller, tool: str, n: int) -> ToolAtRest:
    """Read a tool that rests from now on, ``n`` new looks.

    Raises ``DeviceError`` when the tool is not seen, when its poses grow no newer, or when more than a quarter of the
    looks show what cannot be.
    """
    clock = controller.clock
    newest_ns = clock.now_ns()
    end_ns = newest_ns + int(WAIT_FACTOR * (n + 5) * PERIOD_S * NS_PER_S)
    seen: list[Vector] = []
    impossible_n, why = 0, "is not reported"
    while len(seen) < n and clock.now_ns() < end_ns:
        pose = next((p for p in controller.read(TRACKER) if p.name == tool), None)
        looked = judge(pose, newest_ns, clock.now_ns())
        if looked.look is Look.NEW and pose is not None:
            newest_ns = pose.time_ns
            seen.append(np.array(pose.matrix[:3, 3], dtype=float))
        else:
            impossible_n += looked.look is Look.IMPOSSIBLE
            why = looked.why or why
        controller.wait(PERIOD_S)
    if len(seen) < n or impossible_n > LEFT_OUT_MAX * n:
        raise DeviceError(f"the tracker gave {len(seen)} of {n} looks at {tool}: it {why}", device="tracker")
    at = np.array(seen)
    return ToolAtRest(at.mean(axis=0), at.std(axis=0, ddof=1) if n > 1 else np.zeros(3), n)
