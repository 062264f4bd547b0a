"""Names of drivers that a ``rig.toml`` may use, and the modules that hold their code.

A new device is one driver file, one simulator file of the same stem, one line here and one transcript in
``tests/wire``. Third parties add lines through the entry-point group ``phantomrig.drivers``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
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
        """Settings model of the driver; raises ``ConfigError`` when its code cannot be loaded, whatever the reason."""
        model = self._part(self.settings)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            text = f"{self.module}.{self.settings} is no settings model"
            raise ConfigError(f"driver {self.name!r} cannot be loaded: {text}")
        return model

    def build(self, settings: BaseModel, clock: Clock) -> Any:
        return self._part(self.driver)(settings, clock)

    def _part(self, name: str) -> Any:
        try:
            return getattr(import_module(self.module), name)
        except (Exception, SystemExit) as error:  # somebody else's code may fail in any way; it is named and left out
            raise ConfigError(f"driver {self.name!r} cannot be loaded: {_on_one_line(error)}") from error


@dataclass(frozen=True)
class BadPlugin:
    """An installed plug-in that gives no driver: its name, its distribution, and why it is left out."""

    name: str
    distribution: str
    reason: str

    @property
    def words(self) -> str:
        return f"plug-in {self.name!r} of {self.distribution} is left out: {self.reason}"


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
    DriverEntry("harvard_pump", "pump", "hal.drivers.pump_harvard", "Harvard Pump 11 Elite, PHD Ultra; KDS Legato"),
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
        "mtsics_balance", "balance", "hal.drivers.balance_mtsics", "balance with MT-SICS (Mettler-Toledo, OHAUS)"
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
        "manual_balance",
        "balance",
        "hal.drivers.manual_entry",
        "a person reads a balance and types it",
        driver="ManualBalance",
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


GROUP = "phantomrig.drivers"
"""Entry-point group through which other distributions add drivers."""


def drivers() -> dict[str, DriverEntry]:
    """Built-in drivers and those of installed plug-ins, by name. A built-in name always means the built-in driver."""
    return {**_plugins()[0], **{entry.name: entry for entry in BUILT_IN}}


def bad_plugins() -> tuple[BadPlugin, ...]:
    """Plug-ins that are left out: broken ones, and those named like another driver."""
    return _plugins()[1]


@cache
def _plugins() -> tuple[dict[str, DriverEntry], tuple[BadPlugin, ...]]:
    found: dict[str, DriverEntry] = {}
    bad: list[BadPlugin] = []
    taken = {entry.name: "a built-in driver" for entry in BUILT_IN}
    for point in sorted(entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
        distribution = point.dist.name if point.dist is not None else "an unknown distribution"
        try:
            entry = _loaded(point)
        except (Exception, SystemExit) as error:
            bad.append(BadPlugin(point.name, distribution, _on_one_line(error)))
            continue
        if entry.name in taken:
            reason = f"its driver is named {entry.name!r}, like {taken[entry.name]}; the name must be its own"
            bad.append(BadPlugin(point.name, distribution, reason))
            continue
        taken[entry.name] = f"that of {distribution}"
        found[entry.name] = entry
    return found, tuple(bad)


def _loaded(point: EntryPoint) -> DriverEntry:
    entry = point.load()
    if not isinstance(entry, DriverEntry):
        raise TypeError(f"{point.value} is no DriverEntry but a {type(entry).__name__}")
    return entry


def _on_one_line(error: BaseException) -> str:
    """Error of foreign code on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no reason given'}"


def driver(name: str) -> DriverEntry:
    """Look up one driver; raises ``ConfigError`` with the nearest names."""
    known = drivers()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        left_out = "".join(f"; {bad.words}" for bad in bad_plugins() if bad.name == name)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise ConfigError(f"unknown driver {name!r}{left_out or hint}")
    return known[name]
