"""Dwells: moments of a recording in which a tracked stylus rested its tip, and the fiducial that each one touched.

The tip counts as resting while it stays within a small ball for a while; the shaft may swivel. Dwells at one place are
merged. Names are given by the mutual distances alone: the order of touching need not be known, pauses elsewhere are
left over, and a set of fiducials that could be named in two ways is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from hal.errors import CalibrationRefused
from hal.types import Vector
from rig.calibration.tool.pivot import Poses
from rig.geometry.fiducials import Fiducials
from rig.geometry.tre import fit_rigid_many

WINDOW_S = 1.0
MAX_MOVE_MM = 1.5
"""Window and largest tip motion in it; the values of PLUS's landmark detection."""
MERGE_MM = 5.0


@dataclass(frozen=True)
class Dwell:
    """One place where the tip rested."""

    point_mm: Vector
    """Mean tip, in the frame of the poses."""
    covariance: NDArray[np.float64] = field(repr=False)
    """(3, 3) of the mean: scatter between half-second blocks over their number."""
    scatter_mm: float
    """Root mean square distance of single samples from the mean."""
    start_s: float
    end_s: float
    samples_n: int
    visits_n: int
    swivel_deg: float
    """Widest angle between shaft directions: without swivelling, a wrong tip offset stays unseen."""

    def as_json(self) -> dict[str, object]:
        return {
            "point_mm": self.point_mm.tolist(),
            "scatter_mm": self.scatter_mm,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "samples_n": self.samples_n,
            "visits_n": self.visits_n,
            "swivel_deg": self.swivel_deg,
        }


@dataclass(frozen=True)
class Naming:
    """Assignment of dwells to fiducials."""

    measured: Fiducials
    dwell_of: dict[str, int]
    left_over: tuple[int, ...]
    """Dwells that are no fiducial."""
    missing: tuple[str, ...]
    """Fiducials that were not touched."""
    rms_mm: float
    next_rms_mm: float
    """Residual of the best naming that differs: the margin by which the names are certain."""


def find_dwells(
    times_ns: ArrayLike,
    poses: Poses,
    tip_mm: ArrayLike,
    *,
    window_s: float = WINDOW_S,
    max_move_mm: float = MAX_MOVE_MM,
    merge_mm: float = MERGE_MM,
) -> tuple[Dwell, ...]:
    """Resting places of the tip, in order of their first visit.

    ``times_ns`` (n,), ``poses`` (n, 4, 4) ``StylusToReference``, ``tip_mm`` (3,) in the stylus frame. Raises
    ``CalibrationRefused`` (``missing time stamps``, ``time stamps disordered``, ``constant input``, ``no dwell``).
    """
    t = np.asarray(times_ns, dtype=np.float64) / 1e9
    m = np.asarray(poses, dtype=np.float64)
    if len(t) != len(m) or not np.all(np.isfinite(t)):
        raise CalibrationRefused("missing time stamps", f"{len(m)} poses need as many time stamps, got {len(t)}")
    if np.any(np.diff(t) <= 0):
        late, first = int(np.sum(np.diff(t) <= 0)), int(np.argmax(np.diff(t) <= 0)) + 1
        raise CalibrationRefused(
            "time stamps disordered", f"{late} of {len(t)} time stamps repeat or go back, first at pose {first}"
        )
    tip = np.asarray(tip_mm, dtype=np.float64)
    at = m[:, :3, :3] @ tip + m[:, :3, 3]
    shaft = m[:, :3, :3] @ (tip / max(float(np.linalg.norm(tip)), 1e-9))
    if float(np.ptp(at, axis=0).max()) < 1e-6:
        raise CalibrationRefused("constant input", f"the tip never moves in {len(t)} poses")
    n = max(3, round(window_s / float(np.median(np.diff(t)))))
    resting = np.zeros(len(t), dtype=bool)
    if len(t) >= n:
        span = np.lib.stride_tricks.sliding_window_view(at, n, axis=0)
        away = np.sqrt(((span - span.mean(axis=2, keepdims=True)) ** 2).sum(axis=1)).max(axis=1)
        whole = t[n - 1 :] - t[: len(t) - n + 1] < 2.0 * window_s  # a window across a pause of the tracker is none
        for offset in range(n):
            resting[offset : len(t) - n + 1 + offset] |= (away < max_move_mm) & whole
    edges = np.flatnonzero(np.diff(np.concatenate([[0], resting.astype(int), [0]])))
    visits: list[NDArray[np.int64]] = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        visits += _split(at, np.arange(start, end), max_move_mm, n)
    if not visits:
        raise CalibrationRefused(
            "no dwell",
            f"the tip rested nowhere for {window_s:g} s within {max_move_mm:g} mm",
            advice="Hold the tip in each divot for two seconds and swivel the shaft",
        )
    groups: list[list[NDArray[np.int64]]] = []
    for visit in visits:
        centre = np.median(at[visit], axis=0)
        for group in groups:
            if np.linalg.norm(np.median(at[np.concatenate(group)], axis=0) - centre) < merge_mm:
                group.append(visit)
                break
        else:
            groups.append([visit])
    return tuple(_dwell(t, at, shaft, group) for group in groups)


