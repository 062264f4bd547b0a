"""The steps of a trial, one function per state; what guides the needle is chosen here, once for a trial."""

from collections.abc import Mapping
from functools import partial

from experiments.protocol.states import State
from experiments.steps.advance import advance, entry
from experiments.steps.find_level import level_count, longitudinal
from experiments.steps.finish import checkout, withdraw
from experiments.steps.guides import GUIDES
from experiments.steps.inject_steps import at_target, inject_step, test_inject
from experiments.steps.landmark import blind_advance, palpate
from experiments.steps.plan_path import plan_step
from experiments.steps.prepare import setup
from experiments.steps.reassess import reassess
from experiments.steps.view_target import optimise, transverse
from experiments.trial.trial import Step, Trial

_ALWAYS: Mapping[State, Step] = {
    State.AT_TARGET: at_target,
    State.WITHDRAW: withdraw,
    State.CHECKOUT: checkout,
}
_BY_LANDMARKS: Mapping[State, Step] = {
    **_ALWAYS,
    State.SETUP: partial(setup, then=State.PALPATE),
    State.PALPATE: palpate,
    State.BLIND_ADVANCE: blind_advance,
    State.TEST_INJECT: partial(test_inject, pictures=False),
    State.INJECT: partial(inject_step, pictures=False),
}
_BY_PICTURES: Mapping[State, Step] = {
    **_ALWAYS,
    State.SETUP: partial(setup, then=State.LONGITUDINAL),
    State.LONGITUDINAL: longitudinal,
    State.LEVEL_COUNT: level_count,
    State.TRANSVERSE: transverse,
    State.OPTIMISE: optimise,
    State.TEST_INJECT: partial(test_inject, pictures=True),
    State.INJECT: partial(inject_step, pictures=True),
}


def steps_of(trial: Trial) -> Mapping[State, Step]:
    """The way of a trial, by the needle's plane and by who holds the needle."""
    guide = GUIDES.get((trial.technique.plane, trial.hand.by))
    if guide is None:
        return _BY_LANDMARKS
    return {
        **_BY_PICTURES,
        State.PLAN: partial(plan_step, guide=guide),
        State.ENTRY: partial(entry, guide=guide),
        State.ADVANCE: partial(advance, guide=guide),
    }


__all__ = ["reassess", "steps_of"]
