"""Expected reading of a line at rest: zero, or the pressure that the last infusion left in it, which can only fall.

The zero of a sensor is set once a trial, in air; it may drift at any time afterwards. So each infusion begins with a
look at the line at rest, and no reading below zero is ever believed (``pressure_zero`` in ``rig.safety.interlocks``).
"""

from __future__ import annotations

from rig.safety.limits import PressureLimits
from rig.safety.stop import Severity, Trip


class LineAtRest:
    """Knowledge of the line's pressure while the pump stands still."""

    def __init__(self, limits: PressureLimits) -> None:
        self._limits = limits
        self.left_kpa = 0.0
        """Read at the end of the last infusion; 0 for a line that was zeroed in air."""

    def zeroed(self) -> None:
        """Note that the line is open in air and its sensor has been zeroed."""
        self.left_kpa = 0.0

    def left(self, kpa: float) -> None:
        """Note that an infusion has ended at this reading."""
        self.left_kpa = max(0.0, kpa)

    def evaluate(self, kpa: float) -> Trip | None:
        """Judge the reading before an infusion; a value that is no number counts as wrong."""
        zero_kpa = self._limits.zero_kpa
        if -zero_kpa <= kpa <= self.left_kpa + zero_kpa:
            return None
        reason = (
            f"the line at rest reads {kpa:.1f} kPa; at most {self.left_kpa:.1f} kPa is possible (within {zero_kpa:g}): "
            "the sensor's zero has drifted, the tip is in a vessel, or somebody presses on line or syringe. Open the "
            "line to air, zero the sensor, and look"
        )
        return Trip("pressure_at_rest", Severity.HOLD, reason, kpa, self.left_kpa + zero_kpa)
