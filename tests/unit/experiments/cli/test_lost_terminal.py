"""A command whose terminal is lost goes on and ends with its own code."""

import errno
import io
import os
import pty
import sys

import pytest

from experiments.cli.lost_terminal import Survivor, surviving_terminal
from experiments.cli.output import exit_codes, say


@pytest.fixture
def terminal(monkeypatch):
    """stderr on a terminal that the test can take away."""
    ours, theirs = pty.openpty()
    stream = os.fdopen(theirs, "w")
    monkeypatch.setattr(sys, "stderr", stream)
    yield lambda: os.close(ours)
    stream.close()


def test_words_to_a_lost_terminal_are_dropped(terminal):
    with surviving_terminal():
        say("still there")
        terminal()
        say("gone")
        say("gone")


def test_a_lost_terminal_does_not_change_the_code(terminal):
    with pytest.raises(SystemExit) as ended, exit_codes():
        terminal()
        say("gone")
        raise SystemExit(3)
    assert ended.value.code == 3


def test_a_broken_pipe_is_a_lost_terminal_too(monkeypatch):
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    os.close(reader)
    with surviving_terminal():
        print("nobody reads", flush=True)
        print("this", flush=True)
    stream.close()


def test_a_full_disk_is_none():
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        Survivor(Full()).write("x")
