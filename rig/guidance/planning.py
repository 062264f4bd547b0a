"""Needle path to a target: entry, two angles and feed that keep clear of bone, nerve, vessel and probe.

Candidates over the lateral angle and the tilt that a technique allows are all judged; the answer is the best admissible
one, or a refusal that says how many candidates failed for what. Clearances are to the *registered nominal* anatomy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hal.phantom.needles import HUB_MARGIN_MM
from hal.types import Matrix, ProbeGeometry, Vector
from rig.geometry.registration import Points, apply_transform, invert_rigid
from rig.guidance.lumbar.anatomy import NerveTarget
from rig.guidance.needle_line import direction_from_angles

Distance = Callable[[Points], NDArray[np.float64]]
"""Signed distance (mm) of Phantom points, shape (n, 3) -> (n,)."""


@dataclass(frozen=True)
class PathRules:
    """Rules that a technique sets; lengths in mm, angles in degrees as for the carrier, lateral positive = from the
    target's side.
    """

    in_plane: bool
    lateral_range_deg: tuple[float, float]
    tilt_range_deg: tuple[float, float]
    lateral_preferred_deg: float
    tilt_preferred_deg: float
    needle_length_mm: float = 90.0
    hub_margin_mm: float = HUB_MARGIN_MM
    bone_clearance_mm: float = 1.5
    nerve_clearance_mm: float = 1.0
    vessel_clearance_mm: float = 2.0
    footprint_margin_mm: float = 3.0
    comfortable_clearance_mm: float = 4.0
    max_rotation_deg: float = 35.0
    """Largest turn of the image plane away from transverse (or ``plane_deg``)."""
    plane_deg: float = 0.0
    """C of the view: 0 transverse, 90 longitudinal."""
    lateral_step_deg: float = 2.5
    tilt_step_deg: float = 2.5
    probe_shift_mm: tuple[float, float] = (-22.0, 18.0)
    """How far the probe's centre may lie from the target towards the needle."""


@dataclass(frozen=True)
class Plan:
    """A path, or the reason why there is none. Rig frame; angles as for a carrier whose axes are the rig's."""

    ok: bool
    reason: str
    entry_mm: Vector = field(repr=False)
    lateral_deg: float
    tilt_deg: float
    feed_mm: float
    """Path length from the skin plane to the aim point."""
    direction: Vector = field(repr=False)
    aim_mm: Vector = field(repr=False)
    ProbeToRig: Matrix = field(repr=False)
    """Pose of the probe for the view of this path, face on the skin plane."""
    bone_clearance_mm: float
    nerve_clearance_mm: float
    vessel_clearance_mm: float
    rejected: dict[str, int]
    """Candidates that failed, by reason."""
    candidates_n: int


def probe_pose(x_mm: float, y_mm: float, z_mm: float, a_deg: float, b_deg: float, c_deg: float) -> Matrix:
    """``ProbeToRig`` = T(x, y, z) Rz(c) Ry(b) Rx(a), the order of the probe holder (``hal.types``)."""
    out = np.eye(4)
    out[:3, :3] = Rotation.from_euler("ZYX", [c_deg, b_deg, a_deg], degrees=True).as_matrix()
    out[:3, 3] = (x_mm, y_mm, z_mm)
    return out


def _refusal(reason: str, rejected: Counter[str], n: int) -> Plan:
    gone, nan = np.full(3, np.nan), float("nan")
    return Plan(False, reason, gone, nan, nan, nan, gone, gone, np.eye(4), nan, nan, nan, dict(rejected), n)


