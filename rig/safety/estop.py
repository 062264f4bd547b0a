"""The latched emergency stop."""

from __future__ import annotations

import enum


class EStopState(enum.Enum):
    """Four states; only ``DISENGAGED`` lets anything move.

    ``DISENGAGED -> PRESSED`` (button, or input not readable) ``-> LATCHED`` (released, not acknowledged)
    ``-> DISENGAGED`` (acknowledged). ``ABSENT``: no input is configured or none was ever read.
    """

    DISENGAGED = "disengaged"
    PRESSED = "pressed"
    LATCHED = "latched"
    ABSENT = "absent"


class EStopLatch:
    """Joins all emergency-stop inputs; each is wired normally closed, so silence counts as pressed."""

    def __init__(self) -> None:
        self._state = EStopState.ABSENT
        self._ever_read = False

    @property
    def state(self) -> EStopState:
        return self._state

    def update(self, pressed: bool | None) -> EStopState:
        """Take the inputs of this scan: True = any pressed or unreadable, None = no input exists."""
        if pressed is None:
            self._state = EStopState.ABSENT if not self._ever_read else EStopState.PRESSED
        elif pressed:
            self._ever_read = True
            self._state = EStopState.PRESSED
        else:
            self._ever_read = True
            if self._state is EStopState.PRESSED:
                self._state = EStopState.LATCHED
            elif self._state is EStopState.ABSENT:
                self._state = EStopState.DISENGAGED
        return self._state

    def acknowledge(self) -> bool:
        """Release the latch; False while the button is still pressed or absent."""
        if self._state is EStopState.LATCHED:
            self._state = EStopState.DISENGAGED
        return self._state is EStopState.DISENGAGED
