"""All errors of the rig, as one small tree.

An error says which physical thing did not happen: device, action, what was expected, what was last
seen, for how long, and what a person should check. The command line maps the tree to exit codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path


class RigError(Exception):
    """Root of all errors that the rig raises on purpose."""


class ConfigError(RigError):
    """A file, option or value given by the user cannot be used (exit code 2)."""


class CalibrationRefused(ConfigError):
    """The data cannot support the calibration; nothing was calibrated (exit code 2).

    ``code`` is one word for programs, ``figures`` the numbers that led to it, ``advice`` what a person should do.
    """

    def __init__(
        self, code: str, reason: str, *, advice: str = "", figures: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(f"{reason}. {advice}" if advice else reason)
        self.code = code
        self.reason = reason
        self.advice = advice
        self.figures = dict(figures or {})
        self.picture: Callable[[Path], object] | None = None
        """Draws what was seen, with the reason, into a file; None when nothing was seen that could be drawn."""

    def as_json(self) -> dict[str, object]:
        return {"ok": False, "code": self.code, "reason": self.reason, "advice": self.advice, "figures": self.figures}


class LinkError(RigError):
    """The connection to a device failed; carries the port and the pending command."""

    def __init__(self, message: str, *, port: str = "", command: str = "") -> None:
        super().__init__(message)
        self.port = port
        self.command = command


class NoReply(LinkError):
    """The device stayed silent until the deadline: the state after an action is unknown."""


class BadReply(LinkError):
    """The device answered with something that the protocol does not allow."""

    def __init__(self, message: str, *, port: str = "", command: str = "", raw: bytes = b"") -> None:
        super().__init__(message, port=port, command=command)
        self.raw = raw


class DeviceError(RigError):
    """The device answered and refused or reported a fault; carries its own code."""

    def __init__(self, message: str, *, device: str = "", code: str = "") -> None:
        super().__init__(message)
        self.device = device
        self.code = code


class DeviceAlarm(DeviceError):
    """The device is in an alarm state and will not act until the alarm is acknowledged."""


class LimitViolation(RigError):
    """A command or reading lies outside the limits of the rig; nothing was sent."""

    def __init__(self, quantity: str, value: float, limit: str) -> None:
        super().__init__(f"{quantity} = {value:g} is outside {limit}")
        self.quantity = quantity
        self.value = value
        self.limit = limit

    def __reduce__(self) -> tuple[type[LimitViolation], tuple[str, float, str]]:
        return (type(self), (self.quantity, self.value, self.limit))


class SafetyStop(RigError):
    """An interlock, the emergency stop or the operator stopped the rig (exit code 3)."""

    def __init__(self, reason: str, *, source: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.source = source


class Stopped(RigError):
    """Raised out of a wait when the stop token was set: unwind, do not continue."""


class RecordError(RigError):
    """The run folder cannot be written or read (disk full, damaged file)."""


def one_line(error: Exception) -> str:
    """The message of an error that may list several problems, on one line."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
