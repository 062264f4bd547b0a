"""Rows 4, 5, 12, 13, 18: point spread function, interfaces, shadow, sound speed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from acoustic_scenes import CURVED, LINEAR, SETTINGS, block, material, pose
from numpy.typing import NDArray

from hal.sim.acoustics import blur, compress, needle_splat
from hal.sim.acoustics.renderer import Renderer

SILENT = -60.0


def half_width(profile: NDArray[np.float64]) -> float:
    """Full width at half maximum in samples, by linear interpolation."""
    k, half = int(profile.argmax()), profile.max() / 2
    left = max(i for i in range(k) if profile[i] < half)
    right = min(i for i in range(k, len(profile)) if profile[i] < half)
    low = left + (half - profile[left]) / (profile[left + 1] - profile[left])
    high = right - (half - profile[right]) / (profile[right - 1] - profile[right])
    return float(high - low)


@pytest.mark.parametrize("depth_mm", [40.0, 80.0])
def test_a_point_is_as_wide_as_the_beam_formula_says(depth_mm: float) -> None:
    renderer = Renderer(block(material(1, 0.0, 1.6, SILENT), spacing_mm=5.0), CURVED, "full", 1)
    plan = renderer.plan(SETTINGS)
    grid = plan.grid
    raw = np.zeros((grid.lines, grid.samples, 2), np.float32)
    at = np.array([round(depth_mm / plan.sample_mm)], float)
    point = needle_splat.Points(np.array([128.0]), at, np.zeros(1), np.array([1.0 + 0j], np.complex64))
    needle_splat.splat(point, plan.sigma_elevation_mm, np.ones((grid.lines, grid.samples // 2), np.float32), raw)
    axial = np.empty_like(raw)
    blur.blur_axial(raw, plan.axial, axial)
    out = np.empty((grid.lines, grid.samples), np.float32)
    side = blur.side_lobes(axial)
    compress.envelope_lines(
        axial.reshape(grid.lines, -1), plan.lateral, side, np.zeros((4096, 2), np.float32),
        np.zeros(grid.lines, np.int64), plan.noise_level, 0, grid.lines, out,
    )  # fmt: skip
    i = int(at[0])
    axial_mm = half_width(out[128].astype(float)) * plan.sample_mm
    lateral_mm = half_width(out[:, i].astype(float)) * grid.line_step * (40.0 + depth_mm)
    print("axial", axial_mm, "lateral", lateral_mm, "at", depth_mm)
    assert axial_mm == pytest.approx(2 * 1.54 / 4.0 / 2, rel=0.05)
    assert lateral_mm == pytest.approx(1.2 * 1.54 / 4.0 * max(2.0, depth_mm / 30), rel=0.05)
    far = 20 * np.log10(out[128 + 14, i] / out[128, i])
    assert -48 < far < -34  # side lobes


def surface_peak(impedance: float, **render: float) -> tuple[float, float]:
    """Echo (envelope summed along depth) and shown depth in mm of a flat surface at 50 mm."""
    scene = block(
        material(1, 0.0, 1.6, SILENT), material(2, 0.0, impedance, SILENT), surfaces_mm=(50.0,),
        spacing_mm=0.5, size_mm=(60.0, 40.0, 90.0),
    )  # fmt: skip
    renderer = Renderer(scene, LINEAR, "full", 1)
    plan = renderer.plan(SETTINGS, **render)
    envelope = renderer.envelope(pose(), plan)[100:156, 200:]
    mean = envelope.mean(axis=0)
    k = int(mean.argmax())
    return float(mean[k - 12 : k + 13].sum()), float((200 + k) * plan.grid.sample_mm)


def test_surface_echo_is_proportional_to_the_reflection_coefficient() -> None:
    one, two = surface_peak(1.7)[0], surface_peak(1.9)[0]
    expected = ((1.9 - 1.6) / (1.9 + 1.6)) / ((1.7 - 1.6) / (1.7 + 1.6))
    assert one > 0
    assert two / one == pytest.approx(expected, rel=0.02)


def test_a_flat_surface_is_shown_where_it_lies() -> None:
    assert surface_peak(1.9)[1] == pytest.approx(50.0, abs=0.2)


@pytest.mark.parametrize("speed", [1440.0, 1482.0, 1600.0])
def test_range_error_follows_the_assumed_over_the_true_sound_speed(speed: float) -> None:
    shown = surface_peak(1.9, sound_speed_m_s=speed)[1]
    reference = surface_peak(1.9)[1]
    print("c", speed, "shown", shown, "expected", reference * 1540 / speed)
    assert shown == pytest.approx(reference * 1540 / speed, abs=0.15)


def level_behind(slab: tuple[float, float] | None, thickness_mm: float) -> float:
    """dB of the speckle between 60 and 70 mm behind a slab at 40 mm."""
    gel, hard = material(1, 0.0, 1.6), material(2, *(slab or (0.0, 1.6)))
    scene = block(gel, hard, dataclasses.replace(gel, label=3), surfaces_mm=(40.0, 40.0 + thickness_mm), spacing_mm=0.5,
                  size_mm=(60.0, 40.0, 90.0))  # fmt: skip
    renderer = Renderer(scene, LINEAR, "full", 1)
    plan = dataclasses.replace(renderer.plan(SETTINGS), noise_level=np.zeros(1024, np.float32))
    part = renderer.envelope(pose(), plan)[40:-40, round(60 / plan.sample_mm) : round(70 / plan.sample_mm)]
    return float(10 * np.log10((part**2).mean()))


def test_shadow_behind_a_slab_is_its_two_way_loss() -> None:
    r = (6.5 - 1.6) / (6.5 + 1.6)
    for attenuation, thickness in ((0.0, 3.0), (5.0, 3.0), (12.0, 2.0)):
        drop = level_behind((attenuation, 6.5), thickness) - level_behind(None, thickness)
        expected = 2 * 20 * np.log10(1 - r**2) - 2 * attenuation * 4.0 * thickness / 10
        print("slab", attenuation, thickness, "drop", drop, "expected", expected)
        assert drop == pytest.approx(expected, abs=1.0)


def test_bone_casts_a_total_shadow() -> None:
    assert level_behind((15.0, 6.5), 8.0) < -20 + level_behind(None, 8.0)
