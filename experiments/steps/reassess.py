"""HOLD -> REASSESS: needle and pump stand; pause, think, and go back, on, or out."""

from __future__ import annotations

import numpy as np

from experiments.protocol.states import State
from experiments.steps.confirm_prediction import predict
from experiments.steps.inject_steps import draw_back
from experiments.steps.landmark import walk_off
from experiments.steps.plan_path import aim_rig
from experiments.steps.redirect import redirect
from experiments.trial.needle_hand import DECLINED
from experiments.trial.trial import Trial
from rig.safety.stop import HoldRequested

PAUSE_S = 2.0
NEAR_MM = 2.0
"""A stop this near the aim point is answered by drawing back a little, not by a new path."""
IMAGE_LOST = "image_lost"
IMAGE_BACK_S = 20.0
"""How long a needle at rest waits for pictures before it is taken out: a scanner that is connected again [A]."""
BONE_SOURCES = ("needle_force", "needle_force_slope")


def reassess(trial: Trial, hold: HoldRequested, state: State) -> State:
    """State after a stop rule; raises ``TrialEnded`` when nothing sensible is left.

    Once anything of the main injection is in, or may be, there is no way back to it: what is in stays in, the
    planned volume would come on top of it, and the rest alone would be another injection than the study asks for.
    """
    trial.controller.wait(PAUSE_S)
    if hold.source == DECLINED:  # a person who cannot is not asked for something else instead
        raise trial.stop(hold.reason)
    if hold.source.startswith(BONE_SOURCES):
        trial.log.bone_contacts_n += 1
    if state is State.BLIND_ADVANCE:
        trial.log.bone_contacts_n -= hold.source.startswith(BONE_SOURCES)
        return walk_off(trial)
    injected = trial.controller.volumes.injected
    if state is State.INJECT and injected.max_ml > 0.0:
        planned_ml = trial.technique.injection.volume_ml
        so_far = f"{injected.min_ml:.3g}" if injected.known else str(injected)
        raise trial.stop(f"held with {so_far} of {planned_ml:g} mL injected, not begun again: {hold.reason}")
    if state in (State.TEST_INJECT, State.INJECT):
        return draw_back(trial, hold.reason)
    if hold.source == IMAGE_LOST and state is State.ADVANCE and _pictures_are_back(trial):
        return State.ADVANCE
    if state in (State.ENTRY, State.ADVANCE):
        if float(np.linalg.norm(aim_rig(trial) - predict(trial).tip_mm)) <= NEAR_MM:
            trial.hand.withdraw(1.0, 1.0)
            return State.AT_TARGET
        return redirect(trial, hold.reason)
    if hold.source == IMAGE_LOST and state in (State.LONGITUDINAL, State.TRANSVERSE, State.OPTIMISE):
        return state
    raise trial.stop(hold.reason)


def _pictures_are_back(trial: Trial) -> bool:
    """The needle rests where it is: nothing is lost by looking again before a good path is given up."""
    try:
        trial.controller.frame(newer_than_ns=trial.now_ns, timeout_s=IMAGE_BACK_S)
    except HoldRequested as hold:
        if hold.source != IMAGE_LOST:
            raise
        return False
    trial.event("pictures_back")
    return True
