"""Picks of points against what can be computed by hand, and planted scale and tip errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from analysis.qa.methods.points import point_distances, pointer_rotation, single_point
from hal.errors import ConfigError


def test_accuracy_is_the_length_of_the_mean_error_and_not_the_mean_length():
    found = single_point([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.3, 0.0]], [0.0, 0.0, 0.0])
    assert found.accuracy_mm == pytest.approx(0.1)
    assert found.max_error_mm == pytest.approx(1.0) and found.span_mm == pytest.approx(2.0)
    assert found.rms_mm == pytest.approx(((1.01 * 2 + 0.04) / 3) ** 0.5)


def test_a_square_measured_too_large_by_three_per_mille():
    true = np.array([[0, 0, 0], [100, 0, 0], [100, 100, 0], [0, 100, 0]], float)
    found = point_distances(1.003 * true, true)
    assert found.pairs_n == 6 and found.scale == pytest.approx(1.003)
    assert found.min_mm == pytest.approx(0.30) and found.max_mm == pytest.approx(0.30 * 2**0.5)
    assert found.mean_abs_mm == pytest.approx((4 * 0.3 + 2 * 0.3 * 2**0.5) / 6)
    assert found.residual_rms_mm == pytest.approx(0.15 * 2**0.5)


def test_squareness_of_one_milliradian_makes_the_diagonals_differ():
    true = np.array([[0, 0, 0], [100, 0, 0], [100, 100, 0], [0, 100, 0]], float)
    skew = true + np.column_stack([0.001 * true[:, 1], np.zeros(4), np.zeros(4)])
    found = point_distances(skew, true)
    assert found.max_mm - found.min_mm == pytest.approx(0.14, abs=0.002)


def test_where_the_set_lies_does_not_matter():
    rng = np.random.default_rng(1)
    true, noise = rng.uniform(0, 100, (20, 3)), rng.normal(0, 0.2, (20, 3))
    plain = point_distances(true + noise, true)
    moved = point_distances(Rotation.random(rng=rng).apply(true + noise) + 300.0, true)
    assert plain.pairs_n == 190
    assert moved.rms_mm == pytest.approx(plain.rms_mm) and moved.residual_max_mm == pytest.approx(plain.residual_max_mm)


def test_a_tip_that_is_off_shows_when_the_pointer_is_tilted():
    angle = np.arange(-10.0, 10.5, 0.5)
    tilt = Rotation.from_euler("y", angle[:, None], degrees=True)
    at = tilt.apply([0.0, 0.0, 0.5]) - [0.0, 0.0, 0.5]
    found = pointer_rotation(at, angle, [0.0, 0.0, 0.0])
    assert found.range_deg == pytest.approx(20.0)
    assert np.linalg.norm(at, axis=1).max() == pytest.approx(0.087, abs=5e-4)
    assert found.per_deg_mm == pytest.approx(np.radians(0.5), rel=0.02)
    assert found.span_mm == pytest.approx(0.5 * 2 * np.sin(np.radians(10)), abs=1e-3)


def test_points_that_give_no_distance_are_refused():
    with pytest.raises(ConfigError, match="the same"):
        point_distances(np.eye(3), np.zeros((3, 3)))
    with pytest.raises(ConfigError, match="one line"):
        point_distances([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    with pytest.raises(ConfigError, match="not turned"):
        pointer_rotation(np.eye(3), [1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    with pytest.raises(ConfigError, match="array of 3 x 3"):
        point_distances(np.eye(3), np.zeros((4, 3)))
