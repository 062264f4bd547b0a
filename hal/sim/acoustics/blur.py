"""The point spread function: axial pulse, lateral beam by depth, side lobes."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from hal.sim.acoustics.beam import FWHM, Beam
from hal.sim.acoustics.scan_grid import ScanGrid

Field = NDArray[np.float32]
SIDE_PARTS = 16
"""The wide side-lobe kernel averages over a sixteenth of the lines (its full width is twice that, 7.5 deg)."""
SIDE_LOBE_DB = -35.0
"""Peak of the wide kernel relative to the main lobe."""


def axial_kernel(beam: Beam, sample_mm: float) -> Field:
    """Gaussian with peak 1 over samples, odd length."""
    sigma = beam.axial_fwhm_mm / FWHM / sample_mm
    n = max(1, math.ceil(3 * sigma))
    return np.exp(-0.5 * (np.arange(-n, n + 1) / sigma) ** 2).astype(np.float32)


def lateral_sigma_lines(beam: Beam, grid: ScanGrid, depth_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of the lateral beam in lines; not below 0.8, which the grid could not show."""
    spacing = grid.line_step if grid.linear else grid.line_step * (grid.radius_mm + depth_mm)
    return np.maximum(beam.lateral_fwhm_mm(depth_mm) / FWHM / spacing, 0.8)


def lateral_kernel(sigma_lines: NDArray[np.float64]) -> Field:
    """Half kernel by sample, peak 1: row j is the weight of the lines j away, each twice (real, imaginary).

    Shape (taps, 2 * samples).
    """
    n = math.ceil(3 * float(sigma_lines.max()))
    j = np.arange(n + 1)[:, None]
    weights = np.exp(-0.5 * (j / sigma_lines[None, :]) ** 2)
    weights[weights < 0.008] = 0.0
    return np.repeat(weights, 2, axis=1).astype(np.float32)


def blur_axial(field: Field, kernel: Field, out: Field) -> None:
    """Along samples; ``field`` and ``out`` have shape (lines, samples, 2)."""
    cv2.sepFilter2D(field, cv2.CV_32F, kernel, np.ones(1, np.float32), dst=out, borderType=cv2.BORDER_CONSTANT)


def side_lobes(field: Field) -> Field:
    """Coarse average over lines, scaled to the side-lobe level; shape (16, 2 * samples)."""
    lines, samples, _ = field.shape
    coarse = cv2.resize(field.reshape(lines, 2 * samples), (2 * samples, SIDE_PARTS), interpolation=cv2.INTER_AREA)
    return np.asarray(coarse * np.float32(lines / SIDE_PARTS * 10 ** (SIDE_LOBE_DB / 20)), dtype=np.float32)


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
def lateral_row(
    field: Field, line: int, kernel: Field, taps: int, side: Field, from_column: int, to_column: int, out: Field
) -> None:
    """Part of one line of the laterally blurred field with side lobes.

    Args:
        field: real and imaginary parts in turn, shape (lines, 2 * samples); line: which.
        kernel: of ``lateral_kernel``; taps: rows of it that matter here; side: of ``side_lobes``.
        from_column, to_column: range along the second axis; out: its result, shape (>= to - from,).
    """
    lines = field.shape[0]
    n = to_column - from_column
    at = (line + 0.5) / (lines / side.shape[0]) - 0.5
    low = min(max(math.floor(at), 0), side.shape[0] - 2)
    g = np.float32(min(max(at - low, 0.0), 1.0))
    a, b = side[low, from_column:to_column], side[low + 1, from_column:to_column]
    here = field[line, from_column:to_column]
    for i in range(n):
        out[i] = here[i] + a[i] + g * (b[i] - a[i])
    for j in range(1, taps):
        lo, hi = line - j, line + j
        weights = kernel[j, from_column:to_column]
        if lo >= 0 and hi < lines:
            one, two = field[lo, from_column:to_column], field[hi, from_column:to_column]
            for i in range(n):
                out[i] += weights[i] * (one[i] + two[i])
        elif lo >= 0 or hi < lines:
            one = field[lo, from_column:to_column] if lo >= 0 else field[hi, from_column:to_column]
            for i in range(n):
                out[i] += weights[i] * one[i]


@njit(cache=True, nogil=True)
def taps_of(kernel: Field, from_column: int, to_column: int) -> int:
    """Rows of the half kernel that are not zero in a range of columns."""
    taps = kernel.shape[0]
    while taps > 1 and kernel[taps - 1, from_column:to_column].max() == 0.0:
        taps -= 1
    return int(taps)
