"""The state of an opened rig between two calls of the person who works with it.

On the wall clock a thread goes on scanning: guards, emergency stop, motion that nobody ordered. In virtual time the
clock stands between calls, and nothing can happen.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hal.errors import SafetyStop
from rig.control.controller import SCAN_S, Controller
from rig.safety.interrupt import STOPS, Interrupt
from rig.safety.stop import HoldRequested


class PromptInterrupt(Interrupt):
    """Ctrl-C while a call runs asks for an orderly stop; between calls it also ends whatever the person runs there."""

    def __init__(self) -> None:
        super().__init__()
        self.in_call = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        STOPS.asked_n += 1
        if not self.in_call:
            raise KeyboardInterrupt(signal.Signals(number).name)


class BetweenCalls:
    """One call at a time, and a background scan while there is none."""

    def __init__(self, controller: Controller, interrupt: PromptInterrupt) -> None:
        self._controller = controller
        self._interrupt = interrupt
        self._lock = threading.RLock()
        self._hold: HoldRequested | None = None
        self._error: Exception | None = None
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        if not getattr(controller.clock, "virtual", False):
            self._thread = threading.Thread(target=self._scan_on, name="between-calls", daemon=True)
            self._thread.start()

    @property
    def watched(self) -> bool:
        """True while a thread scans between calls."""
        return self._thread is not None and self._thread.is_alive()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Keep the background scan out of the block; anything that stopped or held the rig since the last call is
        raised first."""
        with self._lock:
            outer = self._interrupt.in_call
            self._interrupt.in_call = True
            try:
                error, self._error = self._error, None
                if error is not None:
                    raise error
                hold, self._hold = self._hold, None
                if hold is not None:
                    raise hold
                yield
            finally:
                self._interrupt.in_call = outer

    def end(self) -> None:
        """End the background scans."""
        self._ending.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)

    def _scan_on(self) -> None:
        while not self._ending.wait(SCAN_S):
            if not self._lock.acquire(timeout=SCAN_S):
                continue  # a call is scanning
            try:
                self._controller.scan()
            except HoldRequested as hold:
                self._hold = hold
            except SafetyStop:
                pass  # the rig is in its safe state; the next call says why
            except Exception as error:  # nobody would watch any more
                self._error = error
                self._controller.make_safe(f"the watch between calls failed: {error}")
                return
            finally:
                self._lock.release()
