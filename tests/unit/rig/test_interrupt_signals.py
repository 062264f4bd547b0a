"""Signals that ask a rig to stop."""

from __future__ import annotations

import os
import signal

import pytest

from rig.safety.interrupt import Interrupt


@pytest.fixture
def interrupt():
    found = Interrupt()
    yield found
    found.restore()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_an_orderly_end_and_a_lost_terminal_are_counted(interrupt, number):
    interrupt.install()
    os.kill(os.getpid(), number)
    assert interrupt.count == 1


def test_sigusr1_presses_the_key_stop_where_there_is_one(interrupt):
    pressed = []
    interrupt.install(lambda: pressed.append(True))
    os.kill(os.getpid(), signal.SIGUSR1)
    assert pressed == [True] and interrupt.count == 0


def test_without_a_key_stop_sigusr1_asks_for_an_orderly_stop(interrupt):
    interrupt.install()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert interrupt.count == 1
