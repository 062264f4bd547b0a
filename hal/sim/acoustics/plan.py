"""Everything in a frame that depends only on the settings: tables by sample, kernels, maps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hal.sim.acoustics.beam import FWHM, Beam
from hal.sim.acoustics.blur import axial_kernel, lateral_kernel, lateral_sigma_lines
from hal.sim.acoustics.compress import DB_PER_OCTAVE, WHITE_DB, fixed_maps
from hal.sim.acoustics.scan_grid import ScanGrid
from hal.sim.acoustics.scatter import CULL_U2, EDGE_ENERGY
from hal.sim.acoustics.scene import PreparedScene
from hal.types import ImagingSettings, ProbeGeometry

Table = NDArray[np.float32]

PER_CELL = {"full": 3.6, "fast": 3.0}
"""Scatterers per resolution cell (FWHM product): the least that gives fully developed speckle."""
CYCLES = {"full": 2.0, "fast": 2.8}
"""Pulse length; 512 samples over 90 mm cannot show a shorter pulse than about 0.5 mm."""
MIRROR_GAIN_DB = 40.0
"""Level of a perfect plane mirror above muscle speckle [assumed; tissue speckle lies 35-50 dB below a mirror]."""
DEPTH_GAIN_DB_CM_MHZ = 0.5
"""One-way attenuation that the scanner compensates (usual soft-tissue figure)."""
DEPTH_GAIN_LIMIT_DB = 48.0
WAIST_STEP_MM = 0.05
NOISE_DB = -58.0
"""Electronic noise below muscle speckle at the face [assumed]."""


@dataclass(frozen=True)
class Plan:
    """Tables of one probe, one set of settings and one sound speed."""

    grid: ScanGrid
    beam: Beam
    sample_mm: float
    """True distance between samples (the displayed one times c_true / c_assumed)."""
    cell_mm: float
    """Edge of the scatterer lattice."""
    sigma_elevation_mm: Table
    inverse_sigma2: Table
    waist_mm: NDArray[np.float64]
    """For each distance ``i * WAIST_STEP_MM`` from the image plane the depths (from, to) where the slice is thinner."""
    keep: Table
    """Share of scatterers kept, 0..65536, by sample."""
    scatter_weight: Table
    slice_weights: Table
    """Shape (steps, slices)."""
    mirror_gain: Table
    """By step."""
    loss: Table
    """Two-way amplitude factor of one march step by dense label."""
    fluid_regain: float
    axial: Table
    lateral: Table
    noise_level: Table
    grey_scale: np.float32
    grey_base: Table
    maps: tuple[NDArray[np.int16], NDArray[np.uint16]]
    slices_mm: Table
    assumed_m_s: float
    """Speed with which the scanner turns time into depth."""

    @property
    def step_mm(self) -> float:
        """True distance between march steps."""
        return 2 * self.sample_mm


def _waist(depth_mm: NDArray[np.float64], reach_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = []
    for distance in np.arange(0.0, float(reach_mm.max()) + 2.0, WAIST_STEP_MM):
        thin = np.flatnonzero(reach_mm < distance)
        # The profile narrows to one focus and widens again: the thin part is one range.
        rows.append((depth_mm[thin[0]], depth_mm[thin[-1]]) if thin.size else (0.0, 0.0))
    return np.array(rows)


def plan(
    probe: ProbeGeometry, settings: ImagingSettings, scene: PreparedScene, quality: str, sound_speed_m_s: float
) -> Plan:
    """Compute the tables (some 10 ms; keep the result)."""
    grid = ScanGrid.of(probe, settings, quality)
    beam = Beam(settings.frequency_mhz, cycles=CYCLES[quality])
    sample_mm = grid.sample_mm * sound_speed_m_s / settings.sound_speed_m_s
    depth = (np.arange(grid.samples) * sample_mm).astype(np.float64)
    elevation = beam.elevation_fwhm_mm(depth) / FWHM
    sigma_lines = lateral_sigma_lines(beam, grid, depth)
    spacing = np.full_like(depth, grid.line_step) if grid.linear else grid.line_step * (grid.radius_mm + depth)
    sigma_lateral = sigma_lines * spacing
    sigma_axial = max(beam.axial_fwhm_mm / FWHM, 0.8 * sample_mm)
    cell = FWHM**3 * sigma_axial * sigma_lateral * elevation
    cell_mm = float((cell.min() / PER_CELL[quality]) ** (1 / 3))
    keep = cell.min() / cell
    # Field of unit scatterers of density n in a Gaussian PSF of peak 1: E|S|^2 = n pi^1.5 sigma_x sigma_y sigma_z.
    density = keep / cell_mm**3
    speckle_rms = np.sqrt(EDGE_ENERGY * density * math.pi**1.5 * sigma_axial * sigma_lateral * elevation)
    slices = np.asarray(grid.slices_mm)
    shares = np.exp(-0.5 * (slices[None, :] / elevation[::2, None]) ** 2)
    shares /= shares.sum(axis=1, keepdims=True)
    lateral = lateral_kernel(sigma_lines)
    lateral_sum = (lateral[0] + 2 * lateral[1:].sum(axis=0))[::2]
    attenuation_db = 2 * scene.attenuation_db_cm_mhz * settings.frequency_mhz * 2 * sample_mm / 10
    depth_gain_db = np.minimum(
        2 * DEPTH_GAIN_DB_CM_MHZ * settings.frequency_mhz * np.arange(grid.samples) * grid.sample_mm / 10,
        DEPTH_GAIN_LIMIT_DB,
    )
    grey_per_db = 255 / settings.dynamic_range_db
    black_db = WHITE_DB - settings.dynamic_range_db
    return Plan(
        grid=grid,
        beam=beam,
        sample_mm=sample_mm,
        cell_mm=cell_mm,
        sigma_elevation_mm=elevation.astype(np.float32),
        inverse_sigma2=(1 / elevation**2).astype(np.float32),
        waist_mm=_waist(depth, elevation * math.sqrt(CULL_U2)),
        keep=(keep * 65536 + 0.5).astype(np.float32),
        scatter_weight=(1 / speckle_rms).astype(np.float32),
        slice_weights=np.ascontiguousarray(shares, dtype=np.float32),
        mirror_gain=(10 ** (MIRROR_GAIN_DB / 20) / lateral_sum[::2]).astype(np.float32),
        loss=(10 ** (-attenuation_db / 20)).astype(np.float32),
        fluid_regain=float(10 ** (2 * DEPTH_GAIN_DB_CM_MHZ * settings.frequency_mhz * 2 * sample_mm / 10 / 20)),
        axial=axial_kernel(beam, sample_mm),
        lateral=lateral,
        noise_level=np.full(grid.samples, 10 ** (NOISE_DB / 20), np.float32),
        grey_scale=np.float32(DB_PER_OCTAVE * grey_per_db),
        grey_base=((depth_gain_db + settings.gain_db - black_db) * grey_per_db).astype(np.float32),
        maps=fixed_maps(grid),
        slices_mm=slices.astype(np.float32),
        assumed_m_s=settings.sound_speed_m_s,
    )
