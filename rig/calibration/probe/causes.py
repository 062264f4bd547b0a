"""Single cause that explains the misfit of a probe calibration, tried on frames to which it was not fitted.

Every cause is one small change of the model (a scale of one axis, another pose of the phantom, a shift at one moment, a
delay). It is fitted to four fifths of a recording and judged by the misfit of the last fifth, in turn. What a cause
gains on the frames it was fitted to says nothing: any real recording has errors of its phantom's registration that some
cause can imitate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rig.calibration.probe.errors import Points

Array = NDArray[np.float64]
Frames = NDArray[np.bool_]

_FOLDS = 5
_TURNS = 8
"""Steps of the phantom's turn, which is not linear; from the nearest rotation four are enough."""
_MOMENTS = 33


@dataclass(frozen=True)
class Cause:
    """One possible fault."""

    kind: str
    """``wires`` (scale of one axis of their definition), ``tracker`` (of its positions), ``pose`` (of the phantom),
    ``moved`` (phantom from one frame on), ``late`` (pictures behind poses)."""
    axis: str
    value: float
    """Times as long as defined (``wires``), times the true positions (``tracker``), deg (``pose``), mm (``moved``),
    ms (``late``)."""
    value_sd: float
    """Over parts of the recording."""
    rms_before_mm: float
    """Misfit at frames held out, without this cause."""
    rms_after_mm: float
    """... and with it."""
    frame: int = -1
    """First frame after the phantom moved (index in the recording)."""

    @property
    def left(self) -> float:
        """Share of the held-out misfit that this cause leaves."""
        return self.rms_after_mm / max(self.rms_before_mm, 1e-9)

    def as_json(self) -> dict[str, object]:
        return asdict(self) | {"left": self.left}


def causes_of(points: Points, time_s: Array, stretch_mm: Array | None) -> tuple[Cause, ...]:
    """All causes, the one that leaves least of the held-out misfit first.

    ``stretch_mm`` as :class:`~rig.calibration.probe.frames.Observations` has it.
    """
    bath = _Bath(points)
    found = [_pose(bath), _moved(bath)]
    for axis in range(3):
        about = bath.turn[:, None, :, axis]
        scaled = np.stack([bath.middle[..., axis, None] * about, np.broadcast_to(about, bath.goal.shape)], axis=-1)
        found.append(bath.linear(scaled, "wires", "xyz"[axis], lambda p: 1.0 + p))
        if stretch_mm is not None:
            shift = np.broadcast_to(stretch_mm[:, None, :, axis], bath.goal.shape)
            found.append(bath.linear(shift[..., None], "tracker", "xyz"[axis], lambda p: 1.0 / (1.0 + p)))
    speed = velocity_mm_s(bath.turn, bath.at, bath.middle, time_s)
    if speed.any():
        found.append(bath.linear(-speed[..., None], "late", "", lambda p: 1e3 * p))
    return tuple(sorted(found, key=lambda cause: cause.left))


