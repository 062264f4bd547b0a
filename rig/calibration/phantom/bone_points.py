"""Bone points of a scan for a registration: their places, the beams that saw them, and their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rig.geometry.registration import Points
from rig.guidance.panorama import SweepFrame

MIN_CONFIDENCE = 0.35
"""Settings of the bone finder; the same as in a trial."""
MAX_POINTS_N = 1500
"""Enough for a fit (neighbours of a scan line say nearly the same) and quick enough to repeat it."""


@dataclass(frozen=True)
class BonePoints:
    """Bone of one scan, Rig frame, mm; arrays of equal length n unless said otherwise."""

    points_mm: Points = field(repr=False)
    beams: Points = field(repr=False)
    """(n, 3) unit vectors along the scan line, away from the probe."""
    range_mm: NDArray[np.float64] = field(repr=False)
    """From the face of the probe."""
    frame: NDArray[np.int64] = field(repr=False)
    """Number of the frame."""
    line: NDArray[np.int64] = field(repr=False)
    """Number of the scan line."""
    ProbeToRig: NDArray[np.float64] = field(repr=False)
    """(frames, 4, 4)"""

    def __len__(self) -> int:
        return len(self.points_mm)

    @property
    def frames_n(self) -> int:
        """Frames that show bone."""
        return len(np.unique(self.frame))

    def only(self, keep: NDArray[np.int64]) -> BonePoints:
        """The points with these indices; frames keep their numbers."""
        return BonePoints(
            self.points_mm[keep], self.beams[keep], self.range_mm[keep], self.frame[keep], self.line[keep],
            self.ProbeToRig,
        )  # fmt: skip

    def thinned(self, count: int = MAX_POINTS_N) -> BonePoints:
        """At most ``count`` points, evenly spaced."""
        if len(self) <= count:
            return self
        return self.only(np.linspace(0, len(self) - 1, count).astype(np.int64))


def bone_points(frames: Sequence[SweepFrame], min_confidence: float = MIN_CONFIDENCE) -> BonePoints:
    """Gather the bone of all frames."""
    points, beams, ranges, number, lines = [], [], [], [], []
    for k, frame in enumerate(frames):
        s = frame.surface
        use = np.flatnonzero(s.found & (s.confidence >= min_confidence))
        way = np.zeros((len(use), 3))
        way[:, [0, 2]] = s.grid.directions[use]
        points.append(s.rig_points(frame.ProbeToRig, min_confidence))
        beams.append(way @ frame.ProbeToRig[:3, :3].T)
        ranges.append(s.range_mm[use])
        number.append(np.full(len(use), k, dtype=np.int64))
        lines.append(use)
    poses = np.array([frame.ProbeToRig for frame in frames]).reshape(-1, 4, 4)
    empty = np.zeros((0, 3))
    return BonePoints(
        np.concatenate([empty, *points]), np.concatenate([empty, *beams]), np.concatenate([np.zeros(0), *ranges]),
        np.concatenate([np.zeros(0, dtype=np.int64), *number]), np.concatenate([np.zeros(0, dtype=np.int64), *lines]),
        poses,
    )  # fmt: skip
