"""Bringing a rig to rest: first what is reachable without the lanes, then the lanes, the messages and the proof.

``safe_state`` knows order and deadlines; this module does the rest: once per incident, with a message, written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hal.clock import Clock
from hal.types import MotionMode, SafeReport
from rig.devices import Rig
from rig.safety.safe_state import ORDER as ACTUATORS
from rig.safety.safe_state import PERSON, await_safe, command_safe
from rig.safety.stop import Trip

__all__ = ["ACTUATORS", "Halt"]

SAY_S = 0.2
"""Longest wait for a terminal to take a line [A]."""


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
        self._failed: list[dict[str, Any]] = []
        """Devices that could not be interrupted and are not journalled yet."""

    def forget(self) -> None:
        """End the incident: the next one brings the rig to rest anew."""
        self._reports = None

    def interrupt(self, roles: Iterable[str]) -> None:
        """Interrupt at once, without the lanes: a person who pushes is told to stop, a waiting command is not begun."""
        failed: list[dict[str, Any]] = []
        for role in roles:
            interrupt = getattr(getattr(self._rig, role, None), "interrupt", None)
            if interrupt is not None:
                try:
                    interrupt()
                except Exception as error:  # the stop itself must follow
                    failed.append({"device": role, "error": str(error)})
        self._failed.extend(failed)

    def make_safe(self, reason: str, *, tell: bool, trip: Trip | None = None) -> tuple[SafeReport, ...]:
        """Bring everything to rest, once per incident. ``trip``: what stopped the rig, shown to a person afterwards.

        Actions before messages: every command is on its way before anything is shown or written down. A
        terminal or a disk that hangs then delays the words only.
        """
        if self._reports is None:
            self._reports = ()
            self.interrupt(ACTUATORS)
            self._disarm()
            order = (PERSON, *ACTUATORS) if tell else ACTUATORS
            commanded = command_safe(self._rig, self._clock, order)
            if trip is not None:
                self._note("trip", trip.as_dict())
            machines_first = sorted(commanded, key=lambda one: one.role == PERSON)
            self._reports = await_safe(machines_first, self._clock)
            self.note_failed()
            reports = [{"device": r.device, "safe": r.safe, "detail": r.detail} for r in self._reports]
            self._note("make_safe", {"reason": reason, "reports": reports})
            if trip is not None:
                self._say_why(reason)
        elif trip is not None:
            self._note("trip", trip.as_dict())
        return self._reports

    def note_failed(self) -> None:
        """Journal what could not be interrupted, after the stops that follow have been sent."""
        while self._failed:
            self._note("interrupt_failed", self._failed.pop(0))

    def _say_why(self, reason: str) -> None:
        """Show the reason through a lane: a terminal that is lost, or that hangs, is not waited for."""
        operator = self._rig.operator
        if operator is None:
            return
        unproven = [r for r in self._reports or () if not r.safe and r.device != PERSON]
        moving = "; ".join(f"{r.device} NOT proven safe ({r.detail})" for r in unproven)
        warning = f" {moving}: cut its power." if moving else ""
        text = f"The rig has stopped: {reason}.{warning} Leave the needle where it is."
        shown = self._rig.lanes[PERSON].submit(lambda: operator.show(text), "say why the rig has stopped")
        patience = self._clock.deadline(SAY_S)
        while not shown.done and not patience.expired:
            self._clock.sleep(0.001)

    def still_moving(self) -> tuple[str, ...]:
        """Actuators whose newest reading says that they have not come to rest."""
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
