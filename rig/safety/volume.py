"""Volume injected in the present trial, checked against the limits."""

from __future__ import annotations

from dataclasses import dataclass

from hal.errors import LimitViolation
from rig.safety.delivery_watch import COUNT_ML, COUNT_SHARE
from rig.safety.limits import VolumeLimits
from rig.safety.stop import Severity, Trip


@dataclass(frozen=True)
class PumpedVolume:
    """A volume as far as it is known (mL): at least ``min_ml``, at most ``max_ml``; equal when it was counted."""

    min_ml: float = 0.0
    max_ml: float = 0.0

    @staticmethod
    def counted(volume_ml: float) -> PumpedVolume:
        return PumpedVolume(volume_ml, volume_ml)

    @property
    def known(self) -> bool:
        return self.max_ml == self.min_ml

    @property
    def ml(self) -> float | None:
        """The counted volume; None when only its bounds are known."""
        return self.min_ml if self.known else None

    def __add__(self, other: PumpedVolume) -> PumpedVolume:
        return PumpedVolume(self.min_ml + other.min_ml, self.max_ml + other.max_ml)

    def __str__(self) -> str:
        return f"{self.min_ml:.3g} mL" if self.known else f"at least {self.min_ml:.3g}, at most {self.max_ml:.3g} mL"


NOTHING = PumpedVolume()


class VolumeLedger:
    """Sum of test and main injections; ``reset`` at the start of a trial. Limits apply to what may have gone in."""

    def __init__(self, limits: VolumeLimits) -> None:
        self._limits = limits
        self.test = NOTHING
        self.test_n = 0
        self.injected = NOTHING

    @property
    def test_ml(self) -> float:
        """Largest possible volume of the test injections."""
        return self.test.max_ml

    @property
    def injected_ml(self) -> float:
        """Largest possible volume of the main injection."""
        return self.injected.max_ml

    def evaluate(self) -> Trip | None:
        """Compare the possible volume with the limits of a trial; a pump's count may be slightly off."""
        for name, volume_ml, limit_ml in (
            ("test injections", self.test_ml, self._limits.test_total_ml),
            ("injected volume", self.injected_ml, self._limits.injection_ml),
        ):
            most_ml = limit_ml * (1.0 + COUNT_SHARE) + COUNT_ML
            if not volume_ml <= most_ml:
                reason = (
                    f"{name} of this trial: {volume_ml:.3f} mL, limit {limit_ml:g}; look at the pump and the syringe"
                )
                return Trip("volume_ledger", Severity.HARD, reason, volume_ml, limit_ml)
        return None

    def reset(self) -> None:
        self.test = self.injected = NOTHING
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

    def add(self, volume: PumpedVolume, *, test: bool) -> None:
        """Book a pumped volume."""
        if test:
            self.test += volume
            self.test_n += 1
        else:
            self.injected += volume
