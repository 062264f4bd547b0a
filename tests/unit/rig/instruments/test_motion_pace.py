"""Jogs are sent at the pace at which the device really works them off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from hal.clock import NS_PER_S, VirtualClock
from hal.types import MotionMode, Pose6
from rig.instruments.jogs import QUEUE_S, _travel

SECONDS, LAST_TIMES = 2.4, 1.5
"""The whole move on average, and how much longer than the average its last jog takes."""


class Slowing:
    """A device whose jogs take longer and longer, as axes that turn about a growing lever do."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.end_ns = 0
        self.worst_s = 0.0
        self.sent = 0

    def jog(self, pose: Pose6) -> None:
        mean_s = SECONDS / 20
        share = self.sent / 19
        duration_s = mean_s * (2.0 - LAST_TIMES + share * 2.0 * (LAST_TIMES - 1.0))
        self.sent += 1
        now_ns = self.clock.now_ns()
        self.end_ns = max(self.end_ns, now_ns) + round(duration_s * NS_PER_S)
        self.worst_s = max(self.worst_s, (self.end_ns - now_ns) / NS_PER_S)


class Telling(Slowing):
    """One that says when its queue ends."""

    @property
    def queue_end_ns(self) -> int:
        return self.end_ns


def queue_s(kind: type[Slowing]) -> float:
    """Most motion that was queued while a long move was sent."""
    clock = VirtualClock()
    device = kind(clock)
    target = Pose6(60.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def command(role: str, action: Any, what: str) -> None:
        clock.sleep(0.01)
        action()

    def wait_until(arrived: Any, seconds: float, what: str, seen: Any) -> None:
        clock.sleep(1.0)
        there = SimpleNamespace(time_ns=clock.now_ns(), value=SimpleNamespace(mode=MotionMode.IDLE, pose=target))
        controller.rig.channels["holder"].sample = there
        assert arrived(), seen()

    controller = SimpleNamespace(
        clock=clock, wait=clock.sleep, command=command, wait_until=wait_until,
        rig=SimpleNamespace(unmonitored=(), channels={"holder": SimpleNamespace(sample=None)}),
    )  # fmt: skip
    _travel(
        cast(Any, controller), "holder", device, Pose6(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), target, SECONDS, 1,
        lambda values: Pose6(*values), device.jog,
    )  # fmt: skip
    assert device.sent == 20
    return device.worst_s


def test_a_move_that_slows_down_never_queues_more_than_a_dead_host_may_leave() -> None:
    assert queue_s(Telling) <= QUEUE_S + 0.04
    assert queue_s(Slowing) > QUEUE_S + 0.04, "what the average alone leads to"
