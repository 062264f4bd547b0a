"""ST3 and ST4: turn to transverse over the level, register the bone around the target, find a view that sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.protocol.states import State
from experiments.steps.find_level import on_skin, see_bone
from experiments.trial.registration import bone_points, registered
from experiments.trial.trial import Trial
from hal.types import Matrix, Vector
from rig.geometry.transforms import from_pose6, invert, to_pose6
from rig.guidance.lumbar.anatomy_fit import refine_level
from rig.guidance.lumbar.landmarks import check_registration, find_landmarks, frame_slice, model_slice
from rig.guidance.view import best_predicted_view, judge_view, next_move


def transverse(trial: Trial) -> State:
    """Transverse frames around the level, then the local registration of the bone beside the root."""
    scan, globally = trial.technique.scan, trial.registration.fit
    assert scan is not None and globally is not None
    centre = trial.target.nerve_centre_mm
    x = trial.side * max(24.0, abs(float(centre[0])))
    checks = []
    RigToNominal = invert(trial.controller.rig.frames.get("Phantom", "Rig"))
    for dy in np.arange(-scan.transverse_span_mm, scan.transverse_span_mm + 1e-6, scan.transverse_step_mm):
        view = trial.sight.look(on_skin(trial, x, float(centre[1] + dy), 0.0), "transverse", keep=abs(dy) < 1e-6)
        frame = see_bone(trial, view)
        trial.sweep = replace(trial.sweep, across=(*trial.sweep.across, frame))
        # Slices are cut across the nominal midline: in the nominal Phantom frame, wherever the phantom stands.
        ProbeToNominal = RigToNominal @ frame.ProbeToRig
        seen = find_landmarks(frame_slice(frame.surface, ProbeToNominal, trial.side))
        model = model_slice(trial.anatomy.dorsal, RigToNominal @ globally.PhantomToRig, ProbeToNominal, trial.side)
        checks.append(check_registration(seen, find_landmarks(model)))
    frames = trial.sweep.frames
    local = refine_level(np.concatenate(bone_points(frames)), trial.anatomy.surface, globally, centre)
    if local.ok:
        trial.registration = registered(local, frames, before=trial.registration)
    trial.event(
        "level.registered",
        local=local.ok,
        reason=local.reason,
        rms_mm=local.rms_mm,
        points_n=local.points_n,
        target_sd_mm=(local if local.ok else globally).point_sd_mm(centre),
        target_sound_u_mm=trial.imaging.depth_u_mm(target_rig(trial), frames[-1].ProbeToRig),
        landmarks_compared_n=sum(bool(c.differences_mm) for c in checks),
        landmarks_sure_n=sum(c.sure for c in checks),
    )
    return State.OPTIMISE


def target_rig(trial: Trial) -> Vector:
    """Centre of the root as registered now, Rig frame."""
    return trial.registration.to_rig(trial.target.nerve_centre_mm)


def pressed(trial: Trial, ProbeToRig: Matrix) -> Matrix:
    """The same view with the face pressed into the skin."""
    assert trial.technique.scan is not None
    out = ProbeToRig.copy()
    out[2, 3] += trial.technique.scan.indentation_mm
    return out


def optimise(trial: Trial) -> State:
    """The view that the registered bone promises most for, judged in the image, then small moves one at a time."""
    scan, rig, PhantomToRig = trial.technique.scan, trial.controller.rig, trial.registration.PhantomToRig
    assert scan is not None
    target = target_rig(trial)
    skin_z = float(PhantomToRig[2, 3])
    promised = best_predicted_view(target, rig.config.probe, trial.anatomy.phantom.bone_distance, PhantomToRig, skin_z)
    pose = pressed(trial, promised.ProbeToRig)
    best, best_pose = None, pose
    for number in range(scan.optimise_moves_n):
        view = trial.sight.look(pose, "optimise")
        frame = see_bone(trial, view)
        quality = judge_view(
            view.pixels,
            view.ImageToProbe,
            view.ProbeToRig,
            frame.surface,
            rig.config.probe,
            target,
            trial.imaging.depth_mm,
        )
        trial.event(
            "view.judged", number=number, good=quality.good, reason=quality.reason, open_fraction=quality.open_fraction,
            snr_db=quality.snr_db, depth_fraction=quality.depth_fraction, plane_offset_mm=quality.plane_offset_mm,
        )  # fmt: skip
        if best is None or quality.open_fraction > best.open_fraction:
            best, best_pose = quality, pose
        if quality.open_fraction >= scan.clear_aperture and abs(quality.plane_offset_mm) <= 2.0:
            break
        move = next_move(number, quality, trial.side)
        if move.dof == "none":
            break
        axes = to_pose6(pose)
        pose = from_pose6(replace(axes, **{move.dof: getattr(axes, move.dof) + move.amount}))
    assert best is not None
    trial.event("view.chosen", open_fraction=best.open_fraction, promised=promised.open_fraction, good=best.good)
    trial.sight.look(best_pose, "view", keep=True)
    if best.open_fraction < 0.5 * scan.clear_aperture:
        raise trial.stop(f"no view of the target: {best.reason}")
    return State.PLAN
