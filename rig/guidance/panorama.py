"""Longitudinal sweep stitched to one profile: depth of bone along Y at one X of the Rig frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix
from rig.geometry.registration import apply_transform
from rig.guidance.bone_surface import BoneSurface

BIN_MM = 1.0


@dataclass(frozen=True)
class SweepFrame:
    """Bone of one frame, with the pose of the probe."""

    surface: BoneSurface = field(repr=False)
    ProbeToRig: Matrix = field(repr=False)


@dataclass(frozen=True)
class Profile:
    """Depth of the dorsal bone along Y, Rig frame."""

    x_mm: float
    y_mm: NDArray[np.float64] = field(repr=False)
    """Bin centres, ascending (caudal to cranial), spacing ``BIN_MM``."""
    depth_mm: NDArray[np.float64] = field(repr=False)
    """Rig z of the bone; NaN where none was seen."""
    looked: NDArray[np.bool_] = field(repr=False)
    """True where any scan line passed: a bin that was scanned and shows no bone is evidence too."""

    @property
    def bone(self) -> NDArray[np.bool_]:
        return np.isfinite(self.depth_mm)


def stitch(
    frames: Sequence[SweepFrame], x_mm: float, *, x_tolerance_mm: float = 3.0, min_confidence: float = 0.3,
    bone_depth_mm: float = 45.0, min_votes: float = 0.34,
) -> Profile:  # fmt: skip
    """Profile from frames whose planes contain the line X = ``x_mm`` (Rig frame).

    Every bin takes the median of the bone points in it, shallow cluster first; it counts as bone when at least
    ``min_votes`` of the lines that passed there saw bone. ``bone_depth_mm`` is the range at which a line without bone
    is said to have passed a bin.
    """
    hits: list[NDArray[np.float64]] = []
    passes: list[NDArray[np.float64]] = []
    for frame in frames:
        surface = frame.surface
        points = surface.rig_points(frame.ProbeToRig, min_confidence)
        hits.append(points[np.abs(points[:, 0] - x_mm) <= x_tolerance_mm][:, 1:])
        lost = np.flatnonzero(surface.contact & ~surface.found)
        blind = surface.grid.at(lost.astype(np.float64), np.full(len(lost), bone_depth_mm))
        blind_rig = apply_transform(frame.ProbeToRig, blind)
        passes.append(blind_rig[np.abs(blind_rig[:, 0] - x_mm) <= x_tolerance_mm][:, 1])
    hit = np.concatenate(hits) if hits else np.zeros((0, 2))
    empty = np.concatenate(passes) if passes else np.zeros(0)
    every = np.concatenate([hit[:, 0], empty])
    if len(every) == 0:
        return Profile(x_mm, np.zeros(0), np.zeros(0), np.zeros(0, dtype=bool))
    low = np.floor(every.min() / BIN_MM) * BIN_MM
    count = int((every.max() - low) / BIN_MM) + 1
    y = low + (np.arange(count) + 0.5) * BIN_MM
    depth = np.full(count, np.nan)
    hit_bin = np.clip(((hit[:, 0] - low) / BIN_MM).astype(np.int64), 0, count - 1)
    empty_bin = np.clip(((empty - low) / BIN_MM).astype(np.int64), 0, count - 1)
    misses = np.bincount(empty_bin, minlength=count)
    votes = np.bincount(hit_bin, minlength=count)
    order = np.argsort(hit_bin, kind="stable")
    edges = np.searchsorted(hit_bin[order], np.arange(count + 1))
    for k in np.flatnonzero(votes):
        z = np.sort(hit[order[edges[k] : edges[k + 1]], 1])
        if votes[k] < min_votes * (votes[k] + misses[k]):
            continue
        # Different views see different depths at an edge: the shallow cluster is what casts the shadow.
        shallow = z[z <= z[max(0, int(0.15 * len(z)))] + 4.0]
        depth[k] = float(np.median(shallow))
    return Profile(x_mm, y, depth, (votes + misses) > 0)
