"""A stylus in the operator's hand: it goes from divot to divot, rests its tip and swivels about it.

A pointed tool with a marker that the tracker sees. Where its tip truly lies in the marker's frame is drawn from the
bench's seed and known to nobody: it has to be calibrated by a pivot. Nothing of the result is drawn: the hand shakes,
the tip has play in the divot, and the tracker has its noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hal.clock import NS_PER_S
from hal.sim.hand import TREMOR_HZ
from hal.types import Matrix, Vector

TIP_DRAWN_MM = (0.8, -0.5, 150.0)
"""Tip of the stylus as bought, marker frame: the shaft runs along z [A]."""
TIP_SD_MM = 0.6
"""How far the tip of one stylus lies from its drawing, per axis [A]."""
SEAT_MM = 0.08
"""Where a tip comes to rest in a divot, per axis, each time it is set down: machining and dirt [A]."""
PLAY_MM = 0.04
"""Play of a seated tip, root mean square per axis [A]."""
SWAY_HZ = (0.41, 0.57)
"""The shaft swivels in two directions at once, so that it is seen from all sides [A]."""
MOVE_MM_S = 120.0
LIFT_MM = 40.0
"""Speed of the hand between two divots, and how high it goes [A]."""


@dataclass(frozen=True)
class Stop:
    """One rest of the tip: where (Phantom frame), the shaft's mean direction towards the tip, and how it moves."""

    point_mm: Vector
    direction: Vector
    rest_s: float
    sway_deg: float
    turns: float = 0.0
    """About the shaft during the rest."""


@dataclass(frozen=True)
class _Leg:
    start_ns: int
    end_ns: int
    before: Stop
    after: Stop
    resting: bool


@dataclass
class Stylus:
    """The tool and the hand that holds it. ``pose_at`` is defined for all times."""

    tip_mm: Vector
    tremor_mm: float
    rng: np.random.Generator = field(repr=False)
    _legs: list[_Leg] = field(default_factory=list)
    _frozen_ns: int | None = None

    @classmethod
    def of(cls, bench_seed: int, hand_seed: int, tremor_mm: float) -> Stylus:
        """The stylus of one bench in one hand."""
        tip = np.array(TIP_DRAWN_MM) + np.random.default_rng([bench_seed, 0x57E]).normal(0.0, TIP_SD_MM, 3)
        return cls(tip, tremor_mm, np.random.default_rng([hand_seed, 0x57F]))

    def go(self, stops: Sequence[Stop], now_ns: int) -> tuple[int, int]:
        """Begin a round over these stops; returns when the tip first rests and when the round ends."""
        self._frozen_ns = None
        here = self._legs[-1].after if self._legs else _beside(stops[0])
        legs, at = [], now_ns
        for stop in stops:
            seated = replace(stop, point_mm=stop.point_mm + self.rng.normal(0.0, SEAT_MM, 3))
            way_s = 0.4 + float(np.linalg.norm(seated.point_mm - here.point_mm)) / MOVE_MM_S
            there = at + int(way_s * NS_PER_S)
            done = there + int(seated.rest_s * NS_PER_S)
            legs += [_Leg(at, there, here, seated, False), _Leg(there, done, seated, seated, True)]
            here, at = seated, done
        away = _beside(here)
        legs.append(_Leg(at, at + NS_PER_S, here, away, False))
        self._legs = legs
        return legs[0].end_ns, at + NS_PER_S

    def freeze(self, now_ns: int) -> None:
        """Hold the hand still from ``now_ns`` on (which may lie a reaction time ahead)."""
        self._frozen_ns = now_ns if self._frozen_ns is None else min(now_ns, self._frozen_ns)

    def pose_at(self, now_ns: int) -> Matrix:
        """``StylusToPhantom``."""
        t = now_ns if self._frozen_ns is None else min(now_ns, self._frozen_ns)
        leg = next((x for x in self._legs if t < x.end_ns), self._legs[-1])
        part = min(1.0, max(0.0, (t - leg.start_ns) / max(1, leg.end_ns - leg.start_ns)))
        point = leg.before.point_mm + part * (leg.after.point_mm - leg.before.point_mm)
        way = leg.before.direction + part * (leg.after.direction - leg.before.direction)
        seconds = t * 1e-9
        shake = np.sin(2.0 * math.pi * TREMOR_HZ * seconds + np.array([0.0, 2.1, 4.2])) * math.sqrt(2.0)
        if leg.resting:
            point = point + PLAY_MM * shake
        else:
            point = point + self.tremor_mm * shake - LIFT_MM * math.sin(math.pi * part) * way
        matrix = np.eye(4)
        matrix[:3, :3] = self._turned(way, leg, part, seconds)
        matrix[:3, 3] = point - matrix[:3, :3] @ self.tip_mm
        return matrix

    @staticmethod
    def _turned(way: Vector, leg: _Leg, part: float, seconds: float) -> NDArray[np.float64]:
        """Rotation that points the shaft (z) along ``way``, swaying about the tip."""
        mean = Rotation.align_vectors(way / np.linalg.norm(way), np.array([0.0, 0.0, 1.0]))[0]
        a, b = (leg.after.sway_deg * math.sin(2.0 * math.pi * hz * seconds) for hz in SWAY_HZ)
        turn = 360.0 * leg.after.turns * part if leg.resting else 0.0
        return np.asarray((mean * Rotation.from_euler("xyz", (a, b, turn), degrees=True)).as_matrix())


def _beside(stop: Stop) -> Stop:
    """In the air before a divot."""
    return replace(stop, point_mm=stop.point_mm - LIFT_MM * stop.direction)
