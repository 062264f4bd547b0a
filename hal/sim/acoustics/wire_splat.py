"""Thin wires across the image plane: each a bright point where it meets the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hal.sim.acoustics.needle_splat import Points
from hal.sim.acoustics.scan_grid import ScanGrid

Array = NDArray[np.float64]

WIRE_DB = 27.0
"""Wire of 0.1 mm above the speckle of muscle gel [assumed: bright, and below the white of a 60 dB display]."""


def wire_points(wires_mm: Array, PhantomToProbe: Array, grid: ScanGrid, sample_mm: float) -> Points:
    """Where wires with end points ``wires_mm``, shape (n, 2, 3), ``Phantom``, meet the image plane.

    A wire that the plane misses, or that runs along it, shows nothing.
    """
    ends = wires_mm @ PhantomToProbe[:3, :3].T + PhantomToProbe[:3, 3]
    first, last = ends[:, 0], ends[:, 1]
    along = last[:, 1] - first[:, 1]
    crosses = (first[:, 1] * last[:, 1] <= 0.0) & (np.abs(along) > 1e-9)
    first, last, along = first[crosses], last[crosses], along[crosses]
    share = (-first[:, 1] / along)[:, None]
    at = first + share * (last - first)
    line, depth = grid.polar(at[:, 0], at[:, 2])
    field = np.full(len(at), 10 ** (WIRE_DB / 20), np.complex64)
    return Points(line, depth / sample_mm, np.zeros(len(at)), field)
