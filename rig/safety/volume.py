"""What has been injected in the present trial, against the limits."""

from __future__ import annotations

from hal.errors import LimitViolation
from rig.safety.limits import VolumeLimits


class VolumeLedger:
    """Adds up test and main injections; ``reset`` at the start of a trial."""

    def __init__(self, limits: VolumeLimits) -> None:
        self._limits = limits
        self.test_ml = 0.0
        self.test_n = 0
        self.injected_ml = 0.0

    def reset(self) -> None:
        self.test_ml = self.injected_ml = 0.0
        self.test_n = 0

    def check(self, volume_ml: float, rate_ml_min: float, *, test: bool) -> None:
        """Raise ``LimitViolation`` before anything is sent to the pump."""
        limits = self._limits
        if not volume_ml > 0.0:
            raise LimitViolation("injection volume (mL)", volume_ml, "positive volumes")
        if not 0.0 < rate_ml_min <= limits.rate_ml_min + 1e-9:
            raise LimitViolation("injection rate (mL/min)", rate_ml_min, f"0 to {limits.rate_ml_min:g} mL/min")
        if test:
            if volume_ml > limits.test_ml + 1e-9:
                raise LimitViolation("test injection (mL)", volume_ml, f"the limit of {limits.test_ml:g} mL each")
            total = self.test_ml + volume_ml
            if total > limits.test_total_ml + 1e-9:
                raise LimitViolation("test injections (mL)", total, f"the limit of {limits.test_total_ml:g} mL a trial")
        elif self.injected_ml + volume_ml > limits.injection_ml + 1e-9:
            total = self.injected_ml + volume_ml
            raise LimitViolation("injected volume (mL)", total, f"the limit of {limits.injection_ml:g} mL a trial")

    def add(self, volume_ml: float, *, test: bool) -> None:
        """Book what the pump counted."""
        if test:
            self.test_ml += volume_ml
            self.test_n += 1
        else:
            self.injected_ml += volume_ml
