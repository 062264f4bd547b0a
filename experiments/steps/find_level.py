"""ST1 and ST2: longitudinal sweep, level counted from the sacrum, anatomy laid on the bone that was seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.protocol.states import State
from experiments.trial.sight import View
from experiments.trial.trial import Trial
from experiments.trial.uncertainty import bone_points, note_registration
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
    return np.asarray(trial.PhantomToRig @ pose)


def see_bone(trial: Trial, view: View) -> SweepFrame:
    """Bone of one frame, kept for the registration."""
    rig = trial.controller.rig
    surface = find_bone(
        view.pixels,
        view.ImageToProbe,
        rig.config.probe,
        trial.imaging_depth_mm,
        sound_speed_m_s=trial.sound_speed_m_s,
        assumed_speed_m_s=trial.assumed_speed_m_s,
    )
    frame = SweepFrame(surface, view.ProbeToRig)
    trial.seen.append(frame)
    return frame


def longitudinal(trial: Trial) -> State:
    """Two longitudinal sweeps on the target side: over the transverse processes and over the articular processes."""
    scan = trial.technique.scan
    assert scan is not None
    trial.sweep = []
    trial.seen = []
    offset = (0.0, RESCAN_SHIFT_MM, -RESCAN_SHIFT_MM)[trial.rescans_n % 3]
    low, high = scan.sweep_y_mm
    ys = np.arange(low, high + 1e-6, scan.sweep_step_mm)
    for number, x in enumerate(scan.longitudinal_x_mm):
        frames = []
        # There and back: the second line starts where the first one ended.
        for y in ys if number % 2 == 0 else ys[::-1]:
            pose = on_skin(trial, trial.side * (x + offset), float(y), 90.0)
            view = trial.sight.look(
                pose, "longitudinal", keep=trial.rescans_n == 0 and abs(y) < 0.6 * scan.sweep_step_mm
            )
            if trial.log.t_contact_ns is None:
                trial.log.t_contact_ns = trial.now_ns
            frames.append(see_bone(trial, view))
        trial.sweep.append(frames)
    return State.LEVEL_COUNT


def level_count(trial: Trial) -> State:
    """Two independent counts must agree; "not sure" is answered with another sweep, then with the end of the trial."""
    scan = trial.technique.scan
    assert scan is not None
    offset = (0.0, RESCAN_SHIFT_MM, -RESCAN_SHIFT_MM)[trial.rescans_n % 3]
    NominalToRig = trial.controller.rig.frames.get("Phantom", "Rig")
    RigToNominal = invert(NominalToRig)
    lines = []
    for frames, x in zip(trial.sweep, scan.longitudinal_x_mm, strict=True):
        # Counting works in the nominal Phantom frame, as if the phantom stood exactly where the rig file says.
        placed = [replace(f, ProbeToRig=RigToNominal @ f.ProbeToRig) for f in frames]
        lines.append(stitch(placed, trial.side * (x + offset)))
    count = count_levels(lines, trial.anatomy.dorsal, process_line=0)
    reason = count.reason
    if count.sure:
        points = np.concatenate(bone_points(trial))
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
            trial.count = count
            trial.PhantomToRig = fit.PhantomToRig
            trial.fit = fit
            note_registration(trial, fit)
            return State.TRANSVERSE
        reason = fit.reason
    else:
        trial.event("level.counted", sure=False, reason=reason)
    if trial.rescans_n >= RESCANS_MAX_N:
        raise trial.stop(f"level not sure: {reason}")
    trial.rescans_n += 1
    return State.LONGITUDINAL
