"""The compiled kernels give what the readable NumPy ones give."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from acoustic_scenes import CURVED, LINEAR, SETTINGS, block, material, pose

from hal.sim.acoustics import blur, compress, reference
from hal.sim.acoustics.renderer import Renderer
from hal.types import ImagingSettings, ProbeGeometry

SHALLOW = ImagingSettings(depth_mm=35.0, frequency_mhz=2.5)


@pytest.mark.parametrize("probe", [CURVED, LINEAR], ids=["curved", "linear"])
@pytest.mark.parametrize(
    ("turn_deg", "tilt_deg"), [(0.0, 0.0), (37.0, 0.0), (90.0, 12.0), (120.0, -30.0)], ids=["0", "37", "90", "120"]
)
def test_scatterers_are_those_of_a_brute_force_walk(probe: ProbeGeometry, turn_deg: float, tilt_deg: float) -> None:
    # Leaning slices see the second layer at other depths, so that each slice has an amplitude of its own.
    layers = block(material(1, 0.3, 1.6), material(2, 0.3, 1.6, -12.0), surfaces_mm=(18.0,), spacing_mm=2.0)
    renderer = Renderer(layers, probe, "fast", 5)
    plan = renderer.plan(SHALLOW)
    at = pose(3.0, -2.0, 6.0, turn_deg, tilt_deg)
    renderer._blurred(at, plan, couplant_gap_mm=50.0)
    renderer._raw[:] = 0
    PhantomToProbe = np.linalg.inv(at)
    renderer._speckle(PhantomToProbe, plan, np.zeros(plan.grid.lines, np.float32))
    got = renderer._raw[..., 0] + 1j * renderer._raw[..., 1]
    x = plan.grid.half_width_mm + 2
    corners = np.array([[a, b, c, 1] for a in (-x, x) for b in (-6, 6) for c in (-8, 38)]) @ at.T
    expected = reference.speckle(
        PhantomToProbe, plan, renderer._amplitude, corners[:, :3].min(axis=0), corners[:, :3].max(axis=0),
        renderer.seed * 2654435761 & 0xFFFFFFFF,
    )  # fmt: skip
    assert np.abs(expected).max() > 0
    # Single precision moves a scatterer by up to 1e-4 samples and may flip one that sits on the edge of the slice.
    assert np.linalg.norm(got - expected) / np.linalg.norm(expected) < 0.01


def test_march_attenuates_like_a_walk_along_one_ray() -> None:
    scene = block(
        material(1, 0.5, 1.6), material(2, 0.9, 1.75, 6.0), material(3, 5.0, 4.0, -10.0), material(1, 0.5, 1.6),
        surfaces_mm=(20.0, 33.0, 36.0), spacing_mm=1.0,
    )  # fmt: skip
    renderer = Renderer(scene, CURVED, "full", 1)
    plan = renderer.plan(SETTINGS)
    at = pose(1.3, 0.7, 0.4, 20.0, 8.0)
    renderer._blurred(at, plan, couplant_gap_mm=20.0)
    grid, prepared = plan.grid, renderer._scene
    for line, e in ((5, 0), (128, 2), (240, 4)):
        depth = np.arange(grid.samples // 2) * plan.step_mm
        probe = grid.face_points[line] + depth[:, None] * grid.line_directions[line] + [0, grid.slices_mm[e], 0]
        codes = reference.labels_along(prepared, probe @ at[:3, :3].T + at[:3, 3])
        through, echo = reference.attenuate(
            (codes & 31).astype(int), prepared.backscatter[codes].astype(float), prepared.impedance_mrayl, plan.loss
        )
        got = renderer._amplitude[line, :, e]
        # A sample on a voxel face may fall either way in single precision and shift a whole layer by one step.
        assert np.mean(np.abs(got - echo) < 0.02 * np.abs(echo) + 1e-5) > 0.97
        if e == len(grid.slices_mm) // 2:
            assert np.mean(np.abs(renderer._through[line] - through) < 0.02 * through + 1e-5) > 0.97


def test_lateral_blur_equals_the_shifted_sum() -> None:
    renderer = Renderer(block(material(1, 0.0, 1.6), spacing_mm=5.0), CURVED, "fast", 1)
    plan = renderer.plan(SETTINGS)
    lines, samples = plan.grid.lines, plan.grid.samples
    rng = np.random.default_rng(2)
    field = rng.standard_normal((lines, samples, 2)).astype(np.float32)
    out = np.empty((lines, samples), np.float32)
    compress.envelope_lines(
        field.reshape(lines, -1), plan.lateral, np.zeros((8, 2 * samples), np.float32),
        np.zeros((samples, 2), np.float32), np.zeros(lines, np.int64), plan.noise_level, 0, lines, out,
    )  # fmt: skip
    expected = np.abs(reference.lateral(field[..., 0] + 1j * field[..., 1], plan.lateral[:, ::2]))
    assert out == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_compression_equals_the_logarithm() -> None:
    renderer = Renderer(block(material(1, 0.0, 1.6), spacing_mm=5.0), CURVED, "fast", 1)
    plan = dataclasses.replace(renderer.plan(SETTINGS), lateral=np.ones((1, 1024), np.float32))
    lines, samples = plan.grid.lines, plan.grid.samples
    amplitude = 10 ** np.random.default_rng(3).uniform(-4, 3, (lines, samples)).astype(np.float32)
    field = np.zeros((lines, samples, 2), np.float32)
    field[..., 0] = amplitude
    out = np.empty((lines, samples), np.uint8)
    compress.grey_lines(
        field.reshape(lines, -1), plan.lateral, np.zeros((8, 2 * samples), np.float32),
        np.zeros((samples, 2), np.float32), np.zeros(lines, np.int64), plan.noise_level, plan.grey_scale,
        plan.grey_base, 0, lines, out,
    )  # fmt: skip
    expected = reference.grey(amplitude.astype(float) ** 2, float(plan.grey_scale), plan.grey_base)
    assert np.abs(out.astype(int) - expected).max() <= 1
    assert np.mean(out == expected) > 0.99


def test_axial_kernel_is_the_pulse() -> None:
    renderer = Renderer(block(material(1, 0.0, 1.6), spacing_mm=5.0), CURVED, "full", 1)
    plan = renderer.plan(SETTINGS)
    field = np.zeros((256, 1024, 2), np.float32)
    field[10, 500] = 1.0, -2.0
    out = np.empty_like(field)
    blur.blur_axial(field, plan.axial, out)
    n = len(plan.axial) // 2
    assert out[10, 500 - n : 500 + n + 1, 1] == pytest.approx(-2 * plan.axial)
    assert np.count_nonzero(out[11]) == 0
