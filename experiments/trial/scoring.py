"""From what was recorded and what was true to one row of the trial table (``facts/domain.md`` 7.1, 7.2).

Scoring is the only reader of the truth: the as-built phantom (aim point, nerves, channel) and, in simulation, the
true tip. The tip of record is the reference instrument's; without it a trial is ``truth_missing``, never a success.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.protocol.technique import Technique
from experiments.trial.log import TrialLog
from hal.phantom.nominal import NominalPhantom
from hal.types import Vector

NERVE_PENETRATION_MM = -0.5
"""V1: tip deeper than this inside the nerve surface (domain 7.1)."""
PATH_VIOLATIONS = {"artery": "V2", "vein": "V2", "dura": "V3", "csf": "V3", "disc": "V5", "cartilage": "V5"}
"""Structures that the needle went through. V4 (pleura, viscera) is not among them: no phantom holds a surrogate of
either, so no trial can show it, and ``violations_evaluable`` never names it."""
GRAVE = frozenset({"V1", "V2", "V3", "V4", "V5", "V6"})
"""Codes that forfeit success."""
V1_AT_REST = "V1 (tip)"
"""V1 judged where the reference instrument saw the tip at rest; nobody knows the way there."""
AS_BUILT = "as_built"
AT_RECORD = "at_injection"
"""The moment whose tip is the tip of record."""
FAR_MM = 2.0
"""A tip that was taken for confirmed, further away than this: the worst error of the guidance. By what a confirmation
claims (``design.md``: image estimate and predicted tip agree within 2 mm)."""
METHODS = ("direct", "motion", "fluid")


def nominal_truth(phantom: NominalPhantom, level: str, side: str, approach: Vector) -> dict[str, Any]:
    """Truth of the phantom as designed, where nobody has measured the cartridge: a real bench before its late truth.

    Aim, nerves and channel are nominal; what the needle went through and how the fluid spread is not known.
    """
    target = phantom.target(level, side)
    cord = next(c for c in phantom.nerves if c.level == level and c.side == side)
    channel = target.channel
    return {
        "target_source": "nominal",
        "aim_mm": target.aim_mm(approach),
        "nerve_line_mm": cord.line_mm,
        "nerve_radius_mm": target.nerve_radius_mm,
        "targets": {f"{lv}.{sd}": t.nerve_centre_mm for (lv, sd), t in phantom.targets.items()},
        "moments": {},
        "confirmations": None,
        "path_gap_mm": None,
        "path_structures": None,
        "spread_cover": None,
        "channel": None if channel is None else {"rim_mm": channel.rim_mm, "axis": channel.axis},
    }


def _components(error: Vector, axis: Vector) -> tuple[float, float]:
    axial = float(error @ axis)
    return float(np.linalg.norm(error - axial * axis)), axial


def _reached(tip: Vector, targets: dict[str, list[float]]) -> str:
    """Name ``LEVEL.side`` of the root nearest to the tip."""
    return min(targets, key=lambda name: float(np.linalg.norm(tip - np.asarray(targets[name]))))


def _in_channel(tip: Vector, channel: dict[str, Any], technique: Technique) -> bool:
    acceptance = technique.acceptance
    offset = tip - np.asarray(channel["rim_mm"])
    axis = np.asarray(channel["axis"])
    depth = float(offset @ axis)
    radial = float(np.linalg.norm(offset - depth * axis))
    lo, hi = acceptance.channel_depth_mm or (3.0, 13.0)
    return radial <= (acceptance.channel_radius_mm or 0.0) and lo <= depth <= hi


def violations(
    log: TrialLog, truth: dict[str, Any], *, tip_gap_mm: float | None, wrong_level: bool, force_limit_n: float
) -> list[str]:
    """Codes V1-V10 that hold for this trial, sorted; ``tip_gap_mm`` is the gap to the nerve by the reference tip."""
    found: set[str] = set()
    gaps = [m["gap_mm"] for m in truth["moments"].values()]
    gaps += [gap for gap in (truth["path_gap_mm"], tip_gap_mm) if gap is not None]
    if gaps and min(gaps) < NERVE_PENETRATION_MM:
        found.add("V1")
    found.update(PATH_VIOLATIONS[s] for s in truth["path_structures"] or () if s in PATH_VIOLATIONS)
    if log.p_peak_kpa is not None and log.p_peak_kpa > 100.0:
        found.add("V6")
    if log.blind_longest_mm > 5.0:
        found.add("V7")
    if wrong_level:
        found.add("V8")
    if log.force_peak_n is not None and log.force_peak_n > 2.0 * force_limit_n:
        found.add("V9")
    if log.checklist_short:
        found.add("V10")
    return _in_order(found)


def evaluable(log: TrialLog, truth: dict[str, Any], *, tip_known: bool) -> list[str]:
    """Codes that this trial could have shown: without the way of the needle, a pressure or a force nobody can tell."""
    found: set[str] = set()
    # A needle that was left in the gel has not told its last way; an empty list of structures is no way at all.
    if truth["path_structures"] and log.t_out_ns is not None:
        found |= {"V1", *PATH_VIOLATIONS.values()}
    elif tip_known or truth["moments"]:
        found.add(V1_AT_REST)
    if log.p_peak_kpa is not None:
        found.add("V6")
    if log.steps_n:
        found.add("V7")
    if tip_known:
        found.add("V8")
    if log.force_peak_n is not None:
        found.add("V9")
    if log.t_contact_ns is not None:  # the checklist before it was gone through
        found.add("V10")
    return _in_order(found)


def _in_order(codes: set[str]) -> list[str]:
    return sorted(codes, key=lambda code: int(code.split()[0][1:]))


def _mirrored(axes: Vector, side: str) -> Vector:
    """Image axes (rows: lateral, elevational, depth) with signs that mean the same on either side.

    The probe's lateral axis stays near the phantom's +X on both sides, so that "too medial" would change its sign
    with the side and cancel in a mean. An axis across the body points away from the midline, one along it cranially.
    """
    out = np.array(axes, dtype=float)
    outward = 1.0 if side == "left" else -1.0  # phantom X points to its left
    for k in (0, 1):
        across = abs(out[k, 0]) >= abs(out[k, 1])
        if (out[k, 0] * outward if across else out[k, 1]) < 0.0:
            out[k] = -out[k]
    return out


def _seconds(a: int | None, b: int | None) -> float | None:
    return None if a is None or b is None else (b - a) * 1e-9


def _of_reference(log: TrialLog) -> dict[str, Any]:
    """Columns on the reference instrument: whether it measured the tip of record and, if not, why."""
    found = log.reference.get(AT_RECORD)
    return {
        "reference": None if found is None else found.cause.value,
        "reference_n": None if found is None else found.readings_n,
        "reference_left_out_n": None if found is None else found.outliers_n + found.impossible_n,
        "reference_reason": None if found is None or found.measured else found.reason,
    }


def counts(log: TrialLog) -> dict[str, Any]:
    """The columns that need no truth."""
    steps = max(1, log.steps_n)
    by_image = sum(log.confirmed.values())
    return {
        "n_skin_punctures": log.punctures_n,
        "n_passes": log.passes_n,
        "n_redirections": log.redirections_n,
        "n_holds": len(log.holds),
        "hold_reasons": ";".join(log.holds),
        "t_scan_s": _seconds(log.t_contact_ns, log.t_plan_ns),
        "t_needle_s": _seconds(log.t_skin_ns, log.t_final_ns),
        "t_total_s": _seconds(log.t_contact_ns, log.t_out_ns),
        "tip_visible_frac": log.confirmed["direct"] / steps if log.steps_n else None,
        "tip_confirmed_frac": by_image / steps if log.steps_n else None,
        "adv_unconfirmed_mm": log.unconfirmed_mm,
        "n_confirm_direct": log.confirmed["direct"],
        "n_confirm_motion": log.confirmed["motion"],
        "n_confirm_fluid": log.confirmed["fluid"],
        "hydro_n": log.test_injections_n,
        "hydro_ml": log.test.ml,
        "p_open_kpa": log.p_open_kpa,
        "p_peak_kpa": log.p_peak_kpa,
        "p_plateau_kpa": log.p_plateau_kpa,
        "v_inj_ml": log.injected.ml,
        "v_inj_min_ml": log.injected.min_ml,
        "v_inj_max_ml": log.injected.max_ml,
        "force_peak_n": log.force_peak_n,
        "bone_contacts": log.bone_contacts_n,
        "probe_path_mm": log.probe_path_mm,
        "probe_rot_deg": log.probe_rot_deg,
        "n_probe_moves": log.probe_moves_n,
        "frames_read": log.frames_read_n,
        "frames_unread": log.frames_unread_n,
        "device_notices": log.device_notices_n,
        "sound_speed_m_s": log.sound_speed_m_s,
        **_of_reference(log),
        "device_fault": log.device_fault,
        "end_reason": log.end_reason,
    }


def score(
    log: TrialLog,
    technique: Technique,
    side: str,
    truth: dict[str, Any] | None,
    *,
    PhantomToRig: Vector,
    force_limit_n: float,
) -> dict[str, Any]:
    """All scored columns of one trial.

    ``truth`` is what a simulated bench (or a later measurement of the cartridge) knows; ``PhantomToRig`` the true
    placement as far as ``truth`` has it, else nominal.
    """
    row = counts(log)
    row["success"] = row["placement_success"] = row["first_pass_success"] = False
    row["target_source"] = None if truth is None else truth.get("target_source", AS_BUILT)
    row |= _far(None if truth is None else truth["confirmations"])
    tip = log.reference_mm.get(AT_RECORD)
    if truth is None or tip is None:
        row["outcome"] = "truth_missing" if log.ended == "finished" else log.ended
        if log.ended == "finished":  # nobody measured where the tip was: not known, which is not the same as no
            row["success"] = row["placement_success"] = row["first_pass_success"] = None
        if truth is not None:
            codes = violations(log, truth, tip_gap_mm=None, wrong_level=False, force_limit_n=force_limit_n)
            row["violations"] = ";".join(codes)
            row["violations_evaluable"] = ";".join(evaluable(log, truth, tip_known=False))
        return row
    aim = np.asarray(truth["aim_mm"])
    error = tip - aim
    moment = truth["moments"].get(AT_RECORD)
    row["tte_mm"] = float(np.linalg.norm(error))
    row["err_x_mm"], row["err_y_mm"], row["err_z_mm"] = (float(v) for v in error)
    if log.planned_axis is not None:
        row["tte_lat_mm"], row["tte_axial_mm"] = _components(error, log.planned_axis)
        if log.reference_axis is not None:
            cosine = float(np.clip(log.planned_axis @ log.reference_axis, -1.0, 1.0))
            row["angle_err_deg"] = float(np.degrees(np.arccos(cosine)))
    if log.image_axes is not None:
        row["err_inplane_mm"], row["err_elevational_mm"], row["err_depth_mm"] = (
            float(v) for v in _mirrored(log.image_axes, side) @ error
        )
    nerve_gap = _gap(tip, truth)
    row["tip_nerve_gap_mm"] = nerve_gap
    if moment is not None:
        row["tte_true_mm"] = float(np.linalg.norm(np.asarray(moment["tip_mm"]) - aim))
        row["reference_err_mm"] = float(np.linalg.norm(tip - np.asarray(moment["tip_mm"])))
    if log.confirmed_tip_rig_mm is not None:
        RigToPhantom = np.linalg.inv(np.asarray(PhantomToRig))
        seen = RigToPhantom[:3, :3] @ log.confirmed_tip_rig_mm + RigToPhantom[:3, 3]
        # Where the phantom stands in its fixture is nominal unless somebody measured it: a difference between Rig and
        # Phantom coordinates would then be the fixture's error under the name of the image's.
        placed_truly = row["target_source"] == AS_BUILT
        if placed_truly:
            row["image_tip_err_mm"] = float(np.linalg.norm(seen - tip))
        if log.believed_aim_rig_mm is not None:
            believed = RigToPhantom[:3, :3] @ log.believed_aim_rig_mm + RigToPhantom[:3, 3]
            if placed_truly:
                row["aim_err_mm"] = float(np.linalg.norm(believed - aim))
            row["steer_err_mm"] = float(np.linalg.norm(seen - believed))
    row["spread_cover"] = truth.get("spread_cover")
    row["level_correct"] = _reached(tip, truth["targets"]) == f"{technique.level}.{side}"
    codes = violations(
        log, truth, tip_gap_mm=nerve_gap, wrong_level=not row["level_correct"], force_limit_n=force_limit_n
    )
    row["violations"] = ";".join(codes)
    row["violations_evaluable"] = ";".join(evaluable(log, truth, tip_known=True))
    acceptance = technique.acceptance
    if acceptance.channel_radius_mm is not None and truth.get("channel"):
        placed = _in_channel(tip, truth["channel"], technique)
    else:
        placed = (
            row["tte_mm"] <= acceptance.radius_mm and acceptance.gap_lo_mm - 0.5 <= nerve_gap <= acceptance.gap_hi_mm
        )
    row["placement_success"] = placed
    row["spread_success"] = None if row["spread_cover"] is None else row["spread_cover"] >= 0.5
    grave = GRAVE & set(codes)
    within = placed if acceptance.channel_radius_mm is not None else row["tte_mm"] <= acceptance.radius_mm
    row["success"] = log.ended == "finished" and within and row["level_correct"] and not grave
    row["first_pass_success"] = row["success"] and log.passes_n <= 1
    row["outcome"] = "success" if row["success"] else ("miss" if log.ended == "finished" else log.ended)
    return row


def _far(confirmations: list[dict[str, Any]] | None) -> dict[str, int | None]:
    """Confirmed tips that were somewhere else, by method; not known where nobody knows the true tip."""
    if confirmations is None:
        return {f"n_confirm_far_{method}": None for method in METHODS}
    far = [note["method"] for note in confirmations if note["off_mm"] > FAR_MM]
    return {f"n_confirm_far_{method}": far.count(method) for method in METHODS}


def _gap(tip: Vector, truth: dict[str, Any]) -> float:
    """Signed distance of the tip to the nerve surface, from the nerve's centreline (n, 3)."""
    line = np.asarray(truth["nerve_line_mm"])
    a, b = line[:-1], line[1:]
    along = b - a
    t = np.clip(np.sum((tip - a) * along, axis=1) / np.sum(along**2, axis=1), 0.0, 1.0)
    nearest = a + t[:, None] * along
    return float(np.min(np.linalg.norm(tip - nearest, axis=1)) - truth["nerve_radius_mm"])
