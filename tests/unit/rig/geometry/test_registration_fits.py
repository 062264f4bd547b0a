from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.geometry.registration import (
    PosePrior,
    apply_transform,
    fit_rigid,
    fit_to_surface,
    invert_rigid,
    make_surface,
    rigid_matrix,
)


def _bumpy(n: int = 60) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(-30, 30, n), np.linspace(-40, 40, n))
    z = 40 + 6 * np.sin(x / 6) + 5 * np.cos(y / 7) + 0.1 * x
    return np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6), st.integers(0, 1000))
def test_paired_points_give_back_the_pose_they_were_moved_by(v: list[float], seed: int) -> None:
    AToB = rigid_matrix(np.array(v[:3]), 50 * np.array(v[3:]))
    points = np.random.default_rng(seed).normal(0, 20, (6, 3))
    fit = fit_rigid(points, apply_transform(AToB, points))
    assert fit.ok and fit.rms_mm < 1e-9
    assert np.allclose(fit.AToB, AToB, atol=1e-9)
    assert np.allclose(invert_rigid(AToB) @ AToB, np.eye(4), atol=1e-12)


def test_points_on_one_line_are_refused() -> None:
    line = np.outer(np.arange(5.0), [1.0, 2.0, 3.0])
    fit = fit_rigid(line, line)
    assert not fit.ok and "line" in fit.reason


def test_two_pairs_are_refused() -> None:
    assert not fit_rigid(np.zeros((2, 3)), np.zeros((2, 3))).ok


def test_a_mirrored_pair_set_still_gives_a_rotation() -> None:
    points = np.random.default_rng(1).normal(0, 10, (8, 3))
    fit = fit_rigid(points, points * np.array([1, 1, -1.0]))
    assert np.linalg.det(fit.AToB[:3, :3]) == pytest.approx(1.0)
    assert fit.rms_mm > 1.0


def test_a_surface_fit_finds_the_pose_in_spite_of_noise_and_a_fifth_of_wrong_points() -> None:
    rng = np.random.default_rng(3)
    surface = make_surface(_bumpy())
    truth = rigid_matrix(np.radians([2.0, -1.5, 1.0]), np.array([3.0, -2.0, 2.5]))
    seen = apply_transform(invert_rigid(truth), _bumpy(45)) + rng.normal(0, 0.3, (2025, 3))
    wrong = rng.choice(len(seen), 400, replace=False)
    seen[wrong, 2] += rng.uniform(5, 20, 400)
    fit = fit_to_surface(seen, surface, np.eye(4))
    assert fit.ok, fit.reason
    centre = np.array([0.0, 0.0, 40.0])
    assert np.linalg.norm(apply_transform(fit.AToB @ invert_rigid(truth), centre) - centre) < 0.4


def test_a_flat_surface_leaves_directions_open_and_says_so() -> None:
    x, y = np.meshgrid(np.arange(-30.0, 30), np.arange(-30.0, 30))
    flat = np.stack([x.ravel(), y.ravel(), np.full(x.size, 40.0)], axis=1)
    fit = fit_to_surface(flat[::5], make_surface(flat), np.eye(4), prior=PosePrior((20, 20, 20)))
    assert not fit.ok and "open" in fit.reason
    assert fit.point_covariance(np.zeros(3)).shape == (3, 3)


def test_too_few_points_are_refused_with_their_number() -> None:
    fit = fit_to_surface(np.zeros((5, 3)), make_surface(_bumpy()), np.eye(4))
    assert not fit.ok and "5" in fit.reason


def test_the_prior_holds_what_the_points_cannot_see() -> None:
    surface = make_surface(_bumpy())
    strip = _bumpy()[np.abs(_bumpy()[:, 0]) < 1.0]
    start = rigid_matrix(np.zeros(3), np.array([0.5, 0.0, 0.3]))
    tight = fit_to_surface(strip, surface, start, prior=PosePrior((0.5, 5, 5), (1, 1, 1)), min_inliers=20)
    sd_tight = np.sqrt(tight.point_covariance(tight.centre_mm)[0, 0])
    assert sd_tight <= 0.51
