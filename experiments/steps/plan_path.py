"""ST5: the path to the aim point, clear of bone, nerve and vessel, with its entry outside the probe's footprint."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.protocol.states import State
from experiments.steps.guide import Guide
from experiments.steps.view_target import pressed, target_rig
from experiments.trial.log import unit
from experiments.trial.trial import Trial
from hal.phantom.needles import HUB_MARGIN_MM
from hal.types import ProbeGeometry, Vector
from rig.guidance.planning import Distance, PathRules, Plan, plan_path
from rig.guidance.view import predict_open

FOOTPRINT_MARGIN_MM = 3.0
SLIDE_MAX_MM = 20.0
OPEN_MIN = 0.6
"""Share of open rays to the target that sliding the probe must keep."""
NEAR_FIELD_MM = 3.0
SHAFT_SEEN_MM = 16.0
"""Length of shaft in the picture from which a view can confirm the tip."""
APART_DEG = 4.0
"""A new path must differ this much from one that was given up."""


@dataclass(frozen=True)
class FixedAim:
    """The nominal root with the aim point that the technique fixed before the first trial."""

    nerve_centre_mm: Vector
    nerve_axis: Vector
    nerve_radius_mm: float
    fixed_mm: Vector

    def aim_mm(self, direction: Vector) -> Vector:
        return self.fixed_mm


def aim(trial: Trial) -> FixedAim:
    """Aim point for the technique's preferred direction (nominal Phantom frame)."""
    t = trial.target
    return FixedAim(t.nerve_centre_mm, t.nerve_axis, t.nerve_radius_mm, t.aim_mm(trial.approach_direction))


def aim_rig(trial: Trial) -> Vector:
    """The aim point as registered, Rig frame."""
    return trial.registration.to_rig(aim(trial).fixed_mm)


def plan_step(trial: Trial, guide: Guide) -> State:
    """Choose the path; no path is an answer and ends the trial."""
    path, rig, PhantomToRig = trial.path_rules, trial.controller.rig, trial.registration.PhantomToRig
    needle = rig.config.needle
    rules = PathRules(
        in_plane=guide.in_plane,
        lateral_range_deg=(path.lateral_deg.lo, path.lateral_deg.hi),
        tilt_range_deg=(path.tilt_deg.lo, path.tilt_deg.hi),
        lateral_preferred_deg=path.lateral_deg.preferred,
        tilt_preferred_deg=path.tilt_deg.preferred,
        needle_length_mm=needle.length_mm,
        hub_margin_mm=HUB_MARGIN_MM + path.depth_beyond_mm,  # a needle in doubt is taken that much further
        bone_clearance_mm=path.bone_clearance_mm,
        nerve_clearance_mm=path.nerve_clearance_mm,
        vessel_clearance_mm=path.vessel_clearance_mm,
    )
    refused = [(p.lateral_deg, p.tilt_deg) for p in trial.given_up]

    def allowed(entry: Vector, lateral: float, tilt: float) -> bool:
        return all(np.hypot(lateral - a, tilt - b) >= APART_DEG for a, b in refused)

    plan = plan_path(
        aim(trial),
        PhantomToRig,
        rules,
        rig.config.probe,
        trial.anatomy.phantom.bone_distance,
        side=trial.side,
        skin_z_mm=float(PhantomToRig[2, 3]),
        vessel_distance=_to_cords(trial),
        workspace=allowed,
    )
    trial.event("plan", ok=plan.ok, reason=plan.reason, candidates_n=plan.candidates_n, rejected=plan.rejected)
    if not plan.ok:
        raise trial.stop(f"no path: {plan.reason}")
    plan = guide.view_of(trial, plan)
    trial.begin(plan)
    trial.controller.travel.declare_clear(plan.feed_mm - trial.technique.advance.near_bone_zone_mm)
    RigToPhantom = np.linalg.inv(PhantomToRig)[:3, :3]
    trial.log.planned_axis = unit(RigToPhantom @ plan.direction)
    trial.log.image_axes = (RigToPhantom @ plan.ProbeToRig[:3, :3]).T
    if trial.log.t_plan_ns is None:
        trial.log.t_plan_ns = trial.now_ns
    trial.event(
        "plan.chosen",
        lateral_deg=plan.lateral_deg,
        tilt_deg=plan.tilt_deg,
        feed_mm=plan.feed_mm,
        bone_clearance_mm=plan.bone_clearance_mm,
        nerve_clearance_mm=plan.nerve_clearance_mm,
        vessel_clearance_mm=plan.vessel_clearance_mm,
        entry_rig_mm=plan.entry_mm,
        aim_rig_mm=plan.aim_mm,
    )
    trial.sight.look(pressed(trial, plan.ProbeToRig), "plan", keep=True)
    return State.ENTRY


