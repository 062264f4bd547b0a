"""Bright dots in an ultrasound image: where wires cut the image plane.

Difference of Gaussians, local maxima, then the centre of gravity of the part above 40 % of the peak.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError

DOT_MM = 0.24
"""Standard deviation of the smaller Gaussian: a 0.3 mm wire in a 3-7 MHz beam shows about 0.25 x 0.7 mm."""
_SURROUND = 4.0
_APART_MM = 0.8
_NOISE = 4.0
"""A dot must stand this many robust standard deviations above the filtered image."""
_FAINT = 0.04
"""... and have this share of the strongest dot's contrast."""


@dataclass(frozen=True)
class Dots:
    """Candidates of one image, strongest first: centres (column, row), shape (n, 2), and contrast, shape (n,)."""

    centre_px: NDArray[np.float64] = field(repr=False)
    strength: NDArray[np.float64] = field(repr=False)


def luminance(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Grey values of a grey or RGB(A) image, shape (rows, columns) (weights of ITU-R BT.601)."""
    if image.ndim == 2:
        return np.ascontiguousarray(image, dtype=np.float32)
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise ConfigError(f"an image of shape {image.shape} is neither grey nor RGB")
    if image.shape[2] == 1:
        return np.ascontiguousarray(image[:, :, 0], dtype=np.float32)
    colours = image[:, :, :3].astype(np.float32)
    return np.ascontiguousarray(colours @ np.array([0.299, 0.587, 0.114], dtype=np.float32))


def find_dots(
    image: NDArray[np.float32], pitch_mm: float, most: int, clip_px: tuple[int, int, int, int] | None = None
) -> Dots:
    """Candidates of a grey image whose pixels are about ``pitch_mm`` wide; at most ``most`` of them."""
    column, row = 0, 0
    if clip_px is not None:
        column, row, width, height = clip_px
        image = np.ascontiguousarray(image[row : row + height, column : column + width])
    if image.size == 0:
        raise ConfigError(f"the clip rectangle {clip_px} lies outside the image")
    sigma = max(0.8, DOT_MM / pitch_mm)
    contrast = cv2.GaussianBlur(image, (0, 0), sigma) - cv2.GaussianBlur(image, (0, 0), sigma * _SURROUND)
    reach = max(2, round(_APART_MM / pitch_mm))
    brightest = cv2.dilate(contrast, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    sample = contrast[::3, ::3]
    noise = 1.4826 * float(np.median(np.abs(sample - np.median(sample))))
    limit = max(_NOISE * noise, _FAINT * float(contrast.max()), 0.3)
    rows, columns = np.nonzero((contrast == brightest) & (contrast > limit))
    order = np.argsort(-contrast[rows, columns], kind="stable")
    order = _apart(np.stack([columns, rows], axis=1), order, reach, most)
    centres = [_centre(contrast, int(columns[k]), int(rows[k]), reach) for k in order]
    centre = np.array(centres).reshape(-1, 2) + np.array([column, row])
    return Dots(centre, contrast[rows[order], columns[order]].astype(np.float64))


def _apart(at: NDArray[np.intp], order: NDArray[np.intp], reach: int, most: int) -> NDArray[np.intp]:
    """The strongest peaks that are more than ``reach`` apart: a saturated dot has several equal ones."""
    kept: list[int] = []
    for k in order[: 4 * most]:
        if not kept or np.abs(at[kept] - at[k]).max(axis=1).min() > reach:
            kept.append(int(k))
        if len(kept) == most:
            break
    return np.array(kept, dtype=np.intp)


def _centre(contrast: NDArray[np.float32], x: int, y: int, reach: int) -> tuple[float, float]:
    """Centre of gravity of the connected part above 40 % of the peak, inside the window."""
    top, left = max(0, y - reach), max(0, x - reach)
    window = contrast[top : y + reach + 1, left : x + reach + 1]
    peak = float(contrast[y, x])
    _, parts = cv2.connectedComponents((window > 0.4 * peak).astype(np.uint8), connectivity=4)
    weight = np.where(parts == parts[y - top, x - left], window - 0.4 * peak, 0.0).astype(np.float64)
    total = float(weight.sum())
    if total <= 0.0:
        return float(x), float(y)
    across = float(weight.sum(axis=0) @ np.arange(weight.shape[1])) / total
    down = float(weight.sum(axis=1) @ np.arange(weight.shape[0])) / total
    return left + across, top + down
