"""Two-stage Ctrl-C: the first asks for an orderly stop, the second ends the run after the safe state; more do nothing.

SIGTERM, SIGHUP (a lost terminal), SIGQUIT (Ctrl-\\) and SIGTSTP (Ctrl-Z: a host that sleeps watches nothing) count as
Ctrl-C. SIGUSR1 presses the key emergency stop, where the rig has one, else it counts as Ctrl-C too: another terminal or
program can stop the rig. No number of signals cuts into a stop or into the record that it seals; a process that hangs
is ended from outside (SIGKILL), and then the lanes' own stops and the devices' watchdogs are what is left.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP")
STOP_SIGNALS = tuple(n for n in (getattr(signal, s, None) for s in _NAMES) if n is not None)
"""Ctrl-C, an orderly end by the system, the loss of the terminal (a dropped ssh session), Ctrl-\\ and Ctrl-Z."""


class StopCount:
    """Number of stop requests to this process, whoever handled the signals then."""

    def __init__(self) -> None:
        self.asked_n = 0


STOPS = StopCount()
"""Signals belong to the process: while it unwinds from the first one nobody raises for the next."""


@contextmanager
def held_off() -> Iterator[None]:
    """Ignore stop signals inside the block, so that the end of a record is reached. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, lambda number, frame: None) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Interrupt:
    """Counts stop signals; the scan looks at the count, so that a stop never cuts into a command on the wire."""

    def __init__(self) -> None:
        self.count = 0
        self._previous: dict[int, Any] = {}

    def request(self) -> None:
        """Request a stop, as a key or the console does."""
        self.count += 1

    def install(self, press: Callable[[], None] | None = None) -> None:
        """Take over the signals; does nothing outside the main thread, where Python allows no handlers."""
        if threading.current_thread() is not threading.main_thread() or self._previous:
            return
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        usr1 = getattr(signal, "SIGUSR1", None)
        if usr1 is not None:  # without a key stop it counts as Ctrl-C: by default it would kill without a safe state
            act = press or self.request
            self._previous[usr1] = signal.signal(usr1, lambda number, frame: act())

    def restore(self) -> None:
        """Restore the earlier signal handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        STOPS.asked_n += 1
