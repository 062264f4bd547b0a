"""Pivot calibration: tip of a tracked tool, from turning the tool about its resting tip.

``R_i tip + p_i = pivot`` for every pose, stacked as ``[R_i -I][tip; pivot] = -p_i`` and solved by least squares
(algebraic one step; Yaniv, SPIE Medical Imaging 2015). Poses beyond three robust standard deviations are left out and
counted. The covariance comes from resampling blocks of poses, since neighbouring poses share their error.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import chi2
from scipy.stats import f as f_distribution

from hal.errors import CalibrationRefused
from hal.links.sequence import Sequence, SequenceFrame
from hal.poses import FRAME_GIVERS, is_identity, why_no_pose
from hal.types import Matrix, Vector
from rig.geometry.transforms import invert

MIN_POSES_N = 20
MIN_SPREAD_DEG = 40.0
"""Angle between the most different directions of the tool, in each of two directions at least half of it [R: less
leaves the tip ill determined along the shaft; the common advice is a cone of 40 deg or more]."""
SHORT_TIP_MM = 10.0
"""A tip nearer to the marker's origin has no shaft to speak of: the turn of the marker is judged instead [A]."""
MAX_OUTLIERS = 0.2
MAX_RMS_MM = 2.0
"""Residual above which the tip did not rest [A]; give the tracker's own limit where it is known."""
MAX_TIP_SD_MM = 0.5
NEAR_MM = 5.0
"""No tracker sees a marker this near to its origin all the time: such positions are metres [A]."""
LONGEST_TIP_MM = 500.0
"""A tip beyond this, farther away than its pivot: the poses are those of the tracker in the tool [A]."""
_PARTS_N = 8
SCALE_SIGMAS = 4.0
MIN_SCALE_OFF = 0.01
SCALE_EXPLAINS = 0.8
"""One axis of the positions is named as out of scale from 1 % and 4 standard uncertainties on, and when undoing it
takes a fifth of the residual away [A]."""
Poses = NDArray[np.float64]
"""(n, 4, 4) ``MarkerToTracker``."""


@dataclass(frozen=True)
class PivotCalibration:
    """Result of ``calibrate_pivot``."""

    tip_mm: Vector
    """In the marker's frame."""
    covariance: NDArray[np.float64] = field(repr=False)
    """(3, 3) of the tip, mm^2."""
    pivot_mm: Vector
    """In the tracker's frame."""
    rms_mm: float
    """Root mean square 3-D distance of each pose's tip from the pivot; a residual, not the error of the tip."""
    max_mm: float
    spread_deg: float
    """Widest angle between two directions of the shaft (marker origin to tip)."""
    condition: float
    """Condition of the system (rad and mm as they are): large means that a direction of the tip is hardly seen."""
    poses_n: int
    outliers: tuple[int, ...]
    """Indices of the poses left out."""
    residuals_mm: NDArray[np.float64] = field(repr=False)
    """(n, 3) of all poses, tracker frame; pivot minus tip."""
    directions: NDArray[np.float64] = field(repr=False)
    """(n, 3) unit vectors of the shaft in the tracker's frame."""

    @property
    def tip_sd_mm(self) -> float:
        """3-D standard uncertainty: root of the summed variances."""
        return float(np.sqrt(np.trace(self.covariance)))

    def as_json(self) -> dict[str, object]:
        return {
            "ok": True,
            "tip_mm": self.tip_mm.tolist(),
            "covariance_mm2": self.covariance.tolist(),
            "tip_sd_mm": self.tip_sd_mm,
            "pivot_mm": self.pivot_mm.tolist(),
            "rms_mm": self.rms_mm,
            "rms_note": "residual of the poses, not the error of the tip",
            "max_mm": self.max_mm,
            "spread_deg": self.spread_deg,
            "condition": self.condition,
            "poses_n": self.poses_n,
            "outliers": list(self.outliers),
        }


def tool_poses(sequence: Sequence, tool: str, reference: str = "") -> Poses:
    """Valid poses of a tool from a recording, seen from ``reference`` if given; refuses a tool that is not there."""
    return np.array([pose for _, pose in _valid(sequence, tool, reference)])


def valid_tool_poses(sequence: Sequence, tool: str, reference: str = "") -> tuple[NDArray[np.int64], Poses]:
    """Time stamps and poses of a tool; refuses a tool that is not there and frames without time stamps."""
    rows = _valid(sequence, tool, reference)
    stamps = [time for time, _ in rows if time is not None]
    if len(stamps) < len(rows):
        raise CalibrationRefused(
            "missing time stamps",
            f"{sequence.path.name}: {len(rows) - len(stamps)} of {len(rows)} poses have no Timestamp",
        )
    return np.array(stamps, dtype=np.int64), np.array([pose for _, pose in rows])


