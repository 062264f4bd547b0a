"""Refusal of data that cannot hold a calibration."""

from __future__ import annotations

from collections.abc import Mapping

from hal.errors import ConfigError


class CalibrationRefused(ConfigError):
    """The data given do not hold the calibration asked for; nothing was calibrated (exit code 2).

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

    def as_json(self) -> dict[str, object]:
        return {"ok": False, "code": self.code, "reason": self.reason, "advice": self.advice, "figures": self.figures}
