"""Each kind of calibration as a ``Result``: its device, method, values, words for a person and picture, side by side.

``origin`` says from what it was made (``rig.calibration.result.Origin``). What a caller knows beside the calibration,
the name of a study or the cost of a lag at a speed, comes as ``more``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hal.phantom.sound_speed import DepthCorrection, SoundSpeed
from hal.types import Matrix
from rig.calibration.instrument.decide import Decision
from rig.calibration.instrument.picture import draw_instrument
from rig.calibration.instrument.qualification import InstrumentQualification
from rig.calibration.phantom.bone import BoneRegistration, Drawing
from rig.calibration.phantom.bone_picture import draw_bone_registration
from rig.calibration.phantom.fiducials import FiducialRegistration
from rig.calibration.phantom.fiducials_picture import draw_registration
from rig.calibration.phantom.surface import SurfaceRegistration
from rig.calibration.phantom.surface_picture import draw_surface
from rig.calibration.phantom.touch import TouchedPhantom
from rig.calibration.probe.nwire import NWireCalibration, refused_counts
from rig.calibration.probe.pictures import draw_residuals
from rig.calibration.result import Origin, Result, Value
from rig.calibration.time.lag import TemporalCalibration
from rig.calibration.time.lag_picture import draw_temporal
from rig.calibration.time.latency import LatencyCost
from rig.calibration.tool.dwell import Dwell, Naming
from rig.calibration.tool.dwell_tip import TipCheck
from rig.calibration.tool.needle_accepted import NeedleTipResult
from rig.calibration.tool.needle_picture import draw_needle_tip
from rig.calibration.tool.pivot import PivotCalibration
from rig.calibration.tool.pivot_picture import draw_pivot
from rig.calibration.tool.spin import SpinCalibration
from rig.calibration.used_values import needle_values, place_values, sound_speed_values
from rig.calibration.volume.pictures import draw_sweep
from rig.calibration.volume.sweep import SweepVolume
from rig.geometry.fiducials import Fiducials
from rig.geometry.graph import Step
from rig.geometry.registration import Points, Surface

More = Mapping[str, object]


def pivot(c: PivotCalibration, origin: Origin) -> Result:
    """Tip of a tracked tool."""
    x, y, z = c.tip_mm
    line = (
        f"tip {x:.3f} {y:.3f} {z:.3f} mm, standard uncertainty {c.tip_sd_mm:.3f} mm; residual {c.rms_mm:.3f} mm rms, "
        f"{len(c.outliers)} of {c.poses_n} poses left out"
    )
    return Result(
        "pivot", "tracker", "pivot about the resting tip", origin, c.as_json(),
        values=place_values("tip", c.tip_mm.tolist(), np.diag(c.covariance).tolist()),
        lines=(line,),
        picture=lambda path, note: draw_pivot(path, c, note),
    )  # fmt: skip


def spin(c: SpinCalibration, tip: PivotCalibration, origin: Origin) -> Result:
    """Axis of a straight tracked tool; the uncertainty of its direction is the same all round."""
    u = np.radians(c.axis_sd_deg) * np.sqrt((1.0 - c.axis**2).clip(0.0) / 2.0)
    values = {f"axis_{k}": Value(float(v), float(s), "1") for k, v, s in zip("xyz", c.axis, u, strict=True)}
    return Result(
        "spin", "tracker", "turn about the shaft", origin, c.as_json() | {"pivot": tip.as_json()},
        values=values,
        lines=(f"axis known to {c.axis_sd_deg:.3f} deg (standard), turned by {c.spin_deg:.0f} deg",),
    )  # fmt: skip


def landmarks(naming: Naming, dwells: tuple[Dwell, ...], tip: TipCheck, origin: Origin) -> Result:
    """Fiducials that a stylus touched, in the frame of the poses."""
    measured = naming.measured
    points = dict(zip(measured.names, measured.points_mm.tolist(), strict=True))
    values: dict[str, Value] = {}
    for name, k in naming.dwell_of.items():
        values |= place_values(name, points[name], np.diag(dwells[k].covariance).tolist())
    lines = [f"{n} {p[0]:.4f} {p[1]:.4f} {p[2]:.4f}" for n, p in points.items()]
    if tip.note:
        lines.append(tip.note)
    if not tip.tells:
        lines.append("the shaft was hardly swivelled in the divots: a wrong tip offset would shift all points unseen")
    lines.append(
        f"{len(dwells)} dwells; left over: {len(naming.left_over)}; not touched: {', '.join(naming.missing) or 'none'}"
    )
    details = {
        "points": points,
        "dwells": [d.as_json() for d in dwells],
        "left_over": list(naming.left_over),
        "missing": list(naming.missing),
        "rms_mm": naming.rms_mm,
        "tip_off_mm": tip.off_mm.tolist(),
        "tip_off_tested": tip.tells,
        "tip_check": tip.as_json(),
    }
    return Result(
        "landmarks", "phantom", "stylus resting in divots", origin, details, values=values, lines=tuple(lines)
    )


def temporal(c: TemporalCalibration, origin: Origin, method: str, cost: LatencyCost, more: More) -> Result:
    """Lag between two streams, with its cost at one speed."""
    low, high = (1e3 * v for v in c.interval_s)
    lines = [f"lag {1e3 * c.lag_s:+.1f} ms (95 %: {low:+.1f} to {high:+.1f}); late: {c.late_stream}"]
    if not c.steady:
        drift, u = 1e3 * c.drift_s_per_min, 1e3 * c.drift_uncertainty_s_per_min
        lines.append(
            f"THE LAG IS NOT STEADY: it changes by {drift:+.0f} +-{u:.0f} ms per minute. The two clocks run apart or a "
            "queue grows; one lag does not correct this"
        )
    lines.append(
        f"at {cost.speed_mm_s:g} mm/s: {cost.uncorrected_mm:.2f} mm uncorrected, corrected {cost.bias_mm:.2f} mm "
        f"(standard), jitter {cost.jitter_mm:.2f} mm"
    )
    return Result(
        "temporal", "ultrasound", method, origin, c.as_json() | {"cost_at_speed": cost.as_json()} | dict(more),
        values={"lag_s": Value(c.lag_s, c.standard_uncertainty_s, "s")},
        reference=c.second,
        lines=tuple(lines),
        picture=lambda path, note: draw_temporal(path, c, note),
    )  # fmt: skip


def fiducials(c: FiducialRegistration, nominal: Fiducials, measured: Fiducials, name: str, origin: Origin) -> Result:
    """Phantom by fiducials that were measured elsewhere; ``name``: ``AToB``, empty where nobody said it.

    ``nominal, measured``: the points of the fit.
    """
    lines = [f"fit residual {c.fre_rms_mm:.3f} mm, {c.fre_expected_mm:.3f} mm expected (not accuracy)"]
    lines += [f"predicted error at {target.name}: {target.closed_mm:.3f} mm rms" for target in c.targets]
    if c.checks is not None:
        lines.append(f"at held-out points: {c.checks.rms_mm:.3f} mm rms, {c.checks.max_mm:.3f} mm max")
    lines += [f"note: {note}" for note in c.notes]
    return Result(
        "phantom_registration", "phantom", "fiducials", origin, c.as_json(),
        transform=Step(name, c.transform),
        lines=tuple(lines),
        picture=lambda path, note: draw_registration(path, nominal, measured, c.fle_mm, None, note),
    )  # fmt: skip


def touched(
    c: TouchedPhantom, nominal: Fiducials, body: str, PhantomToRig: Matrix, tip_source: str, origin: Origin
) -> Result:
    """Phantom touched on the rig; ``body`` is tracked beside it, ``PhantomToRig`` as the tracker's place has it."""
    fit = c.registration
    lines = [
        f"{len(c.naming.dwell_of)} fiducials named ({', '.join(sorted(c.naming.dwell_of))}); not touched: "
        f"{', '.join(c.naming.missing) or 'none'}; rests elsewhere: {len(c.naming.left_over)}",
        f"fit residual {fit.fre_rms_mm:.2f} mm, {fit.fre_expected_mm:.2f} mm expected from a localisation error of "
        f"{fit.fle_mm:.2f} mm (not accuracy)",
        f"stylus tip by these touches: {c.tip_check.size_mm:.2f} mm from its calibration",
        *(
            f"{m.name}: residual {m.residual_length_mm:.2f} mm, left out {m.left_out_mm:.2f} mm "
            f"({m.left_out_expected_mm:.2f} mm expected)"
            for m in fit.landmarks
        ),
        *(f"predicted error at {t.name}: {t.closed_mm:.2f} mm rms" for t in fit.targets),
    ]
    if fit.checks is not None:
        lines.append(f"at held-out fiducials: {fit.checks.rms_mm:.2f} mm rms, {fit.checks.max_mm:.2f} mm max")
    return Result(
        "phantom_registration", "phantom", "fiducials touched with a stylus", origin,
        c.as_json() | {"PhantomToRig_by_tracker": PhantomToRig.tolist(), "body": body},
        transform=Step("PhantomToReference", fit.transform),
        reference=f"stylus tip: {tip_source}",
        lines=tuple(lines),
        picture=lambda path, note: draw_registration(path, nominal, c.naming.measured, fit.fle_mm, note=note),
    )  # fmt: skip


