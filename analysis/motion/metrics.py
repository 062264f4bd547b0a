"""Motion metrics of tracked tools: Perk Tutor's own definitions, and the same questions answered without its defects.

A ``Motion`` is one tool's poses ``ToolToWorld`` in mm with integer-nanosecond times; ``tip`` is the origin of the
tool frame. ``perk_tutor`` computes what Perk Tutor would print (definitions read from its metric scripts, branch
Core and master); ``corrected`` keeps every sample, weighs by time and does not depend on where world's origin lies.
The differences are listed in ``DIFFERENCES``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.motion.solid import Solid

NS_PER_S = 1_000_000_000
SPEED_LIMIT_MM_S = 50.0
"""Translational action, Perk Tutor."""
TURN_LIMIT_DEG_S = 50.0
"""Rotational action, Perk Tutor."""
ACTION_S = 0.2
"""Shortest action and shortest pause, Perk Tutor."""
RIG_SPEED_LIMIT_MM_S = 0.5
"""Action limit of the corrected metrics: a rig moves at 1 to 5 mm/s and never reaches 50."""
RIG_TURN_LIMIT_DEG_S = 1.0
NEEDLE_LENGTH_MM = 300.0
"""Shaft length that Perk Tutor's tissue damage assumes."""
PUNCTURE_MM = 1.0
"""Half length around the tip that must be inside (or outside) to count a puncture; Perk Tutor, master."""
TARGET_RADIUS_MM = 3.0
"""Targets hit, Perk Tutor."""

DIFFERENCES: Mapping[str, str] = {
    "path_length_mm": "all samples; Perk Tutor loses those whose stamps fall together in six digits or within 1 ms",
    "average_speed_mm_s": "path over time; Perk Tutor averages segment speeds whatever their length",
    "translational_actions_n": "speed of the tip at the rig's limits; Perk Tutor takes the speed of world's origin"
    " carried along, which grows with rotation and with the distance from the origin",
    "rotational_actions_n": "the same rule at the rig's limits",
    "log_dimensionless_jerk": "in place of Motion Smoothness, which depends on the sampling rate",
    "tissue_path_mm": "the part of each segment inside the tissue; Perk Tutor counts whole segments by their end",
    "tissue_time_s": "the part of each interval inside the tissue, by the same rule",
    "tissue_damage_mm2": "the shaft's real length; Perk Tutor assumes 300 mm",
}
"""Differences of ``corrected``, by name of the value."""


@dataclass(frozen=True)
class Motion:
    """Poses of one tool."""

    name: str
    time_ns: NDArray[np.int64] = field(repr=False)
    """Shape (n,), strictly increasing for ``corrected``."""
    matrices: NDArray[np.float64] = field(repr=False)
    """Shape (n, 4, 4), ``ToolToWorld``."""

    @property
    def tips(self) -> NDArray[np.float64]:
        """Shape (n, 3), mm."""
        return self.matrices[:, :3, 3]


