"""The simulated operator's use of the stylus: touching and swivelling."""

from __future__ import annotations

import numpy as np

from hal.errors import DeviceError
from hal.sim.stylus import Stop, Stylus
from hal.sim.world import World
from hal.types import Instruction, Vector

REST_S = 3.0
"""A person holds the tip in a divot for two seconds or more."""
SWAY_DEG = 18.0
"""Sway of the shaft meanwhile; wider when pivoting on purpose [A]."""
PIVOT_DEG = 32.0
SPIN_TURNS_S = 0.12
"""Turns about the shaft per second, rolled between the fingers [A]."""
SPIN_SWAY_DEG = 0.3
LONGER_S = 5.0
"""The operator goes on until asked to stop [A]."""


class StylusHand:
    """Takes the stylus up at the first request; from then on the tracker reports it."""

    def __init__(self, world: World, stylus: Stylus) -> None:
        self._world = world
        self._stylus = stylus

    def begin(self, instruction: Instruction, now_ns: int, rng: np.random.Generator) -> int:
        """Start what is asked; returns when he says so: after a round over divots at its end, of a motion about one
        divot when the tip rests there. Raises ``DeviceError`` for divots that are not there.
        """
        what, *names = instruction.manner or ("fiducials",)
        divots = self._world.built.nominal.fiducials
        strange = sorted(set(names) - set(divots))
        if strange or not divots:
            raise DeviceError(f"there is no divot {', '.join(strange) or 'on this phantom'}", device="operator")
        if what == "fiducials":
            order = [str(n) for n in rng.permutation(names or sorted(divots))]
            stops = [self._stop(divots[name], REST_S, SWAY_DEG) for name in order]
        elif what == "pivot":
            stops = [self._stop(self._first(names), instruction.amount + LONGER_S, PIVOT_DEG)]
        elif what == "spin":
            rest_s = instruction.amount + LONGER_S
            stops = [self._stop(self._first(names), rest_s, SPIN_SWAY_DEG, SPIN_TURNS_S * rest_s)]
        else:
            raise DeviceError(f"nobody knows how to {what!r} with a stylus", device="operator")
        seated_ns, ends_ns = self._stylus.go(stops, now_ns)
        self._world.stylus = self._stylus
        return ends_ns if what == "fiducials" else seated_ns

    def freeze(self, now_ns: int) -> None:
        """Hold the hand still from ``now_ns`` on."""
        self._stylus.freeze(now_ns)

    def _first(self, names: list[str]) -> Vector:
        divots = self._world.built.nominal.fiducials
        return divots[names[0] if names else min(divots)]

    def _stop(self, at_mm: Vector, rest_s: float, sway_deg: float, turns: float = 0.0) -> Stop:
        """Rest of the tip; the shaft comes from above, and from outside at a divot in a side wall of the box."""
        middle = 0.5 * (self._world.built.nominal.box_low_mm + self._world.built.nominal.box_high_mm)
        way = np.array([0.0, 0.0, 1.0])
        if at_mm[2] > 0.0:
            way += np.array([np.sign(middle[0] - at_mm[0]), 0.0, 0.0])
        return Stop(np.asarray(at_mm, dtype=np.float64), way / np.linalg.norm(way), rest_s, sway_deg, turns)
