import numpy as np
import pytest

from rig.geometry.tre import expected_fre_mm, fit_covariance, fit_rigid_many, predicted_tre_mm, simulated_tre_mm

TARGETS = np.array([[25.0, 25.0, 40.0], [-25.0, -5.0, 45.0], [20.0, -40.0, 50.0]])
SETS = {
    "rim of the box": [[-88, -95, 0], [88, -95, 0], [88, 115, 0], [-88, 115, 0], [-95, 10, 30], [95, -20, 45]],
    "letter L": [[0, 0, 0], [60, 0, 0], [0, 30, 0], [120, 0, 0]],
    "general": [[12, 5, 40], [-60, 33, 2], [80, -7, -21], [3, 71, 15], [-20, -44, 33]],
}


@pytest.mark.parametrize("name", SETS)
def test_closed_formula_agrees_with_drawing_within_two_percent(name: str) -> None:
    fiducials = np.array(SETS[name], dtype=float)
    closed = predicted_tre_mm(fiducials, TARGETS, 0.4)
    sampled = simulated_tre_mm(fiducials, TARGETS, np.eye(3) * 0.4**2 / 3, draws=60_000)
    assert np.allclose(sampled / closed, 1.0, atol=0.02)


@pytest.mark.parametrize("name", SETS)
def test_covariance_of_the_fit_gives_the_same_number_at_a_target(name: str) -> None:
    fiducials = np.array(SETS[name], dtype=float)
    covariance = fit_covariance(fiducials, np.eye(3) * 0.4**2 / 3)
    for target, expected in zip(TARGETS, predicted_tre_mm(fiducials, TARGETS, 0.4), strict=True):
        x, y, z = target
        jac = np.hstack([-np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]), np.eye(3)])
        assert np.sqrt(np.trace(jac @ covariance @ jac.T)) == pytest.approx(expected, rel=1e-6)


def test_anisotropic_localisation_is_predicted_by_the_covariance_as_by_drawing() -> None:
    fiducials = np.array(SETS["general"], dtype=float)
    localisation = np.diag([0.1, 0.2, 0.6]) ** 2
    covariance = fit_covariance(fiducials, localisation)
    x, y, z = TARGETS[0]
    jac = np.hstack([-np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]), np.eye(3)])
    sampled = simulated_tre_mm(fiducials, TARGETS[0], localisation, draws=60_000)[0]
    assert np.sqrt(np.trace(jac @ covariance @ jac.T)) == pytest.approx(sampled, rel=0.02)


def test_residual_expected_from_the_localisation_error_is_found_by_fitting() -> None:
    rng = np.random.default_rng(2)
    fiducials = np.array(SETS["general"], dtype=float)
    a = np.broadcast_to(fiducials, (20_000, *fiducials.shape))
    b = a + rng.normal(0, 0.3 / np.sqrt(3), a.shape)
    rotation, shift = fit_rigid_many(a, b)
    rest = b - np.einsum("mij,mnj->mni", rotation, a) - shift[:, None]
    assert np.sqrt((rest**2).sum(axis=2).mean()) == pytest.approx(expected_fre_mm(5, 0.3), rel=0.01)
    assert np.allclose(np.linalg.det(rotation), 1.0)
