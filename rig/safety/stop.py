"""Stops of a rig: trips of interlocks, holds that the technique answers, and the forced stop."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from hal.errors import RigError, SafetyStop


class Severity(enum.Enum):
    """Severity of a trip."""

    HOLD = "hold"
    """Needle and pump stop; the technique pauses, reassesses and repositions."""
    HARD = "hard"
    """The rig is brought to its safe state and the run ends."""


@dataclass(frozen=True)
class Trip:
    """One condition outside its limit."""

    source: str
    """Name of the interlock."""
    severity: Severity
    reason: str
    value: float = float("nan")
    limit: float = float("nan")

    def as_dict(self) -> dict[str, str | float | None]:
        """Content for the journal; NaN becomes None."""
        return {
            "source": self.source,
            "severity": self.severity.value,
            "reason": self.reason,
            "value": None if self.value != self.value else self.value,
            "limit": None if self.limit != self.limit else self.limit,
        }


class HoldRequested(RigError):
    """A stop rule fired: needle and pump have been stopped, nothing was withdrawn; the technique decides what next."""

    def __init__(self, trip: Trip) -> None:
        super().__init__(f"hold: {trip.reason}")
        self.trip = trip
        self.source = trip.source
        self.reason = trip.reason
        self.value = trip.value
        self.limit = trip.limit
        self.partial: object | None = None
        """Work done when it came (an ``InjectionResult``), if any."""

    def __reduce__(self) -> tuple[type[HoldRequested], tuple[Trip], dict[str, object]]:
        return (type(self), (self.trip,), {"partial": self.partial})


class ForcedStop(SafetyStop):
    """The operator asked twice: unwind without further steps (the rig is already in its safe state)."""
