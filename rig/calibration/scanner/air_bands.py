"""Reverberation of a clean probe in air: bands parallel to the face, whose first one shows each element.

After the chain of WAD-QC's in-air modules: the field straightened along the face, a mean profile with depth (where the
bands end, how far they are apart), and one along the face within the first band.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rig.calibration.scanner.picture import BlockPicture
from rig.calibration.scanner.wire_dots import WHITE

Array = NDArray[np.float64]

DEPTH_MM, STEP_MM, ACROSS_MM = 25.0, 0.05, 0.15
"""Straightened field: how deep, and its steps with depth and along the face."""
MIDDLE = 0.6
"""Share of the face whose mean gives the profile with depth."""
ABOVE_DB, DIP_DB = 3.0, 1.0
"""Bands end where they are less than this above the deepest level; a band is a maximum with such a dip before it."""
SPACING_MM = (0.3, 4.0)
WHITE_SHARE = 0.02
RIM_MM = 0.6
"""The ends of the face, where pixels are half outside the field."""


@dataclass(frozen=True, eq=False)
class AirBands:
    """Profiles of one picture in air."""

    depth_mm: Array
    depth_db: Array
    """Mean level of the middle of the face, by depth."""
    spacing_mm: float
    """Between bands; NaN where no second band stands out."""
    first_mm: float
    """Depth of the first band that is not white; NaN where there is none."""
    extent_mm: float
    """Depth at which the bands sink into the noise."""
    along_mm: Array
    first_db: Array
    """Level in that band along the face."""


def read_air_bands(picture: BlockPicture) -> AirBands:
    """Find the bands of a picture in air."""
    half_mm = picture.half_face_mm - RIM_MM
    depth, along = np.arange(0.0, DEPTH_MM, STEP_MM), np.arange(-half_mm, half_mm, ACROSS_MM)
    straight = _straightened(picture, along, depth)
    middle = np.abs(along) <= MIDDLE * half_mm
    profile = straight[middle].mean(axis=0)
    deepest = float(np.median(profile[-round(4.0 / STEP_MM) :]))
    over = np.flatnonzero(profile > deepest + ABOVE_DB)
    extent = float(depth[over[-1]]) if len(over) else 0.0
    peaks = _peaks(profile[: round(extent / STEP_MM) + 1])
    white_db = WHITE * picture.dynamic_range_db / 255.0
    # A band that is white says nothing of single elements: the first one that is not.
    grey = [k for k in peaks if np.mean(straight[middle, k] >= white_db) < WHITE_SHARE]
    first = float(depth[grey[0]]) if grey else float("nan")
    spacing = _spacing(profile[peaks[0] : round(extent / STEP_MM) + 1]) if len(peaks) > 1 else float("nan")
    if not SPACING_MM[0] <= spacing <= SPACING_MM[1]:
        spacing = float("nan")
    # Mean power over the whole band: its peak falls between two pixels here and on one there.
    near = np.abs(depth - first) <= 0.5 * spacing
    power = (10 ** (straight[:, near] / 10)).mean(axis=1) if near.any() else np.full(len(along), float("nan"))
    level = 10 * np.log10(power)
    return AirBands(depth, profile, spacing, first, extent, along, level)


def _straightened(picture: BlockPicture, along: Array, depth: Array) -> Array:
    """Levels on a grid of the face, shape (along, depth)."""
    s, d = np.meshgrid(along, depth, indexing="ij")
    if picture.linear:
        x, z = s, d
    else:
        r = picture.face_radius_mm
        x, z = (r + d) * np.sin(s / r), (r + d) * np.cos(s / r) - r
    at = picture.to_pixel(np.stack([x.ravel(), z.ravel()], axis=1)).astype(np.float32)
    columns, rows = at[:, 0].reshape(s.shape), at[:, 1].reshape(s.shape)
    return np.asarray(cv2.remap(picture.level_db, columns, rows, cv2.INTER_LINEAR), dtype=np.float64)


def _spacing(profile: Array) -> float:
    """Distance of the bands: the first maximum of the autocorrelation of the profile without its trend, mm."""
    n = len(profile)
    at = np.arange(n)
    rest = profile - np.polyval(np.polyfit(at, profile, 2), at)
    whole = np.correlate(rest, rest, "full")[n - 1 :] / np.arange(n, 0, -1)
    low, high = round(SPACING_MM[0] / STEP_MM), min(round(SPACING_MM[1] / STEP_MM), n // 2)
    inner = whole[low : high + 1]
    tops = np.flatnonzero((inner[1:-1] >= inner[:-2]) & (inner[1:-1] > inner[2:]) & (inner[1:-1] > 0.0)) + 1 + low
    if not len(tops):
        return float("nan")
    k = int(tops[0])
    a, b, c = whole[k - 1 : k + 2]
    return STEP_MM * (k + 0.5 * float(a - c) / float(a - 2 * b + c))


def _peaks(profile: Array) -> NDArray[np.int64]:
    """Bands: maxima of a profile that rise out of the dip before them by ``DIP_DB``; the main bang is none."""
    found: list[int] = []
    lowest, top = np.inf, -1
    for i, level in enumerate(profile):
        if top < 0:
            lowest = min(lowest, level)
            if level > lowest + DIP_DB:
                top = i
        elif level >= profile[top]:
            top = i
        elif level < profile[top] - DIP_DB:
            found.append(top)
            lowest, top = level, -1
    return np.array(found, dtype=np.int64)
