"""Plain test scenes: layers and blocks without texture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hal.phantom.materials import Material
from hal.sim.acoustics.scene import Scene
from hal.types import ImagingSettings, ProbeGeometry

CURVED = ProbeGeometry("curved", 40.0, 60.0, 40.0, 14.0)
LINEAR = ProbeGeometry("linear", float("inf"), 0.0, 40.0, 10.0)
SETTINGS = ImagingSettings()


FWHM = 2.3548
"""Full width at half maximum of a Gaussian with standard deviation 1."""


def elevation_sigma_mm(depth_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-way standard deviation of the slice at 4 MHz, by the model of a fixed elevation lens.

    FWHM = sqrt((0.886 lambda z / H)^2 + (H / 2 |1 - z / F|)^2 + floor^2) / sqrt 2, with H 13 mm, F 60 mm and a floor
    of 1.1 mm. Worked out here and not taken from the renderer, so that a slice of another thickness is noticed.
    """
    wavelength_mm, height_mm, focus_mm, floor_mm, limit_mm = 1.54 / 4.0, 13.0, 60.0, 1.1, 3.4
    diffraction = 0.886 * wavelength_mm * depth_mm / height_mm
    defocus = height_mm / 2 * np.abs(1 - depth_mm / focus_mm)
    return np.minimum(np.sqrt((diffraction**2 + defocus**2 + floor_mm**2) / 2), limit_mm) / FWHM


def material(label: int, attenuation: float, impedance: float, backscatter_db: float = 0.0) -> Material:
    return Material(f"m{label}", label, 1540.0, attenuation, impedance, backscatter_db, 10, 0, 0, 0, 0, 1, 1, "")


def block(
    *materials: Material,
    surfaces_mm: tuple[float, ...] = (),
    spacing_mm: float = 1.0,
    size_mm: tuple[float, float, float] = (180.0, 140.0, 110.0),
    low_z_mm: float = 0.0,
) -> Scene:
    """Layers from the top: ``materials[i + 1]`` begins at depth ``surfaces_mm[i]``."""
    n = [round(s / spacing_mm) for s in size_mm]
    labels = np.full(n, materials[0].label, np.uint8)
    z = low_z_mm + (np.arange(n[2]) + 0.5) * spacing_mm
    for below, depth in zip(materials[1:], surfaces_mm, strict=True):
        labels[:, :, z > depth] = below.label
    origin = np.array([-size_mm[0] / 2, -size_mm[1] / 2, low_z_mm + spacing_mm / 2])
    return Scene(labels, origin, np.full(3, spacing_mm), {m.label: m for m in materials})


def pose(
    x: float = 0.0, y: float = 0.0, z: float = 0.0, turn_deg: float = 0.0, tilt_deg: float = 0.0
) -> NDArray[np.float64]:
    """ProbeToPhantom: rotated about Z, then tilted about the array."""
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    ct, st = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    out = np.eye(4)
    out[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, ct, -st], [0, st, ct]])
    out[:3, 3] = x, y, z
    return out
