"""A phantom registered on the rig: the probe scans the gel over the bone, which is then fitted to the design.

Longitudinal lines on both sides (transverse processes and articular processes, from the sacrum to L4), then transverse
sections: the probe is turned by 90 degrees in between, so that an error of its own calibration partly shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from experiments.calibrations.clear_way import require_clear, require_no_needle, way_over
from hal.clock import NS_PER_S
from hal.errors import ConfigError, LimitViolation
from hal.phantom.nominal import NominalPhantom
from hal.types import Frame, ImagingSettings, Matrix, Pose6
from rig.calibration.certificates.in_force import InForce
from rig.calibration.certificates.stated import holder, image_spread
from rig.calibration.phantom.bone import Drawing, FittedBone, Sweep, drawing, fit_bone
from rig.calibration.phantom.budget import Places, Spreads
from rig.config import RigConfig
from rig.control.controller import Controller
from rig.formats.igs_mha import write_mha
from rig.formats.recording import FrameEntry, make_recording
from rig.geometry.transforms import from_pose6, invert, to_pose6
from rig.guidance.bone_surface import find_bone
from rig.guidance.panorama import SweepFrame
from rig.guidance.planning import probe_pose
from rig.instruments.jogs import check_probe, move_probe
from rig.instruments.thermometer import gel_temperature

SIDES_X_MM = ((33.0, 20.0), (-33.0, -20.0))
"""Places of the longitudinal lines: over the transverse processes, then over the articular processes, left and
right."""
SWEEP_Y_MM = (-88.0, 56.0)
SWEEP_STEP_MM = 12.0
"""From well caudal on the sacrum to above L4."""
ACROSS_X_MM = (18.0, -18.0)
ACROSS_Y_MM = (-70.0, 40.0)
ACROSS_STEP_MM = 10.0
INDENTATION_MM = 3.0
LIFT_MM = 15.0
SPEED_MM_S = 30.0
SETTLE_S = 0.082
"""As in a trial: before that only frames that began earlier can arrive."""
LATERAL_MAX_MM = 60.0
"""Bone further from the midline is the ilium's, which is drawn crudely (facts 0.3)."""
TARGETS = ("L4", "L5", "S1")
BASE_DEG = 0.1
"""Turn of the holder's base where the rig file states none [A]."""


@dataclass(frozen=True)
class Scanned:
    """Result of the scan."""

    sides: tuple[tuple[Sweep, ...], ...] = field(repr=False)
    across: tuple[SweepFrame, ...] = field(repr=False)
    frames: tuple[tuple[Frame, Matrix], ...] = field(repr=False)
    """Every frame with its ``ProbeToRig``, in the order of taking."""
    imaging: ImagingSettings
    sound_speed_m_s: float
    u_sound_speed_m_s: float
    temperature_c: float | None


@dataclass(frozen=True)
class Look:
    """One planned view."""

    kind: str
    """``longitudinal`` or ``transverse``."""
    x_mm: float
    ProbeToRig: Matrix = field(repr=False)


def scan_plan(PhantomToRig: Matrix) -> tuple[Look, ...]:
    """All views in the order in which they are taken, there and back."""
    out: list[Look] = []

    def line(kind: str, x: float, ys: np.ndarray, c_deg: float) -> None:
        places = ys if len(out) % 2 == 0 else ys[::-1]
        for y in places:
            pose = probe_pose(x, float(y), INDENTATION_MM, 0.0, 0.0, c_deg)
            out.append(Look(kind, x, np.asarray(PhantomToRig @ pose)))

    along = np.arange(SWEEP_Y_MM[0], SWEEP_Y_MM[1] + 1e-6, SWEEP_STEP_MM)
    for x in (*SIDES_X_MM[0], *SIDES_X_MM[1][::-1]):
        line("longitudinal", x, along, 90.0)
    across = np.arange(ACROSS_Y_MM[0], ACROSS_Y_MM[1] + 1e-6, ACROSS_STEP_MM)
    for x in ACROSS_X_MM:
        line("transverse", x, across, 0.0)
    return tuple(out)


def designed(phantom: NominalPhantom) -> Drawing:
    """The phantom's dorsal bone, targets and vertebrae as the registration asks for them."""
    points, names = phantom.dorsal_bone_points(1.0)
    near = np.abs(points[:, 0]) < LATERAL_MAX_MM
    keys = [(level, side) for level in TARGETS for side in ("left", "right")]
    return drawing(
        points[near],
        np.asarray(names)[near],
        Places(
            {f"{level}.{side}": phantom.target(level, side).nerve_centre_mm for level, side in keys},
            {f"{level}.{side}": "sacrum" if level == "S1" else level for level, side in keys},
            {name: frame.origin_mm for name, frame in phantom.frames.items()},
        ),
    )