def plan_path(
    target: NerveTarget,
    PhantomToRig: Matrix,
    rules: PathRules,
    probe: ProbeGeometry,
    bone_distance: Distance,
    *,
    side: int,
    skin_z_mm: float = 0.0,
    nerve_distance: Distance | None = None,
    vessel_distance: Distance | None = None,
    workspace: Callable[[Vector, float, float], bool] | None = None,
) -> Plan:
    """Best admissible path to ``target``.

    ``side`` is +1 for the phantom's left (+X) and -1 for its right; positive lateral angles of the rules are turned
    to that side. ``skin_z_mm`` is the skin plane in the Rig frame. ``nerve_distance`` and ``vessel_distance``
    leave out the target nerve itself when it is a capsule of its own: it is judged here from centre, axis and radius.
    """
    RigToPhantom = invert_rigid(PhantomToRig)
    rejected: Counter[str] = Counter()
    laterals = np.arange(rules.lateral_range_deg[0], rules.lateral_range_deg[1] + 1e-6, rules.lateral_step_deg)
    tilts = np.arange(rules.tilt_range_deg[0], rules.tilt_range_deg[1] + 1e-6, rules.tilt_step_deg)
    pairs = [(side * float(a), float(b)) for a in laterals for b in tilts]
    kept: list[tuple[float, float, Vector, Vector, Vector, float, Matrix]] = []
    for lateral, tilt in pairs:
        direction = direction_from_angles(lateral, tilt)
        aim = apply_transform(PhantomToRig, target.aim_mm(RigToPhantom[:3, :3] @ direction))
        feed = float((aim[2] - skin_z_mm) / direction[2])
        if feed + rules.hub_margin_mm > rules.needle_length_mm:
            rejected["path longer than the needle allows"] += 1
            continue
        entry = aim - feed * direction
        pose = _view_pose(entry, direction, aim, rules, probe, skin_z_mm)
        if pose is None:
            rejected["entry under the probe, or the plane would turn too far"] += 1
            continue
        if workspace is not None and not workspace(entry, lateral, tilt):
            rejected["outside the carrier's workspace"] += 1
            continue
        kept.append((lateral, tilt, direction, aim, entry, feed, pose))
    if not kept:
        return _refusal("no path leaves room for probe and needle", rejected, len(pairs))
    samples = 48
    fractions = np.linspace(0.0, 1.0, samples)
    points = np.concatenate([e + fractions[:, None] * (a - e) for _, _, _, a, e, _, _ in kept])
    in_phantom = apply_transform(RigToPhantom, points)
    far = np.full(len(points), np.inf)
    bone = bone_distance(in_phantom).reshape(-1, samples).min(axis=1)
    own = _capsule_distance(in_phantom, target)
    nerve = np.minimum(own, far if nerve_distance is None else nerve_distance(in_phantom)).reshape(-1, samples).min(1)
    vessel = (far if vessel_distance is None else vessel_distance(in_phantom)).reshape(-1, samples).min(axis=1)
    best, chosen = np.inf, -1
    for k, (lateral, tilt, _, _, _, feed, _) in enumerate(kept):
        if bone[k] < rules.bone_clearance_mm:
            rejected["bone too near"] += 1
        elif nerve[k] < rules.nerve_clearance_mm:
            rejected["nerve too near"] += 1
        elif vessel[k] < rules.vessel_clearance_mm:
            rejected["vessel too near"] += 1
        else:
            tight = max(0.0, rules.comfortable_clearance_mm - float(bone[k]))
            cost = (abs(side * lateral - rules.lateral_preferred_deg) / 10.0
                    + abs(tilt - rules.tilt_preferred_deg) / 10.0 + tight**2 / 4.0 + feed / 60.0)  # fmt: skip
            if cost < best:
                best, chosen = cost, k
    if chosen < 0:
        common = rejected.most_common(1)[0][0]
        return _refusal(f"none of {len(pairs)} paths is clear; most often: {common}", rejected, len(pairs))
    lateral, tilt, direction, aim, entry, feed, pose = kept[chosen]
    return Plan(True, "", entry, lateral, tilt, feed, direction, aim, pose, float(bone[chosen]), float(nerve[chosen]),
                float(vessel[chosen]), dict(rejected), len(pairs))  # fmt: skip


def _capsule_distance(points: Points, target: NerveTarget, half_length_mm: float = 12.0) -> NDArray[np.float64]:
    axis = np.asarray(target.nerve_axis) / np.linalg.norm(target.nerve_axis)
    rel = points - np.asarray(target.nerve_centre_mm)
    run = np.clip(rel @ axis, -half_length_mm, half_length_mm)
    return np.asarray(np.linalg.norm(rel - run[:, None] * axis, axis=1) - target.nerve_radius_mm)


def _view_pose(
    entry: Vector, direction: Vector, aim: Vector, rules: PathRules, probe: ProbeGeometry, skin_z: float
) -> Matrix | None:
    """Pose of the probe that shows the path and leaves the entry free; None when there is none."""
    half, thick = probe.footprint_mm / 2 + rules.footprint_margin_mm, probe.thickness_mm / 2 + rules.footprint_margin_mm
    if not rules.in_plane:
        # Out of plane the target's own transverse (or longitudinal) slice is kept and the needle comes from beside it.
        towards = entry[:2] - aim[:2]
        c = np.radians(rules.plane_deg)
        u, v = np.array([np.cos(c), np.sin(c)]), np.array([-np.sin(c), np.cos(c)])
        for shift in (0.0, -5.0, 5.0, -10.0, 10.0, -15.0, 15.0):
            if abs(float(towards @ v)) > thick or abs(float(towards @ u) - shift) > half:
                x, y = aim[:2] + shift * u
                return probe_pose(float(x), float(y), skin_z, 0.0, 0.0, rules.plane_deg)
        return None
    run = np.array([entry[0] - aim[0], entry[1] - aim[1]])
    length = float(np.linalg.norm(run))
    if length < half - rules.probe_shift_mm[1] - 40.0 or length < 1e-6:
        return None
    turn = float(np.degrees(np.arctan2(run[1], run[0]))) - rules.plane_deg
    turn = (turn + 90.0) % 180.0 - 90.0
    if abs(turn) > rules.max_rotation_deg:
        return None
    u = run / length
    # The probe's near edge stays a margin away from the entry; nearer to the target is better for the view.
    shift = min(length - half, rules.probe_shift_mm[1], 0.0 if length - half > 0.0 else length - half)
    if shift < rules.probe_shift_mm[0]:
        return None
    x, y = aim[:2] + shift * u
    return probe_pose(float(x), float(y), skin_z, 0.0, 0.0, rules.plane_deg + turn)
