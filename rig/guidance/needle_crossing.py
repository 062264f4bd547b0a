"""Out-of-plane needle: the dot where it crosses the image, and the brightness of an echo over the slice's thickness.

A dot by itself is only a section of shaft; ``needle_fan`` finds the tip from dots of several planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from hal.types import Matrix, Pixels, Vector
from rig.geometry.registration import apply_transform, invert_rigid
from rig.guidance.needle import STEP_MM
from rig.guidance.needle_line import NeedleLine
from rig.guidance.scan_lines import invert_affine


@dataclass(frozen=True)
class DotView:
    """The spot where a needle crosses one image."""

    found: bool
    reason: str
    position_rig_mm: Vector = field(repr=False)
    feed_mm: float
    """Distance of the expected crossing from the entry point along the needle."""
    peak_grey: float
    contrast_grey: float
    offset_mm: float
    """Between seen and expected crossing."""


def find_dot(
    pixels: Pixels, ImageToProbe: Matrix, ProbeToRig: Matrix, line: NeedleLine,
    radius_mm: float = 3.0, min_contrast_grey: float = 60.0,
) -> DotView:  # fmt: skip
    """Brightest compact spot within ``radius_mm`` of where ``line`` crosses the image plane."""
    RigToProbe = invert_rigid(ProbeToRig)
    entry = apply_transform(RigToProbe, line.entry_mm)
    direction = RigToProbe[:3, :3] @ line.direction
    gone = np.full(3, np.nan)
    if abs(direction[1]) < np.sin(np.radians(8.0)):
        return DotView(False, "the needle runs along the image plane", gone, float("nan"), 0.0, 0.0, float("nan"))
    feed = float(-entry[1] / direction[1])
    crossing = entry + feed * direction
    half = radius_mm + 5.0
    axis = np.arange(-half, half + 1e-9, STEP_MM)
    dx, dz = np.meshgrid(axis, axis)
    x, z = crossing[0] + dx, crossing[2] + dz
    ProbeToImage = invert_affine(ImageToProbe)
    column = (ProbeToImage[0, 0] * x + ProbeToImage[0, 2] * z + ProbeToImage[0, 3]).astype(np.float32)
    row = (ProbeToImage[1, 0] * x + ProbeToImage[1, 2] * z + ProbeToImage[1, 3]).astype(np.float32)
    patch = cv2.remap(pixels, column, row, cv2.INTER_LINEAR, borderValue=0).astype(np.float32)
    soft = cv2.GaussianBlur(patch, (0, 0), 0.4 / STEP_MM)
    ring = cv2.blur(patch, (25, 25))
    score = np.where(np.hypot(dx, dz) <= radius_mm, soft - ring, -1e9)
    at = np.unravel_index(int(np.argmax(score)), score.shape)
    contrast, peak = float(score[at]), float(soft[at])
    offset = float(np.hypot(dx[at], dz[at]))
    position = apply_transform(ProbeToRig, np.array([x[at], 0.0, z[at]]))
    if contrast < min_contrast_grey:
        return DotView(False, f"no spot stands out (contrast {contrast:.0f} grey)", gone, feed, peak, contrast, offset)
    return DotView(True, "", position, feed, peak, contrast, offset)


@dataclass(frozen=True)
class Elevation:
    """Position of an echo across the slice, from frames at several elevations."""

    found: bool
    reason: str
    offset_mm: float
    """On the axis of the offsets that were given."""
    sd_mm: float


def elevation_from_sweep(offsets_mm: Sequence[float], greys: Sequence[float], min_peak_grey: float = 15.0,
                         max_gap_mm: float = 2.0) -> Elevation:  # fmt: skip
    """Peak of the brightness of one echo over the elevation of the plane.

    A Gaussian slice makes the level in dB a parabola of the offset, -4.34 (y - y0)^2 / sigma^2, and grey values are
    linear in dB: the vertex through the three strongest neighbours is y0. ``greys`` are 0 where the echo was not found.
    """
    nan = float("nan")
    order = np.argsort(np.asarray(offsets_mm))
    y, g = np.asarray(offsets_mm, dtype=np.float64)[order], np.asarray(greys, dtype=np.float64)[order]
    if len(y) < 3:
        return Elevation(False, f"{len(y)} planes, 3 needed", nan, nan)
    k = int(np.argmax(g))
    if g[k] < min_peak_grey:
        return Elevation(False, f"no plane shows the echo (best {g[k]:.0f} grey)", nan, nan)
    if k in (0, len(y) - 1):
        return Elevation(False, "the echo is strongest at the end of the sweep: its peak may lie beyond", nan, nan)
    if max(y[k] - y[k - 1], y[k + 1] - y[k]) > max_gap_mm:
        return Elevation(False, "the planes of the sweep lie too far apart", nan, nan)
    a, b, _ = np.polyfit(y[k - 1 : k + 2], g[k - 1 : k + 2], 2)
    if a >= -0.5:
        return Elevation(False, "the brightness hardly changes over the sweep", nan, nan)
    # 6 grey of noise on the neighbours moves the vertex by about noise / (2 |a| gap).
    sd = float(np.clip(6.0 / (2.0 * abs(a) * (y[k + 1] - y[k - 1]) / 2.0), 0.1, 2.0))
    return Elevation(True, "", float(np.clip(-b / (2 * a), y[k - 1], y[k + 1])), sd)
