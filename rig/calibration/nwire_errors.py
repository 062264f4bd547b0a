"""Errors of a probe calibration over all points, and beside them the figure that PLUS prints (best 95 % only)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2
from scipy.stats import f as f_distribution

from hal.types import Matrix
from rig.calibration.nwire_phantom import WirePhantom
from rig.calibration.nwire_solve import (
    assemble,
    fit_in_plane,
    fit_linear,
    fit_orthogonal,
    in_probe_mm,
    middle_points_mm,
    predicted_dots_px,
)

Array = NDArray[np.float64]

_BLOCK_N = 5
_BLOCKS_N = 10
"""Least number of blocks that a bootstrap draws from [A]."""


@dataclass(frozen=True)
class ErrorSummary:
    """3-D distances of the middle wires, mm; every point counts except in the two figures named ``best95``."""

    points_n: int
    mean_mm: float
    sd_mm: float
    rms_mm: float
    p95_mm: float
    max_mm: float
    best95_mean_mm: float
    """As PLUS reports it: the worst 5 % of the points left out."""
    best95_sd_mm: float

    @staticmethod
    def of(errors_mm: Array) -> ErrorSummary:
        """From distances of any shape."""
        flat = np.sort(np.asarray(errors_mm, dtype=float).ravel())
        best = flat[: max(1, round(0.95 * len(flat)))]
        return ErrorSummary(
            points_n=len(flat),
            mean_mm=float(flat.mean()),
            sd_mm=float(flat.std()),
            rms_mm=float(np.sqrt(np.mean(flat**2))),
            p95_mm=float(np.percentile(flat, 95)),
            max_mm=float(flat[-1]),
            best95_mean_mm=float(best.mean()),
            best95_sd_mm=float(best.std()),
        )

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class WireError:
    """In-plane misfit of one wire, found minus predicted, pixels (columns, rows)."""

    wire: str
    mean_px: tuple[float, float]
    sd_px: tuple[float, float]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Points:
    """What a fit needs of a recording: dots (n, wires, 2), poses (n, 4, 4), frame indices (n,)."""

    phantom: WirePhantom
    dots_px: Array
    PhantomToProbe: Array
    frame: NDArray[np.intp]

    @property
    def middle_px(self) -> Array:
        return self.dots_px[:, 1::3]

    @property
    def probe_mm(self) -> Array:
        """Middle points in the probe's frame, shape (n, patterns, 3)."""
        return in_probe_mm(self.PhantomToProbe, middle_points_mm(self.phantom, self.dots_px))

    def pick(self, which: NDArray[np.bool_]) -> Points:
        return Points(self.phantom, self.dots_px[which], self.PhantomToProbe[which], self.frame[which])


def errors_mm(points: Points, ImageToProbe: Matrix) -> Array:
    """Distance of each imaged middle dot from its wire point, shape (n, patterns)."""
    at = points.middle_px @ ImageToProbe[:3, :2].T + ImageToProbe[:3, 3]
    return np.asarray(np.linalg.norm(at - points.probe_mm, axis=2))


def misfit_px(points: Points, ImageToProbe: Matrix) -> Array:
    """Found minus predicted dot of every wire, shape (n, wires, 2)."""
    return points.dots_px - predicted_dots_px(points.phantom, ImageToProbe, points.PhantomToProbe)


def wire_errors(points: Points, ImageToProbe: Matrix) -> tuple[WireError, ...]:
    """Misfit by wire, in the order of the phantom."""
    off = misfit_px(points, ImageToProbe)
    mean, sd = off.mean(axis=0), off.std(axis=0)
    return tuple(
        WireError(w.name, (float(mean[k, 0]), float(mean[k, 1])), (float(sd[k, 0]), float(sd[k, 1])))
        for k, w in enumerate(points.phantom.wires)
    )


def fit(points: Points, *, orthogonal: bool, in_plane: bool = False) -> Matrix:
    """``ImageToProbe`` by any of the three methods (``in_plane`` starts from the orthogonal one)."""
    middle, target = points.middle_px.reshape(-1, 2), points.probe_mm.reshape(-1, 3)
    linear = fit_linear(middle, target)
    if not (orthogonal or in_plane):
        return linear.ImageToProbe
    square = fit_orthogonal(linear, middle, target)
    return fit_in_plane(points.phantom, square, points.dots_px, points.PhantomToProbe) if in_plane else square


