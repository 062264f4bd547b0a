"""The arm without ultrasound: palpate, place by hand from the mark, advance by feel to the nominal depth."""

from __future__ import annotations

from experiments.protocol.states import State
from experiments.trial.log import unit
from experiments.trial.needle_hand import by_person
from experiments.trial.trial import Trial
from hal.types import Instruction, InstructionKind, NeedlePose
from rig.guidance.needle_line import direction_from_angles

PALPATE_S = 600.0
SHORT_MM = 6.0
"""A hand that stopped this much before the nominal depth has met bone."""
WALK_OFF_DEG = ((0.0, 0.0), (-4.0, 0.0), (0.0, 8.0), (-4.0, 8.0), (0.0, -8.0), (-8.0, 0.0), (-8.0, 8.0))
"""Changes of lateral angle and tilt after bone contact, one after the other: steeper (lateral of the facet),
from cranial (caudally off the transverse process), both, from caudal [A]."""


def palpate(trial: Trial) -> State:
    """The operator finds the level with the fingers and marks the skin."""
    landmark = trial.technique.landmark
    assert landmark is not None
    trial.log.t_contact_ns = trial.now_ns
    text = f"palpate {landmark.palpate} and mark it"
    answer = trial.controller.ask(Instruction(InstructionKind.PALPATE, text, manner=(landmark.palpate,)), PALPATE_S)
    if not answer.done:
        raise trial.stop("the landmark could not be palpated")
    trial.log.t_plan_ns = trial.now_ns
    trial.event("palpated", landmark=landmark.palpate)
    return State.BLIND_ADVANCE


def blind_advance(trial: Trial) -> State:
    """From the mark along the nominal direction to the nominal depth; at bone a little back and past it."""
    landmark, advance, hand = trial.technique.landmark, trial.technique.advance, by_person(trial.hand)
    assert landmark is not None
    turn, lean = WALK_OFF_DEG[min(trial.log.redirections_n, len(WALK_OFF_DEG) - 1)]
    lateral, tilt = landmark.lateral_deg + turn, landmark.tilt_deg + lean
    dx, dy = landmark.entry_offset_mm
    pose = NeedlePose(trial.side * dx, dy, trial.side * lateral, tilt, 0.0)
    hand.place_pose(
        pose,
        f"Needle {dx:.0f} mm lateral and {dy:+.0f} mm cranial of the mark, {lateral:.0f} deg towards the midline; "
        "tip on the skin",
        ("from_mark",),
    )
    trial.log.planned_axis = unit(direction_from_angles(trial.side * lateral, tilt))
    trial.log.t_skin_ns = trial.log.t_skin_ns or trial.now_ns
    trial.log.punctures_n += 1
    trial.log.passes_n += 1
    first = landmark.depth_mm - advance.near_bone_zone_mm
    hand.advance(first, advance.speed_mm_s)
    if hand.feed_mm >= first - SHORT_MM:
        hand.advance(landmark.depth_mm - hand.feed_mm, advance.near_speed_mm_s)
    trial.log.steps_n += 2
    trial.log.unconfirmed_mm += max(0.0, hand.feed_mm)
    trial.log.blind_longest_mm = max(trial.log.blind_longest_mm, hand.feed_mm)
    trial.event("advanced", feed_mm=hand.feed_mm, intended_mm=landmark.depth_mm)
    if hand.feed_mm < landmark.depth_mm - SHORT_MM:
        return walk_off(trial)
    return State.AT_TARGET


def walk_off(trial: Trial) -> State:
    """Bone before the nominal depth: needle out, a little steeper from lateral, again."""
    trial.log.bone_contacts_n += 1
    trial.log.redirections_n += 1
    trial.event("redirection", number=trial.log.redirections_n, reason="bone by feel")
    if trial.log.redirections_n > trial.technique.advance.redirections_max_n:
        raise trial.stop("more redirections than allowed, every time bone")
    trial.hand.out()
    if trial.witness is not None:
        trial.witness.insertion_done()
    return State.BLIND_ADVANCE