def _valid(sequence: Sequence, tool: str, reference: str) -> list[tuple[int | None, Matrix]]:
    out: list[tuple[int | None, Matrix]] = []
    for frame in sequence.frames:
        if tool not in frame.transforms or {tool, reference} & frame.invalid or _lost(frame, tool):
            continue
        for name in filter(None, (tool, reference)):
            refuse_unless_rigid(sequence, frame, name)
        pose = frame.transforms[tool]
        if reference:
            if reference not in frame.transforms:
                continue
            pose = invert(frame.transforms[reference]) @ pose
        out.append((frame.time_ns, pose))
    if not out:
        known = sorted({name for f in sequence.frames for name in f.transforms})
        listed = ", ".join(known) or "no transforms"
        raise CalibrationRefused("no such transform", f"{sequence.path.name} has no valid {tool}; it has {listed}")
    return out


def _lost(frame: SequenceFrame, tool: str) -> bool:
    """True for a recorded pose that servers write for a tool that they do not see."""
    return tool not in FRAME_GIVERS and is_identity(frame.transforms[tool])


def refuse_unless_rigid(sequence: Sequence, frame: SequenceFrame, name: str) -> None:
    """Raise ``CalibrationRefused`` (``no rotation``) naming frame and axis when a recorded pose cannot be one."""
    why = why_no_pose(frame.transforms[name]) if name in frame.transforms else ""
    if why:
        raise CalibrationRefused(
            "no rotation",
            f"{sequence.path.name}: frame {frame.index}: {name} {why}",
            advice="Look at the tracker's settings of axes and units, or at what wrote the file",
            figures={"frame": frame.index},
        )


def checked_poses(poses: Poses) -> Poses:
    """The poses (n, 4, 4) as an array; raises ``CalibrationRefused`` for one that is no rotation and a shift."""
    m = np.asarray(poses, dtype=np.float64)
    if m.ndim != 3 or m.shape[1:] != (4, 4):
        raise CalibrationRefused("bad poses", f"poses must have the shape (n, 4, 4), got {m.shape}")
    for k, pose in enumerate(m):
        why = why_no_pose(pose)
        if why:
            raise CalibrationRefused("no rotation", f"pose {k} {why}", figures={"pose": k})
    return m