def k_fold(points: Points, folds: int, *, orthogonal: bool, in_plane: bool = False) -> ErrorSummary:
    """Held-out errors: each of ``folds`` runs of neighbouring frames predicted by a fit to all other frames.

    Neighbouring frames look alike, so folds are blocks in time; random folds would flatter.
    """
    block = (np.arange(len(points.frame)) * folds) // len(points.frame)
    held = [
        errors_mm(points.pick(block == k), fit(points.pick(block != k), orthogonal=orthogonal, in_plane=in_plane))
        for k in range(folds)
    ]
    return ErrorSummary.of(np.concatenate(held))


def bootstrap(points: Points, seed: int = 7, draws: int = 300) -> Array:
    """Linear fits (draws, 4, 4) to resampled blocks of neighbouring frames: the spread is the uncertainty.

    Five frames make a block, fewer in a short recording: too few blocks draw singular fits. The spread is widened so
    that a 95 % ellipsoid by chi2 holds what F(3, blocks - 3) would: few blocks scatter by chance.
    """
    design = np.concatenate([points.middle_px, np.ones((*points.middle_px.shape[:2], 1))], axis=2)
    normal = np.einsum("npi,npj->nij", design, design)
    right = np.einsum("npi,npj->nij", design, points.probe_mm)
    starts = np.arange(0, len(normal), int(np.clip(len(normal) // _BLOCKS_N, 1, _BLOCK_N)))
    normal, right = np.add.reduceat(normal, starts), np.add.reduceat(right, starts)
    count = len(starts)
    pick = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=draws).astype(float)
    rows = np.linalg.pinv(np.einsum("dn,nij->dij", pick, normal)) @ np.einsum("dn,nij->dij", pick, right)
    widen = float(np.sqrt(3.0 * f_distribution.ppf(0.95, 3, max(count - 3, 2)) / chi2.ppf(0.95, 3)))
    middle = rows.mean(axis=0)
    return np.array([assemble(r[0], r[1], r[2]) for r in middle + widen * (rows - middle)])


def corner_sd_mm(samples: Array, size_px: tuple[int, int]) -> tuple[float, ...]:
    """Standard uncertainty (3-D, k = 1) of the four corners and the centre (order of :func:`marks_px`)."""
    at = np.einsum("mk,dik->dmi", marks_px(size_px), samples[:, :3][:, :, [0, 1, 3]])
    return tuple(float(v) for v in np.sqrt(at.var(axis=0).sum(axis=1)))


def pattern_gaps_mm(points: Points, size_px: tuple[int, int]) -> tuple[float, ...]:
    """How far corners and centre move when one N is left out (the largest of all N's): errors common to all frames.

    Scatter between frames says nothing of a wire in the wrong place; this does. inf with a single N.
    """
    middle, target = points.middle_px, points.probe_mm
    count = middle.shape[1]
    if count < 2:
        return (float("inf"),) * 5
    whole = fit(points, orthogonal=False)
    gaps = []
    for k in range(count):
        kept = np.arange(count) != k
        part = fit_linear(middle[:, kept].reshape(-1, 2), target[:, kept].reshape(-1, 3)).ImageToProbe
        gaps.append(corner_gaps_mm(whole, part, size_px))
    return tuple(float(v) for v in np.max(gaps, axis=0))


def covariance12(samples: Array, ImageToProbe: Matrix) -> Array:
    """Covariance (12, 12) of the error as ``UncertainTransform`` carries it."""
    d = (samples @ np.linalg.inv(ImageToProbe) - np.eye(4))[:, :3].reshape(len(samples), 12)
    return np.asarray(np.cov(d.T))


def marks_px(size_px: tuple[int, int]) -> Array:
    """Homogeneous (column, row, 1) of the four corners and the centre of an image, shape (5, 3)."""
    w, h = size_px[0] - 1.0, size_px[1] - 1.0
    return np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1], [w / 2, h / 2, 1]], dtype=float)


def corner_gaps_mm(one: Matrix, two: Matrix, size_px: tuple[int, int]) -> tuple[float, ...]:
    """How far two calibrations put the corners and the centre apart, mm."""
    gap = marks_px(size_px) @ (one - two)[:3, (0, 1, 3)].T
    return tuple(float(v) for v in np.linalg.norm(gap, axis=1))
