"""Dead elements: what is left of the echoes of each line where part of its aperture neither sends nor hears.

An aperture of n elements of which k are dead loses (n - k)/n on the way out and again on the way back. It grows with
depth (constant F-number), so that a dead element is a dark column near the face and fades below.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hal.sim.acoustics.beam import Beam
from hal.sim.acoustics.scan_grid import ScanGrid

ELEMENTS_N = 128
LEAST_APERTURE_N = 4
"""Elements of the smallest aperture, close to the face [A]."""
LENS_M_S = 1000.0
"""Speed of sound in the lens: silicone rubber."""
BAND_DB, BAND_LOSS, BANDS_N = 26.0, 0.55, 14
"""First reverberation in air above muscle speckle, ratio of successive ones, and how many are drawn [A]."""
SPREAD_DB = 0.3
"""Standard deviation of the sensitivity of healthy elements [A]."""


def left_by_dead(dead: Sequence[int], grid: ScanGrid, beam: Beam, steps: int, step_mm: float) -> NDArray[np.float32]:
    """Two-way amplitude that is left, 0 to 1, shape (lines, steps)."""
    alive = np.ones(ELEMENTS_N)
    alive[list(dead)] = 0.0
    return _of_apertures(alive, grid, beam, np.arange(steps, dtype=np.float64) * step_mm)


def _of_apertures(
    strength: NDArray[np.float64], grid: ScanGrid, beam: Beam, depth: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Square of the mean strength of the elements in each line's aperture at each depth, shape (lines, depths)."""
    face_mm = 2 * grid.half * (1.0 if grid.linear else grid.radius_mm)
    pitch_mm = face_mm / ELEMENTS_N
    alive_until = np.concatenate([[0.0], np.cumsum(strength)])
    wide_mm = np.clip(depth / beam.f_number, LEAST_APERTURE_N * pitch_mm, beam.aperture_mm)
    middle = np.arange(grid.lines)[:, None] / (grid.lines - 1) * ELEMENTS_N
    ends = [np.clip(middle + side * wide_mm[None, :] / 2 / pitch_mm, 0.0, ELEMENTS_N) for side in (-1, 1)]
    first, last = (np.interp(end, np.arange(ELEMENTS_N + 1), alive_until) for end in ends)
    return np.asarray(((last - first) / (ends[1] - ends[0])) ** 2, dtype=np.float32)


def air_bands(
    field: NDArray[np.float32], air: NDArray[np.float32], lens_mm: float, dead: Sequence[int], grid: ScanGrid,
    beam: Beam, lateral_sum: NDArray[np.float32], assumed_m_s: float, seed: int,
) -> None:  # fmt: skip
    """Add the reverberation between face and array that a probe in air shows: bands that fade with depth.

    Args:
        field: in/out, complex polar image, shape (lines, samples, 2).
        air: 0 to 1 by line: how much of the face is in air.
        lens_mm: thickness of the lens; bands are ``lens_mm * assumed_m_s / LENS_M_S`` apart.
        lateral_sum: what a line gets from its equal neighbours by the lateral blur, by sample.
        seed: of the sensitivities of the elements.
    """
    strength = 10 ** (np.random.default_rng([seed, 0xE1]).normal(0.0, SPREAD_DB, ELEMENTS_N) / 20)
    strength[list(dead)] = 0.0
    depth = np.arange(1, BANDS_N + 1, dtype=np.float64) * (lens_mm * assumed_m_s / LENS_M_S)
    at = depth / grid.sample_mm
    left = _of_apertures(strength, grid, beam, depth)
    for k in range(BANDS_N):
        i = int(at[k])
        if i + 1 >= field.shape[1]:
            break
        level = 10 ** (BAND_DB / 20) * BAND_LOSS**k / lateral_sum[i] * left[:, k] * air
        f = np.float32(at[k] - i)
        field[:, i, 0] += level * (1 - f)
        field[:, i + 1, 0] += level * f
