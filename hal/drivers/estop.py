"""Emergency stop by key and by signal, for a hand at the keyboard: in addition to the wired stop, never instead of it.

The wired stop is an input of the motion controllers (``HolderState.estop``) and cuts drive and pump by hardware.
The controller connects the signal SIGUSR1 to ``press`` (Python hands signals to its main thread only).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from hal.clock import Clock, Deadline
from hal.drivers.operator_terminal import Console, console
from hal.types import Identity, SafeReport


class Settings(BaseModel):
    """Ways of pressing the stop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: bool = True
    """Accept ``stop`` and Enter; False leaves only the signal."""


class Driver:
    """Implements ``hal.interfaces.EStop``; stays pressed until ``release``."""

    role = "estop"

    def __init__(self, settings: Settings, clock: Clock, terminal: Console | None = None) -> None:
        self._settings = settings
        self._console = terminal or console()
        self._pressed = True
        """Pressed until opened: absence counts as pressed."""

    def open(self) -> Identity:
        if self._settings.key:
            self._console.start()
            self._console.stop_is_read = True
        self._pressed = False
        return Identity(self.role, "key_estop", "key and signal" if self._settings.key else "signal")

    def close(self) -> None:
        self._pressed = True
        self._console.stop_is_read = False

    def make_safe(self, deadline: Deadline) -> SafeReport:
        return SafeReport(self.role, True, "passive input")

    def read(self) -> bool:
        return self._pressed or (self._settings.key and self._console.stop_requested)

    def press(self) -> None:
        self._pressed = True

    def release(self) -> None:
        """Note that a person has released the stop; the controller's latch still needs its acknowledgement."""
        self._pressed = False
        self._console.stop_requested = False
