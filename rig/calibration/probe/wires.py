"""The wire phantom as defined: N-shaped patterns of three coplanar wires, landmarks and planes, in phantom mm.

In an N the two outer wires are parallel and the middle wire runs obliquely between them, so that the place of the
middle dot between the outer ones shows where along the wires the image plane cuts (Prager 1998; Chen 2009).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.types import Vector

_PARALLEL_DEG = 1.0
"""Largest angle between outer wires; 1 deg over 40 mm is 0.7 mm, more than any drilled frame is off."""
_OBLIQUE_DEG = 3.0
"""Smallest angle of the middle wire to the outer ones: below it 0.1 mm across is 2 mm along."""
_COPLANAR_MM = 0.5


@dataclass(frozen=True)
class Wire:
    """One straight wire between two end points, shape (3,), mm in the phantom's frame."""

    name: str
    front_mm: tuple[float, float, float]
    back_mm: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (*self.front_mm, *self.back_mm))):
            raise ConfigError(f"wire {self.name}: its end points must be finite numbers")
        if math.dist(self.front_mm, self.back_mm) < 1.0:
            raise ConfigError(f"wire {self.name}: its end points are the same, so it has no direction")

    @property
    def start(self) -> Vector:
        return np.array(self.front_mm)

    @property
    def direction(self) -> Vector:
        """Unit vector from front to back."""
        d = np.array(self.back_mm) - np.array(self.front_mm)
        return np.asarray(d / np.linalg.norm(d))


@dataclass(frozen=True)
class NPattern:
    """One N: wires in the order outer, middle, outer, whatever their order in the file was."""

    wires: tuple[Wire, Wire, Wire]

    @staticmethod
    def of(wires: tuple[Wire, ...]) -> NPattern:
        """Sort three wires into an N; raises ``ConfigError`` naming the wires that make none."""
        names = ", ".join(w.name for w in wires)
        if len(wires) != 3:
            raise ConfigError(f"N-wire pattern ({names}) has {len(wires)} wires; an N has three")
        angles = {k: _angle_deg(wires[(k + 1) % 3], wires[(k + 2) % 3]) for k in range(3)}
        middle = min(angles, key=lambda k: angles[k])
        if angles[middle] > _PARALLEL_DEG:
            raise ConfigError(f"N-wire pattern ({names}): no two wires are parallel within {_PARALLEL_DEG:g} deg")
        one, two = (wires[k] for k in range(3) if k != middle)
        oblique = _angle_deg(wires[middle], one)
        if oblique < _OBLIQUE_DEG:
            raise ConfigError(
                f"N-wire pattern ({names}): the third wire is {oblique:.1f} deg from the parallel ones, which says "
                f"nothing of the place along them (at least {_OBLIQUE_DEG:g} deg)"
            )
        pattern = NPattern((one, wires[middle], two))
        gap = pattern._out_of_plane_mm()
        if gap > _COPLANAR_MM:
            raise ConfigError(f"N-wire pattern ({names}): its wires are {gap:.2f} mm out of one plane")
        return pattern

    def _out_of_plane_mm(self) -> float:
        one, middle, two = self.wires
        across = two.start - one.start
        normal = np.cross(one.direction, across)
        size = float(np.linalg.norm(normal))
        if size < 1.0:
            raise ConfigError(f"N-wire pattern: wires {one.name} and {two.name} are the same line")
        ends = np.array([middle.front_mm, middle.back_mm]) - one.start
        return float(np.max(np.abs(ends @ (normal / size))))

    def crossings_mm(self) -> tuple[Vector, Vector]:
        """Points where the middle wire's line meets the two outer lines, shape (3,) each."""
        one, middle, two = self.wires
        return _meet(middle, one), _meet(middle, two)

    @property
    def width_mm(self) -> float:
        """Distance of the outer wires."""
        one, _, two = self.wires
        return float(np.linalg.norm(np.cross(two.start - one.start, one.direction)))

    @property
    def middle_range(self) -> tuple[float, float]:
        """Shares of the way from the first to the last wire between which the middle one really runs."""
        start, end = self.crossings_mm()
        axis = (end - start) / float((end - start) @ (end - start))
        shares = [float((np.array(p) - start) @ axis) for p in (self.wires[1].front_mm, self.wires[1].back_mm)]
        return min(shares), max(shares)


@dataclass(frozen=True)
class WirePhantom:
    """All N patterns of a phantom whose outer wires share one direction, with its landmarks and planes."""

    name: str
    patterns: tuple[NPattern, ...]
    landmarks_mm: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    planes_mm: Mapping[str, tuple[tuple[float, float, float], ...]] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Entries of the file's ``Description``: version, institution, ..."""
    skipped: tuple[str, ...] = ()
    """Patterns of the file that are no N and are not used, by type and wires."""

    def __post_init__(self) -> None:
        if not self.patterns:
            raise ConfigError(f"phantom {self.name!r} defines no N-wire pattern")
        names = [w.name for w in self.wires]
        double = sorted({n for n in names if names.count(n) > 1})
        if double:
            raise ConfigError(f"phantom {self.name!r}: wire name {double[0]!r} is used twice")
        first = self.patterns[0].wires[0]
        for pattern in self.patterns:
            if _angle_deg(first, pattern.wires[0]) > _PARALLEL_DEG:
                raise ConfigError(
                    f"phantom {self.name!r}: outer wires {first.name} and {pattern.wires[0].name} are not parallel"
                )

    @property
    def wires(self) -> tuple[Wire, ...]:
        """Pattern after pattern, each outer, middle, outer."""
        return tuple(w for p in self.patterns for w in p.wires)

    @property
    def outer_mm(self) -> NDArray[np.float64]:
        """Outer wires in the plane across them, shape (patterns, 2, 2)."""
        d = self.patterns[0].wires[0].direction
        e1 = np.cross(d, np.eye(3)[int(np.argmin(np.abs(d)))])
        e1 /= np.linalg.norm(e1)
        basis = np.stack([e1, np.cross(d, e1)])
        return np.array([[basis @ p.wires[k].start for k in (0, 2)] for p in self.patterns])

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "patterns": [
                [{"name": w.name, "front_mm": w.front_mm, "back_mm": w.back_mm} for w in p.wires] for p in self.patterns
            ],
            "landmarks_mm": dict(self.landmarks_mm),
            "skipped": list(self.skipped),
        }


def _angle_deg(a: Wire, b: Wire) -> float:
    return math.degrees(math.asin(min(1.0, float(np.linalg.norm(np.cross(a.direction, b.direction))))))


def _meet(a: Wire, b: Wire) -> Vector:
    """Point on line ``a`` nearest to line ``b``, shape (3,), mm."""
    d = float(a.direction @ b.direction)
    gap = b.start - a.start
    along = float((gap @ a.direction - d * (gap @ b.direction)) / (1.0 - d * d))
    return np.asarray(a.start + along * a.direction)
