"""ST8-ST10: at the target, reference reading, test injection, injection under watched pressure."""

from __future__ import annotations

import numpy as np

from experiments.protocol.states import State
from experiments.steps.confirm import detections
from experiments.steps.confirm_prediction import predict
from experiments.steps.plan_path import aim_rig
from experiments.trial.injection import inject_in
from experiments.trial.reference import note_reference
from experiments.trial.trial import Trial
from experiments.trial.uncertainty import write_uncertainty
from hal.types import Instruction, InstructionKind
from rig.guidance.needle_motion import find_fluid
from rig.safety.pressure import Verdict

RETRIES_MAX_N = 2
BACK_MM = 1.0


def at_target(trial: Trial) -> State:
    """The operator agrees; the needle rests while the reference instrument is read."""
    trial.log.t_final_ns = trial.now_ns
    trial.log.believed_aim_rig_mm = aim_rig(trial)
    if trial.controller.rig.operator is not None:
        answer = trial.controller.ask(Instruction(InstructionKind.AT_TARGET, "needle at the target: agreed?"), 600.0)
        if not answer.done:
            raise trial.stop("the operator does not agree that the needle is at the target")
    note_reference(trial, "before_test")
    return State.TEST_INJECT


def test_inject(trial: Trial, *, pictures: bool) -> State:
    """A small injection: it must flow, and where there are pictures it should show at the tip."""
    injection = trial.technique.injection
    before = trial.sight.take("test before") if pictures else None
    result = inject_in(trial, injection.test_ml, injection.rate_ml_min, test=True)
    if before is not None:
        after = trial.sight.take("test after")
        seen = find_fluid(
            before.pixels,
            after.pixels,
            trial.imaging.image_to_probe(after),
            after.ProbeToRig,
            predict(trial).tip_mm,
            injection.test_ml,
        )
        trial.event(
            "spread", found=seen.found, reason=seen.reason, distance_mm=seen.distance_mm, area_mm2=seen.area_mm2
        )
    if result.verdict in (Verdict.FLOWING, Verdict.UNMONITORED):
        return State.INJECT
    if result.verdict is Verdict.STOPPED:
        raise trial.stop(f"the test injection was stopped: {result.reason}")
    trial.log.holds.append("tip_pressure")
    trial.event("hold", source="tip_pressure", reason=result.reason, state=State.TEST_INJECT.value)
    return draw_back(trial, result.reason)


def draw_back(trial: Trial, reason: str) -> State:
    """High pressure or a blocked tip: a little back, and test again; then the trial ends."""
    trial.log.pull_backs_n += 1
    left = trial.technique.injection.test_total_max_ml - trial.log.test_ml
    if trial.log.pull_backs_n > RETRIES_MAX_N or left < trial.technique.injection.test_ml:
        raise trial.stop(f"injection pressure: {reason}")
    trial.hand.withdraw(BACK_MM, 1.0)
    trial.pulled_back(BACK_MM)
    return State.TEST_INJECT


def inject_step(trial: Trial, *, pictures: bool) -> State:
    """The injection itself; the reference tip at its start is the tip of record. It is begun once in a trial."""
    injection = trial.technique.injection
    note_reference(trial, "at_injection")
    write_uncertainty(trial)
    if pictures:
        view = trial.sight.take("before injection")
        trial.sight.keep(view, "at_injection", detections(view, trial.log.confirmed_tip_rig_mm))
        RigToPhantom = np.linalg.inv(trial.registration.PhantomToRig)
        trial.log.image_axes = np.asarray(RigToPhantom[:3, :3] @ view.ProbeToRig[:3, :3]).T
    result = inject_in(trial, injection.volume_ml, injection.rate_ml_min, test=False)
    if result.verdict not in (Verdict.FLOWING, Verdict.UNMONITORED):
        if result.verdict is not Verdict.STOPPED:
            trial.log.holds.append("tip_pressure")
        raise trial.stop(f"the injection was stopped: {result.reason}")
    note_reference(trial, "before_withdrawal")
    return State.WITHDRAW
