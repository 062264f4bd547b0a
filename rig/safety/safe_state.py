"""The safe state: pump stopped, then needle held, then probe held - read back, with a deadline per device.

All get their command within a few milliseconds, in this order: none waits for the read-back of another. The person at
the needle gets it first, through a lane as well: a terminal that hangs delays nothing.

The needle is never retracted here: under load that would tear, and nobody knows the reason of the stop yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hal.clock import Clock, Deadline
from hal.interfaces import Device
from hal.types import SafeReport
from rig.lanes import Lane, Ticket

ORDER = ("pump", "carrier", "holder")
PERSON = "operator"
DEADLINE_S = 3.0
"""Per device, from its command on: a Grbl reset with read-back takes about 1 s, a pump stop 0.1 s."""
HEAD_START_S = 0.01
"""How long a lane is waited for to take the command up before the next device gets its own. It keeps the order on
threads; a lane that is busy, or a device that is dead, delays the next by no more than this."""
_LOOK_S = 0.005
_GLANCE_S = 0.001


class SafeRig(Protocol):
    """Part of a rig that the safe state needs."""

    @property
    def lanes(self) -> dict[str, Lane]: ...

    def device(self, role: str) -> Device: ...


@dataclass(frozen=True)
class Commanded:
    """One device that was commanded to come to rest."""

    role: str
    ticket: Ticket[SafeReport]
    deadline: Deadline


def command_safe(rig: SafeRig, clock: Clock, order: Sequence[str] = ORDER) -> tuple[Commanded, ...]:
    """Command devices into their safe state, in order and without waiting for their answers; never raises.

    Commands that still wait in the lanes are taken back first, so that nothing follows the stop.
    """
    present = [role for role in order if role in rig.lanes]
    for role in present:
        rig.lanes[role].cancel_pending()
    return tuple(_command(rig, clock, role) for role in present)


def _command(rig: SafeRig, clock: Clock, role: str) -> Commanded:
    device = rig.device(role)
    ticket = rig.lanes[role].submit(lambda: device.make_safe(clock.deadline(DEADLINE_S)), f"make {role} safe")
    head_start = clock.deadline(HEAD_START_S)
    while not ticket.started and not head_start.expired:
        clock.sleep(_GLANCE_S)
    return Commanded(role, ticket, clock.deadline(DEADLINE_S))


def await_safe(commanded: Sequence[Commanded], clock: Clock) -> tuple[SafeReport, ...]:
    """Read-back of each device, in order; a silent one is waited for until its own deadline. Never raises."""
    return tuple(_outcome(one.role, one.ticket, one.deadline.at_ns, clock) for one in commanded)


def _outcome(role: str, ticket: Ticket[SafeReport], at_ns: int, clock: Clock) -> SafeReport:
    while not ticket.done and clock.now_ns() < at_ns:
        clock.sleep(_LOOK_S)
    if not ticket.done:  # not cancelled: a device that recovers still gets its stop
        state = "is still busy" if ticket.started else "has not begun"
        return SafeReport(role, False, f"the {role} {state} after {DEADLINE_S:g} s: cut its power by the hardware stop")
    if ticket.error is not None:
        return SafeReport(role, False, f"{type(ticket.error).__name__}: {ticket.error}")
    report = ticket.result
    return report if isinstance(report, SafeReport) else SafeReport(role, False, "the driver gave no report")
