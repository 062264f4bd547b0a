"""Landmarks of a transverse frame, from medial to lateral, and their agreement with the registration.

The features are cut from the bone that the frame shows, without the model; the same cut on the registered
nominal bone says where they should be. Two independent ways to the same edge: agreement is the check.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix
from rig.geometry.registration import Points, apply_transform, invert_rigid
from rig.guidance.bone_surface import BoneSurface
from rig.guidance.lumbar.dorsal_map import DorsalMap
from rig.guidance.lumbar.level import bone_of
from rig.guidance.panorama import Profile


@dataclass(frozen=True)
class Transverse:
    """Bone of one transverse slice: depth over the lateral distance from the midline side."""

    lateral_mm: NDArray[np.float64] = field(repr=False)
    """Rig X times the side, ascending, 1 mm bins."""
    depth_mm: NDArray[np.float64] = field(repr=False)
    """Rig Z, NaN without bone."""


@dataclass(frozen=True)
class Landmarks:
    """Features of a slice; NaN where not seen. Lateral positions are Rig X times the side (+ = lateral)."""

    found: bool
    reason: str
    spinous_x_mm: float
    spinous_depth_mm: float
    lamina_depth_mm: float
    facet_edge_x_mm: float
    """Lateral edge of the facet or lamina: where the bone drops or ends."""
    facet_edge_depth_mm: float
    process_seen: bool
    """Bone lateral of that edge (transverse process in this slice)."""
    process_depth_mm: float


def transverse_slice(points_rig: Points, side: int, step_mm: float = 1.0) -> Transverse:
    """Slice from bone points of a transverse frame (Rig frame); the shallow cluster of each bin."""
    lateral = side * points_rig[:, 0]
    if len(lateral) == 0:
        return Transverse(np.zeros(0), np.zeros(0))
    low = np.floor(lateral.min())
    count = int((lateral.max() - low) / step_mm) + 1
    x = low + (np.arange(count) + 0.5) * step_mm
    depth = np.full(count, np.nan)
    index = np.clip(((lateral - low) / step_mm).astype(np.int64), 0, count - 1)
    for k in np.unique(index):
        z = points_rig[index == k, 2]
        depth[k] = float(np.median(z[z <= z.min() + 3.0]))
    return Transverse(x, depth)


def frame_slice(surface: BoneSurface, ProbeToRig: Matrix, side: int, min_confidence: float = 0.35) -> Transverse:
    """Slice that one transverse frame shows."""
    return transverse_slice(surface.rig_points(ProbeToRig, min_confidence), side)


def model_slice(
    nominal: DorsalMap, PhantomToRig: Matrix, ProbeToRig: Matrix, side: int, within: Transverse | None = None
) -> Transverse:
    """Slice of the registered nominal bone in the plane of a transverse probe pose (vertical planes).

    ``within`` is the slice that the frame shows: the model is cut to the same lateral range, so that an edge beyond the
    picture is not expected in it.
    """
    centre = apply_transform(invert_rigid(PhantomToRig), ProbeToRig[:3, 3])
    array = (invert_rigid(PhantomToRig)[:3, :3] @ ProbeToRig[:3, 0])[:2]
    array = array / np.linalg.norm(array)
    run = np.arange(-60.0, 60.0, 0.5)
    x, y = centre[0] + run * array[0], centre[1] + run * array[1]
    z = nominal.at(x, y)
    points = apply_transform(PhantomToRig, np.stack([x, y, z], axis=1)[np.isfinite(z)])
    if within is not None and len(within.lateral_mm):
        lateral = side * points[:, 0]
        points = points[(lateral >= within.lateral_mm[0] - 0.5) & (lateral <= within.lateral_mm[-1] + 0.5)]
    return transverse_slice(points, side)


def profile_difference(seen: Transverse, expected: Transverse, min_bins: int = 8) -> float:
    """Median of seen minus expected depth over the bins that both have; NaN with fewer than ``min_bins``."""
    if len(seen.lateral_mm) == 0 or len(expected.lateral_mm) == 0:
        return float("nan")
    index = np.round(seen.lateral_mm - expected.lateral_mm[0]).astype(np.int64)
    inside = (index >= 0) & (index < len(expected.depth_mm))
    difference = seen.depth_mm[inside] - expected.depth_mm[index[inside]]
    difference = difference[np.isfinite(difference)]
    return float(np.median(difference)) if len(difference) >= min_bins else float("nan")


def find_landmarks(cut: Transverse, step_mm: float = 6.0) -> Landmarks:
    """Spinous process, lamina, facet edge and process of one side, by shape alone."""
    x, z = cut.lateral_mm, cut.depth_mm
    bone = np.isfinite(z)
    nan = float("nan")
    if bone.sum() < 10:
        return Landmarks(False, "too little bone in the slice", nan, nan, nan, nan, nan, False, nan)
    lateral = bone & (x > 5.0)
    if lateral.sum() < 6:
        return Landmarks(False, "no bone lateral of the midline", nan, nan, nan, nan, nan, False, nan)
    medial = bone & (np.abs(x) < 12.0)
    lamina = (
        float(np.nanmedian(z[lateral & (x < 28.0)]))
        if (lateral & (x < 28.0)).any()
        else float(np.nanmedian(z[lateral]))
    )
    spinous_x = spinous_z = nan
    if medial.any():
        k = int(np.flatnonzero(medial)[np.argmin(z[medial])])
        if z[k] < lamina - 8.0:
            spinous_x, spinous_z = float(x[k]), float(z[k])
    # From the lamina go lateral until the bone ends for 3 mm or drops by a step.
    start = np.flatnonzero(bone & (x > 8.0) & (np.abs(z - lamina) < 9.0))
    if len(start) == 0:
        return Landmarks(False, "no lamina", spinous_x, spinous_z, nan, nan, nan, False, nan)
    at = last = int(start[0])
    while at + 1 < len(x):
        at += 1
        if bone[at] and z[at] - z[last] <= step_mm:
            last = at
        elif at - last > 3 or (bone[at] and z[at] - z[last] > step_mm):
            break
    if last >= len(x) - 2:
        reason = "the bone runs to the end of the slice: no lateral edge"
        return Landmarks(False, reason, spinous_x, spinous_z, lamina, nan, nan, True, float(z[last]))
    beyond = bone & (x > x[last] + 1.0) & (x < x[last] + 25.0) & (np.abs(z - z[last]) < 14.0)
    process = bool(beyond.sum() >= 4)
    return Landmarks(True, "", spinous_x, spinous_z, lamina, float(x[last] + 0.5), float(z[last]), process,
                     float(np.median(z[beyond])) if process else nan)  # fmt: skip


def process_lower_border(
    profile: Profile, nominal: DorsalMap, PhantomToRig: Matrix, vertebra: str
) -> tuple[float, float]:
    """Caudal end (Rig Y) of a transverse process in a longitudinal profile, seen and by the registered model.

    NaN where it is not seen or the model has none at this X.
    """
    RigToPhantom = invert_rigid(PhantomToRig)
    y = np.arange(nominal.y0_mm, nominal.y0_mm + nominal.depth_mm.shape[1] * nominal.step_mm, nominal.step_mm)
    x = float(apply_transform(RigToPhantom, np.array([profile.x_mm, 0.0, 0.0]))[0])
    names = nominal.names(np.full(len(y), x), y)
    z = nominal.at(np.full(len(y), x), y)
    mine = np.array([bone_of(str(n)) == vertebra for n in names]) & np.isfinite(z)
    if not mine.any():
        return float("nan"), float("nan")
    shallow = mine & (z < np.min(z[mine]) + 8.0)
    low = float(y[shallow].min())
    model = float(apply_transform(PhantomToRig, np.array([x, low, float(np.median(z[shallow]))]))[1])
    bone = profile.bone & (np.abs(profile.depth_mm - apply_transform(
        PhantomToRig, np.array([x, low, float(np.median(z[shallow]))]))[2]) < 8.0)  # fmt: skip
    near = np.flatnonzero(bone & (profile.y_mm > model - 6.0) & (profile.y_mm < model + 12.0))
    if len(near) == 0:
        return float("nan"), model
    return float(profile.y_mm[near[0]] - 0.5), model


@dataclass(frozen=True)
class LandmarkCheck:
    """Agreement of image and registration."""

    sure: bool
    reason: str
    differences_mm: dict[str, float]
    """Seen minus expected by feature."""


def check_registration(seen: Landmarks, expected: Landmarks, limit_mm: float = 3.0) -> LandmarkCheck:
    """Compare features of the frame and of the registered model; sure when at least two were compared and all agree."""
    pairs = {
        "facet_edge_x": (seen.facet_edge_x_mm, expected.facet_edge_x_mm),
        "facet_edge_depth": (seen.facet_edge_depth_mm, expected.facet_edge_depth_mm),
        "lamina_depth": (seen.lamina_depth_mm, expected.lamina_depth_mm),
        "spinous_depth": (seen.spinous_depth_mm, expected.spinous_depth_mm),
        "process_depth": (seen.process_depth_mm, expected.process_depth_mm),
    }
    differences = {k: a - b for k, (a, b) in pairs.items() if np.isfinite(a) and np.isfinite(b)}
    if not seen.found and (expected.found or not np.isfinite(seen.lamina_depth_mm)):
        return LandmarkCheck(False, seen.reason, differences)
    if len(differences) < 2:
        return LandmarkCheck(False, "fewer than two landmarks to compare", differences)
    worst = max(differences, key=lambda k: abs(differences[k]))
    if abs(differences[worst]) > limit_mm:
        return LandmarkCheck(
            False, f"{worst} differs by {differences[worst]:.1f} mm, limit {limit_mm:.1f}", differences
        )
    return LandmarkCheck(True, "", differences)