def check_plan(controller: Controller, plan: tuple[Look, ...]) -> tuple[Pose6, ...]:
    """``ProbeToHolder`` of every view, nothing moved.

    Raises ``ConfigError`` for a view outside the workspace, and for a needle that is in the gel.
    """
    back = invert(controller.rig.frames.get("Holder", "Rig"))
    poses = tuple(to_pose6(back @ look.ProbeToRig) for look in plan)
    for pose in (*poses, *map(_above, poses)):
        try:
            check_probe(pose, SPEED_MM_S, controller.limits.motion)
        except LimitViolation as error:
            raise ConfigError(f"the scan does not fit the rig: {error}; see PhantomToRig and limits.motion") from None
    require_no_needle(controller)
    return poses


def scan(controller: Controller, plan: tuple[Look, ...]) -> Scanned:
    """Take all views; the probe is lifted between the two orientations and at the end.

    Before anything moves it raises what ``check_plan`` raises, and ``SafetyStop`` when the operator does not agree;
    then ``DeviceError``, ``SafetyStop``, ``HoldRequested``.
    """
    poses = check_plan(controller, plan)
    require_clear(controller, "the phantom is registered by its bone")
    config, scanner = controller.rig.config, controller.rig.ultrasound
    imaging = scanner.settings() if scanner is not None else ImagingSettings()
    temperature = gel_temperature(controller)
    speed = config.gel.speed(temperature.celsius)
    HolderToRig = controller.rig.frames.get("Holder", "Rig")
    seen: list[SweepFrame] = []
    frames: list[tuple[Frame, Matrix]] = []
    with controller.attending("holder", "probe_force"):
        for pose in way_over(controller, _above(poses[0])):
            move_probe(controller, pose, SPEED_MM_S)
        for k, pose in enumerate(poses):
            if k and plan[k].kind != plan[k - 1].kind:
                for above in (_above(poses[k - 1]), _above(pose)):
                    move_probe(controller, above, SPEED_MM_S)
            move_probe(controller, pose, SPEED_MM_S)
            now_ns = controller.clock.now_ns()
            controller.wait(SETTLE_S)
            frame = controller.frame(newer_than_ns=now_ns)
            at = np.asarray(HolderToRig @ from_pose6(controller.probe_pose_at(frame.time_ns)))
            surface = find_bone(
                frame.pixels, frame.ImageToProbe, config.probe, imaging.depth_mm, sound_speed_m_s=speed.c_m_s,
                assumed_speed_m_s=imaging.sound_speed_m_s,
            )  # fmt: skip
            seen.append(SweepFrame(surface, at))
            frames.append((frame, at))
        move_probe(controller, _above(poses[-1]), SPEED_MM_S)
    sides, across = _sorted(plan, seen)
    return Scanned(sides, across, tuple(frames), imaging, speed.c_m_s, speed.u_m_s, temperature.celsius)


def _above(pose: Pose6) -> Pose6:
    """Straight off the skin."""
    return replace(pose, z_mm=pose.z_mm - LIFT_MM)


def _sorted(
    plan: tuple[Look, ...], seen: list[SweepFrame]
) -> tuple[tuple[tuple[Sweep, ...], ...], tuple[SweepFrame, ...]]:
    """Sweeps by side, transverse processes first, and the transverse sections."""
    both = list(zip(plan, seen, strict=True))
    sides = tuple(
        tuple(Sweep(x, tuple(f for p, f in both if p.kind == "longitudinal" and p.x_mm == x)) for x in xs)
        for xs in SIDES_X_MM
    )
    return sides, tuple(f for p, f in both if p.kind == "transverse")


def spreads_of(config: RigConfig, certificates: InForce, scanned: Scanned) -> Spreads:
    """Uncertainties that certificates and the rig file state; the rest as assumed in ``Spreads``."""
    base = config.frames.HolderToRig
    return Spreads(
        scanned.u_sound_speed_m_s / scanned.sound_speed_m_s,
        image_spread(config, certificates)[1],
        base.uncertainty_mm,
        base.uncertainty_deg or BASE_DEG,
        base.as_matrix()[:3, 3],
        holder(certificates).u or 0.0,
    )


def fit_scan(scanned: Scanned, d: Drawing, PhantomToRig: Matrix) -> FittedBone:
    """Fit the scan's bone to the design; raises ``CalibrationRefused`` as ``fit_bone``."""
    return fit_bone(scanned.sides, scanned.across, d, PhantomToRig)


def write_scan(scanned: Scanned, path: Path, *, simulated: bool) -> None:
    """Every frame with its poses, so that the registration can be done again (``.mha``)."""
    zero_ns = scanned.frames[0][0].time_ns
    entries = [
        FrameEntry(frame.time_ns - zero_ns, {"ProbeToRig": at, "ImageToProbe": frame.ImageToProbe})
        for frame, at in scanned.frames
    ]
    header = {
        "PhantomrigSimulated": str(simulated),
        "PhantomrigDepthMm": f"{scanned.imaging.depth_mm:g}",
        "PhantomrigSoundSpeedMS": f"{scanned.imaging.sound_speed_m_s:g}",
        "PhantomrigSeconds": f"{(scanned.frames[-1][0].time_ns - zero_ns) / NS_PER_S:.1f}",
    }
    pixels = np.stack([frame.pixels for frame, _ in scanned.frames])
    write_mha(make_recording(path, entries, pixels, header=header), path)
