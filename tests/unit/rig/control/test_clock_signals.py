import threading

import pytest

from hal.clock import VirtualClock, WallClock
from hal.errors import Stopped


def test_a_virtual_wait_ends_at_the_signal_and_not_before():
    clock = VirtualClock()
    signal, woken = clock.signal(), []
    clock.spawn("waiter", lambda: woken.append((signal.wait(10.0), clock.now_ns())))
    clock.sleep(2.0)
    signal.set()
    clock.sleep(0.0)
    assert woken == [(True, 2_000_000_000)]


def test_a_virtual_wait_without_a_signal_times_out():
    clock = VirtualClock()
    signal = clock.signal()
    assert signal.wait(1.5) is False
    assert clock.now_ns() == 1_500_000_000


def test_a_signal_that_was_set_before_is_taken_once():
    clock = VirtualClock()
    signal = clock.signal()
    signal.set()
    assert signal.wait(30.0) is True
    assert clock.now_ns() == 0
    assert signal.wait(1.0) is False


def test_an_overtaken_wait_does_not_wake_its_task_later():
    clock = VirtualClock()
    signal, log = clock.signal(), []

    def body():
        signal.wait(30.0)
        log.append(("signal", clock.now_ns()))
        clock.sleep(100.0)
        log.append(("slept", clock.now_ns()))

    clock.spawn("waiter", body)
    clock.sleep(1.0)
    signal.set()
    signal.set()
    clock.sleep(200.0)
    assert log == [("signal", 1_000_000_000), ("slept", 101_000_000_000)]


def test_a_stopped_task_leaves_its_wait():
    clock = VirtualClock()
    signal = clock.signal()
    ended = []

    def body():
        try:
            signal.wait(1000.0)
        except Stopped:
            ended.append(clock.now_ns())
            raise

    task = clock.spawn("waiter", body)
    clock.sleep(1.0)
    task.stop()
    signal.set()
    clock.sleep(0.1)
    assert ended == [1_000_000_000] and not task.alive and task.error is None


@pytest.mark.parametrize("set_first", [True, False])
def test_on_the_wall_clock_it_is_an_event_that_resets_itself(set_first):
    clock = WallClock()
    signal = clock.signal()
    if set_first:
        signal.set()
    else:
        threading.Timer(0.01, signal.set).start()
    assert signal.wait(30.0) is True
    assert signal.wait(0.0) is False


def test_a_task_may_end_while_another_has_not_begun():
    clock = VirtualClock()
    log = []
    clock.spawn("first", lambda: log.append("first"))
    clock.spawn("second", lambda: log.append("second"))
    clock.sleep(0.1)
    assert log == ["first", "second"]
