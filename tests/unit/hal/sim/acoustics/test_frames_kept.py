"""Frames, tables and point spreads of fixed scenes as they were kept."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from acoustic_scenes import CURVED, LINEAR, block, material, pose
from kept_figures import kept

from hal.phantom.materials import Material
from hal.sim.acoustics import blur, needle_splat
from hal.sim.acoustics.beam import Beam
from hal.sim.acoustics.renderer import Renderer
from hal.sim.acoustics.scan_grid import ScanGrid
from hal.sim.acoustics.scene import Scene, prepare
from hal.sim.acoustics.states import Bolus, EchoNeedle, Track
from hal.types import ImagingSettings

SETTINGS = ImagingSettings(depth_mm=70.0, frequency_mhz=4.0)
FRAME = 2e-4
"""Another processor rounds a few grey values the other way: a share of the frame's own size."""


def named(label: int, name: str, impedance: float, backscatter_db: float) -> Material:
    return Material(name, label, 1540.0, 0.3 + 0.1 * label, impedance, backscatter_db, 10, 0, 0, 0, 0, 1, 1, "")


def wedges() -> Scene:
    """Layers that lean in both directions, with textures, a bright hard corner and an echo-free bar."""
    n, spacing = (120, 70, 84), np.array([1.0, 1.0, 1.0])
    origin = np.array([-60.0, -35.0, -2.0])
    x, y, z = (o + s * np.arange(m)[tuple(slice(None) if a == k else None for a in range(3))]
               for k, (o, s, m) in enumerate(zip(origin, spacing, n, strict=True)))  # fmt: skip
    labels = np.full(n, 1, np.uint8)
    lean = z - 0.15 * x + 0.1 * y
    labels[np.broadcast_to(lean > 14.0, n)] = 2
    labels[np.broadcast_to(lean > 30.0, n)] = 3
    labels[np.broadcast_to((x > 12.0) & (x + 0.4 * y < 30.0) & (z - 0.3 * x > 34.0), n)] = 4
    labels[np.broadcast_to(np.hypot(x + 18.0 + 0.2 * y, z - 40.0) < 6.0, n)] = 5
    labels[np.broadcast_to(z < 0.0, n)] = 0
    tissues = (
        named(1, "fat", 1.40, -2.0), named(2, "muscle", 1.65, 0.0), named(3, "nerve_core", 1.62, 3.0),
        named(4, "bone", 5.5, -8.0), named(5, "csf", 1.52, -60.0),
    )  # fmt: skip
    return Scene(labels, origin, spacing, {m.label: m for m in tissues})


SCENE = wedges()
CONTENT: dict[str, Any] = {
    "needle": EchoNeedle(np.array([[34.0, 3.0, 1.0], [20.0, 1.0, 16.0], [4.0, -0.4, 31.0]]), 0.72, 35.0),
    "boluses": (
        Bolus.ball(np.array([-8.0, 1.0, 24.0]), 0.4),
        Bolus.penny(np.array([2.0, -1.0, 33.0]), 0.2, np.array([0.5, 0.3, 0.8])),
    ),
    "tracks": (Track(np.array([[-34.0, -1.0, 2.0], [-12.0, 1.0, 38.0]])),),
}
ROLLED = pose(2.0, 1.0, 3.0, 15.0, 8.0)
ROLLED[:3, :3] @= np.array([[np.cos(0.25), 0.0, np.sin(0.25)], [0.0, 1.0, 0.0], [-np.sin(0.25), 0.0, np.cos(0.25)]])
POSES = {
    "rolled": ROLLED,
    "flat": pose(1.0, -0.5, 1.5),
    "turned": pose(-3.0, 2.0, 1.0, 33.0, 11.0),
    "along": pose(4.0, 1.0, 2.5, 97.0, -16.0),
}


