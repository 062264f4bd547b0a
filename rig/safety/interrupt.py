"""Two-stage Ctrl-C: the first asks for an orderly stop, the second forces it after the safe state, a third kills.

SIGTERM and SIGHUP (a lost terminal) count as Ctrl-C. SIGUSR1 presses the key emergency stop, where the rig has one,
else it counts as Ctrl-C too: another terminal or program can stop the rig.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

STOP_SIGNALS = tuple(n for n in (getattr(signal, s, None) for s in ("SIGINT", "SIGTERM", "SIGHUP")) if n is not None)
"""Ctrl-C, an orderly end by the system, and the loss of the terminal (a dropped ssh session)."""


class Interrupt:
    """Counts stop signals; the scan looks at the count, so that a stop never cuts into a command on the wire."""

    def __init__(self) -> None:
        self.count = 0
        self._previous: dict[int, Any] = {}

    def request(self) -> None:
        """Ask for a stop, as a key or the console does."""
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
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count >= 3:  # neither the orderly nor the forced stop came through: let Python end it
            self.restore()
            raise KeyboardInterrupt
