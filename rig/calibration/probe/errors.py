"""Errors of a probe calibration over all points, and beside them the figure that PLUS prints (best 95 % only)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm as normal_law
from scipy.stats import t as student

from hal.types import Matrix
from rig.calibration.probe.solve import (
    assemble,
    fit_in_plane,
    fit_linear,
    fit_orthogonal,
    in_probe_mm,
    middle_points_mm,
    predicted_dots_px,
)
from rig.calibration.probe.wires import WirePhantom

Array = NDArray[np.float64]

_PARTS = 5
"""Parts in time of which each is left out for the uncertainty; ten frames, the least, make parts of two."""


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
        """Summary of distances of any shape."""
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
    """Points of a recording for a fit: dots (n, wires, 2), poses (n, 4, 4), frame indices (n,)."""

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


def deviations(points: Points) -> Array:
    """Possible deviation of the linear fit between sessions: matrices (m, 4, 4) whose squares add up to its covariance.

    Two sources. *Time*: what neighbouring frames share (the tracker's error at one place, the look of the wires under
    one tilt) lasts for a good part of a recording, so the jackknife leaves out a fifth of the recording at a time; few
    parts scatter by chance, hence the widening of Student's t. *Wires*: within each half of the recording each N errs
    by a shift of its own, as large as the mean misfits of the N's are. The middle of the picture is not known better
    than that, however many frames there are. Between the recordings and parts of recordings at hand, 94 % of the
    corners and centres agree within 2 standard uncertainties and 40 % within 0.5.
    """
    middle, target = points.middle_px, points.probe_mm
    n, count = middle.shape[:2]
    design = np.concatenate([middle, np.ones((n, count, 1))], axis=2)
    normal = np.einsum("npi,npj->nij", design, design)
    right = np.einsum("npi,npj->nij", design, target)
    inverse = np.linalg.pinv(normal.sum(axis=0))
    rows = inverse @ right.sum(axis=0)
    part = np.arange(n) * _PARTS // n
    left_out = np.array(
        [np.linalg.pinv(normal[part != k].sum(axis=0)) @ right[part != k].sum(axis=0) for k in range(_PARTS)]
    )
    widen = float(student.ppf(0.975, _PARTS - 1) / normal_law.ppf(0.975))
    in_time = widen * np.sqrt((_PARTS - 1) / _PARTS) * (left_out - left_out.mean(axis=0))
    off = target - design @ rows
    halves = [np.arange(n) < n // 2, np.arange(n) >= n // 2]
    mean = np.array([off[half, k].mean(axis=0) for half in halves for k in range(count)])
    lever = np.array([design[half, k].sum(axis=0) for half in halves for k in range(count)])
    shift = _root(mean.T @ mean / max(len(mean) - 3, 1))
    reach = inverse @ _root(lever.T @ lever)
    by_wires = np.einsum("ia,jb->abij", reach, shift).reshape(-1, 3, 3)
    small = np.concatenate([in_time, by_wires])
    return np.array([0.5 * (assemble(*(rows + d)) - assemble(*(rows - d))) for d in small])


def _root(covariance: Array) -> Array:
    """Columns (3, 3) whose squares add up to it."""
    size, axes = np.linalg.eigh(covariance)
    return np.asarray(axes * np.sqrt(np.maximum(size, 0.0)))


def corner_sd_mm(deviation: Array, size_px: tuple[int, int]) -> tuple[float, ...]:
    """Standard uncertainty (3-D, k = 1) of the four corners and the centre (order of :func:`marks_px`)."""
    at = np.einsum("mk,dik->dmi", marks_px(size_px), deviation[:, :3][:, :, [0, 1, 3]])
    return tuple(float(v) for v in np.sqrt((at**2).sum(axis=(0, 2))))


def pattern_gaps_mm(points: Points, size_px: tuple[int, int]) -> tuple[float, ...]:
    """Shift of corners and centre when one N is left out (the largest of all N's): errors common to all frames.

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


def covariance12(deviation: Array, ImageToProbe: Matrix) -> Array:
    """Covariance (12, 12) of the error as ``UncertainTransform`` carries it."""
    d = (deviation @ np.linalg.inv(ImageToProbe))[:, :3].reshape(len(deviation), 12)
    return np.asarray(d.T @ d)


def marks_px(size_px: tuple[int, int]) -> Array:
    """Homogeneous (column, row, 1) of the four corners and the centre of an image, shape (5, 3)."""
    w, h = size_px[0] - 1.0, size_px[1] - 1.0
    return np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1], [w / 2, h / 2, 1]], dtype=float)


def corner_gaps_mm(one: Matrix, two: Matrix, size_px: tuple[int, int]) -> tuple[float, ...]:
    """Distance between the corners and centres of two calibrations, mm."""
    gap = marks_px(size_px) @ (one - two)[:3, (0, 1, 3)].T
    return tuple(float(v) for v in np.linalg.norm(gap, axis=1))
