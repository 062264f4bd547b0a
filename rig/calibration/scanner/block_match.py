"""Which dot is which wire: the layout laid over the dots of a picture, as drawn and mirrored.

Dots know nothing of wires. The layout is tried at many shifts, small turns and scales, once as drawn and once turned
round; the better fit counts. Afterwards the wires' places in the picture follow from an affine map that the pairs give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hal.phantom.qa_block import BlockWire
from rig.calibration.scanner.picture import BlockPicture
from rig.calibration.scanner.wire_dots import Dot

Array = NDArray[np.float64]

SHIFTS_X_MM = np.arange(-8.0, 8.1, 1.0)
SHIFTS_Z_MM = np.arange(-4.0, 4.1, 0.8)
TURNS_DEG = (-1.4, -0.7, 0.0, 0.7, 1.4)
SCALES_X = (0.94, 0.97, 1.0, 1.03, 1.06)
SCALES_Z = (0.91, 0.94, 0.97, 1.0, 1.03, 1.06, 1.09)
"""What a scanner with a wrong scale may show; a wire at 100 mm then still lies within 1.5 mm of a tried place."""
SPREAD_MM = 0.8
PAIR_MM = (2.0, 1.2, 0.9, 0.9)
"""Largest distance of a pair in successive fits."""
LEAST_PAIRS_N = 6
LEAST_SPAN_MM = 15.0
"""Pairs that span less in X or in Z fix no scale: then the scale of the picture before is kept."""


@dataclass(frozen=True, eq=False)
class Match:
    """Layout and picture, one laid over the other."""

    BlockToProbe: Array
    """Affine, (x, z, 1) of the block to (x, z) in the picture, shape (2, 3)."""
    score: float
    """0 to 1: how many of the wires that the picture should show have a dot."""
    mirrored: float
    """The same for the layout turned round."""
    found: tuple[Dot | None, ...]
    """For every wire of the layout its dot."""
    expected: tuple[bool, ...]
    """Whether the wire lies within the picture."""

    @property
    def turned_round(self) -> bool:
        return self.mirrored > self.score

    def at(self, points_mm: Array) -> Array:
        """Places of the block (n, 2) in the picture."""
        return np.asarray(points_mm @ self.BlockToProbe[:, :2].T + self.BlockToProbe[:, 2])


def match(
    picture: BlockPicture, dots: Sequence[Dot], wires: Sequence[BlockWire], start: Match | None = None
) -> Match | None:
    """Best place of a layout; None when the picture has too few dots to tell.

    ``start``: of another picture of the same block by the same scanner, whose scale and turn hold here too.
    """
    if len(dots) < 2:
        return None
    layout = np.array([[w.x_mm, w.z_mm] for w in wires])
    points = np.array([[d.x_mm, d.z_mm] for d in dots])
    near = _nearness(picture, points)
    linear = _tried() if start is None else [start.BlockToProbe[:, :2]]
    shifts = np.array(list(product(SHIFTS_X_MM, SHIFTS_Z_MM)))
    base = np.array([-picture.view_x_mm, 0.0])
    score, best = _search(picture, near, layout + base, linear, shifts)
    mirrored, _ = _search(picture, near, layout * [-1.0, 1.0] + base, linear, shifts)
    fitted = _refined(points, layout, np.column_stack([best[:, :2], best[:, 2] + best[:, :2] @ base]), start)
    found, expected = _paired(picture, dots, points, layout, fitted)
    return Match(fitted, score, mirrored, found, expected)


def shifted(match: Match, by_x_mm: float) -> Match:
    """The same match for a probe that stands further along the window."""
    moved = match.BlockToProbe.copy()
    moved[:, 2] -= moved[:, :2] @ np.array([by_x_mm, 0.0])
    return replace(match, BlockToProbe=moved)


def looked_up(picture: BlockPicture, dots: Sequence[Dot], wires: Sequence[BlockWire], known: Match) -> Match:
    """Wires at places that are known beforehand: for a picture with too few wires to find its own place."""
    layout = np.array([[w.x_mm, w.z_mm] for w in wires])
    points = np.array([[d.x_mm, d.z_mm] for d in dots]).reshape(-1, 2)
    found, expected = _paired(picture, dots, points, layout, known.BlockToProbe)
    return replace(known, found=found, expected=expected)


def _tried() -> list[Array]:
    out = []
    for turn, sx, sz in product(np.radians(TURNS_DEG), SCALES_X, SCALES_Z):
        c, s = np.cos(turn), np.sin(turn)
        out.append(np.diag([sx, sz]) @ np.array([[c, -s], [s, c]]))
    return out


def _nearness(picture: BlockPicture, points: Array) -> NDArray[np.float32]:
    """1 at a dot, falling to 0 around it; shape of the picture."""
    free = np.full(picture.pixels.shape, 255, np.uint8)
    at = np.round(picture.to_pixel(points)).astype(int)
    rows, columns = picture.pixels.shape
    free[np.clip(at[:, 1], 0, rows - 1), np.clip(at[:, 0], 0, columns - 1)] = 0
    away = cv2.distanceTransform(free, cv2.DIST_L2, 3) * float(np.mean(picture.pitch_mm))
    return np.asarray(np.exp(-0.5 * (away / SPREAD_MM) ** 2), dtype=np.float32)


def _search(
    picture: BlockPicture, near: NDArray[np.float32], layout: Array, linear: Sequence[Array], shifts: Array
) -> tuple[float, Array]:
    """Best share of expected wires with a dot, and the affine map that gives it."""
    best, found = -1.0, np.eye(2, 3)
    rows, columns = picture.pixels.shape
    for a in linear:
        places = (layout @ a.T)[None, :, :] + shifts[:, None, :]
        at = np.round(picture.to_pixel(places.reshape(-1, 2))).astype(int)
        shown = (at[:, 0] >= 0) & (at[:, 0] < columns) & (at[:, 1] >= 0) & (at[:, 1] < rows)
        column, row = np.clip(at[:, 0], 0, columns - 1), np.clip(at[:, 1], 0, rows - 1)
        shown &= picture.field[row, column]
        hit = np.where(shown, near[row, column], 0.0).reshape(len(shifts), -1).sum(axis=1)
        n = shown.reshape(len(shifts), -1).sum(axis=1)
        score = np.where(n >= 2, hit / np.maximum(n, 4), 0.0)
        k = int(np.argmax(score))
        if score[k] > best:
            best, found = float(score[k]), np.column_stack([a, shifts[k]])
    return best, found


def _refined(points: Array, layout: Array, first: Array, start: Match | None) -> Array:
    tree, affine = cKDTree(points), first
    for reach in PAIR_MM:
        distance, index = tree.query(layout @ affine[:, :2].T + affine[:, 2])
        use = distance < reach
        # One dot for one wire: of several wires of a group that run together the nearest one keeps it.
        for k in np.flatnonzero(use):
            rivals = np.flatnonzero(use & (index == index[k]))
            use[rivals[distance[rivals] > distance[rivals].min()]] = False
        true, shown = layout[use], points[index[use]]
        if len(true) >= LEAST_PAIRS_N and np.all(np.ptp(true, axis=0) > LEAST_SPAN_MM) and start is None:
            affine = np.linalg.lstsq(np.column_stack([true, np.ones(len(true))]), shown, rcond=None)[0].T
        elif len(true) >= 2:
            affine = affine.copy()
            affine[:, 2] = np.mean(shown - true @ affine[:, :2].T, axis=0)
    return affine


def _paired(
    picture: BlockPicture, dots: Sequence[Dot], points: Array, layout: Array, affine: Array
) -> tuple[tuple[Dot | None, ...], tuple[bool, ...]]:
    places = layout @ affine[:, :2].T + affine[:, 2]
    expected = tuple(bool(b) for b in picture.inside(places))
    if not len(points):
        return (None,) * len(layout), expected
    distance, index = cKDTree(points).query(places)
    owner = cKDTree(places).query(points)[1]
    found = tuple(
        dots[i] if d < PAIR_MM[-1] and owner[i] == k else None
        for k, (d, i) in enumerate(zip(distance, index, strict=True))
    )
    return found, expected
