"""The pumps that the contract is put to: a new driver is a line or two here.

Simulator and driver are found by the driver's name, as the simulated bench finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, cast

from hal import registry
from hal.clock import Clock
from hal.sim.simulators import SimPlace, simulator_of


@dataclass(frozen=True)
class PumpCase:
    """One pump in one of its modes."""

    driver: str
    model: str
    too_fast_ml_min: float
    """Within the settings, beyond what the pump can do with a syringe of 14.43 mm."""
    settings: dict[str, Any] = field(default_factory=dict)
    mounts: tuple[str, ...] = ("rigsim",)

    def core(self) -> Any:
        """A simulated pump that works against no pressure; it has ``jam`` and ``displaced_ml``."""
        nothing = cast(Any, None)
        return simulator_of(self.driver)(SimPlace("pump", self.driver, 4, nothing, nothing, nothing, nothing)).core

    def build(self, url: str, clock: Clock, **more: Any) -> Any:
        entry = registry.driver(self.driver)
        settings = entry.settings_model()(url=url, diameter_mm=14.43, **self.settings, **more)
        return entry.build(settings, clock)

    @property
    def module(self) -> ModuleType:
        """Where the driver's own patience stands."""
        return __import__(registry.driver(self.driver).module, fromlist=["Driver"])

    def __str__(self) -> str:
        return f"{self.driver} {' '.join(f'{k}={v}' for k, v in self.settings.items())}"


# In real time a watchdog is so long that it is not a pause of the machine that trips it.
PUMPS = (
    PumpCase("new_era_pump", "NE1000", 12.0, {"safe_mode_s": 0}, ("rigsim", "socket")),
    PumpCase("new_era_pump", "NE1000", 12.0, {"safe_mode_s": 5}),
    PumpCase("new_era_pump", "NE1000", 12.0, {"safe_mode_s": 60}, ("pty",)),
    PumpCase("harvard_pump", "11 ELITE I/W Single", 30.0, {"portion_s": 0.0, "max_rate_ml_min": 40}, ("rigsim", "pty")),
    PumpCase("harvard_pump", "11 ELITE I/W Single", 30.0, {"portion_s": 1.0, "max_rate_ml_min": 40}),
    PumpCase("harvard_pump", "11 ELITE I/W Single", 30.0, {"portion_s": 60.0, "max_rate_ml_min": 40}, ("socket",)),
)
