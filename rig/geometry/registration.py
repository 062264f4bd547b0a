"""Rigid fits: paired points, and a robust trimmed fit of points to a surface.

Transforms are 4x4, mm, left multiplication; ``AToB`` maps A to B. A fit that the data cannot hold
(too few points, a direction that no point sees) is answered with ``ok = False`` and a reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hal.types import Matrix, Vector

Points = NDArray[np.float64]
"""Shape (n, 3), mm."""


def apply_transform(AToB: Matrix, points: Points) -> Points:
    """Points of shape (n, 3) or (3,) from frame A to frame B."""
    return np.asarray(points @ AToB[:3, :3].T + AToB[:3, 3], dtype=np.float64)


def invert_rigid(AToB: Matrix) -> Matrix:
    """``BToA`` of a rigid transform."""
    out = np.eye(4)
    out[:3, :3] = AToB[:3, :3].T
    out[:3, 3] = -AToB[:3, :3].T @ AToB[:3, 3]
    return out


def rigid_matrix(rotation_vector_rad: Vector, translation_mm: Vector) -> Matrix:
    """4x4 transform from a rotation vector (rad) and a translation (mm)."""
    out = np.eye(4)
    out[:3, :3] = Rotation.from_rotvec(rotation_vector_rad).as_matrix()
    out[:3, 3] = translation_mm
    return out


@dataclass(frozen=True)
class PairedFit:
    """Result of ``fit_rigid``."""

    ok: bool
    reason: str
    AToB: Matrix = field(repr=False)
    residuals_mm: NDArray[np.float64] = field(repr=False)
    """Distance of each pair after the fit, shape (n,)."""
    rms_mm: float


def fit_rigid(points_a: Points, points_b: Points, weights: NDArray[np.float64] | None = None) -> PairedFit:
    """Least-squares rigid transform A -> B of paired points (Arun, Huang, Blostein, PAMI 1987; Umeyama 1991 sign rule).

    ``points_a`` and ``points_b`` have shape (n, 3); n >= 3 and the points must not lie on a line.
    """
    n = len(points_a)
    empty = np.zeros(0)
    if n < 3 or points_b.shape != points_a.shape:
        return PairedFit(False, f"a rigid fit needs at least 3 pairs, got {n}", np.eye(4), empty, float("nan"))
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    w = w / w.sum()
    mean_a, mean_b = w @ points_a, w @ points_b
    da, db = points_a - mean_a, points_b - mean_b
    spread = np.linalg.svd(da * np.sqrt(w)[:, None], compute_uv=False)
    if spread[1] < 1e-3 * max(spread[0], 1e-9) or spread[0] < 1e-6:
        return PairedFit(False, "the points lie on one line: rotation about it is open", np.eye(4), empty, float("nan"))
    u, _, vt = np.linalg.svd((da * w[:, None]).T @ db)
    sign = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(vt.T @ u.T)))])
    rotation = vt.T @ sign @ u.T
    AToB = np.eye(4)
    AToB[:3, :3] = rotation
    AToB[:3, 3] = mean_b - rotation @ mean_a
    residuals = np.linalg.norm(apply_transform(AToB, points_a) - points_b, axis=1)
    return PairedFit(True, "", AToB, residuals, float(np.sqrt(w @ residuals**2)))


@dataclass(frozen=True)
class Surface:
    """Points of a surface with normals and a search tree, in one frame."""

    points: Points = field(repr=False)
    normals: Points = field(repr=False)
    tree: cKDTree = field(repr=False)


def make_surface(points: Points, neighbours: int = 12) -> Surface:
    """A surface from a point cloud, shape (n, 3); normals by local principal components."""
    pts = np.ascontiguousarray(points, dtype=np.float64)
    tree = cKDTree(pts)
    _, index = tree.query(pts, k=min(neighbours, len(pts)))
    near = pts[index] - pts[index].mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", near, near))
    return Surface(pts, np.ascontiguousarray(vectors[:, :, 0]), tree)


@dataclass(frozen=True)
class PosePrior:
    """Prior knowledge of the pose before the fit, as standard deviations about the start pose."""

    translation_sd_mm: tuple[float, float, float] = (10.0, 10.0, 10.0)
    rotation_sd_deg: tuple[float, float, float] = (5.0, 5.0, 5.0)


@dataclass(frozen=True)
class SurfaceFit:
    """Result of ``fit_to_surface``. ``A`` is the frame of the measured points, ``B`` that of the surface."""

    ok: bool
    reason: str
    AToB: Matrix = field(repr=False)
    rms_mm: float
    """Root mean square of the kept distances to the surface."""
    inlier_fraction: float
    inliers: NDArray[np.bool_] = field(repr=False)
    distances_mm: NDArray[np.float64] = field(repr=False)
    """Unsigned distance of every measured point to the local tangent plane of the surface, shape (n,)."""
    covariance: NDArray[np.float64] = field(repr=False)
    """6x6 of (rotation vector about ``centre_mm`` rad, translation mm)."""
    centre_mm: Vector = field(repr=False)
    """Point of B about which the rotations of the covariance are taken."""
    iterations: int = 0
    response: NDArray[np.float64] = field(repr=False, default_factory=lambda: np.zeros((6, 0)))
    """(6, n): how the pose (as in ``covariance``) answers when a measured point moves by 1 mm along its normal."""
    normals: NDArray[np.float64] = field(repr=False, default_factory=lambda: np.zeros((0, 3)))
    """(n, 3) of the surface at the measured points, frame B."""
    prior_share: NDArray[np.float64] = field(repr=False, default_factory=lambda: np.zeros((6, 6)))
    """(6, 6): how the pose answers when the pose that the prior is about moves."""

    def moved_by(self, shift_mm: NDArray[np.float64], prior_moved: NDArray[np.float64] | None = None) -> Vector:
        """Change of the pose, shape (6,) as in ``covariance``, when every measured point is shifted.

        ``shift_mm`` (n, 3), frame B; ``prior_moved`` (6,) the change of the start pose that the prior is about. To
        first order: implicit derivative of the last weighted least squares, its pairs and weights held.
        """
        moved = -self.response @ np.einsum("ij,ij->i", shift_mm, self.normals)
        return np.asarray(moved if prior_moved is None else moved + self.prior_share @ prior_moved)

    def moved_point(self, pose_moved: Vector, point_mm: Vector) -> Vector:
        """Where a point of B then goes to in A, as a shift (3,) along the axes of B: the inverse of the change."""
        arm = np.asarray(point_mm, dtype=np.float64) - self.centre_mm
        return np.asarray(-(pose_moved[3:] + np.cross(pose_moved[:3], arm)))

    def point_covariance(self, point_mm: Vector) -> NDArray[np.float64]:
        """3x3 covariance (mm^2) of a point of frame B due to the fit."""
        arm = np.asarray(point_mm, dtype=np.float64) - self.centre_mm
        jac = np.hstack([-_cross(arm), np.eye(3)])
        return np.asarray(jac @ self.covariance @ jac.T)


def _cross(v: Vector) -> NDArray[np.float64]:
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


def fit_to_surface(
    measured: Points,
    surface: Surface,
    AToB_start: Matrix,
    *,
    weights: NDArray[np.float64] | None = None,
    prior: PosePrior | None = None,
    trim_fraction: float = 0.2,
    start_distance_mm: float = 12.0,
    end_distance_mm: float = 3.0,
    iterations: int = 30,
    noise_floor_mm: float = 0.4,
    correlated_points: float = 20.0,
    min_inliers: int = 40,
    max_sd_mm: float = 5.0,
) -> SurfaceFit:
    """Rigid pose that fits measured points to a surface: point-to-plane iterations (Chen & Medioni 1992).

    The gate closes from ``start_distance_mm`` to ``end_distance_mm``; the worst ``trim_fraction`` is left out
    (Chetverikov et al. 2005) and the rest carries Tukey weights. ``correlated_points`` is the number of neighbouring
    points that share one error (scan lines, speckle): the covariance is widened by it.
    """
    n = len(measured)
    w0 = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    AToB = AToB_start.copy()
    nothing = np.zeros((6, 6))
    if n < min_inliers:
        flags = np.zeros(n, dtype=bool)
        return SurfaceFit(False, f"only {n} bone points, at least {min_inliers} needed", AToB, float("nan"), 0.0, flags,
                          np.full(n, np.nan), nothing, np.zeros(3))  # fmt: skip
    p_start = apply_transform(AToB_start, measured)
    centre = np.asarray(np.average(p_start, axis=0, weights=w0), dtype=np.float64)
    prior_info = np.zeros((6, 6))
    if prior is not None:
        sd = np.concatenate([np.radians(prior.rotation_sd_deg), prior.translation_sd_mm])
        prior_info = np.diag(1.0 / sd**2)
    moved = np.zeros(6)
    information = np.eye(6)
    gain, normal = np.zeros((6, n)), np.zeros((n, 3))
    keep = np.ones(n, dtype=bool)
    plane = np.zeros(n)
    rms = float("nan")
    done = 0
    for step in range(iterations):
        done = step + 1
        p = apply_transform(AToB, measured)
        distance, index = surface.tree.query(p, distance_upper_bound=start_distance_mm + 30.0)
        found = np.isfinite(distance)
        index = np.where(found, index, 0)
        normal = surface.normals[index]
        plane = np.where(found, np.einsum("ij,ij->i", p - surface.points[index], normal), np.inf)
        gate = max(end_distance_mm, start_distance_mm * 0.8**step)
        keep = found & (distance < gate)
        if int(keep.sum()) < min_inliers:
            break
        limit = np.quantile(np.abs(plane[keep]), 1.0 - trim_fraction)
        scale = max(1.4826 * float(np.median(np.abs(plane[keep]))), noise_floor_mm)
        tukey = np.clip(1.0 - (plane / (4.7 * scale)) ** 2, 0.0, None)
        w = np.where(keep & (np.abs(plane) <= max(float(limit), noise_floor_mm)), w0 * tukey**2, 0.0)
        jac = np.hstack([np.cross(p - centre, normal), normal])
        used = w > 0
        rms = float(np.sqrt(np.average(plane[used] ** 2, weights=w[used])))
        sigma2 = max(rms, noise_floor_mm) ** 2
        information = (jac[used].T * (w[used] / (sigma2 * correlated_points))) @ jac[used]
        gradient = (jac[used].T * (w[used] / (sigma2 * correlated_points))) @ plane[used]
        lhs = information + prior_info + 1e-9 * np.eye(6)
        gain = jac.T * (w / (sigma2 * correlated_points))
        delta = np.asarray(-np.linalg.solve(lhs, gradient + prior_info @ moved), dtype=np.float64)
        moved = moved + delta
        turn = rigid_matrix(delta[:3], np.zeros(3))
        shift_in = np.eye(4)
        shift_in[:3, 3] = -centre
        shift_out = np.eye(4)
        shift_out[:3, 3] = centre + delta[3:]
        AToB = shift_out @ turn @ shift_in @ AToB
        if step > 8 and np.linalg.norm(delta[3:]) < 1e-3 and np.linalg.norm(delta[:3]) < 1e-5:
            break
    covariance = np.asarray(np.linalg.inv(information + prior_info + 1e-9 * np.eye(6)), dtype=np.float64)
    fraction = float(keep.mean())
    worst = float(np.sqrt(np.max(np.linalg.eigvalsh(covariance[3:, 3:]))))
    ok, reason = True, ""
    if int(keep.sum()) < min_inliers:
        ok, reason = False, f"{int(keep.sum())} of {n} bone points lie near the surface, at least {min_inliers} needed"
    elif worst > max_sd_mm:
        ok, reason = False, f"one direction is open: standard deviation {worst:.1f} mm, limit {max_sd_mm:.1f} mm"
    return SurfaceFit(ok, reason, AToB, rms, fraction, keep, np.abs(plane), covariance, centre, done,
                      covariance @ gain, normal, covariance @ prior_info)  # fmt: skip
