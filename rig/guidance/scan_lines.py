"""Scan lines of the probe recovered from the image: from pixels to a (line, range) grid.

A frame is a scan-converted picture; bone shadows and range errors live along the scan lines. The lines of a
curved array start on its face (radius R, centre of curvature at z = -R of the Probe frame) and run radially;
with a linear array they are parallel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix, Pixels, ProbeGeometry
from rig.geometry.registration import Points, invert_rigid

FloatImage = NDArray[np.float32]

LINE_COUNT = 128
RANGE_STEP_MM = 0.25


@dataclass(frozen=True)
class ScanLines:
    """Origins and directions of the lines, in the Probe frame."""

    starts_mm: NDArray[np.float64] = field(repr=False)
    """Shape (lines, 2): x and z of the start on the face."""
    directions: NDArray[np.float64] = field(repr=False)
    """Shape (lines, 2): x and z of the unit direction."""
    step_mm: float
    samples: int

    def at(self, line: NDArray[np.float64], range_mm: NDArray[np.float64]) -> Points:
        """Points of the Probe frame, shape (n, 3), at fractional line numbers and true ranges from the face."""
        index = np.arange(len(self.starts_mm), dtype=np.float64)
        out = np.zeros((len(line), 3))
        for axis, k in ((0, 0), (2, 1)):
            start = np.interp(line, index, self.starts_mm[:, k])
            out[:, axis] = start + range_mm * np.interp(line, index, self.directions[:, k])
        return out

    def locate(self, x_mm: NDArray[np.float64], z_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Fractional line number and range of points (x, z) of the Probe frame; the line may lie outside the array."""
        n = len(self.starts_mm)
        spread = self.directions[-1, 0] - self.directions[0, 0]
        if abs(spread) < 1e-9:
            pitch = (self.starts_mm[-1, 0] - self.starts_mm[0, 0]) / (n - 1)
            return (x_mm - self.starts_mm[0, 0]) / pitch, z_mm - self.starts_mm[0, 1]
        apex = self.starts_mm[0] - self.directions[0] * ((self.starts_mm[-1, 0] - self.starts_mm[0, 0]) / spread)
        angle0 = np.arctan2(self.directions[0, 0], self.directions[0, 1])
        angle1 = np.arctan2(self.directions[-1, 0], self.directions[-1, 1])
        angle = np.arctan2(x_mm - apex[0], z_mm - apex[1])
        radius = np.hypot(self.starts_mm[0, 0] - apex[0], self.starts_mm[0, 1] - apex[1])
        return (angle - angle0) / (angle1 - angle0) * (n - 1), np.hypot(x_mm - apex[0], z_mm - apex[1]) - radius


def scan_lines(
    probe: ProbeGeometry, depth_mm: float, lines: int = LINE_COUNT, step_mm: float = RANGE_STEP_MM
) -> ScanLines:
    """Scan lines of a probe over its field of view (curved) or its footprint (linear)."""
    samples = max(8, int(np.ceil(depth_mm / step_mm)))
    if probe.linear:
        x = np.linspace(-probe.footprint_mm / 2, probe.footprint_mm / 2, lines)
        return ScanLines(np.stack([x, np.zeros(lines)], 1), np.tile([0.0, 1.0], (lines, 1)), step_mm, samples)
    half = np.radians(probe.field_of_view_deg) / 2
    angle = np.linspace(-half, half, lines)
    directions = np.stack([np.sin(angle), np.cos(angle)], 1)
    starts = probe.radius_mm * directions - np.array([0.0, probe.radius_mm])
    return ScanLines(starts, directions, step_mm, samples)


@lru_cache(maxsize=8)
def _maps(
    probe: ProbeGeometry, depth_mm: float, lines: int, step_mm: float, image_to_probe: bytes
) -> tuple[ScanLines, NDArray[np.int16], NDArray[np.uint16]]:
    grid = scan_lines(probe, depth_mm, lines, step_mm)
    ProbeToImage = invert_affine(np.frombuffer(image_to_probe).reshape(4, 4))
    ranges = np.arange(grid.samples) * step_mm
    x = grid.starts_mm[:, :1] + grid.directions[:, :1] * ranges
    z = grid.starts_mm[:, 1:] + grid.directions[:, 1:] * ranges
    column = ProbeToImage[0, 0] * x + ProbeToImage[0, 2] * z + ProbeToImage[0, 3]
    row = ProbeToImage[1, 0] * x + ProbeToImage[1, 2] * z + ProbeToImage[1, 3]
    fixed, fraction = cv2.convertMaps(column.astype(np.float32), row.astype(np.float32), cv2.CV_16SC2)
    return grid, np.asarray(fixed), np.asarray(fraction)


def invert_affine(AToB: Matrix) -> Matrix:
    """Inverse of a 4x4 affine whose third column may be empty (an image has no thickness)."""
    full = AToB.copy()
    if abs(np.linalg.det(full[:3, :3])) < 1e-12:
        full[:3, 2] = np.cross(full[:3, 0], full[:3, 1])
    return np.asarray(np.linalg.inv(full))


def to_scan_lines(
    pixels: Pixels, ImageToProbe: Matrix, probe: ProbeGeometry, depth_mm: float,
    lines: int = LINE_COUNT, step_mm: float = RANGE_STEP_MM,
) -> tuple[FloatImage, ScanLines]:  # fmt: skip
    """Grey values on the (line, range) grid, shape (lines, samples), and the grid. Outside the picture is 0."""
    key = np.ascontiguousarray(ImageToProbe, dtype=np.float64).tobytes()
    grid, fixed, fraction = _maps(probe, depth_mm, lines, step_mm, key)
    out = cv2.remap(pixels, fixed, fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return out.astype(np.float32), grid


__all__ = ["FloatImage", "ScanLines", "invert_affine", "invert_rigid", "scan_lines", "to_scan_lines"]
