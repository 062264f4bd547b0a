"""How well the bone surface is found in simulated frames, scan line by scan line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.scorecard.bench import PRESS_MM, ScoredBench, figure
from hal.sim.build import AsBuilt
from hal.types import Matrix
from rig.geometry.registration import apply_transform
from rig.guidance.bone_surface import BoneSurface
from rig.guidance.planning import probe_pose

FRAMES_N = 24
"""Frames of one phantom."""
MAX_RANGE_MM = 90.0
"""Deeper bone cannot be drawn in a frame of 95 mm."""
MIN_COSINE = 0.45
"""A surface within 63 deg of the beam faces the probe."""
MAX_STEP_MM = 2.5
"""A larger step beside a line means that the slice holds two surfaces."""
SURE = 0.5
"""Confidence above which the second row counts."""

Flags = NDArray[np.bool_]


def true_ranges(
    built: AsBuilt, surface: BoneSurface, ProbeToPhantom: Matrix
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Range (mm) of the true bone along each line and the cosine of incidence; NaN without bone."""
    grid = surface.grid
    lines = len(grid.starts_mm)
    start = np.zeros((lines, 3))
    start[:, [0, 2]] = grid.starts_mm
    way = np.zeros((lines, 3))
    way[:, [0, 2]] = grid.directions
    start, way = apply_transform(ProbeToPhantom, start), way @ ProbeToPhantom[:3, :3].T
    t = np.zeros(lines)
    for _ in range(250):
        d = built.scene.distance_mm(start + t[:, None] * way)
        t = np.where(d < 0.02, t, t + np.maximum(0.9 * d, 0.02))
    hit = (built.scene.distance_mm(start + t[:, None] * way) < 0.02) & (t < MAX_RANGE_MM)
    p = start + t[:, None] * way
    normal = np.stack(
        [built.scene.distance_mm(p + 0.05 * e) - built.scene.distance_mm(p - 0.05 * e) for e in np.eye(3)], 1
    )
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    return np.where(hit, t, np.nan), -(normal * way).sum(axis=1)


def facing(truth_mm: NDArray[np.float64], cosine: NDArray[np.float64], contact: Flags) -> Flags:
    """Lines whose true surface faces the probe, has no step beside it, and that touch the gel."""
    filled = np.nan_to_num(truth_mm, nan=200.0)
    step = np.maximum(np.abs(np.diff(filled, prepend=filled[0])), np.abs(np.diff(filled, append=filled[-1])))
    return np.asarray(np.isfinite(truth_mm) & (cosine > MIN_COSINE) & (step < MAX_STEP_MM) & contact)


@dataclass(frozen=True)
class BoneLines:
    """Scan lines of all frames, each with the truth beside it; arrays of equal length."""

    error_mm: NDArray[np.float64]
    """Found range minus true one; NaN where one of them is missing."""
    bone: Flags
    found: Flags
    faces: Flags
    sure: Flags

    def row(self, which: Flags) -> dict[str, Any]:
        """Figures of the chosen lines; the shares over 1 and 2 mm are of the lines that were found."""
        error = np.abs(self.error_mm[which & self.found])
        near = error[error < 2.0]
        none = float("nan")
        return {
            "lines_n": int(which.sum()),
            "found_n": len(error),
            "found_share": figure(len(error) / which.sum() if which.any() else none),
            "median_error_mm": figure(np.median(error) if len(error) else none),
            "rmse_below_2mm_mm": figure(np.sqrt(np.mean(near**2)) if len(near) else none),
            "rmse_mm": figure(np.sqrt(np.mean(error**2)) if len(error) else none),
            "over_1mm_share": figure(np.mean(error > 1.0) if len(error) else none, 4),
            "over_2mm_share": figure(np.mean(error > 2.0) if len(error) else none, 4),
        }


def look(bench: ScoredBench, seed: int, frames_n: int = FRAMES_N) -> BoneLines:
    """Frames at exact poses over the left half of the back, transverse and longitudinal in turn."""
    rng = np.random.default_rng([seed, 1])
    parts: list[BoneLines] = []
    for k in range(frames_n):
        x, y, a, b = rng.uniform((12, -40, -5, -5), (40, 45, 5, 5))
        pose = probe_pose(x, y, PRESS_MM, a, b, 0.0 if k % 2 else 90.0)
        surface = bench.bone(pose)
        truth, cosine = true_ranges(bench.built, surface, pose)
        parts.append(
            BoneLines(
                surface.range_mm - truth,
                np.isfinite(truth),
                surface.found,
                facing(truth, cosine, surface.contact),
                surface.confidence > SURE,
            )
        )
    return join(parts)


def join(parts: list[BoneLines]) -> BoneLines:
    """Lines of several phantoms; raises ``ValueError`` without any."""
    names = ("error_mm", "bone", "found", "faces", "sure")
    return BoneLines(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


@dataclass
class BoneScore:
    """Gathers phantom by phantom."""

    frames_n: int = FRAMES_N
    parts: list[BoneLines] = field(default_factory=list)

    def add(self, bench: ScoredBench, seed: int) -> None:
        """Look at one phantom."""
        self.parts.append(look(bench, seed, self.frames_n))

    def result(self) -> dict[str, Any]:
        """All figures; raises ``ValueError`` before the first phantom."""
        lines = join(self.parts)
        bias = lines.error_mm[lines.faces & lines.found & (np.abs(lines.error_mm) < 2.0)]
        return {
            "frames_n": self.frames_n * len(self.parts),
            "lines_n": len(lines.bone),
            "facing": lines.row(lines.faces),
            "facing_sure": lines.row(lines.faces & lines.sure),
            "all_with_bone": lines.row(lines.bone),
            "without_bone": {"lines_n": int((~lines.bone).sum()), "found_n": int((~lines.bone & lines.found).sum())},
            "facing_bias_below_2mm_mm": figure(np.mean(bias) if len(bias) else float("nan")),
        }
