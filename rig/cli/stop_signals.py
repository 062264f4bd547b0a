"""Ending a study from outside: SIGTERM and SIGHUP count as Ctrl-C, and worker processes hear of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rig.safety.interrupt import STOP_SIGNALS

WORKER = "SpawnProcess"
"""Names of a pool's processes begin so; the queue's own process must outlive them."""


@contextmanager
def workers_stop_too() -> Iterator[None]:
    """While a study runs: SIGTERM (or the terminal's loss, SIGHUP) is an orderly stop of this process and of
    its workers.

    Ctrl-C in a terminal reaches the workers by itself; a signal for this process alone does not, so it is passed on.
    Within a cartridge of this process the controller has these signals. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        for process in multiprocessing.active_children():
            if process.name.startswith(WORKER) and process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
        raise KeyboardInterrupt

    numbers = [number for number in STOP_SIGNALS if number is not signal.SIGINT]
    previous = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
