"""Cysts and grey targets in a picture: where a disc differs most from its ring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hal.phantom.qa_block import BlockCylinder
from rig.calibration.scanner.block_match import Match
from rig.calibration.scanner.picture import BlockPicture

Array = NDArray[np.float64]

SEARCH_MM, STEP_MM = 2.5, 0.5
CORE, RING = 0.7, (1.35, 1.35, 3.0)
"""Radius of the region inside over that of the disc; of the ring inner and outer radius over it, least width (mm)."""
LEAST_DB = 4.0
"""A disc that differs less from its ring is not seen [A]: three standard deviations of a small disc's mean."""


@dataclass(frozen=True)
class Disc:
    """One cyst or target as the picture shows it."""

    x_mm: float
    z_mm: float
    diameter_mm: float
    """Of a circle as large as the region beyond halfway to the inside's level."""
    contrast_db: float
    """Mean amplitude inside over that of the ring, in dB: negative for a cyst; black is the foot of the display."""
    cnr: float
    """Contrast to noise: difference of the mean levels over the root of both variances."""

    @property
    def seen(self) -> bool:
        return abs(self.contrast_db) >= LEAST_DB


def find_disc(picture: BlockPicture, match: Match, cylinder: BlockCylinder, wires_mm: Array) -> Disc | None:
    """The disc nearest its expected place; None outside the field. ``wires_mm``: places to leave out, (n, 2)."""
    radius = cylinder.diameter_mm / 2
    centre = match.at(np.array([[cylinder.x_mm, cylinder.z_mm]]))
    outer = max(RING[1] * radius, RING[0] * radius + RING[2])
    around = centre + (outer + 0.5) * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    if not np.all(picture.inside(np.concatenate([centre, around]))):
        return None
    x, z = picture.places_mm
    reach = outer + SEARCH_MM + 1.0
    rows, columns = np.nonzero((np.abs(x - centre[0, 0]) < reach) & (np.abs(z - centre[0, 1]) < reach))
    part = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    x, z, level = x[part], z[part], picture.level_db[part].astype(np.float64)
    free = np.ones(level.shape, dtype=np.bool_)
    for wire in wires_mm:
        free &= np.hypot(x - wire[0], z - wire[1]) > 2.0
    wide = max(0.35, 0.25 * radius) / float(np.mean(picture.pitch_mm))
    smooth = np.asarray(cv2.GaussianBlur(level, (0, 0), wide), dtype=np.float64)
    sign = 1.0 if cylinder.contrast_db is None or cylinder.contrast_db < 0.0 else -1.0
    best, at = -np.inf, centre[0]
    for dx in np.arange(-SEARCH_MM, SEARCH_MM + 0.1, STEP_MM):
        for dz in np.arange(-SEARCH_MM, SEARCH_MM + 0.1, STEP_MM):
            away = np.hypot(x - centre[0, 0] - dx, z - centre[0, 1] - dz)
            core, ring = away <= CORE * radius, (away >= radius) & (away <= outer) & free
            if core.any() and ring.any():
                depth = sign * float(smooth[ring].mean() - smooth[core].mean()) - 0.2 * (dx * dx + dz * dz)
                if depth > best:
                    best, at = depth, centre[0] + [dx, dz]
    return _measured(x, z, level, smooth, free, at, radius, outer)


def _measured(
    x: Array, z: Array, level: Array, smooth: Array, free: NDArray[np.bool_], at: Array, radius: float, outer: float
) -> Disc | None:
    away = np.hypot(x - at[0], z - at[1])
    core, ring = away <= CORE * radius, (away >= RING[0] * radius) & (away <= outer) & free
    if np.count_nonzero(core) < 3 or np.count_nonzero(ring) < 12:
        return None
    inside, outside = 10 ** (level[core] / 20), 10 ** (level[ring] / 20)
    contrast = 20 * float(np.log10(inside.mean() / outside.mean()))
    spread = float(np.hypot(level[core].std(), level[ring].std()))
    cnr = abs(float(level[core].mean() - level[ring].mean())) / max(spread, 1e-6)
    foot, rim = float(smooth[core].mean()), float(smooth[ring].mean())
    beyond = ((smooth - (foot + rim) / 2) * np.sign(foot - rim) > 0.0) & (away < 1.6 * radius)
    area = float(np.count_nonzero(beyond)) * abs(float((x[0, 1] - x[0, 0]) * (z[1, 0] - z[0, 0])))
    weight = beyond.astype(float)
    if not weight.any():
        return None
    place = (float((x * weight).sum() / weight.sum()), float((z * weight).sum() / weight.sum()))
    return Disc(*place, 2.0 * float(np.sqrt(area / np.pi)), contrast, cnr)


def wires_near(match: Match, wires: Sequence[tuple[float, float]]) -> Array:
    """Places of all wires in the picture, (n, 2)."""
    return match.at(np.array(wires))
