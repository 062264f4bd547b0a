"""ST6 and ST7: through the skin, then step by step with the tip confirmed before each step."""

from __future__ import annotations

from dataclasses import replace

from experiments.protocol.states import State
from experiments.steps.confirm import confirm_tip
from experiments.steps.confirm_prediction import predict
from experiments.steps.guide import Guide
from experiments.steps.plan_path import aim_rig
from experiments.steps.redirect import redirect
from experiments.steps.steering import steer
from experiments.steps.superficial import advance_superficial, speed_mm_s
from experiments.steps.view_target import pressed
from experiments.trial.trial import Trial
from hal.types import Instruction, InstructionKind

ARRIVED_MM = 0.35
"""Remaining way along the needle at which the tip counts as arrived."""
BEVEL_CHECK_MM = 6.0
TILTS_MAX_N = 3
"""Small tilts of a shallow needle in one go."""


def entry(trial: Trial, guide: Guide) -> State:
    """Needle to its entry point, operator's go, through the skin and the superficial layer."""
    trial.hand.place(trial.path.line, 0.0)
    trial.path = replace(trial.path, empty=guide.take_empty(trial))
    trial.sight.move(pressed(trial, trial.path.plan.ProbeToRig))
    controller = trial.controller
    if controller.rig.operator is not None:
        text = f"needle at the skin for {trial.technique.approach(trial.planned.side)}: go on?"
        answer = controller.ask(Instruction(InstructionKind.CONFIRM, text), 600.0)
        if not answer.done:
            raise trial.stop("the operator did not agree to the entry")
    trial.log.t_skin_ns = trial.log.t_skin_ns or trial.now_ns
    trial.log.punctures_n += 1
    trial.log.passes_n += 1
    trial.event("skin", puncture=trial.log.punctures_n)
    advance_superficial(trial, guide)
    return State.ADVANCE


def advance(trial: Trial, guide: Guide) -> State:
    """Confirm, step, confirm, step ... until the tip stands at the aim point."""
    settings, steering = trial.technique.advance, guide.steering
    goal = aim_rig(trial)
    failures, tilts, deepest_mm = 0, 0, 0.0
    last_bevel_feed = 0.0
    start_ns = trial.now_ns
    if not guide.find(trial):
        return redirect(trial, "the needle was not found in any picture")
    while True:
        if (trial.now_ns - start_ns) * 1e-9 > settings.time_max_s:
            raise trial.stop(f"the needle has been under way for more than {settings.time_max_s:.0f} s")
        guide.follow(trial)
        answer = confirm_tip(trial, guide, fluid=not steering.fluid_last or failures == settings.recovery_cycles_n)
        if answer.confirmed:
            trial.log.confirm(answer.method.value)
            if trial.hand.feed_mm > deepest_mm + 0.3:  # only new ground counts as recovered
                failures, deepest_mm = 0, trial.hand.feed_mm
        else:
            failures += 1
            if failures > settings.recovery_cycles_n:
                return steering.lost(trial, guide, answer.reason)
        trial.log.steps_n += 1
        prediction = predict(trial)
        to_go = goal - prediction.tip_mm
        remaining = float(to_go @ prediction.direction) - trial.short_of_mm
        if remaining <= ARRIVED_MM and answer.confirmed:
            aside = steering.beside(trial, goal)
            return steering.again(trial, guide, aside) if aside else State.AT_TARGET
        if not answer.confirmed:
            # Not sure: a step back along the known track, and look again.
            back = min(2.0, max(0.0, trial.hand.feed_mm - 3.0))
            trial.hand.withdraw(back, settings.near_speed_mm_s)
            continue
        off = steering.off_course(trial, goal)
        if remaining > settings.near_zone_mm:
            if off:
                return steering.again(trial, guide, off)
            if tilts < TILTS_MAX_N and steering.tilted(trial, goal):
                tilts += 1
                continue
        if trial.hand.feed_mm - last_bevel_feed >= BEVEL_CHECK_MM and remaining > 4.0:
            last_bevel_feed = trial.hand.feed_mm
            steer(trial, goal)
        step = settings.far_step_mm if remaining > settings.near_zone_mm else settings.near_step_mm
        step = max(0.1, min(step, remaining, trial.hand.step_max_mm))
        slow = remaining <= settings.near_bone_zone_mm
        trial.hand.advance(step, settings.near_speed_mm_s if slow else speed_mm_s(trial, trial.hand.feed_mm + step))
        trial.log.blind_longest_mm = max(trial.log.blind_longest_mm, trial.controller.travel.since_confirmed_mm)
        if trial.hand.feed_mm > trial.path.plan.feed_mm + trial.path_rules.depth_beyond_mm:
            return redirect(trial, f"more than {trial.path_rules.depth_beyond_mm:g} mm deeper than planned")
