"""Weighings: one at rest, and a row of them while something else goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hal.clock import NS_PER_S
from hal.errors import DeviceError
from hal.types import BalanceReading
from rig.control.controller import Controller
from rig.lanes import Ticket
from rig.roles import BALANCE
from rig.safety.stop import Severity, Trip


def weigh(controller: Controller) -> BalanceReading:
    """The next stable net weight.

    Raises ``DeviceError`` when there is none (draught, an open door, a flow), or when the load is beyond the range.
    """
    balance = controller.rig.balance
    if balance is None:
        raise DeviceError("this rig has no balance", device="balance")
    reading = controller.command("balance", balance.read_stable, "a stable weight")
    if reading.overload or reading.underload:
        raise DeviceError(
            f"the balance is {'overloaded' if reading.overload else 'underloaded: is its pan on?'}", device="balance"
        )
    return reading


@contextmanager
def weighings(controller: Controller, period_s: float, note: Callable[[BalanceReading], None]) -> Iterator[None]:
    """Weigh every ``period_s`` inside the block, whatever else is waited for there; stable or not.

    ``note`` gets every weight once, in the caller's own task. A reading takes longer than the period on a slow line:
    then the next one is asked for when it has come. A balance that fails is a hard trip (``SafetyStop``).
    """
    channel = controller.rig.channels.get(BALANCE)
    if channel is None:
        raise DeviceError("this rig has no balance", device="balance")
    lane, period_ns = controller.rig.lanes[BALANCE], int(period_s * NS_PER_S)
    asked: list[Ticket[None]] = []
    next_ns, seen = controller.clock.now_ns(), channel.sample

    def take() -> None:
        nonlocal seen
        if channel.sample is not None and channel.sample is not seen:
            seen = channel.sample
            note(seen.value)

    def rule(now_ns: int) -> Trip | None:
        nonlocal next_ns
        if channel.fault is not None:
            return Trip("balance_fault", Severity.HARD, f"balance: {channel.fault}")
        take()
        if now_ns >= next_ns and all(ticket.done for ticket in asked):
            asked[:] = [lane.request(BALANCE)]
            next_ns = max(next_ns + period_ns, now_ns)
        return None

    with controller.watching(rule):
        yield
        controller.read(BALANCE)
        take()
