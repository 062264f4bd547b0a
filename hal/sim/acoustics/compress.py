"""From the complex polar image to grey values: noise, envelope, log compression, scan conversion."""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from hal.sim.acoustics.blur import Field, lateral_row, taps_of
from hal.sim.acoustics.scan_grid import ScanGrid

WHITE_DB = 36.0
"""Level above muscle speckle that is shown white at 60 dB dynamic range and 0 dB gain."""
DB_PER_OCTAVE = 10 * float(np.log10(2.0))
"""Decibels per doubling of power."""


BLOCK = 128
"""Samples handled at a time: the lines that a block's blur needs then stay in the first-level cache."""


@njit(cache=True, nogil=True)
def envelope_lines(
    field: Field, kernel: Field, side: Field, noise: Field, offsets: NDArray[np.int64], level: Field,
    first: int, last: int, out: Field,
) -> None:  # fmt: skip
    """Envelope (linear) of lines ``first`` to ``last`` (exclusive); arguments as ``grey_lines``."""
    samples = field.shape[1] // 2
    row = np.empty(2 * BLOCK, np.float32)
    for begin in range(0, samples, BLOCK):
        end = min(begin + BLOCK, samples)
        taps = taps_of(kernel, 2 * begin, 2 * end)
        for line in range(first, last):
            lateral_row(field, line, kernel, taps, side, 2 * begin, 2 * end, row)
            o = offsets[line] + begin
            for i in range(end - begin):
                re = row[2 * i] + level[begin + i] * noise[o + i, 0]
                im = row[2 * i + 1] + level[begin + i] * noise[o + i, 1]
                out[line, begin + i] = np.sqrt(re * re + im * im)


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan", "ninf"})
def grey_lines(
    field: Field, kernel: Field, side: Field, noise: Field, offsets: NDArray[np.int64], level: Field,
    scale: np.float32, base: Field, first: int, last: int, out: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Grey polar image of lines ``first`` to ``last`` (exclusive).

    Args:
        field: axially blurred, shape (lines, 2 * samples); kernel, side: see ``lateral_row``.
        noise: table of unit Gaussian numbers, shape (n, 2); offsets: where each line starts in it.
        level: noise amplitude by sample.
        scale: grey values per doubling of power; base: grey value of power 1 by sample (gain, depth gain).
        out: shape (lines, samples).
    """
    samples = field.shape[1] // 2
    row = np.empty(2 * BLOCK, np.float32)
    power = np.empty(BLOCK, np.float32)
    bits = power.view(np.int32)
    exponent = np.empty(BLOCK, np.float32)
    mantissa = np.empty(BLOCK, np.float32)
    mantissa_bits = mantissa.view(np.int32)
    for begin in range(0, samples, BLOCK):
        n = min(begin + BLOCK, samples) - begin
        taps = taps_of(kernel, 2 * begin, 2 * (begin + n))
        for line in range(first, last):
            lateral_row(field, line, kernel, taps, side, 2 * begin, 2 * (begin + n), row)
            o = offsets[line] + begin
            for i in range(n):
                re = row[2 * i] + level[begin + i] * noise[o + i, 0]
                im = row[2 * i + 1] + level[begin + i] * noise[o + i, 1]
                power[i] = re * re + im * im + np.float32(1e-12)
            # log2 by exponent and a Chebyshev quintic in the mantissa (error 2e-5): vectorises, unlike log().
            for i in range(n):
                exponent[i] = np.float32(np.int32(bits[i] >> np.int32(23)) - np.int32(127))
            for i in range(n):
                mantissa_bits[i] = np.int32(bits[i] & np.int32(0x007FFFFF)) | np.int32(0x3F800000)
            for i in range(n):
                m = mantissa[i]
                log2 = exponent[i] + (
                    np.float32(-2.78792621)
                    + m * (np.float32(5.04785541) + m * (np.float32(-3.48987855) + m * (np.float32(1.58947429) + m * (
                        np.float32(-0.40251339) + m * np.float32(0.04300496)))))
                )  # fmt: skip
                grey = scale * log2 + base[begin + i] + np.float32(0.5)
                grey = grey if grey > np.float32(0.0) else np.float32(0.0)
                grey = grey if grey < np.float32(255.0) else np.float32(255.0)
                out[line, begin + i] = np.uint8(np.int32(grey))


def scan_convert(polar: NDArray[np.uint8], maps: tuple[NDArray[np.int16], NDArray[np.uint16]]) -> NDArray[np.uint8]:
    """Cartesian image of a polar one (bilinear, fixed-point maps of ``fixed_maps``); black outside the field."""
    out = cv2.remap(polar, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(out, dtype=np.uint8)


def fixed_maps(grid: ScanGrid) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Maps of the grid in OpenCV's fixed-point form."""
    one, two = cv2.convertMaps(*grid.scan_maps(), cv2.CV_16SC2)
    return np.asarray(one, dtype=np.int16), np.asarray(two, dtype=np.uint16)
