"""Bringing a rig to rest: the person first, then whatever can be reached beside the lanes, then the lanes, proven.

``safe_state`` knows order and deadlines; here is what surrounds it: once per incident, told, and written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hal.clock import Clock
from hal.types import MotionMode, SafeReport
from rig.assemble import Rig
from rig.safety.safe_state import ORDER as ACTUATORS
from rig.safety.safe_state import make_safe

__all__ = ["ACTUATORS", "Halt"]


class Halt:
    """The safe state of one rig."""

    def __init__(
        self, rig: Rig, clock: Clock, note: Callable[[str, dict[str, Any]], None], disarm: Callable[[], None]
    ) -> None:
        self._rig = rig
        self._clock = clock
        self._note = note
        """Writes to the journal, and never raises: a full disk must not keep the pump running."""
        self._disarm = disarm
        """Ends the lanes' own stops; called when nothing more can hang before the safe state is commanded."""
        self._reports: tuple[SafeReport, ...] | None = None

    def forget(self) -> None:
        """The incident is over: the next one is made safe anew."""
        self._reports = None

    def interrupt(self, roles: Iterable[str]) -> None:
        """At once and beside the lanes: a person who pushes is told, a command that has not begun is not begun."""
        for role in roles:
            interrupt = getattr(getattr(self._rig, role, None), "interrupt", None)
            if interrupt is not None:
                try:
                    interrupt()
                except Exception as error:  # the stop itself must follow
                    self._note("interrupt_failed", {"device": role, "error": str(error)})

    def make_safe(self, reason: str, *, tell: bool, stopped: bool) -> tuple[SafeReport, ...]:
        """Everything to rest, once per incident; ``stopped``: a person is told why the rig stands."""
        if self._reports is None:
            self._reports = ()
            told = self._tell_the_hand() if tell else ()
            self.interrupt(ACTUATORS)
            self._disarm()
            self._reports = (*make_safe(self._rig, self._clock), *told)
            reports = [{"device": r.device, "safe": r.safe, "detail": r.detail} for r in self._reports]
            self._note("make_safe", {"reason": reason, "reports": reports})
            if stopped:
                self._say_why(reason)
        return self._reports

    def _say_why(self, reason: str) -> None:
        if self._rig.operator is None:
            return
        unproven = [r for r in self._reports or () if not r.safe and r.device != "operator"]
        moving = "; ".join(f"{r.device} NOT proven safe ({r.detail})" for r in unproven)
        warning = f" {moving}: cut its power." if moving else ""
        self._rig.operator.show(f"The rig has stopped: {reason}.{warning} Leave the needle where it is.")

    def _tell_the_hand(self) -> tuple[SafeReport, ...]:
        """A person at the needle stops faster than any line: told first, and told is not proven."""
        operator = self._rig.operator
        if operator is None:
            return ()
        try:
            return (operator.make_safe(self._clock.deadline(0.0)),)
        except Exception as error:
            return (SafeReport("operator", False, f"could not be told: {error}"),)

    def still_moving(self) -> tuple[str, ...]:
        """Actuators that say themselves, by their newest reading, that they have not come to rest."""
        newest = {
            role: channel.sample.value
            for role in ACTUATORS
            if (channel := self._rig.channels.get(role)) is not None and channel.sample is not None
        }
        return tuple(
            role
            for role, state in newest.items()
            if (state.running if role == "pump" else state.mode is MotionMode.MOVING)
        )
