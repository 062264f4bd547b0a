"""Virtual and wall time behave alike, and virtual time is exact and repeatable."""

import pytest

from hal.clock import VirtualClock, WallClock
from hal.errors import Stopped


def test_tasks_run_in_order_of_their_wake_up_time():
    clock, seen = VirtualClock(), []

    def ticking(name, period_s):
        def body():
            for _ in range(3):
                clock.sleep(period_s)
                seen.append((name, clock.now_ns() // 1_000_000))

        return body

    clock.spawn("a", ticking("a", 0.1))
    clock.spawn("b", ticking("b", 0.15))
    clock.sleep(1.0)
    assert seen == [("a", 100), ("b", 150), ("a", 200), ("b", 300), ("a", 300), ("b", 450)]
    assert clock.now_ns() == 1_000_000_000


@pytest.mark.parametrize("make", [VirtualClock, WallClock])
def test_stopping_a_task_reaches_its_next_wait(make):
    clock, ended = make(), []

    def body():
        try:
            while True:
                clock.sleep(0.005)
        except Stopped:
            ended.append(True)
            raise

    task = clock.spawn("loop", body)
    clock.sleep(0.02)
    task.stop()
    assert task.join(30.0)
    assert ended == [True] and task.error is None


@pytest.mark.parametrize("make", [VirtualClock, WallClock])
def test_a_task_that_fails_keeps_its_error(make):
    clock = make()

    def body():
        clock.sleep(0.001)
        raise ValueError("broken")

    task = clock.spawn("fails", body)
    assert task.join(30.0)
    assert isinstance(task.error, ValueError)


def test_a_deadline_expires_in_the_clocks_own_time():
    clock = VirtualClock()
    deadline = clock.deadline(2.0)
    clock.sleep(1.5)
    assert not deadline.expired and deadline.remaining_s == pytest.approx(0.5)
    clock.sleep(0.5)
    assert deadline.expired
