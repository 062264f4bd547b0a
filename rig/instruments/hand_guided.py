"""A person moves axes or pump by hand: the one time at which they may move without an order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hal.clock import NS_PER_S
from hal.errors import DeviceError
from hal.types import CarrierState, HolderState, Instruction, InstructionKind, PumpState
from rig.control.controller import Controller
from rig.instruments.jogs import INSERTED_MM, depth_mm
from rig.roles import CARRIER, PRESSURE, Role
from rig.safety.stop import Severity, Trip

GUIDED_MAX_S = 600.0
"""Longest hand-guided step: after ten minutes nobody is at it any more [A]."""
ANSWER_S = 600.0


@contextmanager
def hand_guided(controller: Controller, roles: tuple[str, ...], why: str) -> Iterator[None]:
    """Inside the block a person may move these actuators (``holder``, ``carrier``, ``pump``) at their own controls.

    A person has to enter it. Their watches keep to limits of their own meanwhile: the workspace, a speed, a feed above
    the skin, a volume, and ``GUIDED_MAX_S``; the programme may not move them. Afterwards each must stand: where it
    stands then is where it is expected. Raises ``DeviceError`` when the bench is not fit for it (the needle in the gel,
    a line under pressure, an infusion under way) or the person says no.
    """
    watches = [controller.watches[role] for role in roles if role in controller.watches]
    _check_fit(controller)
    text = f"You will move the {' and the '.join(roles)} by hand: {why}. Needle out of the gel, line open to air?"
    if not controller.ask(Instruction(InstructionKind.CONFIRM, text), ANSWER_S).done:
        raise DeviceError(f"the hand-guided step was not entered: {why}", device="operator")
    _check_fit(controller)
    ends_ns = controller.clock.now_ns() + int(GUIDED_MAX_S * NS_PER_S)

    def too_long(now_ns: int) -> Trip | None:
        if now_ns < ends_ns:
            return None
        return Trip("hand_guided", Severity.HARD, f"the hand-guided step lasts over {GUIDED_MAX_S:g} s: {why}")

    controller.journal.append("hand_guided.begun", {"roles": list(roles), "why": why, **_where(controller, roles)})
    for watch in watches:
        watch.by_hand(True)
    try:
        with controller.watching(too_long):
            yield
    finally:
        for watch in watches:
            watch.by_hand(False)
        controller.journal.append("hand_guided.ended", {"roles": list(roles), **_where(controller, roles)})


def _check_fit(controller: Controller) -> None:
    """Raise ``DeviceError`` with all that stands against a hand at the actuators."""
    against = []
    carrier = controller.newest(CARRIER)
    mount = controller.rig.config.needle.mount
    if controller.travel.feed_mm > INSERTED_MM or (carrier and depth_mm(carrier.pose, mount) > INSERTED_MM):
        against.append("the needle is in the gel")
    pressure = controller.newest(PRESSURE)
    limit_kpa = controller.limits.pressure.zero_kpa
    if pressure is not None and not abs(pressure.pressure_kpa) <= limit_kpa:
        against.append(f"the line holds {pressure.pressure_kpa:.1f} kPa (open: within {limit_kpa:g})")
    if controller.attended("pump"):
        against.append("an infusion is under way")
    if against:
        raise DeviceError(f"nothing may be moved by hand now: {'; '.join(against)}", device="operator")


def _where(controller: Controller, roles: tuple[str, ...]) -> dict[str, object]:
    """Newest reports, for the journal."""
    found: dict[str, object] = {}
    for role in roles:
        state = controller.newest(Role[HolderState | CarrierState | PumpState](role))
        if state is not None:
            found[role] = state.dispensed_ml if isinstance(state, PumpState) else list(state.pose.as_tuple())
    return found
