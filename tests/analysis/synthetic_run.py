"""A plausible run folder, made through the record's own writer; its numbers are drawn, not physical."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hal.clock import VirtualClock
from hal.types import Frame, Identity
from rig.record import Calibration, DeviceRecord, Field, RecordedPlan, RunFolder
from rig.record.trial import TrialRecord

STUDY = """
[study]
id = "lumbar"
title = "Targeting accuracy at the L4, L5 and S1 nerve roots of the lumbar phantom"
objective = "Compare in-plane and out-of-plane ultrasound guidance and surface landmarks."
demonstration = true
seed = {seed}
[design]
techniques = ["L4_IP", "L4_OOP", "L4_LM", "L5_IP", "L5_OOP", "L5_LM", "S1_IP", "S1_OOP", "S1_LM"]
repeats = {repeats}
sides = ["left", "right"]
phantom = "lumbar_ref"
[[criteria]]
id = "IP-TTE"
text = "in-plane: 95/95 tolerance bound of the distance from tip to aim point"
metric = "tte_mm"
statistic = "tolerance_95_95"
select = {{ plane = "in_plane" }}
comparison = "<="
limit = 5.0
unit = "mm"
source = "acceptance radius of the root"
[[criteria]]
id = "OOP-TTE"
text = "out-of-plane: 95/95 tolerance bound of the distance from tip to aim point"
metric = "tte_mm"
statistic = "tolerance_95_95"
select = {{ plane = "out_of_plane" }}
comparison = "<="
limit = 5.0
unit = "mm"
source = "acceptance radius of the root"
[[criteria]]
id = "US-SUCCESS"
text = "ultrasound-guided arms: lower 95 % bound of trial success"
metric = "success"
statistic = "success_lower_95"
select = {{ plane = ["in_plane", "out_of_plane"] }}
comparison = ">="
limit = 0.80
source = "project default"
[[criteria]]
id = "IP-TIME"
text = "in-plane: median needle time"
metric = "t_needle_s"
statistic = "median"
select = {{ plane = "in_plane" }}
comparison = "<="
limit = 120.0
unit = "s"
source = "project default"
"""
LEVELS = ("L4", "L5", "S1")
PLANES = {"IP": "in_plane", "OOP": "out_of_plane", "LM": "landmark"}
SPREAD_MM = {"in_plane": 0.7, "out_of_plane": 1.1, "landmark": 5.0}
PITCH_MM = 0.35
SIZE_PX = 256


def make(
    out: Path,
    *,
    seed: int = 3,
    repeats: int = 3,
    simulated: bool = True,
    frames: bool = True,
    guidance: Mapping[str, str] | None = None,
    demonstration: bool = True,
    exploratory: str = "",
    seal: bool = True,
    radius_mm: float = 5.0,
    never_run: Collection[str] = (),
    interrupted: Collection[str] = (),
    device_fault: Collection[str] = (),
    reason: str = "all planned trials were done",
) -> Path:
    """Record a run of nine approaches x ``repeats`` and return its folder.

    Of the planned trials those ``never_run`` leave nothing, those ``interrupted`` are closed as that; those that
    a ``device_fault`` ended are repeated as trials of their own.
    """
    clock = VirtualClock()
    study = STUDY.format(seed=seed, repeats=repeats).replace(
        "demonstration = true", f'demonstration = {str(demonstration).lower()}\nexploratory = "{exploratory}"'
    )
    techniques = {
        f"techniques/{level}_{short}.toml": technique_file(f"{level}_{short}", radius_mm)
        for level in LEVELS
        for short in PLANES
    }
    files = {
        **techniques,
        "study.toml": study.encode(),
        "rig.toml": b'[rig]\nname = "drawn"\n',
        "phantom.toml": b'id = "lumbar_ref"\n',
    }
    run = RunFolder.create(
        out, "lumbar", clock, files=files, seed=seed, simulated=simulated, started_utc="2026-02-03T10:00:00Z"
    )
    planned = _plan(repeats, guidance or {})
    run.plan(planned)
    run.devices(_devices(simulated))
    run.journal.append("selftest.completed", {"interlocks": ["force", "pressure", "watchdog"], "tripped": True})
    rng = np.random.default_rng(seed)
    for cartridge_id in sorted({trial.cartridge_id for trial in planned}):
        worker_clock = VirtualClock()
        cartridge = run.cartridge(cartridge_id, worker_clock)
        for trial in planned:
            if trial.cartridge_id == cartridge_id and trial.trial_id not in never_run:
                _trial(
                    cartridge.trial(trial.trial_id, {"approach": trial.approach}),
                    trial,
                    rng,
                    worker_clock,
                    simulated,
                    frames,
                    trial.trial_id in interrupted,
                    trial.trial_id in device_fault,
                )
                if trial.trial_id in device_fault:
                    again = replace(trial, trial_id=f"{trial.trial_id}R1")
                    begun = cartridge.trial(again.trial_id, {"approach": trial.approach})
                    _trial(begun, again, rng, worker_clock, simulated, frames)
        cartridge.close()
        run.adopt(cartridge_id)
    if seal:
        run.seal(reason)
    return run.path


def technique_file(name: str, radius_mm: float) -> bytes:
    """As much of a technique as analysis reads; S1 is judged by its channel."""
    channel = "channel_radius_mm = 4.2\n" if name.startswith("S1") else ""
    return f'id = "{name}"\n[acceptance]\nradius_mm = {radius_mm}\nstrict_mm = 3.0\n{channel}'.encode()


def _plan(repeats: int, guidance: Mapping[str, str]) -> list[RecordedPlan]:
    planned: list[RecordedPlan] = []
    for block in range(repeats):
        for k, level in enumerate(LEVELS):
            for m, (short, plane) in enumerate(PLANES.items()):
                n = len(planned)
                side = ("left", "right")[(block + k + m) % 2]
                by = guidance.get(plane, "landmark" if plane == "landmark" else "robot")
                words = f"{level} {side}, {plane.replace('_', '-')}"
                trial_id, cartridge_id, technique = f"T{n + 1:03}", f"C{n // 6 + 1:02}", f"{level}_{short}"
                place = (block + 1, n % 6 + 1)
                planned.append(RecordedPlan(trial_id, cartridge_id, technique, words, level, side, plane, by, *place))
    return planned


def _devices(simulated: bool) -> list[DeviceRecord]:
    found = [
        ("probe_holder", "grblhal", "grblHAL 6 axes", "SIM-01", "1.1f"),
        ("needle_carrier", "grblhal", "grblHAL 6 axes", "SIM-02", "1.1f"),
        ("pump", "new_era", "NE-1000", "SIM-03", "NE1000V3.94"),
        ("pressure", "keller", "Series 33X", "SIM-04", "5.20-12.28"),
        ("force", "modbus_load_cell", "load-cell amplifier", "SIM-05", ""),
        ("ultrasound", "igtl_image", "OpenIGTLink stream", "", "v2"),
        ("tracker", "igtl_transform", "reference instrument", "SIM-07", ""),
        ("operator", "simulated_operator", "intermediate", "", ""),
    ]
    calibrated = Calibration("CAL-12", "2026-01-10", "2027-01-10", "U = 0.4 kPa (k = 2)")
    return [
        DeviceRecord(
            Identity(role, driver, model, serial, firmware, simulated, False),
            calibrated if role == "pressure" else Calibration(),
        )
        for role, driver, model, serial, firmware in found
    ]


def _trial(
    record: TrialRecord,
    plan: RecordedPlan,
    rng: np.random.Generator,
    clock: VirtualClock,
    simulated: bool,
    frames: bool,
    interrupted: bool = False,
    faulted: bool = False,
) -> None:
    error = rng.normal((0.3, -0.2, 0.4), SPREAD_MM[plan.plane])
    if plan.side == "right":
        error[0] *= -1
    reference = rng.normal(0.0, 0.12, 3)
    read = error + reference
    stopped = plan.trial_id in ("T005", "T014")
    missing = plan.trial_id == "T011"
    tte = float(np.linalg.norm(read))
    success = tte <= 5.0 and not (stopped or missing)
    scan_s, needle_s = float(rng.gamma(20, 2.0)), float(rng.gamma(16, 3.0 if plan.plane != "landmark" else 1.5))
    record.streams.declare("pressure", (Field("pressure_kpa", "kPa"), Field("temperature_c", "degC")))
    record.streams.declare("pump", (Field("dispensed_ml", "mL"), Field("rate_ml_min", "mL/min")))
    record.streams.declare("force", (Field("force_n", "N"),))
    clock.sleep(scan_s)
    record.event("plan.fixed", {"path_mm": 70.0})
    if plan.plane != "landmark" and frames:
        _frames(record, plan, error, rng, clock)
    clock.sleep(needle_s)
    if stopped:
        record.event("hold", {"reason": "force"})
    peak = 0.0
    if not stopped:
        peak = _injection(record, rng, clock)
    record.event("needle.out")
    if simulated:
        aim = np.array([24.0 if plan.side == "left" else -24.0, 0.0, 62.0])
        tip = (aim + error).tolist()
        record.truth(
            {
                "PhantomToRig": np.eye(4).tolist(),
                "aim_mm": aim.tolist(),
                "nerve_radius_mm": 2.5,
                "tip_true_mm": {"before_test": tip, "at_injection": tip, "before_withdrawal": tip},
            }
        )
    has_tip = not (missing or stopped)
    guided = plan.plane != "landmark"
    outward = 1.0 if plan.side == "left" else -1.0
    outcome = "stopped" if stopped else "truth_missing" if missing else "success" if success else "miss"
    record.close(
        {
            "simulated": simulated,
            "cartridge_id": plan.cartridge_id,
            "block": plan.block,
            "order_in_cartridge": plan.order_in_cartridge,
            "technique": plan.technique,
            "approach": plan.approach,
            "level": plan.level,
            "side": plan.side,
            "plane": plan.plane,
            "guidance": plan.guidance,
            "outcome": "interrupted" if interrupted else "device_fault" if faulted else outcome,
            "device_fault": "pressure: frozen" if faulted else "",
            "repeats": plan.trial_id.removesuffix("R1") if plan.trial_id.endswith("R1") else "",
            "end_reason": "force above the stop limit twice" if stopped else "checkout",
            "success": success,
            "placement_success": success,
            "spread_success": None if stopped else bool(rng.random() < 0.8),
            "first_pass_success": success and bool(rng.random() < 0.85),
            "level_correct": not (plan.plane == "landmark" and rng.random() < 0.2),
            "tte_mm": tte if has_tip else None,
            "tte_lat_mm": float(np.hypot(read[0], read[1])) if has_tip else None,
            "tte_axial_mm": read[2] if has_tip else None,
            "err_inplane_mm": outward * read[0] if has_tip and guided else None,
            "err_elevational_mm": read[1] if has_tip and guided else None,
            "err_depth_mm": read[2] if has_tip and guided else None,
            "err_x_mm": read[0] if has_tip else None,
            "err_y_mm": read[1] if has_tip else None,
            "err_z_mm": read[2] if has_tip else None,
            "tte_true_mm": float(np.linalg.norm(error)) if simulated and has_tip else None,
            "reference_err_mm": float(np.linalg.norm(reference)) if simulated and has_tip else None,
            "angle_err_deg": float(abs(rng.normal(0, 1.2))),
            "tip_nerve_gap_mm": float(1.5 - read[0]) if has_tip else None,
            "image_tip_err_mm": float(abs(rng.normal(0.6, 0.3))) if guided and has_tip else None,
            "n_skin_punctures": 1,
            "n_passes": int(1 + rng.poisson(0.2)),
            "n_redirections": int(rng.poisson(0.3)),
            "n_holds": 2 if stopped else int(rng.random() < 0.15),
            "hold_reasons": "force;force" if stopped else "",
            "t_scan_s": scan_s,
            "t_needle_s": needle_s,
            "t_total_s": scan_s + needle_s + 35.0,
            "tip_visible_frac": float(rng.uniform(0.6, 0.95)) if guided else None,
            "tip_confirmed_frac": 1.0 if guided else 0.0,
            "adv_unconfirmed_mm": 0.0 if guided else 60.0,
            "n_confirm_direct": 24 if guided else 0,
            "n_confirm_motion": int(rng.poisson(3)) if guided else 0,
            "n_confirm_fluid": int(rng.poisson(1)) if guided else 0,
            "hydro_n": 1,
            "hydro_ml": 0.2,
            "p_peak_kpa": peak or None,
            "p_open_kpa": peak * 0.8 or None,
            "p_plateau_kpa": peak * 0.6 or None,
            "v_inj_ml": 0.0 if stopped else 0.5,
            "force_peak_n": float(rng.gamma(9, 0.25)),
            "bone_contacts": int(rng.random() < 0.1),
            "target_source": "as_built" if simulated else "nominal",
            "violations_evaluable": "V1;V2;V3;V5;V6;V7;V8;V9;V10" if simulated else "V1 (tip);V6;V7;V8;V9;V10",
            "violations": "V1" if plan.plane == "landmark" and rng.random() < 0.25 else "",
            "frames_read": 300,
            "phantom_id": "lumbar_ref",
            "age_h": 24.0,
            "temp_c": 21.3,
            "temp_by": "pressure" if simulated else "temperature",
            "n_prior_tracks": plan.order_in_cartridge - 1,
        }
    )


def _injection(record: TrialRecord, rng: np.random.Generator, clock: VirtualClock) -> float:
    record.event("injection.started", {"volume_ml": 0.5})
    peak = float(rng.uniform(25.0, 55.0))
    for k in range(400):
        clock.sleep(0.05)
        t_s = 0.05 * k
        flowing = t_s < 10.0
        level = (
            peak * (0.6 + 0.4 * np.exp(-t_s / 2.0)) * (1 - np.exp(-t_s / 0.4))
            if flowing
            else 0.6 * peak * np.exp(-(t_s - 10.0) / 2.5)
        )
        record.streams.sample("pressure", clock.now_ns(), (float(level + rng.normal(0, 0.3)), 21.4))
        if k % 5 == 0:
            record.streams.sample("pump", clock.now_ns(), (min(0.5, 0.05 * t_s), 3.0 if flowing else 0.0))
            record.streams.sample("force", clock.now_ns(), (float(rng.normal(0.8, 0.05)),))
        if k == 200:
            record.event("injection.completed", {"volume_ml": 0.5})
    return peak


def _frames(
    record: TrialRecord, plan: RecordedPlan, error: np.ndarray, rng: np.random.Generator, clock: VirtualClock
) -> None:
    """Speckle in a sector, a drawn needle and a shadow: enough to lay out the figure."""
    ImageToProbe = np.eye(4)  # columns run along the array (x), rows along the axis (z), y is elevational
    ImageToProbe[:3, :3] = np.array([[PITCH_MM, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, PITCH_MM, 0.0]])
    ImageToProbe[0, 3] = -SIZE_PX / 2 * PITCH_MM
    ProbeToRig = np.eye(4)  # the drawn probe stands on the midline and looks along +Z
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
    sector = (np.abs(columns - SIZE_PX / 2) < 40 + rows * 0.55) & (np.hypot(rows + 60, columns - SIZE_PX / 2) < 310)
    aim = np.array([24.0 if plan.side == "left" else -24.0, 62.0])
    tip_px = np.array([(aim[0] + error[0]) / PITCH_MM + SIZE_PX / 2, (aim[1] + error[2]) / PITCH_MM])
    found_px = tip_px + rng.normal(0, 1.5, 2)
    for n in range(3):
        image = rng.rayleigh(38, (SIZE_PX, SIZE_PX)) * np.exp(-rows / 220)
        image[150:158, 60:200] += 160
        image[158:, 60:200] *= 0.2
        for s in np.linspace(0, 1, 200):
            column, row = tip_px * (0.6 + 0.4 * s) if plan.plane == "in_plane" else tip_px
            r, c = round(float(row)), round(float(column))
            if 1 <= r < SIZE_PX - 1 and 1 <= c < SIZE_PX - 1:
                image[r - 1 : r + 1, c - 1 : c + 2] = 220
        pixels = np.clip(image * sector, 0, 255).astype(np.uint8)
        clock.sleep(0.05)
        record.frames.frame(
            Frame(clock.now_ns(), pixels, ImageToProbe, n),
            ProbeToRig,
            {"tip_px": found_px.tolist(), "confirmed": "direct"},
            label="at_injection" if n == 2 else "",
        )
