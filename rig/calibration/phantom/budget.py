"""Accuracy of a registration by bone at the targets: every error is followed from its cause to the target.

A cause moves the measured bone points, the target, or both. To first order the fit answers a displacement ``u`` of its
points with a pose error ``G (n . u)``; a target on a vertebra that was poured beside its drawing also moves by itself.
The same causes are drawn at random and the fit is repeated (Monte Carlo), which judges the first order.

All of it is in the Phantom frame, mm. The spreads of ``Spreads`` are standard deviations of what nobody measured for
this cartridge: they come from the rig file, from certificates, or are assumed values with their source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix, Vector
from rig.calibration.phantom.bone_points import BonePoints
from rig.geometry.registration import Points, Surface, SurfaceFit, apply_transform, invert_rigid
from rig.geometry.uncertain import cross_matrix
from rig.guidance.lumbar.anatomy_fit import BUILD_SD_MM

LINES_ALIKE_N = 10
"""Neighbouring scan lines of one frame whose errors are alike: the width of the speckle and of a shadow's edge [A]."""
NOISE_FLOOR_MM = 1.2
"""Two standard deviations of a pour (0.4 mm and 0.5 deg on an arm of 25 mm): a vertebra within its tolerance is no
outlier. A smaller floor lets the fit choose which vertebrae to believe, and other starts choose others."""
DRAWS_N = 100
COVERAGE = 0.95


@dataclass(frozen=True)
class Spreads:
    """Standard deviations of the causes."""

    sound_speed_share: float
    """u(c) / c of the gel."""
    image: NDArray[np.float64] = field(repr=False)
    """(12, 12) spread of ``ImageToProbe``, frame Probe (``UncertainTransform.spread``)."""
    base_mm: float
    """Holder's base to rig, per axis."""
    base_deg: float
    base_at_rig_mm: Vector
    """About which the base turns."""
    pose_mm: float
    """How well the holder comes to one pose, per axis and frame."""
    vertebra_mm: float = BUILD_SD_MM
    vertebra_deg: float = 0.5
    """One bone of a pour against its drawing, per axis: pouring tolerance [A]."""
    insert_mm: float = 0.3
    """A nerve insert against its vertebra, per axis [A]: target tolerance of facts 7.3."""
    swelling: float = 0.003
    """Linear growth of the block (not corrected) [A]."""
    finder_bias_mm: float = 0.2
    """Offset of the bone finder's surface from the surface, along the beam, the same everywhere [A]."""


@dataclass(frozen=True)
class Places:
    """Points of the design that the errors need. Phantom frame, mm."""

    targets: Mapping[str, Vector]
    host: Mapping[str, str]
    """Bone that carries each target."""
    origins: Mapping[str, Vector]
    """About which each bone turns."""


@dataclass(frozen=True)
class Cause:
    """One cause: displacements for one standard deviation of each of its k variables."""

    name: str
    points: NDArray[np.float64] = field(repr=False)
    """(n, 3, k) of the measured points."""
    targets: NDArray[np.float64] = field(repr=False)
    """(m, 3, k) of the true targets."""


@dataclass(frozen=True)
class TargetClaim:
    """Predicted error of one target."""

    name: str
    covariance: NDArray[np.float64] = field(repr=False)
    """(3, 3) mm^2, Phantom frame, first order."""
    by_cause_mm: Mapping[str, float]
    """3-D standard uncertainty that each cause leaves by itself."""
    sd_mm: float
    """3-D standard uncertainty: root of the summed variances, first order."""
    simulated_sd_mm: float
    """The same by repeated fits."""
    radius_95_mm: float
    """Holds the target with 95 % probability."""

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "sd_mm": self.sd_mm,
            "simulated_sd_mm": self.simulated_sd_mm,
            "radius_95_mm": self.radius_95_mm,
            "by_cause_mm": dict(self.by_cause_mm),
            "covariance_mm2": self.covariance.tolist(),
        }


@dataclass(frozen=True)
class Budget:
    """Budget of one registration."""

    covariance: NDArray[np.float64] = field(repr=False)
    """(6, 6) of ``RigToPhantom`` (rotation vector about ``centre_mm`` in rad, translation in mm)."""
    centre_mm: Vector = field(repr=False)
    claims: tuple[TargetClaim, ...]
    draws_n: int
    failed_n: int
    """Draws in which the repeated fit was refused."""


