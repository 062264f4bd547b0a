"""Injected fluid: an echo-poor pool with a slightly brighter rim and less attenuation behind it (Numba kernel)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

INSIDE = 0.03
"""Amplitude left inside: stray air and mixed gel (-30 dB) [assumed]."""
RIM = 1.7
"""Compressed gel around the pool [assumed]."""


@njit(cache=True, nogil=True)
def pool(
    amplitude: NDArray[np.float32], faces: NDArray[np.float64], directions: NDArray[np.float64],
    slices: NDArray[np.float32], step_mm: float, centre: NDArray[np.float64], axes: NDArray[np.float64],
    semi_mm: NDArray[np.float64], regain: float,
) -> None:  # fmt: skip
    """Change the amplitude map where the pool lies and behind it.

    Args:
        amplitude: in/out, shape (lines, steps, slices).
        faces, directions: of the lines in probe mm, shape (lines, 3).
        slices: elevations in mm; step_mm: between steps.
        centre: in probe mm; axes: unit rows in probe axes, shape (3, 3); semi_mm: shape (3,).
        regain: amplitude factor per step that the fluid does not attenuate (> 1).
    """
    lines, steps, n_slices = amplitude.shape
    outer = 1.25 * max(semi_mm[0], semi_mm[1], semi_mm[2])
    for line in range(lines):
        # Closest approach of the line in the plane: skip lines that pass the pool by.
        rx, rz = centre[0] - faces[line, 0], centre[2] - faces[line, 2]
        along = rx * directions[line, 0] + rz * directions[line, 2]
        miss2 = rx * rx + rz * rz - along * along
        if miss2 > outer * outer:
            continue
        start = max(0, int((along - outer) / step_mm))
        for e in range(n_slices):
            if abs(slices[e] - centre[1]) > outer:
                continue
            factor = 1.0
            for i in range(start, steps):
                if i * step_mm > along + outer and factor == 1.0:
                    break
                px = faces[line, 0] + directions[line, 0] * i * step_mm - centre[0]
                pz = faces[line, 2] + directions[line, 2] * i * step_mm - centre[2]
                py = slices[e] - centre[1]
                d2 = 0.0
                for a in range(3):
                    d = (px * axes[a, 0] + py * axes[a, 1] + pz * axes[a, 2]) / semi_mm[a]
                    d2 += d * d
                here = factor
                if d2 < 1.5:
                    d = math.sqrt(d2)
                    if d < 0.95:
                        here *= INSIDE
                        factor *= regain
                    elif d < 1.05:
                        here *= INSIDE + (RIM - INSIDE) * (d - 0.95) / 0.1
                    else:
                        here *= max(1.0, RIM - (RIM - 1.0) * (d - 1.05) / 0.15)
                amplitude[line, i, e] *= np.float32(here)
