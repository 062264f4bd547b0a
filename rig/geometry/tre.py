"""Errors of a rigid fit of fiducials: the expected error at a target.

FLE: localisation error of one fiducial, the root of its mean square length. FRE: residual of the fit at the fiducials;
it says whether the fiducials fit each other and nothing about accuracy at a target. TRE: error at a point that took no
part in the fit. Source: Fitzpatrick, West & Maurer, IEEE TMI 17 (1998) 694-702, eq. 46, and Sibson's
``<FRE^2> = (1 - 2/N) <FLE^2>``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rig.geometry.uncertain import cross_matrix

Points = NDArray[np.float64]


def predicted_tre_mm(fiducials: ArrayLike, targets: ArrayLike, fle_mm: float) -> NDArray[np.float64]:
    """Root mean square TRE at targets (m, 3) for fiducials (n, 3) with isotropic, independent, equal FLE.

    ``<TRE^2> = <FLE^2>/N (1 + 1/3 sum_k d_k^2/f_k^2)`` along the principal axes of the fiducials.
    """
    x = np.asarray(fiducials, dtype=np.float64)
    r = np.atleast_2d(np.asarray(targets, dtype=np.float64))
    n = len(x)
    centre = x.mean(axis=0)
    _, size, vt = np.linalg.svd(x - centre, full_matrices=True)
    s2 = np.zeros(3)
    s2[: len(size)] = size**2
    v2 = ((r - centre) @ vt.T) ** 2
    d2 = v2.sum(axis=1, keepdims=True) - v2
    f2 = (s2.sum() - s2) / n
    return np.asarray(fle_mm * np.sqrt((1.0 + (d2 / f2).sum(axis=1) / 3.0) / n))


def expected_fre_mm(n: int, fle_mm: float) -> float:
    """Expected root mean square residual; far above it the fiducials do not fit, far below FLE is overstated."""
    return float(fle_mm * np.sqrt(1.0 - 2.0 / n))


def fit_covariance(points_b: ArrayLike, localisation: ArrayLike) -> NDArray[np.float64]:
    """6x6 covariance of ``AToB`` (error about B's origin, ``UncertainTransform.rigid``) of an unweighted rigid fit.

    ``points_b`` (n, 3) fitted points in B; ``localisation`` the 3x3 covariance of one localisation, or (n, 3, 3).
    Anisotropic and unequal errors are allowed; for equal isotropic ones the trace at a target is eq. 46.
    """
    q = np.asarray(points_b, dtype=np.float64)
    c = np.broadcast_to(np.asarray(localisation, dtype=np.float64), (len(q), 3, 3))
    jac = np.stack([np.hstack([-cross_matrix(p), np.eye(3)]) for p in q])
    normal = np.einsum("nki,nkj->ij", jac, jac)
    middle = np.einsum("nki,nkl,nlj->ij", jac, c, jac)
    inverse = np.linalg.inv(normal)
    return np.asarray(inverse @ middle @ inverse)


def fit_rigid_many(points_a: Points, points_b: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares rigid fits A -> B of many sets at once, both (m, n, 3): rotations (m, 3, 3), shifts (m, 3)."""
    mean_a, mean_b = points_a.mean(axis=1, keepdims=True), points_b.mean(axis=1, keepdims=True)
    cov = np.einsum("mni,mnj->mij", points_a - mean_a, points_b - mean_b)
    u, _, vt = np.linalg.svd(cov)
    v = np.swapaxes(vt, 1, 2)
    sign = np.ones((len(u), 3))
    sign[:, 2] = np.sign(np.linalg.det(v @ np.swapaxes(u, 1, 2)))
    rotation = (v * sign[:, None, :]) @ np.swapaxes(u, 1, 2)
    shift = mean_b[:, 0] - np.einsum("mij,mj->mi", rotation, mean_a[:, 0])
    return rotation, shift


def simulated_tre_mm(
    fiducials: ArrayLike, targets: ArrayLike, localisation: ArrayLike, draws: int = 100_000, seed: int = 1
) -> NDArray[np.float64]:
    """Root mean square TRE at targets (m, 3) by drawing: the closed form's judge, and the answer for anisotropic FLE.

    ``localisation``: 3x3 covariance of one localisation (isotropic: ``FLE^2/3`` times identity), or (n, 3, 3).
    """
    x = np.asarray(fiducials, dtype=np.float64)
    r = np.atleast_2d(np.asarray(targets, dtype=np.float64))
    c = np.broadcast_to(np.asarray(localisation, dtype=np.float64), (len(x), 3, 3))
    values, vectors = np.linalg.eigh(c)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))[:, None, :]
    rng = np.random.default_rng(seed)
    total = np.zeros(len(r))
    done = 0
    while done < draws:
        m = min(20_000, draws - done)
        noise = np.einsum("nij,mnj->mni", root, rng.standard_normal((m, len(x), 3)))
        rotation, shift = fit_rigid_many(np.broadcast_to(x, (m, *x.shape)), x + noise)
        moved = np.einsum("mij,tj->mti", rotation, r) + shift[:, None, :]
        total += ((moved - r) ** 2).sum(axis=2).sum(axis=0)
        done += m
    return np.asarray(np.sqrt(total / done))