def surface(
    c: SurfaceRegistration, points: Points, bone: Surface, name: str, limit_mm: float, origin: Origin
) -> Result:
    """Phantom by points of its bone; ``name`` of the transform from the surface's frame to that of the points."""
    back = c.transform.inverse()
    lines = [f"fit residual {c.rms_mm:.2f} mm (not accuracy); held-out points {c.held_out_rms_mm:.2f} mm"]
    lines += [f"predicted standard uncertainty at {at}: {sd:.2f} mm (3-D)" for at, sd in c.targets_mm.items()]
    if c.handedness_open:
        lines.append(f"the shape does not tell whether {', '.join(c.handedness_open)} is reversed: fiducials do")
    own = {"transform": name, "matrix": back.matrix.tolist(), "covariance": back.covariance.tolist()}
    return Result(
        "phantom_registration", "phantom", "points of the bone surface", origin, c.as_json() | own,
        transform=Step(name, back),
        lines=tuple(lines),
        picture=lambda path, note: draw_surface(path, points, bone, c.AToB, limit_mm, None, note),
    )  # fmt: skip


def bone(c: BoneRegistration, d: Drawing, origin: Origin, more: More) -> Result:
    """Phantom by its bone, as the probe saw it on the rig; ``more``: the speed of sound that was used."""
    lines = [
        f"{len(c.fitted.points)} bone points of {c.fitted.points.frames_n} frames lie on the drawing, residual "
        f"{c.fit.rms_mm:.2f} mm, left-out frames {c.held_out_frames_rms_mm:.2f} mm (not accuracy)",
        f"the phantom lies {c.from_nominal_mm:.1f} mm from where the rig file has it",
        *(
            f"{t.name:9} predicted 3-D standard uncertainty {t.sd_mm:.2f} mm (repeated fits {t.simulated_sd_mm:.2f}), "
            f"95 % within {t.radius_95_mm:.1f} mm; speed of sound {t.by_cause_mm['speed of sound']:.2f} mm"
            for t in c.budget.claims
        ),
        *(
            f"{v.bone} lies beside its drawing: {v.rms_mm:.2f} mm where {v.expected_mm:.2f} mm is expected"
            for v in c.vertebrae
            if v.far
        ),
    ]
    if c.fit.handedness_open:
        lines.append("left and right look alike in bone: the orientation of the picture is for the fiducials to check")
    return Result(
        "phantom_registration", "phantom", "bone surface seen by the probe", origin,
        c.as_json() | {"transform": "PhantomToRig"} | dict(more),
        transform=Step("PhantomToRig", c.transform),
        lines=tuple(lines),
        picture=lambda path, note: draw_bone_registration(path, c.fitted, d, note, c),
    )  # fmt: skip


