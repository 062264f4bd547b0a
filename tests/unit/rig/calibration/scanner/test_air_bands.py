"""Reverberation bands found in painted pictures of a probe in air."""

from __future__ import annotations

import numpy as np
import pytest

from rig.calibration.scanner import BlockPicture, read_air_bands

PITCH_MM, SIZE, RADIUS_MM, HALF_DEG = 0.15, 400, 40.0, 30.0
TOP_MM = RADIUS_MM * (np.cos(np.radians(HALF_DEG)) - 1.0)
ImageToProbe = np.array([
    [PITCH_MM, 0, 0, -PITCH_MM * (SIZE - 1) / 2], [0, 0, -PITCH_MM, 0], [0, PITCH_MM, 0, TOP_MM], [0, 0, 0, 1],
])  # fmt: skip


def painted(spacing_mm=0.9, top_db=55.0, loss_db=5.0, hole_mm=None, hole_db=6.0):
    """Bands along the arc of a curved face, each weaker than the one before; a hole darkens all of them."""
    rows, columns = np.indices((SIZE, SIZE))
    x, z = PITCH_MM * columns + ImageToProbe[0, 3], PITCH_MM * rows + TOP_MM
    angle = np.arctan2(x, z + RADIUS_MM)
    depth, along = np.hypot(x, z + RADIUS_MM) - RADIUS_MM, RADIUS_MM * angle
    power = np.zeros(x.shape)
    for k in range(1, 12):
        power += 10 ** ((top_db - loss_db * k) / 10) * np.exp(-(((depth - k * spacing_mm) / 0.18) ** 2))
    level = 10 * np.log10(power + 1.0)
    if hole_mm is not None:
        level = np.where((np.abs(along - hole_mm) < 0.8) & (depth < 6.0), np.maximum(level - hole_db, 0.0), level)
    level = np.where(np.abs(depth) < 0.2, 60.0, level)
    inside = (np.abs(np.degrees(angle)) <= HALF_DEG) & (depth >= -0.2) & (depth <= 40.0)
    grey = np.where(inside, np.clip(level * 255 / 60, 1, 255), 0).astype(np.uint8)
    return BlockPicture(grey, ImageToProbe, 60.0, RADIUS_MM)


@pytest.mark.parametrize("spacing_mm", [0.7, 0.9, 1.5])
def test_the_distance_of_the_bands_is_found(spacing_mm):
    found = read_air_bands(painted(spacing_mm))
    assert found.spacing_mm == pytest.approx(spacing_mm, abs=0.03)
    assert found.first_mm == pytest.approx(spacing_mm, abs=0.1)


def test_a_hole_is_as_deep_as_it_is_and_where_it_is():
    found = read_air_bands(painted(hole_mm=7.0))
    usual = np.median(found.first_db)
    k = int(np.argmin(found.first_db))
    assert found.along_mm[k] == pytest.approx(7.0, abs=0.9) and usual - found.first_db[k] == pytest.approx(6.0, abs=1.0)
    assert np.max(np.abs(found.first_db[np.abs(found.along_mm - 7.0) > 1.5] - usual)) < 1.5


def test_white_bands_are_passed_over():
    found = read_air_bands(painted(top_db=70.0))
    assert found.first_mm > 1.5 and np.all(found.first_db < 59.9)


def test_a_picture_without_bands_has_no_spacing():
    dark = painted()
    assert np.isnan(read_air_bands(BlockPicture(np.minimum(dark.pixels, 1), ImageToProbe, 60.0, RADIUS_MM)).spacing_mm)
