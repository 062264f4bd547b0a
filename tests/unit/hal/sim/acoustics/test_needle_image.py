"""Rows 14, 16, 17: the needle in and out of the slice."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from acoustic_scenes import CURVED, LINEAR, SETTINGS, block, elevation_sigma_mm, material, pose
from numpy.typing import NDArray

from hal.sim.acoustics import needle_splat
from hal.sim.acoustics.renderer import Renderer
from hal.sim.acoustics.states import EchoNeedle


@pytest.fixture(scope="module")
def clear() -> Renderer:
    return Renderer(block(material(1, 0.0, 1.6, -60.0), spacing_mm=2.0), CURVED, "full", 1)


@pytest.fixture(scope="module")
def clear_linear() -> Renderer:
    return Renderer(block(material(1, 0.0, 1.6, -60.0), spacing_mm=2.0), LINEAR, "full", 1)


def envelope(renderer: Renderer, at: NDArray[np.float64], needle: EchoNeedle) -> NDArray[np.float32]:
    plan = dataclasses.replace(renderer.plan(SETTINGS), noise_level=np.zeros(1024, np.float32))
    return renderer.envelope(at, plan, needle=needle, couplant_gap_mm=20.0)[:, 60:]


def test_tip_fades_out_of_plane_with_the_gaussian_slice(clear: Renderer) -> None:
    needle = EchoNeedle(np.array([[-1.0, 0.0, 60.0], [0.0, 0.0, 60.0]]))
    centre = envelope(clear, pose(), needle).max()
    sigma = elevation_sigma_mm(np.array(60.0))
    for dy in (0.4, 0.8, 1.2, 1.5):
        db = 20 * np.log10(envelope(clear, pose(y=dy), needle).max() / centre)
        expected = -4.34 * dy**2 / sigma**2
        print("dy", dy, "dB", round(float(db), 2), "expected", round(float(expected), 2))
        assert db == pytest.approx(expected, abs=1.0)


def test_a_needle_that_leaves_the_slice_shows_too_short_a_shaft(clear_linear: Renderer) -> None:
    beta, tip_y = np.radians(5.0), 3.5
    # Shaft parallel to the face at 60 mm; it crosses the plane at x = -20 and yaws out of it to the tip.
    length = tip_y / np.sin(beta)
    tip = np.array([-20 + length * np.cos(beta), tip_y, 60.0])
    needle = EchoNeedle(np.array([[-20.0, 0.0, 60.0], tip]))
    sigma = elevation_sigma_mm(np.array(60.0))
    profile = envelope(clear_linear, pose(), needle).max(axis=1)
    x = np.linspace(-20, 20, len(profile))
    plateau = profile[(x > -17) & (x < -14)].mean()
    visible = x[np.flatnonzero(profile > plateau / 10)[-1]]  # 20 dB below the shaft in the plane
    y_visible = sigma * np.sqrt(20 / 4.34)
    expected = (tip_y - y_visible) / np.tan(beta)
    print("too short by", tip[0] - visible, "expected", expected)
    assert tip[0] - visible == pytest.approx(expected, abs=1.0)
    assert expected > 15.0


def test_out_of_plane_needle_is_a_dot(clear_linear: Renderer) -> None:
    needle = EchoNeedle(np.array([[0.0, -30.0, 58.0], [0.0, 10.0, 60.0]]))
    image = envelope(clear_linear, pose(), needle)
    bright = np.argwhere(image > image.max() / 4)
    assert np.ptp(bright[:, 0]) * 40 / 255 < 3.0
    assert np.ptp(bright[:, 1]) * SETTINGS.depth_mm / 1023 < 4.0


def test_shaft_fades_with_tilt_down_to_a_diffuse_floor_that_echogenic_needles_keep(clear_linear: Renderer) -> None:
    def shaft_db(tilt_deg: float, echogenic: bool = False) -> float:
        d = np.array([np.cos(np.radians(tilt_deg)), 0.0, np.sin(np.radians(tilt_deg))])
        needle = EchoNeedle(np.array([[0.0, 0.0, 50.0] - 12 * d, [0.0, 0.0, 50.0] + 40 * d]), echogenic=echogenic)
        part = envelope(clear_linear, pose(), needle)[110:146]
        return float(20 * np.log10(part.max(axis=1).mean()))

    plain = [shaft_db(t) for t in (0.0, 3.0, 6.0, 10.0, 40.0, 60.0)]
    print("plain", np.round(plain, 1), "echogenic 60", shaft_db(60.0, True))
    assert all(a > b for a, b in pairwise(plain))
    assert plain[0] > 35
    assert 5 < plain[4] < 25
    assert shaft_db(60.0, True) > plain[5] + 8


def test_coherent_loss_matches_the_gaussian_formula() -> None:
    # 7.6 MHz, widths of the published line-target table (dB at 0/3/6/9/12 deg: 0/-0.5/-1.9/-4.2/-7.3)
    sines = np.sin(np.radians([0.0, 3.0, 6.0, 9.0, 12.0]))
    sigma_ax, sigma_lat = 0.170 / 2.355, 0.239 / 2.355
    s = 1 / np.sqrt(sines**2 / sigma_ax**2 + (1 - sines**2) / sigma_lat**2)
    a = needle_splat.mirror(sines, 2 * np.pi / 0.203, sigma_ax, np.full(5, sigma_lat)) * s / sigma_lat
    assert 20 * np.log10(a) == pytest.approx([0.0, -0.5, -1.9, -4.2, -7.3], abs=0.2)
