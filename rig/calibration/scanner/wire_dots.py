"""Wires in a picture: bright dots with their sub-pixel centres and widths.

A dot is fitted with a Gaussian in amplitude: its middle is the centre, and 2.355 standard deviations along and across
the beam are the widths at half amplitude (-6 dB of the two-way echo). A profile's own -6 dB crossings would need pixels
several times finer than a pulse.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rig.calibration.scanner.picture import BlockPicture

Array = NDArray[np.float64]

ABOVE_DB = 11.0
"""A dot stands out so far from the mean level around it; speckle hardly ever does after smoothing [A]."""
SMOOTH_MM, AROUND_MM, APART_MM = 0.25, 8.0, 0.7
FIT_MM = (1.3, 0.6)
"""Half extents of the pixels of the fit, across and along the beam."""
SIGMA_MM = (0.45, 0.2)
"""Where the fit of the standard deviations begins."""
ROUNDS, STEP, LEAST_PIXELS_N = 25, 0.25, 8
FWHM = float(np.sqrt(8.0 * np.log(2.0)))
WHITE = 254
"""Grey value from which the display is saturated and says nothing of a level."""


@dataclass(frozen=True)
class Dot:
    """One bright dot."""

    x_mm: float
    z_mm: float
    level_db: float
    axial_mm: float
    """Width at half amplitude along the beam; NaN where the dot is saturated or no dot by its shape."""
    lateral_mm: float


def find_dots(picture: BlockPicture) -> list[Dot]:
    """All bright dots of the scanned field, brightest first."""
    level, inside = picture.level_db, picture.field
    if not inside.any():
        return []
    column_mm, row_mm = picture.pitch_mm
    smooth = cv2.GaussianBlur(level, (0, 0), SMOOTH_MM / column_mm, sigmaY=SMOOTH_MM / row_mm)
    box = (2 * round(AROUND_MM / 2 / column_mm) + 1, 2 * round(AROUND_MM / 2 / row_mm) + 1)
    share = cv2.blur(inside.astype(np.float32), box)
    around = cv2.blur(np.where(inside, np.minimum(level, np.median(level[inside]) + 6.0), 0).astype(np.float32), box)
    around = around / np.maximum(share, 1e-3)
    near = cv2.getStructuringElement(
        cv2.MORPH_ELLIPSE, (2 * round(APART_MM / column_mm) + 1, 2 * round(APART_MM / row_mm) + 1)
    )
    peak = (smooth >= cv2.dilate(smooth, near)) & inside & (smooth - around >= ABOVE_DB)
    rows, columns = np.nonzero(peak)
    order = np.argsort(-smooth[rows, columns], kind="stable")
    return [_fitted(picture, int(columns[i]), int(rows[i])) for i in order]


def _fitted(picture: BlockPicture, column: int, row: int) -> Dot:
    """The dot at a peak of the smoothed picture, by a Gaussian fitted to the amplitude around it."""
    column_mm, row_mm = picture.pitch_mm
    half = (max(2, round(FIT_MM[0] / column_mm)), max(2, round(FIT_MM[0] / row_mm)))
    r0, c0 = max(0, row - half[1]), max(0, column - half[0])
    part = (slice(r0, row + half[1] + 1), slice(c0, column + half[0] + 1))
    level, grey = picture.level_db[part].astype(float).ravel(), picture.pixels[part].ravel()
    columns, rows = np.meshgrid(np.arange(*part[1].indices(picture.pixels.shape[1])),
                                np.arange(*part[0].indices(picture.pixels.shape[0])))  # fmt: skip
    places = picture.to_probe(np.stack([columns.ravel(), rows.ravel()], axis=1).astype(float))
    top = int(np.argmax(level))
    middle, peak_db = places[top], float(level[top])
    beam = picture.beam(float(middle[0]), float(middle[1]))
    across = np.array([beam[1], -beam[0]])
    u, v = (places - middle) @ across, (places - middle) @ beam
    good = (np.abs(u) <= FIT_MM[0]) & (np.abs(v) <= max(FIT_MM[1], 2.3 * row_mm)) & (grey < WHITE)
    fit = _gaussian(u[good], v[good], 10 ** ((level[good] - peak_db) / 20))
    if fit is None:
        return Dot(float(middle[0]), float(middle[1]), peak_db, float("nan"), float("nan"))
    height, du, dv, sigma_u, sigma_v = fit
    x, z = middle + du * across + dv * beam
    widths = (float("nan"), float("nan")) if np.any(grey >= WHITE) else (FWHM * sigma_v, FWHM * sigma_u)
    return Dot(float(x), float(z), peak_db + 20 * float(np.log10(height)), *widths)


def _gaussian(u: Array, v: Array, amplitude: Array) -> tuple[float, float, float, float, float] | None:
    """Height, centre (u, v) and standard deviations of a Gaussian, by least squares; None when there is none."""
    if len(u) < LEAST_PIXELS_N:
        return None
    p = np.array([0.0, 0.0, 0.0, np.log(SIGMA_MM[0]), np.log(SIGMA_MM[1])])
    for _ in range(ROUNDS):
        su, sv = np.exp(p[3:])
        a, b = (u - p[1]) / su, (v - p[2]) / sv
        model = np.exp(p[0] - 0.5 * (a * a + b * b))
        slopes = model[:, None] * np.stack([np.ones_like(u), a / su, b / sv, a * a, b * b], axis=1)
        normal = slopes.T @ slopes
        step = np.linalg.solve(normal + 1e-3 * np.diag(np.diag(normal)) + 1e-12 * np.eye(5),
                               slopes.T @ (amplitude - model))  # fmt: skip
        p += np.clip(step, -STEP, STEP)
        if not np.all(np.abs(p[1:3]) <= FIT_MM[0]):
            return None
    if np.max(np.abs(step)) > 0.02 or not np.all((np.exp(p[3:]) > 0.03) & (np.exp(p[3:]) < FIT_MM[0])):
        return None
    height, sigma_u, sigma_v = (float(x) for x in np.exp(p[[0, 3, 4]]))
    return height, float(p[1]), float(p[2]), sigma_u, sigma_v
