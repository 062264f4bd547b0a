"""Geometry of the scan: lines and samples in the probe, pixels of the image, and the map between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hal.types import FLAT_MM, ImagingSettings, Matrix, ProbeGeometry

LINES = {"full": 256, "fast": 128}
SAMPLES = {"full": 1024, "fast": 512}
SLICES_MM = {"full": (-2.0, -1.0, 0.0, 1.0, 2.0), "fast": (-1.5, 0.0, 1.5)}
"""Elevations at which labels are marched; in between, amplitudes are interpolated."""


@dataclass(frozen=True)
class ScanGrid:
    """Polar grid of the scanner and Cartesian grid of its image.

    Line ``l`` starts on the face at angle ``-half + l * step`` (curved) or ``x = -width/2 + l * step`` (linear);
    sample ``i`` lies at the displayed depth ``i * sample_mm`` from the face along the line.
    """

    radius_mm: float
    """Radius of the face; ``inf`` is a linear array."""
    half: float
    """Half field of view: radians (curved) or mm (linear)."""
    depth_mm: float
    lines: int
    samples: int
    slices_mm: tuple[float, ...]
    rows: int
    cols: int

    @classmethod
    def of(cls, probe: ProbeGeometry, settings: ImagingSettings, quality: str = "full", pixels: int = 512) -> ScanGrid:
        """Grid of a probe and its settings; ``quality`` is ``full`` or ``fast``."""
        linear = probe.linear
        half = probe.footprint_mm / 2 if linear else math.radians(probe.field_of_view_deg) / 2
        return cls(
            probe.radius_mm, half, settings.depth_mm, LINES[quality], SAMPLES[quality], SLICES_MM[quality],
            pixels, pixels,
        )  # fmt: skip

    @property
    def linear(self) -> bool:
        return self.radius_mm >= FLAT_MM

    @property
    def line_step(self) -> float:
        """Radians (curved) or mm (linear) between neighbouring lines."""
        return 2 * self.half / (self.lines - 1)

    @property
    def sample_mm(self) -> float:
        """Displayed depth between samples."""
        return self.depth_mm / (self.samples - 1)

    @property
    def top_mm(self) -> float:
        """Probe z of the first image row: the edges of a convex face lie behind its centre (negative)."""
        return 0.0 if self.linear else self.radius_mm * (math.cos(self.half) - 1.0)

    @property
    def half_width_mm(self) -> float:
        """Largest |x| inside the scanned field."""
        return self.half if self.linear else (self.radius_mm + self.depth_mm) * math.sin(self.half)

    @property
    def pixel_mm(self) -> float:
        """Square pixel pitch that fits the whole field into the image."""
        return max(2 * self.half_width_mm / (self.cols - 1), (self.depth_mm - self.top_mm) / (self.rows - 1))

    @cached_property
    def ImageToProbe(self) -> Matrix:
        """Pixel (column, row, 0, 1) to probe mm: nominal, at the sound speed that the scanner assumes.

        The third axis (pixel units too) is chosen so that the matrix is right-handed.
        """
        p = self.pixel_mm
        return np.array(
            [
                [p, 0.0, 0.0, -p * (self.cols - 1) / 2],
                [0.0, 0.0, -p, 0.0],
                [0.0, p, 0.0, self.top_mm],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )

    @cached_property
    def line_angles(self) -> NDArray[np.float64]:
        """Angle of each line to the probe axis, rad, shape (lines,); zeros for a linear array."""
        return np.zeros(self.lines) if self.linear else np.linspace(-self.half, self.half, self.lines)

    @cached_property
    def face_points(self) -> NDArray[np.float64]:
        """Start of each line on the face, probe mm, shape (lines, 3)."""
        points = np.zeros((self.lines, 3))
        if self.linear:
            points[:, 0] = np.linspace(-self.half, self.half, self.lines)
        else:
            points[:, 0] = self.radius_mm * np.sin(self.line_angles)
            points[:, 2] = self.radius_mm * (np.cos(self.line_angles) - 1.0)
        return points

    @cached_property
    def line_directions(self) -> NDArray[np.float64]:
        """Unit direction of each line, shape (lines, 3)."""
        return np.stack([np.sin(self.line_angles), np.zeros(self.lines), np.cos(self.line_angles)], axis=1)

    def polar(
        self, x_mm: NDArray[np.float64], z_mm: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Line coordinate (fractional) and depth (mm along the line) of points in the plane of the probe."""
        if self.linear:
            return (x_mm + self.half) / self.line_step, z_mm
        rho = np.hypot(x_mm, z_mm + self.radius_mm)
        return (np.arctan2(x_mm, z_mm + self.radius_mm) + self.half) / self.line_step, rho - self.radius_mm

    def scan_maps(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """For every pixel the polar column (sample) and row (line) that it shows; -1e4 outside the field."""
        p = self.pixel_mm
        x = (np.arange(self.cols) - (self.cols - 1) / 2) * p
        z = np.arange(self.rows) * p + self.top_mm
        line, depth = self.polar(*np.meshgrid(x, z))
        sample = depth / self.sample_mm
        outside = (line < 0) | (line > self.lines - 1) | (sample < 0) | (sample > self.samples - 1)
        line[outside] = sample[outside] = -1e4
        return sample.astype(np.float32), line.astype(np.float32)
