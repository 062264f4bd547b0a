"""The columns of ``trials.csv``: one row per trial, in this order (``facts/domain.md`` section 7.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hal.files import read


@dataclass(frozen=True)
class Column:
    """One column of the trial table and its entry in the data dictionary."""

    name: str
    unit: str
    kind: str
    """``text``, ``float``, ``int`` or ``bool``; a missing value is an empty cell."""
    text: str
    factor: bool = False
    """Fixed by the plan before the trial: a criterion may choose trials by it, by a result it may not."""
    values: tuple[str, ...] = ()
    """Words of a text column in the shipped techniques, in the order of all tables; others may occur."""


COLUMNS: tuple[Column, ...] = (
    Column("trial_id", "", "text", "identity of the trial, in planned order"),
    Column("simulated", "", "bool", "true when any device of the trial was a simulator"),
    Column("cartridge_id", "", "text", "pour of the phantom", factor=True),
    Column(
        "bench",
        "",
        "text",
        "bench: one table with its devices; trials on one share its errors",
        factor=True,
    ),
    Column("block", "", "int", "randomisation block"),
    Column("order_in_cartridge", "", "int", "1 = first insertion of the cartridge"),
    Column("technique", "", "text", "technique identity", factor=True),
    Column("approach", "", "text", "level, side, view and needle plane, in words", factor=True),
    Column("level", "", "text", "L4, L5 or S1", factor=True, values=("L4", "L5", "S1")),
    Column("side", "", "text", "left or right", factor=True, values=("left", "right")),
    Column(
        "plane",
        "",
        "text",
        "in_plane, out_of_plane or landmark",
        factor=True,
        values=("in_plane", "out_of_plane", "landmark"),
    ),
    Column(
        "guidance",
        "",
        "text",
        "robot, freehand or landmark: who places the needle and by what",
        factor=True,
        values=("robot", "freehand", "landmark"),
    ),
    Column(
        "outcome",
        "",
        "text",
        "success, miss, stopped, aborted, interrupted, device_fault, truth_missing",
        values=("success", "miss", "stopped", "aborted", "interrupted", "device_fault", "truth_missing"),
    ),
    Column(
        "device_fault",
        "",
        "text",
        "role and kind of the device fault that ended the trial, by a rule fixed in the plan; else empty",
    ),
    Column("repeats", "", "text", "trial that ended by a device fault and that this one repeats; else empty"),
    Column("end_reason", "", "text", "why the trial ended, in words"),
    Column(
        "success",
        "",
        "bool",
        "within the primary radius (S1: in the channel) at the right level, without a violation V1-V6 among those in "
        "violations_evaluable",
    ),
    Column("placement_success", "", "bool", "tip in the intended region, whatever the spread"),
    Column("spread_success", "", "bool", "injectate covers at least half of the nerve's circumference"),
    Column("first_pass_success", "", "bool", "success with one pass"),
    Column("level_correct", "", "bool", "level reached is the level intended"),
    Column("target_source", "", "text", "where the aim comes from: as_built (measured cartridge) or nominal (drawing)"),
    Column("tte_mm", "mm", "float", "tip to aim point at injection start; tip by the reference instrument"),
    Column("tte_lat_mm", "mm", "float", "component of the error normal to the planned axis"),
    Column("tte_axial_mm", "mm", "float", "component along the planned axis, + = too deep"),
    Column(
        "err_inplane_mm",
        "mm",
        "float",
        "error along the image's lateral axis; + = away from the midline on either side (cranial if the image lies "
        "lengthwise)",
    ),
    Column(
        "err_elevational_mm",
        "mm",
        "float",
        "error normal to the image plane; + = cranial (away from the midline if the image lies lengthwise)",
    ),
    Column("err_depth_mm", "mm", "float", "error along the image's depth axis; + = deep"),
    Column("err_x_mm", "mm", "float", "error along phantom X; + = to the phantom's left on either side"),
    Column("err_y_mm", "mm", "float", "error along phantom Y; + = cranial"),
    Column("err_z_mm", "mm", "float", "error along phantom Z; + = deep"),
    Column("tte_true_mm", "mm", "float", "the same distance by the world's truth (simulated runs only)"),
    Column("reference_err_mm", "mm", "float", "reference instrument minus true tip, length (simulated runs only)"),
    Column(
        "reference",
        "",
        "text",
        "measured, or why the reference instrument did not measure the tip of record: no tracker, not told, not seen, "
        "frozen, impossible, outliers, scattered",
    ),
    Column("reference_n", "", "int", "readings that the tip of record is the mean of"),
    Column(
        "reference_left_out_n",
        "",
        "int",
        "readings that were left out of it: outliers and impossible ones; at most a quarter of all",
    ),
    Column("reference_reason", "", "text", "why the tip of record was not measured, in words"),
    Column("angle_err_deg", "deg", "float", "planned against final needle axis"),
    Column("tip_nerve_gap_mm", "mm", "float", "signed distance of the tip to the nerve surface, negative = inside"),
    Column(
        "image_tip_err_mm",
        "mm",
        "float",
        "tip as confirmed in the image minus tip by the reference instrument, length (only where the phantom's true "
        "place is known: target_source as_built)",
    ),
    Column(
        "aim_err_mm",
        "mm",
        "float",
        "aim point as registered minus true aim point, length (only with target_source as_built)",
    ),
    Column("steer_err_mm", "mm", "float", "tip as confirmed in the image minus aim point as registered, length"),
    Column("n_skin_punctures", "", "int", "skin entries"),
    Column("n_passes", "", "int", "forward movements after a withdrawal of at least 5 mm, first pass = 1"),
    Column(
        "n_redirections",
        "",
        "int",
        "paths given up: needle out of the gel or back to the superficial layer, then in again another way; tilts of a "
        "needle that is still shallow are not counted (journal: turn)",
    ),
    Column("n_holds", "", "int", "stop rules that fired"),
    Column("hold_reasons", "", "text", "stop rules that fired, separated by ;"),
    Column("t_scan_s", "s", "float", "first probe contact to plan fixed"),
    Column("t_needle_s", "s", "float", "skin break to final position"),
    Column("t_total_s", "s", "float", "first probe contact to needle out"),
    Column("tip_visible_frac", "", "float", "share of the advance steps that were confirmed by direct view"),
    Column("tip_confirmed_frac", "", "float", "share of the advance steps that were confirmed by any method"),
    Column("adv_unconfirmed_mm", "mm", "float", "needle travel while the tip was not confirmed"),
    Column("n_confirm_direct", "", "int", "confirmations by direct view"),
    Column("n_confirm_motion", "", "int", "confirmations by commanded small motion"),
    Column("n_confirm_fluid", "", "int", "confirmations by test injection"),
    *(
        Column(
            f"n_confirm_far_{name}",
            "",
            "int",
            f"of the confirmations by {words}, those with the true tip more than 2 mm away (simulated truth)",
        )
        for name, words in (("direct", "direct view"), ("motion", "small motion"), ("fluid", "test injection"))
    ),
    Column("hydro_n", "", "int", "test injections"),
    Column("hydro_ml", "mL", "float", "volume of the test injections by the pump's count; empty when it is not known"),
    Column("p_open_kpa", "kPa", "float", "opening pressure at the tip (line loss removed)"),
    Column("p_peak_kpa", "kPa", "float", "peak pressure at the tip"),
    Column("p_plateau_kpa", "kPa", "float", "plateau pressure at the tip"),
    Column(
        "v_inj_ml",
        "mL",
        "float",
        "injected volume, test injections included, by the pump's count; empty when only its bounds are known",
    ),
    Column("v_inj_min_ml", "mL", "float", "the injected volume is at least this"),
    Column("v_inj_max_ml", "mL", "float", "the injected volume is at most this"),
    Column(
        "spread_cover", "", "float", "share of the nerve's circumference within 2 mm of injectate (simulated truth)"
    ),
    Column("force_peak_n", "N", "float", "peak axial needle force"),
    Column("bone_contacts", "", "int", "bone contacts recognised by force or feel"),
    Column("violations", "", "text", "V1-V10 that were found, separated by ;"),
    Column(
        "violations_evaluable",
        "",
        "text",
        "V1-V10 that this trial could have shown, separated by ; - V1 (tip): only where the tip came to rest, the way "
        "there is not known",
    ),
    Column("probe_path_mm", "mm", "float", "path length of the probe face centre"),
    Column("probe_rot_deg", "deg", "float", "summed rotation of the probe"),
    Column("n_probe_moves", "", "int", "probe movements after a pause of 0.3 s"),
    Column("frames_read", "", "int", "ultrasound frames that were read"),
    Column("frames_unread", "", "int", "frames that the scanner made and nobody read"),
    Column(
        "device_notices",
        "",
        "int",
        "what drivers noticed and put right, e.g. a clock that was set (journal: device_noticed)",
    ),
    Column("phantom_id", "", "text", "nominal phantom", factor=True),
    Column("age_h", "h", "float", "age of the cartridge at the trial"),
    Column("temp_c", "degC", "float", "temperature at which the gel's speed of sound was taken"),
    Column(
        "temp_by", "", "text", "role that gave it: temperature (in the gel) or pressure (in the line, not in the gel)"
    ),
    Column("sound_speed_m_s", "m/s", "float", "speed of sound used to correct depth"),
    Column("n_prior_tracks", "", "int", "insertions in the cartridge before this one"),
)
NAMES: tuple[str, ...] = tuple(c.name for c in COLUMNS)

LARGEST = {"mm": 200.0, "deg": 180.0, "s": 86_400.0, "mL": 20.0, "kPa": 1000.0, "N": 100.0, "h": 8760.0, "degC": 60.0}
"""Largest limit that makes sense in the unit of a column [A]: beyond it the number is in another unit."""


def columns_of(study: Mapping[str, Any]) -> tuple[Column, ...]:
    """Columns of a run: the standard ones, then the measures that its study (``study.toml``) declares."""
    own = study.get("measures", ())
    return COLUMNS + tuple(Column(m["name"], unit_of(m["unit"]), "float", m["text"]) for m in own)


def unit_of(written: str) -> str:
    """Unit of a measure as tables print it; the unit ``1`` of a pure number prints as none."""
    return "" if written == "1" else written


def columns_in(run: Path) -> tuple[Column, ...]:
    """Columns of a run folder; only the standard ones where it has no study. Raises ``ConfigError`` for a damaged
    one."""
    path = run / "study.toml"
    return columns_of(read(path, path.name).data) if path.exists() else COLUMNS