def _split(at: NDArray[np.float64], index: NDArray[np.int64], limit: float, least: int) -> list[NDArray[np.int64]]:
    """Cut a run of resting samples where the tip went to another place."""
    out: list[NDArray[np.int64]] = []
    start = 0
    while start < len(index):
        centre = np.median(at[index[start : start + least]], axis=0)
        far = np.flatnonzero(np.linalg.norm(at[index[start:]] - centre, axis=1) > 2.0 * limit)
        end = start + int(far[0]) if len(far) else len(index)
        if end - start >= least:
            out.append(index[start:end])
        start = max(end, start + 1)
    return out


def _dwell(
    t: NDArray[np.float64], at: NDArray[np.float64], shaft: NDArray[np.float64], group: Sequence[NDArray[np.int64]]
) -> Dwell:
    index = np.concatenate(list(group))
    distance = np.linalg.norm(at[index] - np.median(at[index], axis=0), axis=1)
    index = index[distance <= 3.0 * max(float(np.median(distance)), 1e-6)]  # arriving and leaving are no rest
    points = at[index]
    mean = points.mean(axis=0)
    block = max(1, round(0.5 / float(np.median(np.diff(t)))))
    blocks = [b.mean(axis=0) for b in np.array_split(points, max(2, len(points) // block)) if len(b)]
    covariance = np.cov(np.array(blocks).T) / len(blocks)
    some = shaft[index[:: max(1, len(index) // 200)]]
    swivel = float(np.degrees(np.arccos(np.clip((some @ some.T).min(), -1.0, 1.0))))
    scatter = float(np.sqrt(((points - mean) ** 2).sum(axis=1).mean()))
    return Dwell(
        mean, covariance, scatter, float(t[index[0]] - t[0]), float(t[index[-1]] - t[0]), len(index), len(group), swivel
    )


def name_dwells(nominal: Fiducials, points_mm: ArrayLike, *, tolerance_mm: float) -> Naming:
    """Name dwells (n, 3) by their distances: the naming that explains most fiducials within ``tolerance_mm``.

    Raises ``CalibrationRefused``: ``too few`` (fewer than four fit together), ``ambiguous`` (another naming fits
    alike), ``mirrored`` (the mirror image explains more of the dwells).
    """
    points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
    found = _namings(nominal.points_mm, points, tolerance_mm)
    best = len(found[0][0]) if found else 0
    mirrored = _namings(nominal.points_mm * [-1.0, 1.0, 1.0], points, tolerance_mm)
    if mirrored and len(mirrored[0][0]) >= max(
        4, best + 1
    ):  # some of the points may lie in one plane and fit both ways
        raise CalibrationRefused(
            "mirrored",
            f"the mirror image of the fiducials fits {len(mirrored[0][0])} of {len(points)} dwells, the fiducials "
            f"themselves {best}: one axis has the wrong sign",
        )
    if best < 4:
        raise CalibrationRefused(
            "too few",
            f"only {best} of {len(points)} dwells fit the {len(nominal)} fiducials within {tolerance_mm:g} mm, "
            "four are needed to name them",
            figures={"dwells_mm": points.tolist()},
        )
    pairs, rms = found[0]
    rivals = [(p, r) for p, r in found[1:] if len(p) >= len(pairs)]
    next_rms = rivals[0][1] if rivals else float("inf")
    if next_rms < max(3.0 * rms, tolerance_mm):
        first, second = dict(pairs), dict(rivals[0][0])
        differ = [nominal.names[i] for i in first if second.get(i) != first[i]]
        raise CalibrationRefused(
            "ambiguous",
            f"the dwells can be named in two ways ({', '.join(differ)} differ): residual "
            f"{rms:.2f} and {next_rms:.2f} mm",
            advice="Use fiducials without symmetry, or give the names",
            figures={"rms_mm": rms, "next_rms_mm": next_rms},
        )
    chosen = dict(pairs)
    names = tuple(nominal.names[i] for i in sorted(chosen))
    measured = Fiducials(names, points[[chosen[i] for i in sorted(chosen)]])
    return Naming(
        measured,
        {nominal.names[i]: j for i, j in chosen.items()},
        tuple(j for j in range(len(points)) if j not in chosen.values()),
        tuple(n for n in nominal.names if n not in names),
        rms,
        next_rms,
    )


def _namings(
    nominal: NDArray[np.float64], points: NDArray[np.float64], tolerance: float
) -> list[tuple[tuple[tuple[int, int], ...], float]]:
    """Different namings, most fiducials first, then smallest residual."""
    if len(points) < 3 or len(nominal) < 3:
        return []
    ordered = np.array(list(itertools.permutations(range(len(points)), 3)))
    sides = np.linalg.norm(points[ordered] - points[np.roll(ordered, 1, axis=1)], axis=2)
    out: dict[tuple[tuple[int, int], ...], float] = {}
    for triple in itertools.combinations(range(len(nominal)), 3):
        corners = nominal[list(triple)]
        wanted = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
        near = ordered[np.all(np.abs(sides - wanted) < 2.0 * tolerance, axis=1)]
        if not len(near):
            continue
        rotation, shift = fit_rigid_many(np.broadcast_to(corners, (len(near), 3, 3)), points[near])
        moved = np.einsum("mij,nj->mni", rotation, nominal) + shift[:, None, :]
        apart = np.linalg.norm(moved[:, :, None, :] - points[None, None], axis=3)
        for cost in apart:
            rows, columns = linear_sum_assignment(np.minimum(cost, 3.0 * tolerance))
            pairs = tuple((int(i), int(j)) for i, j in zip(rows, columns, strict=True) if cost[i, j] < 3.0 * tolerance)
            if len(pairs) >= 3 and pairs not in out:
                out[pairs] = _fit_rms(nominal, points, pairs)
    kept = [(p, r) for p, r in out.items() if r < tolerance or len(p) == 3]
    return sorted(kept, key=lambda x: (-len(x[0]), x[1]))


def _fit_rms(nominal: NDArray[np.float64], points: NDArray[np.float64], pairs: tuple[tuple[int, int], ...]) -> float:
    a = nominal[[i for i, _ in pairs]]
    b = points[[j for _, j in pairs]]
    rotation, shift = fit_rigid_many(a[None], b[None])
    return float(np.sqrt(((a @ rotation[0].T + shift[0] - b) ** 2).sum(axis=1).mean()))