def calibrate_pivot(
    poses: Poses,
    *,
    max_rms_mm: float = MAX_RMS_MM,
    min_spread_deg: float = MIN_SPREAD_DEG,
    draws: int = 200,
    seed: int = 1,
) -> PivotCalibration:
    """Tip of the tool in its marker's frame from poses (n, 4, 4) about a resting tip.

    Raises ``CalibrationRefused`` with code ``too few``, ``no rotation``, ``no motion``, ``one axis`` (turned about one
    axis only), ``axis scale`` (one axis of the positions has a wrong scale or sign),
    ``units``, ``inverted``, ``narrow`` (spread), ``outliers``, ``moved`` (the tip wandered), ``residual`` or
    ``uncertain``.
    """
    m = checked_poses(poses)
    alike_n = _alike_n(m)
    if len(m) < alike_n * MIN_POSES_N:
        repeated = f", each repeated {alike_n:.0f} times" if alike_n >= 1.5 else ""
        raise CalibrationRefused("too few", f"{len(m) / alike_n:.0f} poses{repeated}, at least {MIN_POSES_N} needed")
    turn = _check_turns(m[:, :3, :3])
    _refuse_metres(m)
    keep = np.ones(len(m), dtype=bool)
    tip = pivot = np.zeros(3)
    rest = np.zeros((len(m), 3))
    for _ in range(20):
        tip, pivot = _solve(m[keep])
        rest = pivot - (m[:, :3, :3] @ tip + m[:, :3, 3])
        length = np.linalg.norm(rest, axis=1)
        limit = 3.0 * max(float(np.sqrt(np.median(length[keep] ** 2) / 0.789)), 1e-6)  # median of chi2_3 / 3 = 0.789
        after = length <= limit
        if after.sum() < 0.5 * len(m) or np.array_equal(after, keep):
            break
        keep = after
    outliers = tuple(int(i) for i in np.flatnonzero(~keep))
    length = np.linalg.norm(rest[keep], axis=1)
    rms = float(np.sqrt(np.mean(length**2)))
    figures: dict[str, object] = {"rms_mm": rms, "spread_deg": turn, "outliers_n": len(outliers), "poses_n": len(m)}
    _refuse_axis_scale(m[keep], rms, max_rms_mm, figures)
    if np.linalg.norm(tip) > max(LONGEST_TIP_MM, float(np.linalg.norm(pivot))):
        raise CalibrationRefused(
            "inverted",
            f"the tip would lie {np.linalg.norm(tip):.0f} mm from the marker and the pivot "
            f"{np.linalg.norm(pivot):.0f} mm from the tracker: the poses look inverted",
            advice="Give the transform of the tool to the tracker, not that of the tracker to the tool",
            figures=figures | {"tip_mm": tip.tolist(), "pivot_mm": pivot.tolist()},
        )
    if len(outliers) > MAX_OUTLIERS * len(m):
        raise CalibrationRefused(
            "outliers",
            f"{len(outliers)} of {len(m)} poses do not fit one pivot",
            advice="The tip slipped, or the marker was hidden",
            figures=figures,
        )
    drift = _wander(rest, keep)
    if drift > max(0.5 * max_rms_mm, 5.0 * rms * np.sqrt(2.0 * _PARTS_N / len(length))):
        raise CalibrationRefused(
            "moved",
            f"the pivot moved by {drift:.2f} mm while the tool was swung",
            advice="Rest the tip in a divot",
            figures=figures | {"moved_mm": drift},
        )
    if rms > max_rms_mm:
        raise CalibrationRefused(
            "residual",
            f"the poses miss one pivot by {rms:.2f} mm (rms), limit {max_rms_mm:g} mm",
            advice="The tip did not rest, or the marker is loose",
            figures=figures,
        )
    shaft = m[:, :3, :3] @ (tip / max(float(np.linalg.norm(tip)), 1e-9))
    if np.linalg.norm(tip) > SHORT_TIP_MM:  # a turn about the shaft itself tells nothing of the tip along it
        some = shaft[:: max(1, len(shaft) // 200)]
        turn = float(np.degrees(np.arccos(np.clip((some @ some.T).min(), -1.0, 1.0))))
    if turn < min_spread_deg:
        raise CalibrationRefused(
            "narrow",
            f"the shaft swung by {turn:.1f} deg, at least {min_spread_deg:g} needed",
            advice="Swing wider",
            figures=figures | {"spread_deg": turn},
        )
    covariance = _covariance(m[keep], alike_n, draws, seed)
    sd = float(np.sqrt(np.linalg.eigvalsh(covariance)[-1]))
    if sd > MAX_TIP_SD_MM:
        raise CalibrationRefused(
            "uncertain",
            f"the tip is known to {sd:.2f} mm only, limit {MAX_TIP_SD_MM} mm",
            advice="Swing wider, in two directions, and longer",
            figures=figures,
        )
    system = np.hstack([m[keep, :3, :3].reshape(-1, 3), np.tile(-np.eye(3), (int(keep.sum()), 1))])
    return PivotCalibration(
        tip,
        covariance,
        pivot,
        rms,
        float(length.max()),
        turn,
        float(np.linalg.cond(system)),
        len(m),
        outliers,
        rest,
        shaft,
    )


def _check_turns(r: NDArray[np.float64]) -> float:
    """Refuse poor motion; returns the largest turn between two poses, deg."""
    mean = Rotation.from_matrix(r).mean()
    vectors = np.degrees((mean.inv() * Rotation.from_matrix(r)).as_rotvec())
    widest = float(np.degrees(2.0 * np.arccos(np.clip(np.abs(_extremes(r)), 0.0, 1.0))))
    if widest < 1.0:
        raise CalibrationRefused(
            "no motion", f"the tool hardly turned ({widest:.2f} deg): any tip would fit", figures={"spread_deg": widest}
        )
    sizes = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) / np.sqrt(len(r))
    if sizes[1] < 0.15 * sizes[0]:
        raise CalibrationRefused(
            "one axis",
            f"the tool turned about one axis only ({sizes[0]:.1f} deg, {sizes[1]:.1f} deg about any other): "
            "the tip stays open along it",
            advice="Swing forth and back and left and right",
            figures={"turns_deg": sizes.tolist()},
        )
    return widest


def _alike_n(m: Poses) -> float:
    """How often each pose stands there in a row, on average: a recorder that is faster than its tracker repeats them.
    One that stands still all the time (``no motion``) counts as new each time."""
    new_n = 1 + int(np.any(m[1:] != m[:-1], axis=(1, 2)).sum())
    return len(m) / new_n if new_n > 1 else 1.0


def _refuse_axis_scale(m: Poses, rms_mm: float, max_rms_mm: float, figures: dict[str, object]) -> None:
    """Refuse when one axis of the tracker's positions, scaled, makes the poses meet in one point: what is left then is
    a residual that would do. A scale that leaves more is no explanation, and is not named.

    ``R tip + p + d p_k e_k = pivot`` is linear in the scale error ``d`` of axis k. Its scatter is widened for
    neighbouring poses, which share their error.
    """
    n = len(m)
    widen = np.sqrt(max(1, round(n ** (1.0 / 3.0))))
    found: list[tuple[float, int, float, float]] = []
    for k in range(3):
        column = np.zeros((n, 3))
        column[:, k] = m[:, k, 3]
        a = np.hstack([m[:, :3, :3].reshape(-1, 3), np.tile(-np.eye(3), (n, 1)), column.reshape(-1, 1)])
        b = -m[:, :3, 3].ravel()
        x = np.linalg.lstsq(a, b, rcond=None)[0]
        left_mm = float(np.sqrt(np.sum((b - a @ x) ** 2) / n))
        sd = left_mm / np.sqrt(3.0) * float(np.sqrt(np.linalg.pinv(a.T @ a)[6, 6])) * widen
        if abs(x[6]) > max(SCALE_SIGMAS * sd, MIN_SCALE_OFF) and left_mm < min(SCALE_EXPLAINS * rms_mm, max_rms_mm):
            found.append((left_mm, k, 1.0 / (1.0 + float(x[6])), sd))
    if not found:
        return
    left_mm, k, scale, sd = min(found)
    off = f"is out of scale by {100 * (scale - 1.0):+.1f} % (+-{100 * sd:.1f} %)"
    what = "runs the wrong way" if scale < 0.0 else off
    raise CalibrationRefused(
        "axis scale",
        f"axis {'xyz'[k]} of the tracker's positions {what}: the poses miss one pivot by {rms_mm:.2f} mm (rms), and by "
        f"{left_mm:.2f} mm with that undone",
        advice="Look at the tracker's settings of that axis; nothing was corrected",
        figures=figures | {"axis": "xyz"[k], "scale": scale, "scale_sd": sd, "rms_if_undone_mm": left_mm},
    )


def _extremes(r: NDArray[np.float64]) -> float:
    """|cos(half angle)| of the widest pair among up to 200 poses."""
    some = Rotation.from_matrix(r[:: max(1, len(r) // 200)]).as_quat()
    return float(np.abs(some @ some.T).min())


def _solve(m: Poses) -> tuple[Vector, Vector]:
    n = len(m)
    a = np.hstack([m[:, :3, :3].reshape(-1, 3), np.tile(-np.eye(3), (n, 1))])
    x = np.linalg.lstsq(a, -m[:, :3, 3].ravel(), rcond=None)[0]
    return np.asarray(x[:3], dtype=np.float64), np.asarray(x[3:], dtype=np.float64)


def _wander(rest: NDArray[np.float64], keep: NDArray[np.bool_]) -> float:
    """Largest distance between the mean pivots of any two eighths of the recording, mm."""
    parts = np.array_split(np.arange(len(rest)), _PARTS_N)
    means = np.array([rest[k][keep[k]].mean(axis=0) for k in parts if keep[k].any()])
    return float(np.linalg.norm(means[:, None] - means[None], axis=2).max())


def _refuse_metres(m: Poses) -> None:
    far = float(np.linalg.norm(m[:, :3, 3], axis=1).max())
    if far < NEAR_MM:
        raise CalibrationRefused(
            "units",
            f"all positions lie within {far:.3f} mm of the origin while the tool swung: they look like metres",
            advice="Record lengths in mm",
            figures={"farthest_mm": far},
        )


def _covariance(m: Poses, alike_n: float, draws: int, seed: int) -> NDArray[np.float64]:
    """Covariance of the tip, by a bootstrap over blocks of neighbouring poses (normal equations are summed, not
    rebuilt).

    ``alike_n``: a pose that is repeated so often is one.
    """
    n = len(m)
    block = min(n, max(1, round(alike_n * (n / alike_n) ** (1.0 / 3.0))))
    r = m[:, :3, :3]
    p = m[:, :3, 3]
    starts = np.arange(0, n - block + 1)
    rt = np.swapaxes(r, 1, 2)
    sums = [
        np.concatenate([np.zeros((1, *x.shape[1:])), np.cumsum(x, axis=0)])
        for x in (rt, p, np.einsum("nij,nj->ni", rt, p))
    ]
    parts = [s[starts + block] - s[starts] for s in sums]
    rng = np.random.default_rng(seed)
    blocks = -(-n // block)
    tips = np.zeros((draws, 3))
    for k in range(draws):
        pick = rng.integers(0, len(starts), blocks)
        count = blocks * block
        sum_rt, sum_p, sum_rtp = (x[pick].sum(axis=0) for x in parts)
        # sum R^T (R t + p) = sum R^T c and c = (sum R t + p)/count
        normal = count * np.eye(3) - sum_rt @ sum_rt.T / count
        tips[k] = np.linalg.lstsq(normal, sum_rt @ sum_p / count - sum_rtp, rcond=None)[0]
    # So few blocks scatter by chance: widened so that the 95 % ellipsoid by chi2 holds what F(3, blocks - 3) would.
    widen = 3.0 * float(f_distribution.ppf(0.95, 3, max(blocks - 3, 2)) / chi2.ppf(0.95, 3))
    return np.asarray(np.cov(tips.T) * widen)
