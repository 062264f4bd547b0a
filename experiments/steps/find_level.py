"""ST1 and ST2: longitudinal sweep, level counted from the sacrum, anatomy laid on the bone that was seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.protocol.states import State
from experiments.trial.registration import Sweep, bone_points, registered
from experiments.trial.sight import View
from experiments.trial.trial import Trial
from hal.types import Matrix
from rig.geometry.transforms import invert
from rig.guidance.bone_surface import find_bone
from rig.guidance.lumbar.anatomy_fit import fit_anatomy, start_from_shift
from rig.guidance.lumbar.level import count_levels
from rig.guidance.panorama import SweepFrame, stitch
from rig.guidance.planning import probe_pose

RESCANS_MAX_N = 2
RESCAN_SHIFT_MM = 3.0
"""A second look is taken a little more lateral, then a little more medial."""


def on_skin(trial: Trial, x_mm: float, y_mm: float, c_deg: float, a_deg: float = 0.0) -> Matrix:
    """``ProbeToRig`` of a probe on the skin at (x, y) of the phantom as estimated now, pressed in a little."""
    assert trial.technique.scan is not None
    pose = probe_pose(x_mm, y_mm, trial.technique.scan.indentation_mm, a_deg, 0.0, c_deg)
    return np.asarray(trial.registration.PhantomToRig @ pose)


def see_bone(trial: Trial, view: View) -> SweepFrame:
    """Bone of one frame."""
    imaging = trial.imaging
    surface = find_bone(
        view.pixels,
        view.ImageToProbe,
        trial.controller.rig.config.probe,
        imaging.depth_mm,
        sound_speed_m_s=imaging.gel.c_m_s,
        assumed_speed_m_s=imaging.assumed_speed_m_s,
    )
    return SweepFrame(surface, view.ProbeToRig)


def longitudinal(trial: Trial) -> State:
    """Two longitudinal sweeps on the target side: over the transverse processes and over the articular processes."""
    scan = trial.technique.scan
    assert scan is not None
    first = trial.log.rescans_n == 0
    offset = (0.0, RESCAN_SHIFT_MM, -RESCAN_SHIFT_MM)[trial.log.rescans_n % 3]
    low, high = scan.sweep_y_mm
    ys = np.arange(low, high + 1e-6, scan.sweep_step_mm)
    lines = []
    for number, x in enumerate(scan.longitudinal_x_mm):
        frames = []
        # There and back: the second line starts where the first one ended.
        for y in ys if number % 2 == 0 else ys[::-1]:
            pose = on_skin(trial, trial.side * (x + offset), float(y), 90.0)
            view = trial.sight.look(pose, "longitudinal", keep=first and abs(y) < 0.6 * scan.sweep_step_mm)
            if trial.log.t_contact_ns is None:
                trial.log.t_contact_ns = trial.now_ns
            frames.append(see_bone(trial, view))
        lines.append((x + offset, tuple(frames)))
    trial.sweep = Sweep(tuple(lines))
    return State.LEVEL_COUNT


def level_count(trial: Trial) -> State:
    """Two independent counts must agree; "not sure" is answered with another sweep, then with the end of the trial."""
    NominalToRig = trial.controller.rig.frames.get("Phantom", "Rig")
    RigToNominal = invert(NominalToRig)
    lines = []
    for x, frames in trial.sweep.lines:
        # Counting works in the nominal Phantom frame, as if the phantom stood exactly where the rig file says.
        placed = [replace(f, ProbeToRig=RigToNominal @ f.ProbeToRig) for f in frames]
        lines.append(stitch(placed, trial.side * x))
    count = count_levels(lines, trial.anatomy.dorsal, process_line=0)
    reason = count.reason
    if count.sure:
        points = np.concatenate(bone_points(trial.sweep.frames))
        fit = fit_anatomy(points, trial.anatomy.surface, NominalToRig @ start_from_shift(count.shift_mm))
        trial.event(
            "level.counted",
            sure=True,
            shift_mm=count.shift_mm,
            count_a_mm=count.count_a_shift_mm,
            count_b_mm=count.count_b_shift_mm,
            contrast=count.fit_contrast,
            fit_rms_mm=fit.rms_mm,
            fit_ok=fit.ok,
            fit_reason=fit.reason,
        )
        if fit.ok:
            trial.registration = registered(fit, trial.sweep.frames)
            return State.TRANSVERSE
        reason = fit.reason
    else:
        trial.event("level.counted", sure=False, reason=reason)
    if trial.log.rescans_n >= RESCANS_MAX_N:
        raise trial.stop(f"level not sure: {reason}")
    trial.log.rescans_n += 1
    return State.LONGITUDINAL
