"""Where the phantom of a rig lies: by its bone, which the probe scans, or by its fiducials, which a person touches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.calibrations.on_rig.kept import keep, refusal_kept
from experiments.calibrations.on_rig.rig import to_calibrate
from experiments.calibrations.phantom_fiducials import place_in_rig, register, touch_round, touches_of
from experiments.calibrations.phantom_surface import (
    TARGETS,
    designed,
    fit_scan,
    scan,
    scan_plan,
    spreads_of,
    write_scan,
)  # fmt: skip
from experiments.calibrations.record import write_reports
from experiments.calibrations.session import session
from hal.errors import ConfigError
from hal.phantom.nominal import load_phantom
from rig.calibration import results
from rig.calibration.certificates.in_force import InForce
from rig.calibration.origins import from_rig
from rig.calibration.phantom.bone import Refused, judge
from rig.calibration.phantom.bone_picture import draw_bone_registration
from rig.calibration.phantom.fiducials_picture import draw_registration
from rig.calibration.phantom.touch import TouchRefused
from rig.calibration.result import Result
from rig.calibration.tool.stylus import StylusTip, read_tip, tip_of
from rig.config import RigConfig
from rig.geometry.fiducials import Fiducials, read_fiducials

NAME = "phantom"
OTHERWISE = "use the other --method"


def register_bone_of(
    rig: str | Path = "simulated", out: str | Path = "phantom", *, phantom: str = "", seed: int = 1
) -> Result:
    """Scan the bone, fit it to its design, judge: ``PhantomToRig``.

    ``out``: journal, frames, result and picture, a refusal's too; ``phantom``: its TOML or name, else what the rig file
    says. Raises ``ConfigError`` for a rig without holder or scanner, what ``session`` and ``scan`` raise, and
    ``CalibrationRefused`` (see ``fit_bone`` and ``judge``).
    """
    out = Path(out)
    bench = to_calibrate(rig, "holder", "ultrasound", otherwise=OTHERWISE)
    d = designed(load_phantom(phantom or _stated(bench.config)))
    with session(bench.config, out, seed=seed, stated=bench.stated) as (controller, journal):
        NominalToRig = controller.rig.frames.get("Phantom", "Rig")
        plan = scan_plan(NominalToRig)
        with journal.activity("phantom_scan", {"method": "surface", "views_n": len(plan)}) as outcome:
            found = scan(controller, plan)
            outcome.update(frames_n=len(found.frames), sound_speed_m_s=found.sound_speed_m_s)
        simulated = controller.rig.simulated
        write_scan(found, out / "scan.igs.mha", simulated=simulated)
        origin = from_rig(controller.rig, out / "scan.igs.mha")
        with (
            journal.activity("phantom_registration", {"method": "surface"}) as outcome,
            refusal_kept(out, NAME, {"method": "surface", "simulated": simulated}),
        ):
            try:
                judged = judge(fit_scan(found, d, NominalToRig), d, spreads_of(bench.config, bench.certificates, found))
            except Refused as refusal:
                seen, why, note = refusal.fitted, refusal, "SIMULATED" if simulated else ""
                refusal.picture = lambda path: draw_bone_registration(path, seen, d, note, refusal=why)
                raise
            outcome.update(rms_mm=judged.fit.rms_mm, points_n=len(judged.fitted.points))
    speed = {
        "sound_speed_m_s": found.sound_speed_m_s,
        "u_sound_speed_m_s": found.u_sound_speed_m_s,
        "temperature_c": found.temperature_c,
    }
    return keep(results.bone(judged, d, origin, speed), out, NAME)


def register_fiducials_of(
    rig: str | Path = "simulated",
    out: str | Path = "phantom",
    *,
    phantom: str = "",
    tool: str = "StylusToTracker",
    tip: Path | None = None,
    nominal: Path | None = None,
    touch: Sequence[str] = (),
    check: Sequence[str] = (),
    fle_mm: float | None = None,
    seed: int = 1,
) -> Result:
    """Ask a person to touch the fiducials, listen, name, fit: ``PhantomToReference``.

    ``out``: journal, poses, result and picture, a refusal's too; ``tip``: JSON of a pivot, else the certificate in
    force; ``nominal``: their places, else the drawing's; ``touch``: these only; ``check``: held out. Raises
    ``ConfigError`` for a rig without tracker or operator, a stylus without a calibrated tip or a fiducial that is not
    in the design, what ``session`` and ``touch_round`` raise, and ``CalibrationRefused``.
    """
    out = Path(out)
    bench = to_calibrate(rig, "tracker", "operator", otherwise=OTHERWISE)
    design = load_phantom(phantom or _stated(bench.config))
    places = read_fiducials(nominal) if nominal else Fiducials.of({**design.fiducials})
    if strange := sorted({*touch, *check} - set(places.names)):
        raise ConfigError(f"there is no fiducial {', '.join(strange)}; there are {', '.join(places.names)}")
    stylus = _tip(tip, bench.certificates, bench.config)
    targets = {f"{lv}.{sd}": design.target(lv, sd).nerve_centre_mm for lv in TARGETS for sd in ("left", "right")}
    with session(bench.config, out, seed=seed, stated=bench.stated) as (controller, journal):
        names = tuple(touch) or places.names
        with journal.activity("phantom_touches", {"method": "fiducials", "names": list(names)}) as outcome:
            reports, listener = touch_round(controller, tool, names)
            outcome.update(reports_n=len(reports))
        simulated = controller.rig.simulated
        if reports:
            write_reports(reports, out / "touches.igs.mha", simulated=simulated)
        origin = from_rig(controller.rig, out / "touches.igs.mha", *(path for path in (tip, nominal) if path))
        with (
            journal.activity("phantom_registration", {"method": "fiducials"}) as outcome,
            refusal_kept(out, NAME, {"method": "fiducials", "simulated": simulated}),
        ):
            try:
                touched = touches_of(reports, listener)
                found = register(touched, stylus, places, targets, tuple(check), fle_mm)
                frames = controller.rig.frames
                measured = place_in_rig(touched, found, frames.get("Tracker", "Rig"), frames.get("Phantom", "Rig"))
            except TouchRefused as refusal:
                _draw_when_refused(refusal, places, "SIMULATED" if simulated else "")
                raise
            outcome.update(fre_rms_mm=found.registration.fre_rms_mm, dwells_n=len(found.dwells))
    return keep(results.touched(found, places, touched.body, measured, stylus.source, origin), out, NAME)


def _stated(config: RigConfig) -> str:
    return str(config.sim.get("phantom", "lumbar_ref"))


def _draw_when_refused(refusal: TouchRefused, nominal: Fiducials, note: str) -> None:
    measured = refusal.measured
    if measured is not None and len(measured) >= 3:
        refusal.picture = lambda path: draw_registration(path, nominal, measured, refusal.fle_mm, refusal, note)


def _tip(path: Path | None, certificates: InForce, config: RigConfig) -> StylusTip:
    tip = read_tip(path) if path is not None else tip_of(certificates.certificates)
    if tip is None:
        raise ConfigError(
            "the tip of the stylus is not known: give --tip tip.json (calibrate record, then calibrate pivot --json), "
            "or certify it as kind pivot"
        )
    if tip.simulated and not config.rig.simulated:
        raise ConfigError(
            f"{tip.source}: the tip was calibrated on a simulated rig and says nothing about a real stylus"
        )
    return tip