def probe(c: NWireCalibration, origin: Origin) -> Result:
    """Image to probe from N-wires; its printed kind stays ``nwire``."""
    return Result(
        "probe", "ultrasound", f"N-wires, {c.method}", origin, c.as_json() | {"transform": "ImageToProbe"},
        transform=Step("ImageToProbe", c.uncertain),
        reference=f"wire phantom {c.phantom}",
        lines=_probe_lines(c),
        picture=lambda path, note: draw_residuals(c, path, note=note),
    )  # fmt: skip


def _probe_lines(c: NWireCalibration) -> tuple[str, ...]:
    """Use, errors beside PLUS's best 95 %, what it is worth at the corners, findings."""
    fit = c.calibration
    lines = [f"{fit.used_n} of {len(fit.verdicts)} frames used{refused_counts(fit.verdicts)}"]
    parts = [("calibration", fit.errors), ("held out", c.k_fold)]
    if (v := c.validation) is not None:
        lines.append(f"validation: {v.used_n} of {len(v.verdicts)} frames used{refused_counts(v.verdicts)}")
        parts.append(("validation", v.errors))
    lines += [
        f"{name}: mean {e.mean_mm:.3f}, p95 {e.p95_mm:.3f}, max {e.max_mm:.3f} mm over all {e.points_n} points "
        f"(best 95 % as PLUS prints it: {e.best95_mean_mm:.3f})"
        for name, e in parts
    ]
    column, row = c.pitch_mm
    lines.append(f"pixel {column:.4f} x {row:.4f} mm, axes {c.raw_angle_deg:.2f} deg apart before squaring")
    lines.append(
        f"corners known to {max(c.corner_sd_mm[:4]):.2f} mm (k = 1, another session may lie as far off), move by up to "
        f"{max(c.corner_by_wires_mm[:4]):.2f} mm when one N is left out: an error that all sessions share, of the "
        "wires' places or the phantom's pose, is in neither"
    )
    if c.corner_repeat_mm is not None:
        lines.append(f"corners of the validation recording by itself: up to {max(c.corner_repeat_mm[:4]):.2f} mm off")
    return (*lines, *(f.text for f in c.findings), *c.notes)


