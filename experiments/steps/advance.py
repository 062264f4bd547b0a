"""ST6 and ST7: through the skin, then step by step with the tip confirmed before each step."""

from __future__ import annotations

import numpy as np

from experiments.protocol.states import State
from experiments.steps.confirm import acquire, confirm_tip
from experiments.steps.confirm_in_plane import follow_tip, take_empty_frames
from experiments.steps.confirm_out_of_plane import take_empty_planes
from experiments.steps.confirm_prediction import predict
from experiments.steps.freehand import acquire_by_hand, confirm_by_fan, confirm_by_sweep, take_empty_grid
from experiments.steps.plan_path import aim, first_seen_feed_mm
from experiments.steps.turning import BACK_TO_MM, SHALLOW_MM, SMALL_MM, STEER_MM, outlook, turn_towards
from experiments.steps.view_target import pressed
from experiments.trial.trial import Trial
from hal.types import Instruction, InstructionKind, Vector
from rig.guidance.bending import advise_bevel
from rig.guidance.needle_line import NeedleLine

SHAFT_SEEN_MM = 16.0
"""Length of shaft in the picture from which a view can confirm the tip."""
ARRIVED_MM = 0.35
"""Remaining way along the needle at which the tip counts as arrived."""
MISS_LIMIT_MM = 3.5
"""Predicted miss across the needle at which the path is given up for a new one."""
BEVEL_CHECK_MM = 6.0
HAND_STEP_MM = 1.6
"""What a person is asked for at a time, so that a step that comes out longer stays under 2 mm."""
DEEPER_MM = 4.0
"""Superficial advance by hand when the needle is not in any picture yet."""
TURNS_MAX_N = 3
"""Small tilts of a shallow needle in one go."""


def aim_rig(trial: Trial) -> Vector:
    """The aim point as registered, Rig frame."""
    T = trial.PhantomToRig
    return np.asarray(T[:3, :3] @ aim(trial).fixed_mm + T[:3, 3])


def entry(trial: Trial) -> State:
    """Needle to its entry point, operator's go, through the skin and the superficial layer."""
    assert trial.plan is not None
    trial.hand.place(NeedleLine(trial.plan.entry_mm, trial.plan.direction), 0.0)
    if trial.technique.plane == "in_plane" and trial.guidance == "freehand":
        take_empty_grid(trial)
    elif trial.technique.plane == "in_plane":
        take_empty_frames(trial)
    else:
        take_empty_planes(trial)
    trial.sight.move(pressed(trial, trial.plan.ProbeToRig))
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
    _superficial(trial)
    return State.ADVANCE


def _superficial(trial: Trial) -> None:
    """The first stretch lies outside any picture: advanced by feed alone, counted as unconfirmed travel."""
    goal = _superficial_mm(trial)
    start = trial.hand.feed_mm
    trial.hand.advance(goal - start, _speed_mm_s(trial, goal), blind=True)
    trial.controller.travel.allow_here()
    trial.log.unconfirmed_mm += goal - max(0.0, start)
    trial.log.steps_n += 1


def _speed_mm_s(trial: Trial, to_feed_mm: float) -> float:
    """Fast only as far as the plan declares the path free of bone."""
    settings = trial.technique.advance
    return settings.speed_mm_s if to_feed_mm <= trial.controller.travel.clear_to_mm else settings.near_speed_mm_s


def _superficial_mm(trial: Trial) -> float:
    """Feed to which the needle goes before it is looked for."""
    advance = trial.technique.advance
    assert trial.plan is not None
    deepest = advance.superficial_mm / max(0.3, float(trial.plan.direction[2]))
    goal = deepest
    if trial.technique.plane == "in_plane":
        # As soon as enough shaft is in the picture, the picture decides.
        goal = min(deepest, first_seen_feed_mm(trial.plan, trial.controller.rig.config.probe) + SHAFT_SEEN_MM)
    return min(goal, trial.plan.feed_mm - 10.0)


