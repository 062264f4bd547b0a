"""Samples of a recorded log that Perk Tutor's metrics see, and their times.

Its reader turns a stamp into seconds with **six significant digits** and stores the pose under that number; a pose
whose number lies within 1 ms of one that is there already **replaces** it. Its player walks along the numbers of
the first transform and shows, of every other, the pose within 1 ms or else the one before. Both rules lose samples;
they are repeated here so that its published numbers can be reproduced (read in the sources of Perk Tutor and of
Slicer's sequence node).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from analysis.motion.metrics import NS_PER_S, Motion

TOLERANCE_S = 0.001
"""``numericIndexValueTolerance`` of Slicer's sequences."""


def six_digits(time_ns: int) -> float:
    """Seconds as a C++ stream prints them by default."""
    return float(f"{time_ns // NS_PER_S + 1e-9 * (time_ns % NS_PER_S):.6g}")


def find(values: list[float], wanted: float, *, exact: bool) -> int:
    """Index of a stored number within the tolerance of ``wanted``; else -1 (``exact``) or the one before."""
    if not values:
        return -1
    low, high = 0, len(values) - 1
    if wanted <= values[low] + TOLERANCE_S:
        return -1 if wanted < values[low] - TOLERANCE_S and exact else low
    if wanted >= values[high] - TOLERANCE_S:
        return -1 if wanted > values[high] + TOLERANCE_S and exact else high
    while high - low > 1:
        middle = (low + high) // 2
        if abs(wanted - values[middle]) <= TOLERANCE_S:
            return middle
        if wanted > values[middle]:
            low = middle
        else:
            high = middle
    if exact:
        return values.index(wanted) if wanted in values else -1
    return low


class _Stored:
    """Poses as the reader stores them: ordered numbers and the index of the sample kept under each."""

    def __init__(self, time_ns: NDArray[np.int64]) -> None:
        self.values: list[float] = []
        self.samples: list[int] = []
        for n, stamp in enumerate(time_ns.tolist()):
            value = six_digits(stamp)
            at = find(self.values, value, exact=True)
            if at >= 0:
                self.samples[at] = n
                continue
            near = find(self.values, value, exact=False)
            at = near + (1 if near >= 0 and value >= self.values[near] else 0) if near >= 0 else 0
            self.values.insert(at, value)
            self.samples.insert(at, n)


def played(motions: Mapping[str, Motion]) -> dict[str, Motion]:
    """Samples that Perk Tutor shows its metrics, per transform; the first one of the mapping leads."""
    stored = {name: _Stored(motion.time_ns) for name, motion in motions.items()}
    if not stored:
        return {}
    values = next(iter(stored.values())).values
    time_ns = np.array([round(value * NS_PER_S) for value in values], dtype=np.int64)
    shown = {}
    for name, motion in motions.items():
        track = stored[name]
        chosen = [track.samples[find(track.values, value, exact=False)] for value in values]
        shown[name] = Motion(name, time_ns, motion.matrices[chosen])
    return shown


def lost(motions: Mapping[str, Motion]) -> dict[str, int]:
    """Number of samples of each transform that the metrics never see."""
    found = {}
    shown = played(motions)
    for name, motion in motions.items():
        seen = {matrix.tobytes() for matrix in shown[name].matrices}
        found[name] = sum(matrix.tobytes() not in seen for matrix in motion.matrices)
    return found