def causes(
    points: BonePoints, RigToPhantom: Matrix, bones: NDArray[np.str_], places: Places, s: Spreads
) -> list[Cause]:
    """Every cause but the noise of single points, which ``noise`` holds. ``bones`` (n,): bone of each point."""
    p = apply_transform(RigToPhantom, points.points_mm)
    beams = points.beams @ RigToPhantom[:3, :3].T
    t = np.array(list(places.targets.values()))
    still = np.zeros((len(t), 3, 1))
    out = [
        Cause("speed of sound", (s.sound_speed_share * points.range_mm[:, None] * beams)[:, :, None], still),
        Cause("bone finder, bias", (s.finder_bias_mm * beams)[:, :, None], still),
        Cause("swelling of the block", s.swelling * p[:, :, None], s.swelling * t[:, :, None]),
    ]
    frame = RigToPhantom[:3, :3] @ points.ProbeToRig[points.frame, :3, :3]
    inside = np.einsum(
        "nji,nj->ni", points.ProbeToRig[points.frame, :3, :3], points.points_mm - points.ProbeToRig[points.frame, :3, 3]
    )
    root = _root(s.image)
    # The error of ImageToProbe moves a point q of the probe by D [q; 1], D flattened row by row.
    shaken = np.einsum("nj,ijk->nik", np.column_stack([inside, np.ones(len(inside))]), root.reshape(3, 4, -1))
    out.append(Cause("image to probe", np.einsum("nij,njk->nik", frame, shaken), np.zeros((len(t), 3, root.shape[1]))))
    base = apply_transform(RigToPhantom, s.base_at_rig_mm)
    out.append(Cause("holder to rig", _twists(p - base, s.base_mm, s.base_deg), np.zeros((len(t), 3, 6))))
    numbers, index = np.unique(points.frame, return_inverse=True)
    reached = np.zeros((len(p), 3, 3 * len(numbers)))
    for axis in range(3):
        reached[np.arange(len(p)), axis, 3 * index + axis] = s.pose_mm
    out.append(Cause("holder pose", reached, np.zeros((len(t), 3, 3 * len(numbers)))))
    names = sorted(set(bones.tolist()) | set(places.host.values()))
    moved, own = np.zeros((len(p), 3, 6 * len(names))), np.zeros((len(t), 3, 6 * len(names)))
    hosts = np.array([places.host[name] for name in places.targets])
    for k, name in enumerate(names):
        at = slice(6 * k, 6 * k + 6)
        on, carried = bones == name, hosts == name
        moved[on, :, at] = _twists(p[on] - places.origins[name], s.vertebra_mm, s.vertebra_deg)
        own[carried, :, at] = _twists(t[carried] - places.origins[name], s.vertebra_mm, s.vertebra_deg)
    out.append(Cause("vertebrae beside the drawing", moved, own))
    inserts = np.zeros((len(t), 3, 3 * len(t)))
    for k in range(len(t)):
        inserts[k, :, 3 * k : 3 * k + 3] = s.insert_mm * np.eye(3)
    out.append(Cause("nerve insert in its vertebra", np.zeros((len(p), 3, 3 * len(t))), inserts))
    return out


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m, k) with ``root @ root.T`` the covariance, without the directions of no variance."""
    values, vectors = np.linalg.eigh(covariance)
    keep = values > 1e-12 * max(float(values[-1]), 1e-300)
    return np.asarray(vectors[:, keep] * np.sqrt(values[keep]))


def _twists(arms: Points, sd_mm: float, sd_deg: float) -> NDArray[np.float64]:
    """(n, 3, 6): displacement by a turn about each axis, then by a shift along each."""
    out = np.zeros((len(arms), 3, 6))
    for axis in range(3):
        turn = np.zeros(3)
        turn[axis] = np.radians(sd_deg)
        out[:, :, axis] = np.cross(turn, arms)
        out[:, axis, 3 + axis] = sd_mm
    return out


def noise(points: BonePoints, normals: Points, sd_mm: float, targets_n: int) -> Cause:
    """Noise of the bone finder across the surface: alike in ``LINES_ALIKE_N`` neighbouring lines of a frame."""
    block = points.frame * 1000 + points.line // LINES_ALIKE_N
    _, index = np.unique(block, return_inverse=True)
    k = int(index.max(initial=-1)) + 1
    out = np.zeros((len(points), 3, k))
    out[np.arange(len(points)), :, index] = sd_mm * normals
    return Cause("bone finder, noise", out, np.zeros((targets_n, 3, k)))


def fit_weights(
    p: Points, surface: Surface, end_distance_mm: float = 3.0, trim: float = 0.2, floor_mm: float = NOISE_FLOOR_MM
) -> tuple[NDArray[np.float64], Points, NDArray[np.float64]]:
    """Weights of the last iteration of ``fit_to_surface`` at points (n, 3), the normals (n, 3) and distances there."""
    distance, index = surface.tree.query(p)
    normal = surface.normals[index]
    plane = np.einsum("ij,ij->i", p - surface.points[index], normal)
    keep = distance < end_distance_mm
    if not keep.any():
        return np.zeros(len(p)), normal, plane
    limit = max(float(np.quantile(np.abs(plane[keep]), 1.0 - trim)), floor_mm)
    scale = max(1.4826 * float(np.median(np.abs(plane[keep]))), floor_mm)
    tukey = np.clip(1.0 - (plane / (4.7 * scale)) ** 2, 0.0, None) ** 2
    return np.where(keep & (np.abs(plane) <= limit), tukey, 0.0), normal, plane


def gain(p: Points, normals: Points, weights: NDArray[np.float64], centre: Vector) -> NDArray[np.float64]:
    """(6, n): ``(rotation, translation)`` of the points' pose by which the fit answers normal displacements (mm)."""
    jac = np.hstack([np.cross(p - centre, normals), normals])
    normal_matrix = (jac.T * weights) @ jac + 1e-9 * np.eye(6)
    return np.asarray(np.linalg.solve(normal_matrix, jac.T * weights))


