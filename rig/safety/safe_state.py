"""The safe state: pump stopped, then needle held, then probe held - read back, with a deadline per device.

The needle is never retracted here: under load that would tear, and nobody knows the reason of the stop yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hal.clock import Clock
from hal.interfaces import Device
from hal.types import SafeReport
from rig.lanes import Lane, Ticket

ORDER = ("pump", "carrier", "holder")
DEADLINE_S = 3.0
"""Per device, from its command on: a Grbl reset with read-back takes about 1 s, a pump stop 0.1 s."""
HEAD_START_S = 0.1
"""How long one device is waited for before the next is told: a dead pump must not delay the needle.
Equal to the pump's stop latency (domain 3.2)."""
_LOOK_S = 0.005


class SafeRig(Protocol):
    """What the safe state needs of a rig."""

    @property
    def lanes(self) -> dict[str, Lane]: ...

    def device(self, role: str) -> Device: ...


def make_safe(rig: SafeRig, clock: Clock, order: Sequence[str] = ORDER) -> tuple[SafeReport, ...]:
    """Bring every actuator of the rig to its safe state; returns one report per device, in order, never raises.

    Commands that still wait in the lanes are taken back first, so that nothing follows the stop.
    """
    present = [role for role in order if role in rig.lanes]
    for role in present:
        rig.lanes[role].cancel_pending()
    begun: list[tuple[str, Ticket[SafeReport], int]] = []
    for role in present:
        device = rig.device(role)
        deadline = clock.deadline(DEADLINE_S)

        def action(device: Device = device) -> SafeReport:
            return device.make_safe(clock.deadline(DEADLINE_S))

        ticket = rig.lanes[role].submit(action, f"make {role} safe")
        begun.append((role, ticket, deadline.at_ns))
        head_start = clock.deadline(HEAD_START_S)
        while not ticket.done and not head_start.expired:
            clock.sleep(_LOOK_S)
    return tuple(_outcome(role, ticket, at_ns, clock) for role, ticket, at_ns in begun)


def _outcome(role: str, ticket: Ticket[SafeReport], at_ns: int, clock: Clock) -> SafeReport:
    while not ticket.done and clock.now_ns() < at_ns:
        clock.sleep(_LOOK_S)
    if not ticket.done:  # not taken back: a device that comes to itself is still told to stop
        state = "is still busy" if ticket.started else "has not begun"
        return SafeReport(role, False, f"the {role} {state} after {DEADLINE_S:g} s: cut its power by the hardware stop")
    if ticket.error is not None:
        return SafeReport(role, False, f"{type(ticket.error).__name__}: {ticket.error}")
    report = ticket.result
    return report if isinstance(report, SafeReport) else SafeReport(role, False, "the driver gave no report")
