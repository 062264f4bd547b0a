"""Resolution of the simulated scanner: pulse length, lateral beam and slice thickness by depth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian over its standard deviation."""

Depths = NDArray[np.float64]


@dataclass(frozen=True)
class Beam:
    """Gaussian beam of a curved array with a fixed elevation lens.

    Source of the forms: two-way lateral width 1.2 lambda F# with dynamic focus until the aperture is full;
    elevation sqrt((0.886 lambda z/H)^2 + (H/2 |1 - z/F|)^2 + floor^2)/sqrt 2. Height, focus and floor are set
    so that the slice is about 3.2/1.4/3.0 mm thick at 20/60/90 mm and 4 MHz, as measured on hand-held
    curved probes (Scholten, WFUMB Ultrasound Open: 1.4-3.8 mm at focus, thicker near the face).
    """

    frequency_mhz: float
    cycles: float = 2.0
    f_number: float = 2.0
    aperture_mm: float = 30.0
    height_mm: float = 13.0
    elevation_focus_mm: float = 60.0
    elevation_floor_mm: float = 1.1
    elevation_limit_mm: float = 3.4
    """The form is a far-field one: near the face the slice is not thicker than this [assumed]."""

    @property
    def wavelength_mm(self) -> float:
        return 1.54 / self.frequency_mhz

    @property
    def axial_fwhm_mm(self) -> float:
        return self.cycles * self.wavelength_mm / 2

    def lateral_fwhm_mm(self, depth_mm: Depths) -> Depths:
        return 1.2 * self.wavelength_mm * np.maximum(self.f_number, np.asarray(depth_mm) / self.aperture_mm)

    def elevation_fwhm_mm(self, depth_mm: Depths) -> Depths:
        depth_mm = np.asarray(depth_mm)
        diffraction = 0.886 * self.wavelength_mm * depth_mm / self.height_mm
        defocus = self.height_mm / 2 * np.abs(1 - depth_mm / self.elevation_focus_mm)
        width = np.sqrt((diffraction**2 + defocus**2 + self.elevation_floor_mm**2) / 2)
        return np.minimum(width, self.elevation_limit_mm)

    def cell_mm3(self, depth_mm: Depths) -> Depths:
        """Volume of the resolution cell (product of the three FWHM)."""
        return self.axial_fwhm_mm * self.lateral_fwhm_mm(depth_mm) * self.elevation_fwhm_mm(depth_mm)