def sound_speed(c: SoundSpeed, correction: DepthCorrection, origin: Origin) -> Result:
    """Speed of sound at a temperature, and what it does to depths."""
    lines = (
        f"{c.c_m_s:.1f} +-{c.u_m_s:.1f} m/s at {c.temperature_c:g} degC ({c.method})",
        f"a target 50 mm deep is shown {correction.error_mm(50.0):+.2f} mm too deep",
    )
    return Result(
        "sound_speed", "phantom", c.method, origin, {**c.as_json(), "correction": correction.as_json()},
        values=sound_speed_values(c.c_m_s, c.u_m_s, c.temperature_c),
        lines=lines,
    )  # fmt: skip


def needle_tip(c: NeedleTipResult, placed: Step | None, advice: str, origin: Origin, more: More) -> Result:
    """Tip of the needle in its carrier; ``placed``: ``CarrierToRig`` where it is better than the value in force."""
    fit, held, u = c.calibration, c.held_out, c.offset_u_mm()
    offset = ", ".join(f"{v:+.2f} +-{s:.2f}" for v, s in zip(fit.offset_mm, u, strict=True))
    lines = (
        f"tip off the carrier's axis by {offset} mm (x, y, z; standard), with the bevel "
        f"{', '.join(f'{v:+.2f}' for v in fit.run_out_mm)} mm",
        f"held-out poses: {held.rms_mm:.2f} mm rms, {held.max_mm:.2f} mm max ({held.expected_mm:.2f} mm rms expected)",
        f"CarrierToRig: {advice}",
    )
    details = c.as_json() | dict(more)
    run_out_u = [None, None] if len(fit.joint) < 11 else np.sqrt(np.diag(fit.joint)[9:]).tolist()
    run_out = [None if np.isnan(v) else float(v) for v in fit.run_out_mm]
    return Result(
        "needle_tip", "carrier", "carrier shows the tip to the tracker, in air", origin, details,
        transform=placed,
        values=needle_values(fit.offset_mm.tolist(), u, run_out, run_out_u),
        reference=f"tracker, tip known to {c.tip_sd_mm:g} mm per axis (standard)",
        lines=lines,
        picture=lambda path, note: draw_needle_tip(path, c, note),
    )  # fmt: skip


def instrument(c: InstrumentQualification, decisions: Mapping[str, Decision], study: str, origin: Origin) -> Result:
    """A reference instrument against tips that are known, and the criteria of a study that it decides."""
    low, high = c.tip_uncertainty_interval_mm
    sees = {True: "sees the needle bend", False: "does not see the needle bend", None: "was not shown to see bending"}
    more = ""
    if c.sees_bending is not True:
        more = f": {c.expected_deflection_mm:.1f} mm bend at the targets, {c.standard_uncertainty_mm:.2f} mm in all"
    lines = [
        f"{c.name}: standard uncertainty {c.tip_uncertainty_mm:.2f} mm per axis (95 %: {low:.2f} to {high:.2f}) "
        f"without bending; bias {', '.join(f'{v:+.2f}' for v in c.bias_mm)} mm (p = {c.bias_p_value:.2g})",
        f"it {sees[c.sees_bending]}{more}",
        *(
            f"{'decides' if d.can_decide else 'CANNOT DECIDE'} {key} <= {d.limit:g} mm: {d.reason}"
            for key, d in decisions.items()
        ),
    ]
    details = c.as_json()
    u = float(details["u_tip_uncertainty_mm"])  # type: ignore[arg-type]
    decided = {key: decision.as_json() for key, decision in decisions.items()}
    return Result(
        "reference_instrument", "tracker", "known tips in gel, read by the instrument", origin,
        details | {"study": study, "decisions": decided},
        values={"tip_uncertainty_mm": Value(c.tip_uncertainty_mm, u, "mm")},
        reference=f"tips known to {c.truth_sd_mm:g} mm per axis (standard)",
        lines=tuple(lines),
        picture=lambda path, note: draw_instrument(path, c, decisions, note),
    )  # fmt: skip


def volume(c: SweepVolume, file: str, title: str, origin: Origin) -> Result:
    """A tracked sweep as a volume: no number that a run uses, only the record of how it was made."""
    size = " x ".join(str(n) for n in c.volume.size)
    lines = [f"{c.used_n} frames, {size} voxels: {file}"]
    lines += [f"frame {index} not used: {why}" for index, why in c.refused]
    return Result(
        "volume", "ultrasound", f"{c.interpolation}, {c.compounding}", origin, c.as_json() | {"file": file},
        lines=tuple(lines),
        picture=lambda path, note: draw_sweep(c, path, f"{note} data: {title}" if note else title),
    )  # fmt: skip
