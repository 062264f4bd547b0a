"""Readings between two trials, when nothing moves: there a hold is waited out and ends nothing."""

from __future__ import annotations

from typing import TypeVar

from hal.errors import SafetyStop
from rig.control.controller import Controller
from rig.roles import Role
from rig.safety.stop import HoldRequested

T = TypeVar("T")
ATTEMPTS_MAX_N = 4
"""A condition is reported once while it lasts: more attempts than stop rules that could fire in a row [A]."""


def read_at_rest(controller: Controller, role: Role[T]) -> T:
    """Read a role once nobody asks for a pause any more.

    A foot on the pedal or a contact is journalled and the reading asked for again: there is no technique yet that could
    answer it. Raises ``SafetyStop`` when stop rules keep firing or a pause lasts too long.
    """
    for _ in range(ATTEMPTS_MAX_N):
        try:
            controller.wait_out_pause()
            value = controller.read(role)
            controller.wait_out_pause()
            return value
        except HoldRequested as hold:
            last = hold
            controller.journal.append("hold_between_trials", {"source": hold.source, "reason": hold.reason})
    raise SafetyStop(f"stop rules kept firing between two trials: {last.reason}", source=last.source)
