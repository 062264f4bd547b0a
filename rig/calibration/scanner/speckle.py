"""Level of plain speckle across the face and with depth: whatever lies clear of wires and cysts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hal.phantom.qa_block import BlockCylinder, QaBlock
from rig.calibration.scanner.block_match import Match
from rig.calibration.scanner.picture import BlockPicture

Array = NDArray[np.float64]

CLEAR_WIRE_MM, CLEAR_DISC_MM, CLEAR_WALL_MM = 3.0, 2.0, 6.0
ACROSS_MM, DEPTH_MM = 1.0, 2.0
"""Width of the classes along the face and with depth."""
LEAST_PIXELS_N = 15


@dataclass(frozen=True)
class Level:
    """Mean level of one class."""

    at_mm: float
    """Along the face from its middle, or below the face."""
    level_db: float
    """Of the mean power, above black."""
    n: int
    """Pixels."""


def plain(picture: BlockPicture, block: QaBlock, match: Match) -> NDArray[np.bool_]:
    """Pixels of plain gel, as far as the layout and its place in the picture say."""
    x, z = picture.places_mm
    keep = picture.field.copy()
    for wire in match.at(np.array([[w.x_mm, w.z_mm] for w in block.all_wires()])):
        keep &= (x - wire[0]) ** 2 + (z - wire[1]) ** 2 > CLEAR_WIRE_MM**2
    discs: Sequence[BlockCylinder] = block.all_cylinders()
    for disc in discs:
        centre = match.at(np.array([[disc.x_mm, disc.z_mm]]))[0]
        keep &= (x - centre[0]) ** 2 + (z - centre[1]) ** 2 > (disc.diameter_mm / 2 + CLEAR_DISC_MM) ** 2
    inverse = np.linalg.inv(match.BlockToProbe[:, :2])
    bx, bz = (inverse @ (np.stack([x.ravel(), z.ravel()]) - match.BlockToProbe[:, 2:])).reshape(2, *x.shape)
    keep &= (np.abs(bx) < block.width_mm / 2 - CLEAR_WALL_MM) & (bz > 0.0) & (bz < block.depth_mm - CLEAR_WALL_MM)
    # A beam that has left the block by its side comes back with nothing: all of it goes.
    return np.asarray(keep)


def across(picture: BlockPicture, keep: NDArray[np.bool_], from_mm: float, to_mm: float) -> list[Level]:
    """Levels along the face, in the band of depths from ``from_mm`` to ``to_mm`` below it."""
    x, z = picture.places_mm
    depth = picture.range_mm(x, z)
    use = keep & (depth >= from_mm) & (depth <= to_mm)
    return _levels(picture, use, picture.along_face_mm(x, z), ACROSS_MM)


def with_depth(picture: BlockPicture, keep: NDArray[np.bool_]) -> list[Level]:
    """Levels by depth below the face."""
    x, z = picture.places_mm
    return _levels(picture, keep, picture.range_mm(x, z), DEPTH_MM)


def _levels(picture: BlockPicture, use: NDArray[np.bool_], at: Array, width_mm: float) -> list[Level]:
    if not use.any():
        return []
    number = np.floor(at[use] / width_mm).astype(int)
    first = int(number.min())
    n = np.bincount(number - first)
    power = np.bincount(number - first, weights=10 ** (picture.level_db[use].astype(np.float64) / 10))
    return [
        Level((first + k + 0.5) * width_mm, 10 * float(np.log10(power[k] / n[k])), int(n[k]))
        for k in range(len(n))
        if n[k] >= LEAST_PIXELS_N
    ]