def every_cause(
    points: BonePoints,
    RigToPhantom: Matrix,
    surface: Surface,
    bones: NDArray[np.str_],
    places: Places,
    spreads: Spreads,
) -> list[Cause]:
    """All causes, the noise of the points by their own residuals from the surface."""
    weights, normals, plane = fit_weights(apply_transform(RigToPhantom, points.points_mm), surface)
    used = weights > 0.0
    sd_mm = float(np.sqrt(np.average(plane[used] ** 2, weights=weights[used])))
    every = causes(points, RigToPhantom, bones, places, spreads)
    return [*every, noise(points, normals, sd_mm, len(places.targets))]


def budget(
    points: BonePoints,
    RigToPhantom: Matrix,
    surface: Surface,
    bones: NDArray[np.str_],
    places: Places,
    spreads: Spreads,
    fit: Callable[[Points, Matrix], SurfaceFit],
    *,
    draws_n: int = DRAWS_N,
    seed: int = 1,
) -> Budget:
    """Budget of a registration that fitted ``points`` to ``surface`` by ``RigToPhantom``.

    ``fit`` repeats the registration for the Monte Carlo: points of the Phantom frame and a start, ``A`` to ``B``.
    """
    p = apply_transform(RigToPhantom, points.points_mm)
    weights, normals, plane = fit_weights(p, surface)
    used = weights > 0.0
    centre = np.asarray(np.average(p, axis=0, weights=weights))
    g = gain(p, normals, weights, centre)
    t = np.array(list(places.targets.values()))
    every = every_cause(points, RigToPhantom, surface, bones, places, spreads)
    arms = np.stack([np.hstack([-cross_matrix(q - centre), np.eye(3)]) for q in t])
    pose_cov, target_cov = np.zeros((6, 6)), np.zeros((len(t), 3, 3))
    rows: dict[str, NDArray[np.float64]] = {}
    for cause in every:
        answer = g @ np.einsum("ni,nik->nk", normals, cause.points)
        error = arms @ answer - cause.targets
        pose_cov += answer @ answer.T
        own = np.einsum("mik,mjk->mij", error, error)
        target_cov += own
        rows[cause.name] = np.sqrt(np.trace(own, axis1=1, axis2=2))
    sampled, failed = _sampled(p - plane[:, None] * normals, used, every, t, fit, draws_n, seed)
    rng = np.random.default_rng(seed)
    claims = []
    for k, name in enumerate(places.targets):
        c = target_cov[k]
        lengths = np.linalg.norm(rng.multivariate_normal(np.zeros(3), c, 20_000), axis=1)
        claims.append(
            TargetClaim(
                name, c, {n: float(r[k]) for n, r in rows.items()}, float(np.sqrt(np.trace(c))),
                float(np.sqrt((sampled[:, k] ** 2).sum(axis=1).mean())) if len(sampled) else float("nan"),
                float(np.quantile(lengths, COVERAGE)),
            )
        )  # fmt: skip
    return Budget(pose_cov, centre, tuple(claims), draws_n, failed)


def _sampled(
    on_surface: Points,
    used: NDArray[np.bool_],
    every: list[Cause],
    targets: Points,
    fit: Callable[[Points, Matrix], SurfaceFit],
    draws_n: int,
    seed: int,
) -> tuple[NDArray[np.float64], int]:
    """Errors (draws, m, 3) of repeated fits of points that are moved as the causes move them, and how many failed."""
    rng = np.random.default_rng([seed, 1])
    out, failed = [], 0
    for _ in range(draws_n):
        moved, true = on_surface.copy(), targets.copy()
        for cause in every:
            z = rng.standard_normal(cause.points.shape[2])
            moved += cause.points @ z
            true += cause.targets @ z
        found = fit(moved[used], np.eye(4))
        if not found.ok:
            failed += 1
            continue
        out.append(apply_transform(invert_rigid(found.AToB), targets) - true)
    return np.array(out).reshape(-1, len(targets), 3), failed
