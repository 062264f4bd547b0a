"""A path that is given up: the needle leaves the gel, and another way to the aim point is planned."""

from __future__ import annotations

from experiments.protocol.states import State
from experiments.trial.trial import Trial


def redirect(trial: Trial, reason: str) -> State:
    """Give this path up: out of the gel, and plan another one that differs."""
    count_redirection(trial, reason)
    trial.hand.out()
    if trial.witness is not None:
        trial.witness.insertion_done()
    if trial.hand.repeatable:
        trial.given_up = (*trial.given_up, trial.path.plan)
    return State.PLAN


def count_redirection(trial: Trial, reason: str) -> None:
    """One more; raises ``TrialEnded`` when the technique allows no further one."""
    trial.log.redirections_n += 1
    trial.event("redirection", number=trial.log.redirections_n, reason=reason)
    if trial.log.redirections_n > trial.technique.advance.redirections_max_n:
        raise trial.stop(f"more than {trial.technique.advance.redirections_max_n} redirections; last: {reason}")


def note_lost(trial: Trial, reason: str) -> str:
    """The tip was not confirmed after the recovery cycles; returns why the way ends here."""
    trial.log.holds.append("tip_lost")
    trial.event("hold", source="tip_lost", reason=reason, state=State.ADVANCE.value)
    return f"tip not confirmed: {reason}"
