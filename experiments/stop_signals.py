"""Ending a study from outside: every stop signal counts as Ctrl-C, once, and worker processes receive it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rig.safety.interrupt import STOP_SIGNALS, STOPS

WORKER = "SpawnProcess"
"""Names of a pool's processes begin so."""


class StudySignals:
    """Handling of signals by the command that runs a study."""

    def __init__(self) -> None:
        self._over = False

    def study_is_over(self) -> None:
        """Note that the record is sealed: from now on a lost terminal does not keep it from being analysed."""
        self._over = True

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Unwind at the first signal; after it the record is sealed and analysed whatever else comes."""
        STOPS.asked_n += 1
        if STOPS.asked_n > 1 or (self._over and number != signal.SIGINT):
            return
        for process in multiprocessing.active_children():
            if process.name.startswith(WORKER) and process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
        raise KeyboardInterrupt


@contextmanager
def workers_stop_too() -> Iterator[StudySignals]:
    """While a study runs and is reported: any stop signal is an orderly stop of this process and of its workers.

    Ctrl-C in a terminal reaches the workers by itself; a signal for this process alone does not, so it is passed on.
    Within a cartridge of this process the controller has these signals. Does nothing outside the main thread.
    """
    signals = StudySignals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    STOPS.asked_n = 0
    previous = {number: signal.signal(number, signals.handle) for number in STOP_SIGNALS}
    try:
        yield signals
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