class _Bath:
    """The equations ``R m + t + (change) = A u + b`` of one recording: middle points m, middle dots u, poses (R, t)."""

    def __init__(self, points: Points) -> None:
        self.frame = points.frame
        self.turn, self.at = points.PhantomToProbe[:, :3, :3], points.PhantomToProbe[:, :3, 3]
        self.goal = points.probe_mm
        self.middle = np.einsum("nji,nkj->nki", self.turn, self.goal - self.at[:, None])
        n, k = self.goal.shape[:2]
        self.rows = np.arange(n)
        px = points.middle_px
        flat = px.reshape(-1, 2)
        unit = np.concatenate([(px - flat.mean(axis=0)) / (flat.std(axis=0) + 1e-9), np.ones((n, k, 1))], axis=2)
        self.image = np.zeros((n, k, 3, 9))
        for row in range(3):
            self.image[..., row, 3 * row : 3 * row + 3] = unit
        self.held = [self.rows * _FOLDS // n == fold for fold in range(_FOLDS)]  # neighbouring frames look alike
        off = np.concatenate([self.off(self.image, self.goal, ~held, held) for held in self.held])
        self.rms_before_mm = _rms(off)

    def off(self, design: Array, goal: Array, fitted: Frames, held: Frames) -> Array:
        """Residuals (held frames, patterns, 3) of a fit to other frames."""
        return np.asarray(goal[held] - design[held] @ solve(design[fitted], goal[fitted]))

    def linear(self, change: Array, kind: str, axis: str, value: Callable[[float], float]) -> Cause:
        """A cause whose change (n, patterns, 3, parameters) is linear; ``value`` of its first parameter."""
        design = np.concatenate([self.image, -change], axis=3)
        off = [self.off(design, self.goal, ~held, held) for held in self.held]
        parts = [value(float(solve(design[~held], self.goal[~held])[9])) for held in self.held]
        whole = value(float(solve(design, self.goal)[9]))
        return Cause(kind, axis, whole, _spread(parts), self.rms_before_mm, _rms(np.concatenate(off)))


def _pose(bath: _Bath) -> Cause:
    """Equations for a phantom that lies elsewhere: turned and shifted about the wires' centre."""
    centre = bath.middle.reshape(-1, 3).mean(axis=0)
    rel = bath.middle - centre
    shift = np.broadcast_to(bath.turn[:, None], (*bath.goal.shape, 3))

    def moved(turn: Array) -> Array:
        return np.asarray(np.einsum("nij,nkj->nki", bath.turn, rel @ turn.T + centre) + bath.at[:, None])

    def turned(fitted: Frames) -> Array:
        turn = _nearest_turn(bath, rel, centre, fitted)
        for _ in range(_TURNS):
            # a further small turn w moves a point by w x (turn m): linear in w
            lever = np.cross(np.eye(3)[None, None], (rel @ turn.T)[:, :, None, :])
            about = np.einsum("nij,nkaj->nkia", bath.turn, lever)
            design = np.concatenate([bath.image, -shift, -about], axis=3)
            small = solve(design[fitted], moved(turn)[fitted])[12:]
            turn = Rotation.from_rotvec(small).as_matrix() @ turn
            if np.linalg.norm(small) < 1e-6:
                break
        return turn

    design = np.concatenate([bath.image, -shift], axis=3)
    turns = [turned(~held) for held in bath.held]
    off = [bath.off(design, moved(turn), ~held, held) for turn, held in zip(turns, bath.held, strict=True)]
    degrees = [float(np.degrees(Rotation.from_matrix(turn).magnitude())) for turn in turns]
    whole = float(np.degrees(Rotation.from_matrix(turned(np.ones(len(bath.rows), dtype=bool))).magnitude()))
    return Cause("pose", "", whole, _spread(degrees), bath.rms_before_mm, _rms(np.concatenate(off)))


def _nearest_turn(bath: _Bath, rel: Array, centre: Array, fitted: Frames) -> Array:
    """Start value: the rotation nearest to any linear change of the wires that fits."""
    n, k = rel.shape[:2]
    change = np.einsum("nij,nkl->nkijl", bath.turn, rel).reshape(n, k, 3, 9)
    shift = np.broadcast_to(bath.turn[:, None], (n, k, 3, 3))
    goal = np.broadcast_to(-(bath.turn @ centre + bath.at)[:, None], (n, k, 3))
    design = np.concatenate([change, shift, -bath.image], axis=3)
    u, _, vt = np.linalg.svd(solve(design[fitted], goal[fitted])[:9].reshape(3, 3))
    return np.asarray(u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt)


def _moved(bath: _Bath) -> Cause:
    """Equations for a phantom, reference or probe marker that moved in mid-recording.

    Judged on every other frame by a fit to the rest, since both sides of the moment must be seen; frames next to the
    moment are not judged, as the others cannot say on which side they lie.
    """
    n = len(bath.rows)
    odd = bath.rows % 2 == 1
    before, after, parts = [], [], []
    for held in (odd, ~odd):
        moment, design = _moment(bath, ~held)
        sure = held & (np.abs(bath.rows - moment) > 1)
        before.append(bath.off(bath.image, bath.goal, ~held, sure))
        after.append(bath.off(design, bath.goal, ~held, sure))
        parts.append(float(np.linalg.norm(solve(design[~held], bath.goal[~held])[9:])))
    moment, design = _moment(bath, np.ones(n, dtype=bool))
    shift_mm = float(np.linalg.norm(solve(design, bath.goal)[9:]))
    share = _rms(np.concatenate(after)) / max(_rms(np.concatenate(before)), 1e-9)
    frame = int(bath.frame[moment])
    return Cause("moved", "", shift_mm, _spread(parts), bath.rms_before_mm, share * bath.rms_before_mm, frame)


def _moment(bath: _Bath, fitted: Frames) -> tuple[int, Array]:
    """First row after the shift that explains most, and the equations with it."""
    n = len(bath.rows)
    best: tuple[float, int, Array] | None = None
    for moment in np.unique(np.linspace(0.1 * n, 0.9 * n, _MOMENTS).astype(int)):
        shift = np.where((bath.rows >= moment)[:, None, None, None], -bath.turn[:, None], 0.0)
        design = np.concatenate([bath.image, np.broadcast_to(shift, (*bath.goal.shape, 3))], axis=3)
        rms = _rms(bath.off(design, bath.goal, fitted, fitted))
        if best is None or rms < best[0]:
            best = (rms, int(moment), design)
    assert best is not None
    return best[1], best[2]


def solve(design: Array, goal: Array) -> Array:
    """Least squares of ``design`` (n, k, 3, p) on ``goal`` (n, k, 3), by normal equations of unit diagonal."""
    a = design.reshape(-1, design.shape[-1])
    size = np.linalg.norm(a, axis=0)
    size[size == 0.0] = 1.0
    a = a / size
    return np.asarray(np.linalg.lstsq(a.T @ a, a.T @ goal.reshape(-1), rcond=None)[0] / size)


def velocity_mm_s(turn: Array, at: Array, still_mm: Array, time_s: Array) -> Array:
    """Velocity in the probe's frame of points (n, k, 3) fixed in the phantom; zero where times have gaps."""
    n = len(time_s)
    out = np.zeros_like(still_mm)
    if n < 3 or np.ptp(time_s) <= 0.0:
        return out
    lo, hi = np.maximum(np.arange(n) - 1, 0), np.minimum(np.arange(n) + 1, n - 1)
    span = time_s[hi] - time_s[lo]
    good = span < 4.0 * np.median(np.diff(time_s))
    before = np.einsum("nij,nkj->nki", turn[lo], still_mm) + at[lo, None]
    after = np.einsum("nij,nkj->nki", turn[hi], still_mm) + at[hi, None]
    out[good] = (after - before)[good] / span[good, None, None]
    return out


def _spread(parts: list[float]) -> float:
    """Jackknife standard uncertainty of a figure from those without one part each."""
    n = len(parts)
    return float(np.sqrt((n - 1) * np.var(parts)))


def _rms(off: Array) -> float:
    """Root mean square 3-D distance, mm."""
    return float(np.sqrt(np.mean(np.sum(off**2, axis=-1))))
