"""One picture of a QA block: levels in decibels, and places in the probe's plane.

Grey values are taken as proportional to decibels over the stated dynamic range. That must be known of the scanner and
its preset before widths and contrasts mean anything; places do not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.types import FLAT_MM, Matrix, Pixels

Array = NDArray[np.float64]
EDGE_MM = 1.5
"""Structures nearer to the edge of the scanned field are cut off."""


@dataclass(frozen=True, eq=False)
class BlockPicture:
    """A frame, or one picture of a recording, with what must be known of it."""

    pixels: Pixels = field(repr=False)
    """Shape (rows, columns), 8 bit."""
    ImageToProbe: Matrix = field(repr=False)
    """Pixel (column, row, 0, 1) to mm in the probe's frame: X along the face, Z away from it."""
    dynamic_range_db: float = 60.0
    face_radius_mm: float = FLAT_MM
    """Radius of a curved face; ``FLAT_MM`` or more is a linear array."""
    view_x_mm: float = 0.0
    """Where on the block the probe stood, along its window, as far as anybody knows."""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.uint8:
            raise ConfigError(f"a picture of a block is 8-bit grey, not {self.pixels.dtype} of {self.pixels.shape}")

    @cached_property
    def _affine(self) -> Array:
        """Pixel (column, row, 1) to (x, z), shape (2, 3)."""
        return np.asarray(self.ImageToProbe, dtype=float)[[0, 2]][:, [0, 1, 3]]

    @cached_property
    def pitch_mm(self) -> tuple[float, float]:
        """Per column and per row."""
        return float(np.linalg.norm(self._affine[:, 0])), float(np.linalg.norm(self._affine[:, 1]))

    @cached_property
    def level_db(self) -> NDArray[np.float32]:
        """Above black."""
        return self.pixels.astype(np.float32) * np.float32(self.dynamic_range_db / 255.0)

    def to_probe(self, pixels: Array) -> Array:
        """Pixels (n, 2) as (column, row) to (x, z) mm, shape (n, 2)."""
        return np.asarray(pixels @ self._affine[:, :2].T + self._affine[:, 2])

    def to_pixel(self, points_mm: Array) -> Array:
        """Places (n, 2) mm to (column, row), shape (n, 2)."""
        return np.asarray((points_mm - self._affine[:, 2]) @ np.linalg.inv(self._affine[:, :2]).T)

    @cached_property
    def places_mm(self) -> tuple[Array, Array]:
        """X and Z of every pixel."""
        rows, columns = np.indices(self.pixels.shape)
        a = self._affine
        return a[0, 0] * columns + a[0, 1] * rows + a[0, 2], a[1, 0] * columns + a[1, 1] * rows + a[1, 2]

    @property
    def linear(self) -> bool:
        return self.face_radius_mm >= FLAT_MM

    def range_mm(self, x_mm: Array, z_mm: Array) -> Array:
        """Distance from the face along the beam."""
        if self.linear:
            return np.asarray(z_mm)
        return np.asarray(np.hypot(x_mm, z_mm + self.face_radius_mm) - self.face_radius_mm)

    def along_face_mm(self, x_mm: Array, z_mm: Array) -> Array:
        """Where the beam through a place leaves the face, as a length of arc from its middle."""
        if self.linear:
            return np.asarray(x_mm)
        return np.asarray(self.face_radius_mm * np.arctan2(x_mm, z_mm + self.face_radius_mm))

    def beam(self, x_mm: float, z_mm: float) -> Array:
        """Unit direction of the beam at a place, (x, z)."""
        if self.linear:
            return np.array([0.0, 1.0])
        along = np.array([x_mm, z_mm + self.face_radius_mm])
        return np.asarray(along / np.linalg.norm(along))

    @cached_property
    def _hull(self) -> Pixels:
        """1 in the convex hull of everything that is not black."""
        empty = np.zeros(self.pixels.shape, np.uint8)
        points = cv2.findNonZero((cv2.medianBlur(self.pixels, 5) > 0).astype(np.uint8))
        return empty if points is None else np.asarray(cv2.fillConvexPoly(empty, cv2.convexHull(points), 1), np.uint8)

    @cached_property
    def field(self) -> NDArray[np.bool_]:
        """Pixels inside the scanned field, its rim left out."""
        filled = self._hull
        n = 2 * round(EDGE_MM / min(self.pitch_mm)) + 1
        return np.asarray(cv2.erode(filled, np.ones((n, n), np.uint8), borderValue=0) > 0)

    @cached_property
    def half_face_mm(self) -> float:
        """Half of the face, along its arc: how far the outermost beams of the field stand off the middle."""
        return float(np.abs(self.along_face_mm(*self.places_mm)[self._hull > 0]).max(initial=0.0))

    def inside(self, points_mm: Array) -> NDArray[np.bool_]:
        """Whether places (n, 2) lie inside the scanned field."""
        at = np.round(self.to_pixel(points_mm)).astype(int)
        rows, columns = self.pixels.shape
        shown = (at[:, 0] >= 0) & (at[:, 0] < columns) & (at[:, 1] >= 0) & (at[:, 1] < rows)
        column, row = np.clip(at[:, 0], 0, columns - 1), np.clip(at[:, 1], 0, rows - 1)
        return np.asarray(shown & self.field[row, column])