def advance(trial: Trial) -> State:
    """Confirm, step, confirm, step ... until the tip stands at the aim point."""
    settings = trial.technique.advance
    goal = aim_rig(trial)
    failures, deepest_mm = 0, 0.0
    last_bevel_feed = 0.0
    start_ns = trial.now_ns
    assert trial.plan is not None
    by_hand, turns = trial.guidance == "freehand", 0
    direct = (confirm_by_sweep if trial.technique.plane == "in_plane" else confirm_by_fan) if by_hand else None
    if not by_hand:
        acquire(trial)
    elif not _find(trial):
        return redirect(trial, "the needle was not found in any picture")
    while True:
        if (trial.now_ns - start_ns) * 1e-9 > settings.time_max_s:
            raise trial.stop(f"the needle has been under way for more than {settings.time_max_s:.0f} s")
        if not by_hand:
            follow_tip(trial)
        # Fluid changes the picture against which a hand's needle is searched: it is the last thing to try.
        answer = confirm_tip(trial, direct, fluid=not by_hand or failures == settings.recovery_cycles_n)
        if answer.confirmed:
            trial.log.confirm(answer.method.value)
            if trial.hand.feed_mm > deepest_mm + 0.3:  # only new ground counts as recovered
                failures, deepest_mm = 0, trial.hand.feed_mm
        else:
            failures += 1
            if failures > settings.recovery_cycles_n:
                return lost(trial, answer.reason) if not by_hand else _lost_by_hand(trial, answer.reason)
        trial.log.steps_n += 1
        prediction = predict(trial)
        to_go = goal - prediction.tip_mm
        remaining = float(to_go @ prediction.direction) - trial.short_of_mm
        if remaining <= ARRIVED_MM and answer.confirmed:
            if by_hand and outlook(trial, goal).miss_mm > STEER_MM:
                return _again(trial, f"the tip stands {outlook(trial, goal).miss_mm:.1f} mm beside the aim point")
            return State.AT_TARGET
        if not answer.confirmed:
            # Not sure: a step back along the known track, and look again.
            back = min(2.0, max(0.0, trial.hand.feed_mm - 3.0))
            trial.hand.withdraw(back, settings.near_speed_mm_s)
            continue
        if by_hand and remaining > settings.near_zone_mm:
            ahead = outlook(trial, goal)
            if ahead.beyond_steering and trial.hand.feed_mm > SHALLOW_MM:
                return _again(trial, f"the needle would pass the aim point at {ahead.miss_mm:.1f} mm")
            if ahead.miss_mm > SMALL_MM and trial.hand.feed_mm <= SHALLOW_MM and turns < TURNS_MAX_N:
                turns += 1
                turn_towards(trial, goal)
                continue
        miss = 0.0 if by_hand else _predicted_miss(trial, goal)
        if miss > MISS_LIMIT_MM and remaining > settings.near_zone_mm:
            return redirect(trial, f"the needle would pass the aim point at {miss:.1f} mm")
        if trial.hand.feed_mm - last_bevel_feed >= BEVEL_CHECK_MM and remaining > 4.0:
            last_bevel_feed = trial.hand.feed_mm
            _steer(trial, goal)
        step = settings.far_step_mm if remaining > settings.near_zone_mm else settings.near_step_mm
        # A turn of the bevel moves the tip of a needle with run-out a little: that is travel since it was confirmed.
        most = HAND_STEP_MM if by_hand else trial.controller.travel.room_mm
        step = max(0.1, min(step, remaining, most))
        slow = remaining <= settings.near_bone_zone_mm
        trial.hand.advance(step, settings.near_speed_mm_s if slow else _speed_mm_s(trial, trial.hand.feed_mm + step))
        trial.log.blind_longest_mm = max(trial.log.blind_longest_mm, trial.controller.travel.since_confirmed_mm)
        if trial.hand.feed_mm > trial.plan.feed_mm + trial.path_rules.depth_beyond_mm:
            return redirect(trial, f"more than {trial.path_rules.depth_beyond_mm:g} mm deeper than planned")


