"""``phantomrig calibrate phantom``: where the phantom lies, measured on the rig itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, answers
from experiments.cli.numbers import number
from experiments.cli.output import emit, say

if TYPE_CHECKING:
    from rig.calibration.certificates.in_force import InForce
    from rig.calibration.tool.stylus import StylusTip
    from rig.config import RigConfig

RigFile = Annotated[Path | None, typer.Option("--rig", help="rig.toml of the bench (default: the simulated rig)")]
RESULT, PICTURE = "phantom.json", "phantom.png"


@dataclass(frozen=True)
class Outcome:
    """What a person and a program are told."""

    lines: tuple[str, ...]
    json: dict[str, object]


def rig_of(rig: Path | None, *roles: str) -> tuple[RigConfig, InForce]:
    """The rig as its file states it, and its certificates of today; raises ``ConfigError`` for a role that it lacks."""
    from datetime import UTC, datetime

    from hal.errors import ConfigError
    from rig.calibration.certificates.in_force import in_force
    from rig.config import load_config

    stated = load_config(rig if rig is not None else "simulated")
    missing = [role for role in roles if role not in stated.devices]
    if missing:
        raise ConfigError(f"this rig ({stated.rig.name}) has no {' and no '.join(missing)}: use the other --method")
    return stated, in_force(stated, datetime.now(UTC).date())


def measure_surface(rig: Path | None, phantom: str, out: Path, seed: int) -> Outcome:
    """Scan, lay, judge; journal, frames, result and picture stay in ``out``, a refused one's too.

    Raises ``ConfigError`` for a rig without holder or scanner, what ``session`` and ``scan`` raise, and
    ``CalibrationRefused`` (see ``lay_bone`` and ``judge``).
    """
    from experiments.calibrations.phantom_surface import drawn, lay, scan, scan_plan, spreads_of, write_scan
    from experiments.calibrations.session import session
    from hal.phantom.nominal import load_phantom
    from rig.calibration.phantom.bone import Refused, judge
    from rig.calibration.phantom.bone_picture import draw_bone_registration

    stated, certificates = rig_of(rig, "holder", "ultrasound")
    config = certificates.applied_to(stated)
    d = drawn(load_phantom(phantom or str(config.sim.get("phantom", "lumbar_ref"))))
    with session(config, out, seed=seed, stated=stated) as (controller, journal):
        NominalToRig = controller.rig.frames.get("Phantom", "Rig")
        plan = scan_plan(NominalToRig)
        with journal.activity("phantom_scan", {"method": "surface", "views_n": len(plan)}) as outcome:
            found = scan(controller, plan)
            outcome.update(frames_n=len(found.frames), sound_speed_m_s=found.sound_speed_m_s)
        simulated = controller.rig.simulated
        write_scan(found, out / "scan.igs.mha", simulated=simulated)
        note = "SIMULATED" if simulated else ""
        with journal.activity("phantom_registration", {"method": "surface"}) as outcome:
            try:
                result = judge(lay(found, d, NominalToRig), d, spreads_of(config, certificates, found))
            except Refused as refusal:
                write_result(out, refusal.as_json() | {"method": "surface", "simulated": simulated})
                draw_bone_registration(out / PICTURE, refusal.laid, d, note, refusal=refusal)
                raise
            outcome.update(rms_mm=result.fit.rms_mm, points_n=len(result.laid.points))
    data = result.as_json() | {
        "transform": "PhantomToRig",
        "sound_speed_m_s": found.sound_speed_m_s,
        "u_sound_speed_m_s": found.u_sound_speed_m_s,
        "temperature_c": found.temperature_c,
        "rig": config.rig.name,
        "simulated": simulated,
    }
    write_result(out, data)
    draw_bone_registration(out / PICTURE, result.laid, d, note, result)
    claims = result.budget.claims
    lines = [
        f"{len(result.laid.points)} bone points of {result.laid.points.frames_n} frames lie on the drawing, residual "
        f"{result.fit.rms_mm:.2f} mm, left-out frames {result.held_out_frames_rms_mm:.2f} mm (not accuracy)",
        f"the phantom lies {result.from_nominal_mm:.1f} mm from where the rig file has it",
        *(
            f"{c.name:9} predicted 3-D standard uncertainty {c.sd_mm:.2f} mm (repeated fits {c.simulated_sd_mm:.2f}), "
            f"95 % within {c.radius_95_mm:.1f} mm; speed of sound {c.by_cause_mm['speed of sound']:.2f} mm"
            for c in claims
        ),
        *(
            f"{v.bone} lies beside its drawing: {v.rms_mm:.2f} mm where {v.expected_mm:.2f} mm is expected"
            for v in result.vertebrae
            if v.far
        ),
    ]
    if result.fit.handedness_open:
        lines.append("left and right look alike in bone: the orientation of the picture is for the fiducials to check")
    return Outcome(tuple(lines), data)


@dataclass(frozen=True)
class Touching:
    """Options of the fiducials."""

    tool: str = "StylusToTracker"
    tip: Path | None = None
    nominal: Path | None = None
    touch: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    fle_mm: float | None = None


def measure_fiducials(rig: Path | None, phantom: str, out: Path, seed: int, options: Touching) -> Outcome:
    """Ask, listen, name, fit; journal, poses, result and picture stay in ``out``, a refused one's too.

    Raises ``ConfigError`` for a rig without tracker or operator, a stylus without a calibrated tip or a fiducial that
    is not drawn, what ``session`` and ``touch_round`` raise, and ``CalibrationRefused``.
    """
    from experiments.calibrations.phantom_fiducials import heard, place_in_rig, register, touch_round
    from experiments.calibrations.phantom_surface import TARGETS
    from experiments.calibrations.record import write_reports
    from experiments.calibrations.session import session
    from hal.errors import CalibrationRefused, ConfigError
    from hal.phantom.nominal import load_phantom
    from rig.calibration.phantom.fiducials_picture import draw_registration
    from rig.calibration.phantom.touch import TouchRefused
    from rig.calibration.tool.stylus import read_tip
    from rig.geometry.fiducials import Fiducials, read_fiducials

    stated, certificates = rig_of(rig, "tracker", "operator")
    config = certificates.applied_to(stated)
    drawn = load_phantom(phantom or str(config.sim.get("phantom", "lumbar_ref")))
    nominal = read_fiducials(options.nominal) if options.nominal else Fiducials.of({**drawn.fiducials})
    strange = sorted({*options.touch, *options.check} - set(nominal.names))
    if strange:
        raise ConfigError(f"there is no fiducial {', '.join(strange)}; there are {', '.join(nominal.names)}")
    tip = read_tip(options.tip) if options.tip is not None else _tip_in_force(certificates)
    if tip.simulated and not config.rig.simulated:
        raise ConfigError(
            f"{tip.source}: the tip was calibrated on a simulated rig and says nothing about a real stylus"
        )
    targets = {f"{lv}.{sd}": drawn.target(lv, sd).nerve_centre_mm for lv in TARGETS for sd in ("left", "right")}
    with session(config, out, seed=seed, stated=stated) as (controller, journal):
        names = options.touch or nominal.names
        with journal.activity("phantom_touches", {"method": "fiducials", "names": list(names)}) as outcome:
            reports, listener = touch_round(controller, options.tool, names)
            outcome.update(reports_n=len(reports))
        simulated = controller.rig.simulated
        note = "SIMULATED" if simulated else ""
        if reports:
            write_reports(reports, out / "touches.igs.mha", simulated=simulated)
        with journal.activity("phantom_registration", {"method": "fiducials"}) as outcome:
            try:
                touched = heard(reports, listener)
                found = register(touched, tip, nominal, targets, options.check, options.fle_mm)
                frames = controller.rig.frames
                measured = place_in_rig(touched, found, frames.get("Tracker", "Rig"), frames.get("Phantom", "Rig"))
            except CalibrationRefused as refusal:
                write_result(out, refusal.as_json() | {"method": "fiducials", "simulated": simulated})
                if isinstance(refusal, TouchRefused) and refusal.measured is not None and len(refusal.measured) >= 3:
                    draw_registration(out / PICTURE, nominal, refusal.measured, refusal.fle_mm, refusal, note)
                raise
            outcome.update(fre_rms_mm=found.registration.fre_rms_mm, dwells_n=len(found.dwells))
    fitted = found.registration
    draw_registration(out / PICTURE, nominal, found.naming.measured, fitted.fle_mm, note=note)
    data = found.as_json() | {
        "PhantomToRig_by_tracker": measured.tolist(),
        "body": touched.body,
        "rig": config.rig.name,
        "simulated": simulated,
    }
    write_result(out, data)
    lines = [
        f"{len(found.naming.dwell_of)} fiducials named ({', '.join(sorted(found.naming.dwell_of))}); not touched: "
        f"{', '.join(found.naming.missing) or 'none'}; rests elsewhere: {len(found.naming.left_over)}",
        f"fit residual {fitted.fre_rms_mm:.2f} mm, {fitted.fre_expected_mm:.2f} mm expected from a localisation error "
        f"of {fitted.fle_mm:.2f} mm (not accuracy)",
        f"stylus tip by these touches: {found.tip_check.size_mm:.2f} mm from its calibration",
        *(
            f"{m.name}: residual {m.residual_length_mm:.2f} mm, left out {m.left_out_mm:.2f} mm "
            f"({m.left_out_expected_mm:.2f} mm expected)"
            for m in fitted.landmarks
        ),
        *(f"predicted error at {t.name}: {t.closed_mm:.2f} mm rms" for t in fitted.targets),
    ]
    if fitted.checks is not None:
        lines.append(f"at held-out fiducials: {fitted.checks.rms_mm:.2f} mm rms, {fitted.checks.max_mm:.2f} mm max")
    return Outcome(tuple(lines), data)


def _tip_in_force(certificates: InForce) -> StylusTip:
    from hal.errors import ConfigError
    from rig.calibration.tool.stylus import tip_of

    tip = tip_of(certificates.certificates)
    if tip is None:
        raise ConfigError(
            "the tip of the stylus is not known: give --tip tip.json (calibrate record, then calibrate pivot --json), "
            "or certify it as kind pivot"
        )
    return tip


def write_result(out: Path, data: dict[str, object]) -> None:
    """The JSON that ``calibrate certify`` takes."""
    import json

    (out / RESULT).write_text(json.dumps(data, indent=1) + "\n")


def add_to(app: typer.Typer) -> None:
    """Put the command into the group ``calibrate``."""

    @app.command(
        epilog="Example:  phantomrig calibrate phantom --rig bench.toml --method surface --out phantom-1   then   "
        "phantomrig calibrate certify phantom-1/phantom.json calibrations --identity PR-2026-014 --kind "
        "phantom_registration --device phantom --transform PhantomToRig --by AB --due 2026-12-31"
    )
    def phantom(
        rig: RigFile = None,
        method: Annotated[
            str, typer.Option(help="surface: the probe scans the bone; fiducials: a person touches them with a stylus")
        ] = "surface",
        out: Annotated[Path, typer.Option(help="new folder for journal, data, result and picture")] = Path("phantom"),
        drawing: Annotated[str, typer.Option(help="phantom TOML or name (default: what the rig file says)")] = "",
        tip: Annotated[Path | None, typer.Option(help="fiducials: JSON of calibrate pivot for the stylus")] = None,
        tool: Annotated[str, typer.Option(help="fiducials: transform of the stylus")] = "StylusToTracker",
        nominal: Annotated[Path | None, typer.Option(help="fiducials: their places (default: the drawing's)")] = None,
        touch: Annotated[list[str] | None, typer.Option(help="fiducials: ask for these only (repeatable)")] = None,
        check: Annotated[list[str] | None, typer.Option(help="fiducials: hold out, check on it (repeatable)")] = None,
        fle: Annotated[
            float | None, number("fiducials: localisation error, mm (default: estimated)", 0.001, 50)
        ] = None,
        seed: Annotated[int, number("seed of the simulated bench's cartridge", 0, 2**32 - 1)] = 1,
        json: AsJson = False,
    ) -> None:
        """Register the phantom on the rig: PhantomToRig by its bone, or PhantomToReference by its fiducials."""
        from hal.errors import ConfigError

        with answers(json):
            if method == "surface":
                outcome = measure_surface(rig, drawing, out, seed)
            elif method == "fiducials":
                options = Touching(tool, tip, nominal, tuple(touch or ()), tuple(check or ()), fle)
                outcome = measure_fiducials(rig, drawing, out, seed, options)
            else:
                raise ConfigError(f"--method {method}: there are surface and fiducials")
            label = "SIMULATED rig: " if outcome.json["simulated"] else ""
            say(label + "\n".join(outcome.lines))
            say(f"record, result and picture: {out}")
            if json:
                emit(outcome.json | {"out": str(out)})
