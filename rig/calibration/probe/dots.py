"""Bright dots in an ultrasound image: where wires cut the image plane.

Lines are taken away first (walls and reverberations are longer than any dot). Then difference of Gaussians, local
maxima that are no part of something long, and the centre of gravity of the part above 40 % of the peak.
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
_LINE_MM = 6.0
"""Anything longer is no wire: the echo of a deep or oblique one has 2 to 4 mm."""


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
    image = _without_lines(image, pitch_mm, sigma)
    contrast = cv2.GaussianBlur(image, (0, 0), sigma) - cv2.GaussianBlur(image, (0, 0), sigma * _SURROUND)
    reach = max(2, round(_APART_MM / pitch_mm))
    brightest = cv2.dilate(contrast, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    sample = contrast[::3, ::3]
    noise = 1.4826 * float(np.median(np.abs(sample - np.median(sample))))
    limit = max(_NOISE * noise, _FAINT * float(contrast.max()), 0.3)
    rows, columns = np.nonzero((contrast == brightest) & (contrast > limit))
    order = np.argsort(-contrast[rows, columns], kind="stable")
    order = _apart(contrast, np.stack([columns, rows], axis=1), order, reach, most, _LINE_MM / pitch_mm)
    centres = [_centre(contrast, int(columns[k]), int(rows[k]), reach) for k in order]
    centre = np.array(centres).reshape(-1, 2) + np.array([column, row])
    return Dots(centre, contrast[rows[order], columns[order]].astype(np.float64))


def _without_lines(image: NDArray[np.float32], pitch_mm: float, sigma: float) -> NDArray[np.float32]:
    """The image less what runs on along a row or a column: an opening with a bar longer than any dot keeps that."""
    long = max(3, round(_LINE_MM / pitch_mm))
    if min(image.shape) <= long:
        return image
    lines = np.zeros_like(image)
    for bar, blur in (((long, 1), (4.0 * sigma, sigma)), ((1, long), (sigma, 4.0 * sigma))):
        soft = cv2.GaussianBlur(image, (0, 0), blur[0], sigmaY=blur[1])  # speckle along a line breaks it up
        lines = np.maximum(lines, cv2.morphologyEx(soft, cv2.MORPH_OPEN, np.ones(bar[::-1], np.uint8)))
    return np.asarray(np.maximum(image - lines, 0.0), dtype=np.float32)


def _apart(
    contrast: NDArray[np.float32], at: NDArray[np.intp], order: NDArray[np.intp], reach: int, most: int, long_px: float
) -> NDArray[np.intp]:
    """The strongest peaks that are more than ``reach`` apart (a saturated dot has several) and no part of a line."""
    kept: list[int] = []
    for k in order[: 8 * most]:
        if kept and np.abs(at[kept] - at[k]).max(axis=1).min() <= reach:
            continue
        if _extent_px(contrast, int(at[k, 0]), int(at[k, 1]), long_px) < long_px:
            kept.append(int(k))
        if len(kept) == most:
            break
    return np.array(kept, dtype=np.intp)


def _extent_px(contrast: NDArray[np.float32], x: int, y: int, long_px: float) -> float:
    """Longest side of the connected part above half of the peak, looked for within ``long_px`` around it."""
    reach = round(long_px)
    top, left = max(0, y - reach), max(0, x - reach)
    window = contrast[top : y + reach + 1, left : x + reach + 1]
    _, parts, boxes, _ = cv2.connectedComponentsWithStats((window > 0.5 * contrast[y, x]).astype(np.uint8))
    box = boxes[parts[y - top, x - left]]
    return float(max(box[cv2.CC_STAT_WIDTH], box[cv2.CC_STAT_HEIGHT]))


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
