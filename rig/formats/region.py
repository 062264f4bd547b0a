"""Calibrated regions of an ultrasound image: the part that is image, and the mm per pixel.

Source: DICOM PS3.3 C.8.5.5 (US Region Calibration). Physical deltas come in **cm**.
"""

from __future__ import annotations

from dataclasses import dataclass

from hal.errors import ConfigError
from hal.poses import HIGHEST_MM, why_no_pitch

CM = 3
"""Physical units code for centimetres."""
MM_PER_CM = 10.0
FORMATS = {0: "none", 1: "2D", 2: "M-mode", 3: "spectral", 4: "wave form", 5: "graphics"}
DEPTH_RANGE_MM = (5.0, HIGHEST_MM)
"""Heights of a two-dimensional region that ultrasound on people can have."""
DEPTH_RATIO = 3.0
"""Largest ratio between a region's height and the scanner's own depth; a cm/mm mix-up gives about 10."""


@dataclass(frozen=True)
class Region:
    """One region. Pixels count from 0; ``right`` and ``bottom`` belong to the region."""

    left: int
    top: int
    right: int
    bottom: int
    format: str = "2D"
    pitch_x_mm: float | None = None
    """None when the axis is not a length."""
    pitch_y_mm: float | None = None
    frequency_khz: int | None = None

    @property
    def columns(self) -> int:
        return self.right - self.left + 1

    @property
    def rows(self) -> int:
        return self.bottom - self.top + 1

    @property
    def height_mm(self) -> float | None:
        return None if self.pitch_y_mm is None else self.rows * self.pitch_y_mm


def fitted(region: Region, columns: int, rows: int, name: str) -> tuple[Region, str]:
    """The region inside an image of that size, and a remark when it had to be cut.

    One pixel too many on the right or at the bottom is a common slip (size instead of last index): cut and told.
    More is refused with ``ConfigError``: the calibration then belongs to another image.
    """
    if region.left < 0 or region.top < 0 or region.columns < 1 or region.rows < 1:
        raise ConfigError(f"{name}: region {box(region)} is empty or begins outside the image")
    over_x, over_y = region.right - (columns - 1), region.bottom - (rows - 1)
    if over_x > 1 or over_y > 1:
        raise ConfigError(
            f"{name}: region {box(region)} is larger than the image of {columns}x{rows} pixels;"
            " its scale cannot be used"
        )
    if over_x <= 0 and over_y <= 0:
        return region, ""
    cut = Region(
        region.left,
        region.top,
        min(region.right, columns - 1),
        min(region.bottom, rows - 1),
        region.format,
        region.pitch_x_mm,
        region.pitch_y_mm,
        region.frequency_khz,
    )
    return cut, f"region {box(region)} reaches one pixel beyond the image of {columns}x{rows}; cut to {box(cut)}"


def judge_scale(region: Region, depth_mm: float | None, name: str) -> None:
    """Refuse a scale that contradicts the scanner's depth or the size of people; raises ``ConfigError``."""
    height_mm = region.height_mm
    if region.format != "2D" or height_mm is None:
        return
    if region.pitch_x_mm is not None and region.pitch_y_mm is not None:
        why = why_no_pitch((region.pitch_x_mm, region.pitch_y_mm))
        if why:
            raise ConfigError(f"{name}: the region {why}; were mm written where cm belong, in one direction?")
    if depth_mm is not None and depth_mm > 0:
        ratio = max(height_mm / depth_mm, depth_mm / height_mm)
        if ratio > DEPTH_RATIO:
            raise ConfigError(
                f"{name}: the region is {height_mm:.1f} mm high but the scanner says {depth_mm:g} mm depth"
                f" (factor {ratio:.1f}); were mm written where cm belong?"
            )
        return
    if not DEPTH_RANGE_MM[0] <= height_mm <= DEPTH_RANGE_MM[1]:
        raise ConfigError(f"{name}: a region {height_mm:.1f} mm high is not possible; were mm written where cm belong?")


def box(region: Region) -> str:
    """Corners of the region, for messages."""
    return f"({region.left},{region.top})-({region.right},{region.bottom})"
