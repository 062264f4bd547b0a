"""The steps of a trial, one function per state."""

from experiments.protocol.states import State
from experiments.steps.advance import advance, entry
from experiments.steps.find_level import level_count, longitudinal
from experiments.steps.finish import checkout, withdraw
from experiments.steps.inject_steps import at_target, inject_step, test_inject
from experiments.steps.landmark import blind_advance, palpate
from experiments.steps.plan_path import plan_step
from experiments.steps.prepare import setup
from experiments.steps.reassess import reassess
from experiments.steps.view_target import optimise, transverse
from experiments.trial.trial import Step

STEPS: dict[State, Step] = {
    State.SETUP: setup,
    State.LONGITUDINAL: longitudinal,
    State.LEVEL_COUNT: level_count,
    State.TRANSVERSE: transverse,
    State.OPTIMISE: optimise,
    State.PLAN: plan_step,
    State.ENTRY: entry,
    State.ADVANCE: advance,
    State.AT_TARGET: at_target,
    State.TEST_INJECT: test_inject,
    State.INJECT: inject_step,
    State.WITHDRAW: withdraw,
    State.CHECKOUT: checkout,
    State.PALPATE: palpate,
    State.BLIND_ADVANCE: blind_advance,
}

__all__ = ["STEPS", "reassess"]