@dataclass(frozen=True)
class Scene:
    """Inputs of the metrics about tissue and targets; all in world, mm."""

    tissue: Solid | None = None
    targets: NDArray[np.float64] | None = None
    """Shape (k, 3)."""
    needle_axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Direction from the hub to the tip in the tool frame (Perk Tutor's default)."""
    needle_length_mm: float = NEEDLE_LENGTH_MM


def perk_tutor(motion: Motion, scene: Scene | None = None) -> dict[str, float | int]:
    """Values that Perk Tutor prints, from samples as its player shows them (see ``perk_player.played``)."""
    scene = scene or Scene()
    time_s = motion.time_ns.astype(np.float64) / NS_PER_S
    tips = motion.tips
    steps_mm, steps_s = np.linalg.norm(np.diff(tips, axis=0), axis=1), np.diff(time_s)
    kept = np.concatenate(([True], steps_s > 0))  # a sample that repeats a time is passed over by all rates
    rates_s, moved = np.diff(time_s[kept]), motion.matrices[kept]
    speeds = np.linalg.norm(np.diff(tips[kept], axis=0), axis=1) / rates_s
    path_mm, span_mm = float(steps_mm.sum()), float(np.linalg.norm(tips[-1] - tips[0]))
    turns_deg = rotation_steps_deg(motion.matrices)
    found: dict[str, float | int] = {
        "timestamps_n": len(tips),
        "elapsed_time_s": float(steps_s.sum()),
        "path_length_mm": path_mm,
        "average_velocity_mm_s": float(speeds.mean()) if len(speeds) else math.nan,
        "motion_smoothness_mm_s3": _smoothness(tips, time_s),
        "path_inefficiency_pct": 100.0 * (path_mm / span_mm - 1.0) if span_mm else math.nan,
        "depth_perception_mm": _axial(motion, scene),
        "rotation_total_deg": float(turns_deg.sum()),
        "translational_actions_n": actions(_carried_mm(moved) / rates_s, time_s[kept][1:], SPEED_LIMIT_MM_S),
        "rotational_actions_n": actions(rotation_steps_deg(moved) / rates_s, time_s[kept][1:], TURN_LIMIT_DEG_S),
        "bounding_box_volume_mm3": float(np.ptp(tips, axis=0).prod()),
        "rms_mm": float(np.sqrt(((tips - tips.mean(axis=0)) ** 2).sum() / len(tips))),
    }
    found |= {f"bounding_box_{axis}_mm": float(size) for axis, size in zip("xyz", np.ptp(tips, axis=0), strict=True)}
    if scene.targets is not None:
        found["targets_hit_n"] = int((target_distances_mm(motion, scene) < TARGET_RADIUS_MM).sum())
    if scene.tissue is not None:
        inside = scene.tissue.contains(tips)
        found["tissue_path_mm"] = float(steps_mm[inside[1:]].sum())
        found["tissue_time_s"] = float(steps_s[inside[1:]].sum())
        found["tissue_damage_mm2"] = damage_mm2(motion, scene, inside, NEEDLE_LENGTH_MM)
        found["tissue_punctures_n"] = punctures(motion, scene)
    return found


def corrected(motion: Motion, scene: Scene | None = None) -> dict[str, float | int]:
    """The same metrics from every sample; raises ``ValueError`` for times that do not increase."""
    scene = scene or Scene()
    if len(motion.time_ns) < 2:
        raise ValueError(f"{motion.name}: {len(motion.time_ns)} samples are no motion")
    steps_ns = np.diff(motion.time_ns)
    if steps_ns.min() <= 0:
        raise ValueError(f"{motion.name}: times do not increase")
    tips, steps_s = motion.tips, steps_ns / NS_PER_S
    steps_mm, turns_deg = np.linalg.norm(np.diff(tips, axis=0), axis=1), rotation_steps_deg(motion.matrices)
    elapsed_s = float(int(motion.time_ns[-1] - motion.time_ns[0])) / NS_PER_S
    path_mm, span_mm = float(steps_mm.sum()), float(np.linalg.norm(tips[-1] - tips[0]))
    since_s = (motion.time_ns[1:] - motion.time_ns[0]) / NS_PER_S
    found: dict[str, float | int] = {
        "samples_n": len(tips),
        "elapsed_time_s": elapsed_s,
        "longest_gap_s": float(steps_s.max()),
        "path_length_mm": path_mm,
        "average_speed_mm_s": path_mm / elapsed_s,
        "log_dimensionless_jerk": dimensionless_jerk(tips, motion.time_ns),
        "path_inefficiency_pct": 100.0 * (path_mm / span_mm - 1.0) if span_mm else math.nan,
        "axial_travel_mm": _axial(motion, scene),
        "lateral_travel_mm": _lateral(motion, scene),
        "rotation_total_deg": float(turns_deg.sum()),
        "translational_actions_n": actions(steps_mm / steps_s, since_s, RIG_SPEED_LIMIT_MM_S),
        "rotational_actions_n": actions(turns_deg / steps_s, since_s, RIG_TURN_LIMIT_DEG_S),
    }
    if scene.targets is not None:
        for n, distance_mm in enumerate(target_distances_mm(motion, scene), 1):
            found[f"target_{n}_nearest_mm"] = float(distance_mm)
        found["targets_hit_n"] = int((target_distances_mm(motion, scene) < TARGET_RADIUS_MM).sum())
    if scene.tissue is not None:
        share = scene.tissue.share_inside(tips)
        found["tissue_path_mm"] = float((steps_mm * share).sum())
        found["tissue_time_s"] = float((steps_s * share).sum())
        inside = scene.tissue.contains(tips)
        found["tissue_damage_mm2"] = damage_mm2(motion, scene, inside, scene.needle_length_mm)
        found["tissue_punctures_n"] = punctures(motion, scene)
    return found


def rotation_steps_deg(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle of the rotation from each pose to the next, 0..180 deg, shape (n - 1,)."""
    turned = np.einsum("nij,nkj->nik", matrices[1:, :3, :3], matrices[:-1, :3, :3])
    axis = np.stack(
        [turned[:, 2, 1] - turned[:, 1, 2], turned[:, 0, 2] - turned[:, 2, 0], turned[:, 1, 0] - turned[:, 0, 1]]
    )
    # atan2 stays exact for small angles, where the arc cosine of the trace loses half of its digits
    angles: NDArray[np.float64] = np.degrees(
        np.arctan2(np.linalg.norm(axis, axis=0), np.trace(turned, axis1=1, axis2=2) - 1.0)
    )
    return angles


def _carried_mm(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Length of the translation of ``next inv(previous)``: what Perk Tutor calls the motion between two samples."""
    change = matrices[1:] @ np.linalg.inv(matrices[:-1])
    return np.asarray(np.linalg.norm(change[:, :3, 3], axis=1))


def actions(rate: NDArray[np.float64], time_s: NDArray[np.float64], limit: float) -> int:
    """Periods above ``limit``: a change of state counts once it has lasted longer than ``ACTION_S``.

    As Perk Tutor does it, the clock of the present state starts at time 0 and restarts at every sample that agrees
    with the state; so the rule depends on the sampling rate where that is near ``ACTION_S``.
    """
    moving, since_s, count = False, 0.0, 0
    for now_moving, now_s in zip((rate > limit).tolist(), time_s.tolist(), strict=True):
        if now_moving == moving:
            since_s = now_s
        elif now_s - since_s > ACTION_S:
            moving, since_s = now_moving, now_s
            count += moving
    return count


def _smoothness(tips: NDArray[np.float64], time_s: NDArray[np.float64]) -> float:
    """Root of the summed squared jerk (backward differences), without samples that repeat a time."""
    keep = np.concatenate(([True], np.diff(time_s) > 0))
    points, times = tips[keep], time_s[keep]
    if len(points) < 4:
        return 0.0
    steps = np.diff(times)[:, None]
    speed = np.diff(points, axis=0) / steps
    acceleration = np.diff(speed, axis=0) / steps[1:]
    jerk = np.diff(acceleration, axis=0) / steps[2:]
    # Perk Tutor compares with three earlier times and drops a sample only when one of them is the same
    return float(np.sqrt(((jerk**2).sum(axis=1) * steps[2:, 0]).sum()))


JERK_RATE_HZ = 20.0
"""Rate to which a track is resampled before its jerk is taken, so that the result does not depend on the device."""


def dimensionless_jerk(tips: NDArray[np.float64], time_ns: NDArray[np.int64]) -> float:
    """Log dimensionless jerk, -ln(D^3 / v^2 * integral |jerk|^2 dt); larger (nearer 0) is smoother.

    Source: Balasubramanian et al. 2015, J NeuroEng Rehabil 12:112, eq. 4, with the peak speed of the tip.
    """
    since_s = (time_ns - time_ns[0]) / NS_PER_S
    count = int(since_s[-1] * JERK_RATE_HZ) + 1
    if count < 8:
        return math.nan
    even_s = np.arange(count) / JERK_RATE_HZ
    points = np.stack([np.interp(even_s, since_s, tips[:, k]) for k in range(3)], axis=1)
    speed = np.gradient(points, 1 / JERK_RATE_HZ, axis=0)
    peak = float(np.linalg.norm(speed, axis=1).max())
    jerk = np.gradient(np.gradient(speed, 1 / JERK_RATE_HZ, axis=0), 1 / JERK_RATE_HZ, axis=0)
    total = float((jerk**2).sum()) / JERK_RATE_HZ
    if peak <= 0 or total <= 0:
        return math.nan
    return -math.log(float(even_s[-1]) ** 3 / peak**2 * total)


def _axes(motion: Motion, scene: Scene) -> NDArray[np.float64]:
    return np.asarray(motion.matrices[:, :3, :3] @ np.asarray(scene.needle_axis))


def _axial(motion: Motion, scene: Scene) -> float:
    """Summed travel along the needle (axis at the end of each step)."""
    return float(np.abs(np.einsum("nk,nk->n", np.diff(motion.tips, axis=0), _axes(motion, scene)[1:])).sum())


def _lateral(motion: Motion, scene: Scene) -> float:
    steps, axes = np.diff(motion.tips, axis=0), _axes(motion, scene)[1:]
    along = np.einsum("nk,nk->n", steps, axes)[:, None] * axes
    return float(np.linalg.norm(steps - along, axis=1).sum())


def target_distances_mm(motion: Motion, scene: Scene) -> NDArray[np.float64]:
    """Nearest approach of the tip to each target, shape (k,)."""
    assert scene.targets is not None
    gaps = motion.tips[:, None, :] - scene.targets[None, :, :]
    return np.asarray(np.linalg.norm(gaps, axis=2).min(axis=0))


def deviation_mm(points: NDArray[np.float64], reference: NDArray[np.float64]) -> dict[str, float]:
    """Distance by which a trajectory (n, 3) strays from a reference (m, 3): Hausdorff distance in both directions.

    Perk Tutor gives the first direction only, which is 0 for a motion that stopped half-way on the right path.
    """
    gaps = np.linalg.norm(points[:, None, :] - reference[None, :, :], axis=2)
    away, missed = gaps.min(axis=1), gaps.min(axis=0)
    return {
        "deviation_max_mm": float(away.max()),
        "deviation_mean_mm": float(away.mean()),
        "reference_missed_max_mm": float(missed.max()),
    }


def punctures(motion: Motion, scene: Scene) -> int:
    """Entries into the tissue: the tip and the points 1 mm before and behind all inside, after all were outside."""
    assert scene.tissue is not None
    offsets = _axes(motion, scene) * PUNCTURE_MM
    inside = np.stack([scene.tissue.contains(motion.tips + k * offsets) for k in (-1.0, 0.0, 1.0)])
    state, count = False, 0
    full, empty = np.all(inside, axis=0).tolist(), np.logical_not(np.any(inside, axis=0)).tolist()
    for every, none in zip(full, empty, strict=True):
        if not state and every:
            state, count = True, count + 1
        elif state and none:
            state = False
    return count


def damage_mm2(motion: Motion, scene: Scene, inside: NDArray[np.bool_], length_mm: float) -> float:
    """Area that the shaft sweeps inside the tissue, as two triangles per step (Heron), both tips being inside."""
    assert scene.tissue is not None
    both = inside[1:] & inside[:-1]
    if not both.any():
        return 0.0
    tips, bases = motion.tips, motion.tips - length_mm * _axes(motion, scene)
    needed = np.flatnonzero(inside)
    entries = np.zeros_like(tips)  # Perk Tutor leaves the origin where the shaft never leaves the tissue
    entries[needed] = scene.tissue.first_crossing(tips[needed], bases[needed])
    after, before = np.flatnonzero(both) + 1, np.flatnonzero(both)
    return float(
        _heron(tips[after], tips[before], entries[after]).sum()
        + _heron(entries[after], entries[before], tips[before]).sum()
    )


def _heron(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2.0)