@pytest.mark.parametrize("quality", ["fast", "full"])
@pytest.mark.parametrize("probe", [CURVED, LINEAR], ids=["curved", "linear"])
def test_frames_of_a_fixed_scene_are_those_that_were_kept(probe: Any, quality: str) -> None:
    renderer = Renderer(SCENE, probe, quality, 9)
    seen = {}
    for name, at in POSES.items():
        frame = renderer.render(at, SETTINGS, indentation_mm=1.4, sound_speed_m_s=1500.0, **CONTENT)
        bare = renderer.envelope(at, renderer.plan(SETTINGS), couplant_gap_mm=3.0)
        seen[name] = [frame, np.log10(bare + 1e-3), renderer.scatterers_n // 50]
    kept(__file__, f"frames {probe.name} {quality}", seen, FRAME)


@pytest.mark.parametrize("quality", ["fast", "full"])
@pytest.mark.parametrize("probe", [CURVED, LINEAR], ids=["curved", "linear"])
def test_tables_of_a_plan_are_those_that_were_kept(probe: Any, quality: str) -> None:
    scene = block(material(1, 0.5, 1.65), material(2, 0.9, 1.7), surfaces_mm=(20.0,), spacing_mm=5.0)
    renderer = Renderer(scene, probe, quality, 1)
    tables = {}
    for settings, speed in (
        (ImagingSettings(depth_mm=70.0, frequency_mhz=4.0), 1480.0),
        (ImagingSettings(depth_mm=110.0, frequency_mhz=2.5, gain_db=6.0, dynamic_range_db=50.0), 1540.0),
    ):
        plan = renderer.plan(settings, speed)
        tables[f"{settings.depth_mm:g}"] = {
            f.name: getattr(plan, f.name)
            for f in dataclasses.fields(plan)
            if f.name not in ("maps", "grid", "beam", "assumed_m_s")
        }
    kept(__file__, f"plan {probe.name} {quality}", tables, 1e-5)


@pytest.mark.parametrize("probe", [CURVED, LINEAR], ids=["curved", "linear"])
def test_the_grid_of_lines_is_the_one_that_was_kept(probe: Any) -> None:
    grid = ScanGrid.of(probe, SETTINGS)
    maps = [np.clip(m, -1.0, None) for m in grid.scan_maps()]
    kept(
        __file__,
        f"grid {probe.name}",
        [grid.line_step, grid.sample_mm, grid.top_mm, grid.half_width_mm, grid.pixel_mm, grid.ImageToProbe,
         grid.face_points, grid.line_directions, maps, grid.slices_mm],
        1e-5,
    )  # fmt: skip
    for line, depth in ((12.0, 5.0), (200.0, 60.0)):
        point = grid.face_points[int(line)] + depth * grid.line_directions[int(line)]
        assert grid.polar(point[:1], point[2:]) == (pytest.approx([line]), pytest.approx([depth]))


def test_beams_and_kernels_are_those_that_were_kept() -> None:
    depth = np.arange(0.0, 100.0, 7.0)
    seen = {}
    for mhz in (2.5, 5.0):
        beam = Beam(mhz)
        grid = ScanGrid.of(CURVED, SETTINGS, "fast")
        sigma = blur.lateral_sigma_lines(beam, grid, depth)
        seen[f"{mhz}"] = [
            beam.wavelength_mm, beam.axial_fwhm_mm, beam.lateral_fwhm_mm(depth), beam.elevation_fwhm_mm(depth),
            beam.cell_mm3(depth), blur.axial_kernel(beam, 0.1), sigma, blur.lateral_kernel(sigma),
        ]  # fmt: skip
    field = np.random.default_rng(3).standard_normal((128, 512, 2)).astype(np.float32)
    kept(__file__, "beams", [seen, blur.side_lobes(field)], 1e-5)


def test_points_of_a_shaft_and_of_an_old_track_are_those_that_were_kept() -> None:
    grid, beam = ScanGrid.of(CURVED, SETTINGS), Beam(4.0)
    seen = {}
    for name, at in POSES.items():
        inverse = np.linalg.inv(at)
        for echogenic in (False, True):
            shaft = dataclasses.replace(CONTENT["needle"], echogenic=echogenic)
            seen[f"{name} {echogenic}"] = needle_splat.needle_points(shaft, inverse, grid, beam, grid.sample_mm, 5)
        seen[f"{name} track"] = needle_splat.track_points(CONTENT["tracks"][0], inverse, grid, beam, grid.sample_mm, 5)
    real = {
        key: {
            f.name: np.stack([v.real, v.imag]) if np.iscomplexobj(v := getattr(points, f.name)) else v
            for f in dataclasses.fields(points)
        }
        for key, points in seen.items()
    }
    kept(__file__, "points", real, 1e-5)


def test_a_prepared_scene_is_the_one_that_was_kept() -> None:
    prepared = prepare(SCENE, 9)
    levels = np.bincount((prepared.codes >> 5).ravel(), minlength=8) // 100
    known = [
        prepared.smooth, prepared.origin_mm, prepared.spacing_mm, prepared.backscatter,
        prepared.attenuation_db_cm_mhz, prepared.impedance_mrayl, prepared.rank, levels, prepared.codes,
    ]  # fmt: skip
    kept(__file__, "prepared", known, FRAME)