def _predicted_miss(trial: Trial, goal: Vector) -> float:
    """Distance at which the rest of the way would pass the aim point with the best use of the bevel."""
    assert trial.bending is not None
    return advise_bevel(trial.bending, trial.hand.feed_mm, goal, gain_mm=0.0).miss_with_mm


def _steer(trial: Trial, goal: Vector) -> None:
    assert trial.bending is not None
    advice = advise_bevel(trial.bending, trial.hand.feed_mm, goal)
    if advice.flip:
        trial.hand.turn_bevel(advice.bevel_deg)
        trial.bending = trial.bending.with_bevel(trial.hand.feed_mm, advice.bevel_deg)
        trial.event(
            "bevel",
            bevel_deg=advice.bevel_deg,
            miss_without_mm=advice.miss_without_mm,
            miss_with_mm=advice.miss_with_mm,
        )


def _find(trial: Trial) -> bool:
    """By hand: look for the needle; go on a little in the superficial layer when it is in no picture yet."""
    assert trial.plan is not None
    deepest = trial.technique.advance.superficial_mm / max(0.3, float(trial.plan.direction[2]))
    while not acquire_by_hand(trial):
        further = min(DEEPER_MM, deepest - trial.hand.feed_mm)
        if further < 1.0:
            return False
        trial.hand.advance(further, _speed_mm_s(trial, trial.hand.feed_mm + further), blind=True)
        trial.controller.travel.allow_here()
        trial.log.unconfirmed_mm += further
        trial.log.steps_n += 1
    trial.controller.travel.allow_here()
    return True


def _again(trial: Trial, reason: str) -> State:
    """By hand: back to the superficial layer, change the angle by so much, and go in again from there."""
    _count_redirection(trial, reason)
    goal = aim_rig(trial)
    trial.hand.withdraw(max(0.0, trial.hand.feed_mm - BACK_TO_MM), trial.technique.advance.speed_mm_s)
    trial.controller.travel.confirm()  # a new way begins here: what was confirmed deeper does not count for it
    trial.log.passes_n += 1
    _steer(trial, goal)
    if outlook(trial, goal).miss_mm > SMALL_MM:
        turn_towards(trial, goal)
    _superficial(trial)
    return State.ADVANCE


def _lost_by_hand(trial: Trial, reason: str) -> State:
    trial.log.holds.append("tip_lost")
    trial.event("hold", source="tip_lost", reason=reason, state=State.ADVANCE.value)
    if trial.hand.feed_mm > BACK_TO_MM + 5.0 and not trial.log.test_ml:
        return _again(trial, f"tip not confirmed: {reason}")
    return redirect(trial, f"tip not confirmed: {reason}")


def lost(trial: Trial, reason: str) -> State:
    """The tip was not confirmed after the recovery cycles: withdraw and take another path."""
    trial.log.holds.append("tip_lost")
    trial.event("hold", source="tip_lost", reason=reason, state=State.ADVANCE.value)
    return redirect(trial, f"tip not confirmed: {reason}")


def redirect(trial: Trial, reason: str) -> State:
    """Give this path up: out of the gel, and plan another one that differs."""
    _count_redirection(trial, reason)
    trial.hand.out()
    if trial.witness is not None:
        trial.witness.insertion_done()
    if trial.plan is not None and trial.guidance != "freehand":  # a hand errs at random: the path itself was good
        trial.refused.append(trial.plan)
    return State.PLAN


def _count_redirection(trial: Trial, reason: str) -> None:
    trial.log.redirections_n += 1
    trial.event("redirection", number=trial.log.redirections_n, reason=reason)
    if trial.log.redirections_n > trial.technique.advance.redirections_max_n:
        raise trial.stop(f"more than {trial.technique.advance.redirections_max_n} redirections; last: {reason}")
