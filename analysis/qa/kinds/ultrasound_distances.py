"""Distances between wires, shown against true: axial, lateral and diagonal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from analysis.tables import DataFrame
from hal.phantom.qa_block import KINDS

Array = NDArray[np.float64]
DIRECTIONS = ("axial", "lateral", "diagonal")
OBLIQUE_MM = 8.0
"""A diagonal pair is at least so far apart in both directions."""
ALIGNED_MM = 0.5
"""Wires whose true places differ by less stand in one line."""
NUDGE_MM = 0.1
Place = tuple[float, float]


@dataclass(frozen=True)
class Distances:
    """Straight line of shown on true distances, over all pairs of one direction.

    Its intercept says nothing: over all pairs of evenly spaced wires it is zero whatever they show.
    """

    slope: float
    u_slope: float
    residual_mm: float
    """Largest departure of a pair's mean from the line."""
    error_mm: float
    """Difference of shown and true of the pair that is furthest off."""
    u_distance_mm: float
    wires_n: int


def distances(found: DataFrame, position_u_mm: float) -> Mapping[str, Distances | None]:
    """Every direction; None where fewer than three wires give no line."""
    lined = found[found.kind.isin([KINDS.index("column"), KINDS.index("row")])]
    return {way: _line(lined, way, position_u_mm) for way in DIRECTIONS}


def _pairs(places: Array, way: str) -> list[tuple[int, int]]:
    across, down = np.abs(places[:, None] - places[None, :]).transpose(2, 0, 1)
    out = []
    for i, j in combinations(range(len(places)), 2):
        dx, dz = across[i, j], down[i, j]
        kind = (
            "axial" if dx < ALIGNED_MM else
            "lateral" if dz < ALIGNED_MM else
            "diagonal" if min(dx, dz) >= OBLIQUE_MM else ""
        )  # fmt: skip
        if kind == way:
            out.append((i, j))
    return out


def _line(lined: DataFrame, way: str, position_u_mm: float) -> Distances | None:
    true_of: dict[tuple[Place, Place], float] = {}
    shown_of: dict[tuple[Place, Place], list[float]] = {}
    lines: list[tuple[float, float, int, float]] = []
    wires: set[Place] = set()
    for _, picture in lined.groupby("picture"):
        places = picture[["true_x_mm", "true_z_mm"]].to_numpy(float)
        shown = picture[["x_mm", "z_mm"]].to_numpy(float)
        pairs = _pairs(places, way)
        true = np.array([math.dist(places[i], places[j]) for i, j in pairs])
        seen = np.array([math.dist(shown[i], shown[j]) for i, j in pairs])
        named: list[Place] = [(float(x), float(z)) for x, z in places]
        used = {named[k] for pair in pairs for k in pair}
        if len(used) < 3 or np.ptp(true) < OBLIQUE_MM or np.ptp(seen) < OBLIQUE_MM:
            continue
        wires |= used
        slope, intercept = np.polyfit(true, seen, 1)
        lines.append((float(slope), float(intercept), len(used), float(np.var(true))))
        for (i, j), t, s in zip(pairs, true, seen, strict=True):
            key = named[i], named[j]
            true_of[key] = float(t)
            shown_of.setdefault(key, []).append(float(s))
    if not lines:
        return None
    # Every picture sees the same wires, some views fewer of them: a picture counts by what its wires fix.
    weight = np.array([n * v for *_, n, v in lines])
    slopes, intercepts = np.array([line[0] for line in lines]), np.array([line[1] for line in lines])
    slope, intercept = float(np.average(slopes, weights=weight)), float(np.average(intercepts, weights=weight))
    true = np.array(list(true_of.values()))
    mean = np.array([np.mean(v) for v in shown_of.values()])
    rest, off = mean - slope * true - intercept, mean - true
    u_slope = _of_places(list(true_of), position_u_mm)
    return Distances(
        slope, math.hypot(u_slope, _spread(slopes)),
        float(np.max(np.abs(rest))), float(off[np.argmax(np.abs(off))]), position_u_mm * math.sqrt(2.0), len(wires),
    )  # fmt: skip


def depth_intercept(found: DataFrame, position_u_mm: float) -> tuple[float, float] | None:
    """Shown depth of a column of wires where their true depth would be zero, and its standard uncertainty, mm.

    The stand-off of the face from the window is part of it. None for fewer than three wires.
    """
    column = found[found.kind == KINDS.index("column")]
    values, u_place = [], 0.0
    for _, picture in column.groupby("picture"):
        true, shown = picture.true_z_mm.to_numpy(float), picture.z_mm.to_numpy(float)
        if len(true) < 3:
            continue
        values.append(float(np.polyfit(true, shown, 1)[1]))
        off = true - true.mean()
        u_place = position_u_mm * math.sqrt(1 / len(true) + float(true.mean() ** 2 / np.sum(off**2)))
    if not values:
        return None
    return float(np.mean(values)), math.hypot(u_place, _spread(np.array(values)))


def _of_places(pairs: Sequence[tuple[Place, Place]], position_u_mm: float) -> float:
    """Standard uncertainty of the slope from the places of the wires.

    A wire's own place is the same error in every picture: it does not average out over them.
    """
    true = np.array([math.dist(*pair) for pair in pairs])
    total = 0.0
    for wire in {place for pair in pairs for place in pair}:
        for axis in range(2):
            moved = (wire[0] + NUDGE_MM * (axis == 0), wire[1] + NUDGE_MM * (axis == 1))
            seen = [math.dist(*(moved if place == wire else place for place in pair)) for pair in pairs]
            total += ((float(np.polyfit(true, seen, 1)[0]) - 1.0) / NUDGE_MM) ** 2
    return position_u_mm * math.sqrt(total)


def _spread(values: Array) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