def towards_entry(trial: Trial, plan: Plan) -> Plan:
    """In plane: slide the probe along the plane towards the needle's entry as far as the target stays in open view.

    The nearer the face stands to the entry, the earlier the needle comes into the picture.
    """
    rig = trial.controller.rig
    probe = rig.config.probe
    home = plan.ProbeToRig
    along = home[:3, 0] * np.sign(float((plan.entry_mm - home[:3, 3]) @ home[:3, 0]))
    room = float((plan.entry_mm - home[:3, 3]) @ along) - probe.footprint_mm / 2 - FOOTPRINT_MARGIN_MM
    target = target_rig(trial)
    for share in (1.0, 0.75, 0.5, 0.25):
        pose = home.copy()
        pose[:3, 3] += min(max(0.0, room), SLIDE_MAX_MM) * share * along
        view = predict_open(target, pose, probe, trial.anatomy.phantom.bone_distance, trial.registration.PhantomToRig)
        if view.open_fraction >= OPEN_MIN:
            return replace(plan, ProbeToRig=pose)
    return plan


def shaft_seen_mm(trial: Trial) -> float:
    """In plane: feed at which enough of the planned needle lies in the working view."""
    return first_seen_feed_mm(trial.path.plan, trial.controller.rig.config.probe) + SHAFT_SEEN_MM


def first_seen_feed_mm(plan: Plan, probe: ProbeGeometry) -> float:
    """Feed at which the planned needle comes into the sector of the working view (in plane); infinite if never."""
    feeds = np.arange(0.0, plan.feed_mm, 0.5)
    points = plan.entry_mm + feeds[:, None] * plan.direction
    in_probe = (points - plan.ProbeToRig[:3, 3]) @ plan.ProbeToRig[:3, :3]
    angle = np.degrees(np.arctan2(in_probe[:, 0], in_probe[:, 2] + probe.radius_mm))
    depth = np.hypot(in_probe[:, 0], in_probe[:, 2] + probe.radius_mm) - probe.radius_mm
    inside = (np.abs(angle) < probe.field_of_view_deg / 2 - 1.0) & (depth > NEAR_FIELD_MM)
    return float(feeds[np.argmax(inside)]) if inside.any() else float("inf")


def _to_cords(trial: Trial) -> Distance:
    """Distance to the nominal vessels, Phantom points (n, 3) -> (n,)."""
    lines = [(c.line_mm, float(np.max(c.radius_mm))) for c in trial.anatomy.phantom.vessels]

    def distance(points: NDArray[np.float64]) -> NDArray[np.float64]:
        if not lines:
            return np.full(len(points), np.inf)
        return np.asarray(np.min([_to_line(points, line) - radius for line, radius in lines], axis=0), dtype=np.float64)

    return distance


def _to_line(points: NDArray[np.float64], line: NDArray[np.float64]) -> NDArray[np.float64]:
    gaps = np.linalg.norm(points[:, None, :] - line[None, :, :], axis=2)
    return np.asarray(np.min(gaps, axis=1), dtype=np.float64)
