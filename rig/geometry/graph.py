"""The graph of calibrated transforms: any frame to any other, with uncertainty, identity and expiry.

The graph is a tree unless a step is added on purpose as ``redundant``: two ways between two frames are two answers,
and the graph never picks one in silence. It has ``add``, ``get`` and ``frames`` of
``rig.geometry.transforms.TransformGraph`` and can be used in its place.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from hal.types import Matrix
from rig.geometry.transforms import FrameError, TransformGraph, invert
from rig.geometry.uncertain import UncertainTransform

_FRAME = re.compile(r"[A-Z][A-Za-z0-9]*")


class MissingTransform(FrameError):
    """No chain of known transforms joins two frames."""


class TransformCycle(FrameError):
    """A new transform joins two frames that are joined already."""


class AmbiguousTransform(FrameError):
    """Two transforms, or two chains, answer the same question."""


class ExpiredCalibration(FrameError):
    """A step of the chain is past its due date."""


@dataclass(frozen=True)
class Step:
    """One known transform ``AToB``."""

    name: str
    transform: UncertainTransform
    identity: str = ""
    """Identity of the certificate that it comes from; empty for a nominal or measured-live value."""
    due: datetime.date | None = None
    """Last day of validity; None: does not expire."""

    @property
    def ends(self) -> tuple[str, str]:
        return frames_of(self.name)


@dataclass(frozen=True)
class Chain:
    """Answer of a look-up."""

    source: str
    target: str
    transform: UncertainTransform = field(repr=False)
    steps: tuple[Step, ...]

    @property
    def matrix(self) -> Matrix:
        return self.transform.matrix

    @property
    def due(self) -> datetime.date | None:
        """The earliest due date of the chain."""
        return min((s.due for s in self.steps if s.due is not None), default=None)

    def as_json(self) -> dict[str, object]:
        return {
            "name": f"{self.source}To{self.target}",
            "matrix": self.matrix.tolist(),
            "covariance": self.transform.covariance.tolist(),
            "steps": [s.name for s in self.steps],
            "calibrations": [s.identity for s in self.steps if s.identity],
            "due": None if self.due is None else self.due.isoformat(),
        }


@dataclass(frozen=True)
class LoopGap:
    """Difference between the two ways round a loop, at the origin of one end frame."""

    step: str
    around: tuple[str, ...]
    gap_mm: float
    gap_deg: float
    p_value: float
    """Chance of a gap at least as large from the stated uncertainties; NaN when none was stated."""


def frames_of(name: str) -> tuple[str, str]:
    """Frames of ``AToB``; raises ``FrameError`` for a name that reads otherwise, or in two ways."""
    cuts = [m.start() for m in re.finditer(r"To(?=[A-Z])", name) if m.start() > 0]
    if len(cuts) > 1:
        raise AmbiguousTransform(
            f"transform name {name!r} can be read in {len(cuts)} ways: frame names must not hold 'To'"
        )
    parts = (name[: cuts[0]], name[cuts[0] + 2 :]) if cuts else ("", "")
    if not all(_FRAME.fullmatch(p) for p in parts):
        raise FrameError(f"transform name {name!r} must read AToB")
    if parts[0] == parts[1]:
        raise TransformCycle(f"{name} maps a frame to itself")
    return parts


class FrameGraph:
    """Transforms by name with any-to-any look-up; see the module text."""

    def __init__(self, today: datetime.date | None = None) -> None:
        """``today`` makes look-ups refuse steps that are past their due date; None looks at no date."""
        self._today = today
        self._steps: dict[str, Step] = {}

    @staticmethod
    def of(graph: TransformGraph, names: tuple[str, ...]) -> FrameGraph:
        """Steps ``names`` of a plain graph, treated as exact."""
        out = FrameGraph()
        for name in names:
            out.add(name, graph.get(*frames_of(name)))
        return out

    def add(
        self,
        name: str,
        matrix: Matrix,
        covariance: ArrayLike | None = None,
        *,
        identity: str = "",
        due: datetime.date | None = None,
        redundant: bool = False,
    ) -> None:
        """Add ``AToB`` (4x4) with its 6x6 covariance (``UncertainTransform.rigid``).

        Raises ``FrameError`` (name, shape), ``AmbiguousTransform`` (the pair has a transform already, in either
        direction; use ``replace``), ``TransformCycle`` (the frames are joined by a chain; ``redundant`` allows it).
        """
        m = np.asarray(matrix, dtype=np.float64)
        if m.shape != (4, 4) or not np.all(np.isfinite(m)):
            raise FrameError(f"transform {name} must be a finite 4x4 matrix, got shape {m.shape}")
        if not np.allclose(m[3], (0.0, 0.0, 0.0, 1.0)) or abs(np.linalg.det(m[:3, :3])) < 1e-12:
            raise FrameError(f"transform {name} cannot be inverted: last row 0 0 0 1 and a volume are needed")
        self.put(Step(name, UncertainTransform.rigid(m, covariance), identity, due), redundant=redundant)

    def put(self, step: Step, *, redundant: bool = False) -> None:
        """Add a finished step; errors as ``add``."""
        source, target = step.ends
        known = self._between(source, target)
        if known is not None:
            raise AmbiguousTransform(
                f"{step.name} is given twice: {_origin(known)} is in the graph; replace it on purpose or leave one out"
            )
        if not redundant:
            ways = self._ways(source, target)
            if ways:
                gap = self._gap(step, ways[0])
                raise TransformCycle(
                    f"{step.name} closes a loop: {source} and {target} are joined by "
                    f"{_path(ways[0])}, and the two ways differ by {gap.gap_mm:.3f} mm and {gap.gap_deg:.3f} deg"
                )
        self._steps[step.name] = step

    def replace(
        self,
        name: str,
        matrix: Matrix,
        covariance: ArrayLike | None = None,
        *,
        identity: str = "",
        due: datetime.date | None = None,
    ) -> None:
        """Put a new value in the place of a known transform (either direction)."""
        known = self._between(*frames_of(name))
        if known is None:
            raise MissingTransform(f"{name} cannot be replaced: it is not in the graph")
        del self._steps[known.name]
        try:
            self.add(name, matrix, covariance, identity=identity, due=due, redundant=True)
        except FrameError:
            self._steps[known.name] = known
            raise

    @property
    def frames(self) -> frozenset[str]:
        return frozenset(f for s in self._steps.values() for f in s.ends)

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self._steps.values())

    def get(self, source: str, target: str) -> Matrix:
        """``sourceTotarget``, 4x4; errors as ``look_up``."""
        return self.look_up(source, target).matrix

    def look_up(self, source: str, target: str, *, via: tuple[str, ...] = (), allow_expired: bool = False) -> Chain:
        """The chain from ``source`` to ``target``; ``via`` names frames that it must pass.

        Raises ``MissingTransform`` (with the frames that each end does reach), ``AmbiguousTransform`` (several
        chains) and ``ExpiredCalibration``.
        """
        for frame in (source, target, *via):
            if frame not in self.frames:
                raise MissingTransform(f"frame {frame!r} is not known; known frames: {', '.join(sorted(self.frames))}")
        if source == target:
            return Chain(source, target, UncertainTransform.exact(np.eye(4)), ())
        every = self._ways(source, target)
        ways = [w for w in every if set(via) <= {f for s in w for f in s.ends}]
        if every and not ways:
            raise MissingTransform(
                f"no chain from {source} to {target} passes {', '.join(via)}; there is {'; '.join(map(_path, every))}"
            )
        if not ways:
            raise MissingTransform(
                f"no transform joins {source} and {target}: {source} reaches {_names(self._reach(source))}, "
                f"{target} reaches {_names(self._reach(target))}; a transform between the two groups is missing"
            )
        if len(ways) > 1:
            raise AmbiguousTransform(
                f"{source}To{target} has {len(ways)} answers: {'; '.join(_path(w) for w in ways[:4])}. Choose by 'via'"
            )
        if self._today is not None and not allow_expired:
            for step in ways[0]:
                if step.due is not None and step.due < self._today:
                    days = (self._today - step.due).days
                    raise ExpiredCalibration(
                        f"{source}To{target} needs {_origin(step)}, which was due {step.due}, {days} days ago"
                    )
        return Chain(source, target, _product(source, ways[0]), ways[0])

    def loops(self) -> tuple[LoopGap, ...]:
        """Closure of every loop of redundant steps, which checks two calibrations against each other."""
        plain = FrameGraph()
        out = []
        for step in self._steps.values():
            ways = plain._ways(*step.ends)
            if ways:
                out.append(self._gap(step, ways[0]))
            else:
                plain._steps[step.name] = step
        return tuple(out)

    # ---- inside --------------------------------------------------------------------------------------------

    def _between(self, a: str, b: str) -> Step | None:
        return self._steps.get(f"{a}To{b}") or self._steps.get(f"{b}To{a}")

    def _next(self, frame: str) -> list[tuple[Step, str]]:
        return [(s, s.ends[1] if s.ends[0] == frame else s.ends[0]) for s in self._steps.values() if frame in s.ends]

    def _reach(self, frame: str) -> set[str]:
        seen, todo = {frame}, [frame]
        while todo:
            for _, other in self._next(todo.pop()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return seen

    def _ways(self, source: str, target: str) -> list[tuple[Step, ...]]:
        """All simple paths, shortest first (the graphs of a rig have some ten frames)."""
        found: list[tuple[Step, ...]] = []
        todo: list[tuple[str, tuple[Step, ...], frozenset[str]]] = [(source, (), frozenset({source}))]
        while todo:
            frame, path, seen = todo.pop(0)
            if frame == target:
                found.append(path)
                continue
            todo += [(other, (*path, step), seen | {other}) for step, other in self._next(frame) if other not in seen]
        return found

    def _gap(self, step: Step, way: tuple[Step, ...]) -> LoopGap:
        around = _product(step.ends[0], way)
        there = step.transform
        apart = there.matrix @ invert(around.matrix)
        turn = Rotation.from_matrix(_nearest_rotation(apart[:3, :3])).as_rotvec()
        shift = there.matrix[:3, 3] - around.matrix[:3, 3]
        error = np.concatenate([turn, apart[:3, 3]])
        cov = there.covariance + around.covariance
        p = float("nan")
        if np.linalg.eigvalsh(cov)[0] > 0:
            p = float(chi2.sf(error @ np.linalg.solve(cov, error), 6))
        return LoopGap(
            step.name,
            tuple(s.name for s in way),
            float(np.linalg.norm(shift)),
            float(np.degrees(np.linalg.norm(turn))),
            p,
        )


def _nearest_rotation(m: NDArray[np.float64]) -> NDArray[np.float64]:
    u, _, vt = np.linalg.svd(m)
    return np.asarray(u @ np.diag([1.0, 1.0, float(np.sign(np.linalg.det(u @ vt)))]) @ vt)


def _product(source: str, way: tuple[Step, ...]) -> UncertainTransform:
    at, total = source, UncertainTransform.exact(np.eye(4))
    for step in way:
        forward = step.ends[0] == at
        total = total.then(step.transform if forward else step.transform.inverse())
        at = step.ends[1] if forward else step.ends[0]
    return total


def _origin(step: Step) -> str:
    return f"{step.name} ({step.identity})" if step.identity else step.name


def _path(way: tuple[Step, ...]) -> str:
    return " + ".join(s.name for s in way)


def _names(frames: set[str]) -> str:
    return "{" + ", ".join(sorted(frames)) + "}"
