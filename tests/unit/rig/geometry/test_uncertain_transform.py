import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hal.errors import ConfigError
from rig.geometry.uncertain import UncertainTransform, cross_matrix


def _matrix(seed: int, scale: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    m = np.eye(4)
    m[:3, :3] = Rotation.random(random_state=seed).as_matrix() * scale
    m[:3, 3] = rng.normal(0, 80, 3)
    return m


def _covariance(seed: int) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(6, 6)) * np.array([1e-3] * 3 + [0.3] * 3)[:, None]
    return a @ a.T


def _sampled(matrix: np.ndarray, covariance: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    e = rng.multivariate_normal(np.zeros(6), covariance, n)
    turn = np.tile(np.eye(4), (n, 1, 1))
    turn[:, :3, :3] = Rotation.from_rotvec(e[:, :3]).as_matrix()
    turn[:, :3, 3] = e[:, 3:]
    return turn @ matrix


def test_covariance_of_a_chain_and_its_inverse_agrees_with_drawing() -> None:
    rng = np.random.default_rng(5)
    ab, cb = _matrix(1), _matrix(2)
    cab, ccb = _covariance(3), _covariance(4)
    chain = UncertainTransform.rigid(ab, cab).then(UncertainTransform.rigid(cb, ccb).inverse())
    point = np.array([30.0, -12.0, 55.0])
    n = 40_000
    sampled = np.linalg.inv(_sampled(cb, ccb, n, rng)) @ _sampled(ab, cab, n, rng) @ np.append(point, 1.0)
    where, covariance = chain.point(point)
    assert np.allclose(where, sampled[:, :3].mean(axis=0), atol=0.02)
    expected = np.cov(sampled[:, :3].T)
    assert np.allclose(covariance, expected, atol=0.03 * np.abs(expected).max())


def test_pixel_pitch_is_carried_through_a_chain() -> None:
    pitch = np.diag([0.08, 0.09, 0.09, 1.0])
    image = UncertainTransform.rigid(pitch, _covariance(7))
    back = image.then(UncertainTransform.exact(_matrix(8))).inverse()
    point = np.array([200.0, 300.0, 0.0])
    there, covariance = image.then(UncertainTransform.exact(_matrix(8))).point(point)
    pixel, pixel_covariance = back.point(there)
    assert np.allclose(pixel, point)
    a = (_matrix(8) @ pitch)[:3, :3]
    assert np.allclose(a @ pixel_covariance @ a.T, covariance)


def test_six_by_six_survives_a_round_trip() -> None:
    c = _covariance(11)
    assert np.allclose(UncertainTransform.rigid(_matrix(1), c).inverse().inverse().covariance, c)


def test_rotation_about_a_centre_leaves_the_centre_at_rest() -> None:
    c = np.diag([1e-4, 1e-4, 1e-4, 0.0, 0.0, 0.0])
    m = _matrix(3)
    centre = (m @ np.array([10.0, 20.0, 30.0, 1.0]))[:3]
    moved = UncertainTransform.about(m, c, centre)
    assert np.allclose(moved.point([10.0, 20.0, 30.0])[1], 0.0, atol=1e-12)
    arm = cross_matrix([0.0, 0.0, 50.0])
    away = (np.linalg.inv(m) @ np.append(np.add(centre, [0.0, 0.0, 50.0]), 1.0))[:3]
    assert np.allclose(moved.point(away)[1], 1e-4 * arm @ arm.T)


@pytest.mark.parametrize("bad", [np.eye(5), -np.eye(6), np.triu(np.ones((6, 6))), np.full((6, 6), np.nan)])
def test_a_matrix_that_is_no_covariance_is_refused(bad) -> None:
    with pytest.raises(ConfigError, match="covariance"):
        UncertainTransform.rigid(np.eye(4), bad)
