"""Signals that ask a rig to stop."""

from __future__ import annotations

import os
import signal

import pytest

from rig.safety.interrupt import STOP_SIGNALS, Interrupt, held_off


@pytest.fixture
def interrupt():
    found = Interrupt()
    yield found
    found.restore()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP])
def test_ctrl_c_an_orderly_end_and_a_lost_terminal_are_counted_and_never_raise(interrupt, number):
    interrupt.install()
    for _ in range(4):
        os.kill(os.getpid(), number)
    assert interrupt.count == 4


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_while_a_record_is_sealed_signals_change_nothing(number):
    before = signal.getsignal(number)
    with held_off():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_sigusr1_presses_the_key_stop_where_there_is_one(interrupt):
    pressed = []
    interrupt.install(lambda: pressed.append(True))
    os.kill(os.getpid(), signal.SIGUSR1)
    assert pressed == [True] and interrupt.count == 0


def test_without_a_key_stop_sigusr1_asks_for_an_orderly_stop(interrupt):
    interrupt.install()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert interrupt.count == 1
