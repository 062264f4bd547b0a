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


def left_by_dead(dead: Sequence[int], grid: ScanGrid, beam: Beam, steps: int, step_mm: float) -> NDArray[np.float32]:
    """Two-way amplitude that is left, 0 to 1, shape (lines, steps)."""
    face_mm = 2 * grid.half * (1.0 if grid.linear else grid.radius_mm)
    pitch_mm = face_mm / ELEMENTS_N
    alive = np.ones(ELEMENTS_N)
    alive[list(dead)] = 0.0
    alive_until = np.concatenate([[0.0], np.cumsum(alive)])
    depth = np.arange(steps) * step_mm
    wide_mm = np.clip(depth / beam.f_number, LEAST_APERTURE_N * pitch_mm, beam.aperture_mm)
    middle = np.arange(grid.lines)[:, None] / (grid.lines - 1) * ELEMENTS_N
    ends = [np.clip(middle + side * wide_mm[None, :] / 2 / pitch_mm, 0.0, ELEMENTS_N) for side in (-1, 1)]
    first, last = (np.interp(end, np.arange(ELEMENTS_N + 1), alive_until) for end in ends)
    return np.asarray(((last - first) / (ends[1] - ends[0])) ** 2, dtype=np.float32)
