"""Names of drivers: what a ``rig.toml`` may write, and where the code is.

A new device is one driver file, one simulator file of the same stem, one line here and one transcript in
``tests/wire``. Third parties add lines through the entry-point group ``phantomrig.drivers``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from hal.clock import Clock
from hal.errors import ConfigError


@dataclass(frozen=True)
class DriverEntry:
    """One driver: ``module`` holds a class ``Driver(settings, clock)`` and its pydantic ``Settings``."""

    name: str
    role: str
    module: str
    text: str
    driver: str = "Driver"
    settings: str = "Settings"
    verified: bool = False
    """True once a transcript of the real device exists in tests/wire."""

    def settings_model(self) -> type[BaseModel]:
        model: type[BaseModel] = getattr(import_module(self.module), self.settings)
        return model

    def build(self, settings: BaseModel, clock: Clock) -> Any:
        return getattr(import_module(self.module), self.driver)(settings, clock)


BUILT_IN: tuple[DriverEntry, ...] = (
    DriverEntry(
        "grblhal_holder", "holder", "hal.drivers.holder_grbl", "probe holder on grblHAL (6 axes) or Grbl 1.1 (3 axes)"
    ),
    DriverEntry(
        "grblhal_carrier",
        "carrier",
        "hal.drivers.carrier_grbl",
        "needle carrier on grblHAL (6 axes) or Grbl 1.1 (1-3 axes)",
    ),
    DriverEntry("new_era_pump", "pump", "hal.drivers.pump_new_era", "New Era NE-1000 family, Basic and Safe mode"),
    DriverEntry(
        "keller_pressure",
        "pressure",
        "hal.drivers.pressure_keller",
        "KELLER X-line pressure transmitter, Modbus RTU or TCP",
    ),
    DriverEntry(
        "modbus_needle_force",
        "needle_force",
        "hal.drivers.force_modbus",
        "load-cell amplifier on Modbus: needle axial force",
    ),
    DriverEntry(
        "modbus_probe_force",
        "probe_force",
        "hal.drivers.force_modbus",
        "load-cell amplifier on Modbus: probe contact force",
    ),
    DriverEntry(
        "modbus_contact",
        "contact",
        "hal.drivers.contact_modbus",
        "digital inputs on Modbus: nerve and vessel inserts, foot pedal",
    ),
    DriverEntry(
        "igtl_ultrasound",
        "ultrasound",
        "hal.drivers.ultrasound_igtl",
        "OpenIGTLink image stream, PlusServer-style commands",
    ),
    DriverEntry(
        "video_ultrasound",
        "ultrasound",
        "hal.drivers.ultrasound_video",
        "OpenCV VideoCapture: frame grabber, file or URL",
    ),
    DriverEntry(
        "replay_ultrasound", "ultrasound", "hal.drivers.ultrasound_replay", "replay of a recorded .igs.mha sequence"
    ),
    DriverEntry(
        "igtl_tracker",
        "tracker",
        "hal.drivers.tracker_igtl",
        "OpenIGTLink TRANSFORM stream: tracker or reference instrument",
    ),
    DriverEntry(
        "terminal_operator", "operator", "hal.drivers.operator_terminal", "prompts and confirmations in the terminal"
    ),
    DriverEntry(
        "auto_operator",
        "operator",
        "hal.drivers.operator_auto",
        "confirms after a fixed time; unattended tests on simulated rigs only",
    ),
    DriverEntry("key_estop", "estop", "hal.drivers.estop", "emergency stop by key and signal, beside the wired one"),
    DriverEntry(
        "manual_pressure",
        "pressure",
        "hal.drivers.manual_entry",
        "a person reads a gauge and types it",
        driver="ManualPressure",
    ),
    DriverEntry(
        "manual_force",
        "needle_force",
        "hal.drivers.manual_entry",
        "a person reads a scale and types it",
        driver="ManualForce",
    ),
    DriverEntry(
        "manual_temperature",
        "temperature",
        "hal.drivers.manual_entry",
        "a person reads a thermometer and types it",
        driver="ManualTemperature",
    ),
    DriverEntry(
        "manual_holder",
        "holder",
        "hal.drivers.manual_entry",
        "a hand-set probe arm with scales: the pose is typed",
        driver="ManualHolder",
    ),
    DriverEntry(
        "manual_pump",
        "pump",
        "hal.drivers.manual_entry",
        "a hand-pushed syringe: the volume is typed",
        driver="ManualPump",
    ),
    DriverEntry(
        "manual_tracker",
        "tracker",
        "hal.drivers.manual_entry",
        "a measured tip position is typed",
        driver="ManualTracker",
    ),
    DriverEntry(
        "manual_contact",
        "contact",
        "hal.drivers.manual_entry",
        "a person watches the contact lamp",
        driver="ManualContact",
    ),
)


def drivers() -> dict[str, DriverEntry]:
    """Built-in drivers and those of installed plug-ins, by name."""
    found = {entry.name: entry for entry in BUILT_IN}
    for point in entry_points(group="phantomrig.drivers"):
        entry = point.load()
        found[entry.name] = entry
    return found


def driver(name: str) -> DriverEntry:
    """Look up one driver; raises ``ConfigError`` with the nearest names."""
    known = drivers()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise ConfigError(f"unknown driver {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    return known[name]
