"""Rigid transforms: 4x4, row-major, left multiplication, mm; ``AToB`` maps A coordinates to B."""

from __future__ import annotations

import math
import re
from collections import deque

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.errors import ConfigError
from hal.types import Matrix, NeedlePose, Pose6, Vector


class FrameError(ConfigError):
    """A transform has a bad name, or no chain of known transforms joins two frames."""


def translation(x_mm: float, y_mm: float, z_mm: float) -> Matrix:
    """Pure shift."""
    matrix = np.eye(4)
    matrix[:3, 3] = (x_mm, y_mm, z_mm)
    return matrix


def rotation(a_deg: float, b_deg: float, c_deg: float) -> Matrix:
    """``Rz(C) Ry(B) Rx(A)``, the order of the probe holder's axes."""
    ca, sa = math.cos(math.radians(a_deg)), math.sin(math.radians(a_deg))
    cb, sb = math.cos(math.radians(b_deg)), math.sin(math.radians(b_deg))
    cc, sc = math.cos(math.radians(c_deg)), math.sin(math.radians(c_deg))
    return np.array(
        [
            [cc * cb, cc * sb * sa - sc * ca, cc * sb * ca + sc * sa, 0.0],
            [sc * cb, sc * sb * sa + cc * ca, sc * sb * ca - cc * sa, 0.0],
            [-sb, cb * sa, cb * ca, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


def from_pose6(pose: Pose6) -> Matrix:
    """``ProbeToHolder`` of a holder pose."""
    matrix = rotation(pose.a_deg, pose.b_deg, pose.c_deg)
    matrix[:3, 3] = (pose.x_mm, pose.y_mm, pose.z_mm)
    return matrix


def to_pose6(ProbeToHolder: Matrix) -> Pose6:
    """The holder pose of a transform; at B = +-90 deg, where A and C turn about one axis, A is set to 0."""
    r = ProbeToHolder[:3, :3]
    b = math.asin(max(-1.0, min(1.0, -float(r[2, 0]))))
    if abs(r[2, 0]) < 1.0 - 1e-12:
        a = math.atan2(r[2, 1], r[2, 2])
        c = math.atan2(r[1, 0], r[0, 0])
    else:
        a = 0.0
        c = math.atan2(-r[0, 1], r[1, 1])
    x, y, z = (float(v) for v in ProbeToHolder[:3, 3])
    return Pose6(x, y, z, math.degrees(a), math.degrees(b), math.degrees(c))


def needle_direction(pose: NeedlePose) -> Vector:
    """Unit vector of the needle axis into the phantom, in the carrier's frame (definition: ``NeedlePose``)."""
    lateral, tilt = math.radians(pose.lateral_deg), math.radians(pose.tilt_deg)
    return np.array([-math.sin(lateral), -math.sin(tilt) * math.cos(lateral), math.cos(lateral) * math.cos(tilt)])


def from_needle_pose(pose: NeedlePose) -> Matrix:
    """``NeedleToCarrier``: origin at the tip of the unbent needle, z along the axis.

    ``Rx(tilt) Ry(-lateral)`` turns z into ``needle_direction``. The bevel turns about z within this frame and is
    therefore not part of it.
    """
    lateral, tilt = math.radians(pose.lateral_deg), math.radians(pose.tilt_deg)
    cl, sl, ct, st = math.cos(lateral), math.sin(lateral), math.cos(tilt), math.sin(tilt)
    matrix = np.array(
        [[cl, 0.0, -sl, 0.0], [-st * sl, ct, -st * cl, 0.0], [ct * sl, st, ct * cl, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    matrix[:3, 3] = np.array([pose.x_mm, pose.y_mm, 0.0]) + pose.feed_mm * needle_direction(pose)
    return matrix


def compose(*matrices: Matrix) -> Matrix:
    """Product, left to right: ``compose(BToC, AToB)`` is ``AToC``."""
    result: Matrix = np.eye(4)
    for matrix in matrices:
        result = result @ matrix
    return result


def invert(matrix: Matrix) -> Matrix:
    """Inverse; exact for a rigid transform, general for one with pixel pitch (``ImageToProbe``)."""
    r = matrix[:3, :3]
    if np.allclose(r @ r.T, np.eye(3), atol=1e-9):
        result = np.eye(4)
        result[:3, :3] = r.T
        result[:3, 3] = -r.T @ matrix[:3, 3]
        return result
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def apply(matrix: Matrix, points: ArrayLike) -> NDArray[np.float64]:
    """Map points, shape (3,) or (n, 3)."""
    p = np.asarray(points, dtype=np.float64)
    return np.asarray(p @ matrix[:3, :3].T + matrix[:3, 3])


_NAME = re.compile(r"([A-Z][A-Za-z0-9]*?)To([A-Z][A-Za-z0-9]*)")


class TransformGraph:
    """Transforms by name; any two joined frames give their transform."""

    def __init__(self) -> None:
        self._steps: dict[str, dict[str, Matrix]] = {}

    def add(self, name: str, matrix: Matrix) -> None:
        """Add or replace ``AToB``; raises ``FrameError`` for a bad name or shape."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise FrameError(f"transform name {name!r} must read AToB")
        source, target = match.groups()
        m = np.asarray(matrix, dtype=np.float64)
        if m.shape != (4, 4) or not np.all(np.isfinite(m)):
            raise FrameError(f"transform {name} must be a finite 4x4 matrix, got shape {m.shape}")
        self._steps.setdefault(source, {})[target] = m
        self._steps.setdefault(target, {})[source] = invert(m)

    @property
    def frames(self) -> frozenset[str]:
        return frozenset(self._steps)

    def get(self, source: str, target: str) -> Matrix:
        """``sourceTotarget`` along the shortest chain; raises ``FrameError`` when there is none."""
        if source == target:
            return np.eye(4)
        seen = {source}
        queue: deque[tuple[str, Matrix]] = deque([(source, np.eye(4))])
        while queue:
            frame, so_far = queue.popleft()
            for following, step in self._steps.get(frame, {}).items():
                if following in seen:
                    continue
                matrix = step @ so_far
                if following == target:
                    return matrix
                seen.add(following)
                queue.append((following, matrix))
        raise FrameError(f"no transform joins {source} and {target}; known frames: {', '.join(sorted(self._steps))}")
