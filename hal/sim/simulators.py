"""Simulator of each driver, and the parts that it is built with.

A simulator is found by the name of the driver whose device it is. Built-in ones lie in ``hal.sim.devices`` under the
driver's own file name; third parties declare theirs in the entry-point group ``phantomrig.simulators`` under the
driver's name. Either is a function ``simulator(place: SimPlace) -> SimDevice``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from hal import registry
from hal.errors import ConfigError
from hal.links.wire import WireCore
from hal.sim.devices.pump_plunger import PlungerFigures
from hal.sim.devices.sensor_noise import SensorError
from hal.sim.devices.weigh_cell import BalanceFigures
from hal.sim.ports import (
    AxesSource,
    ContactPort,
    EStopPort,
    ForcePort,
    ImagePort,
    PanPort,
    PlungerSource,
    PressurePort,
    TrackerPort,
)
from hal.types import ImagingSettings, Matrix

GROUP = "phantomrig.simulators"
BUILT_IN_DRIVERS, BUILT_IN_DEVICES = "hal.drivers.", "hal.sim.devices."
BOTH = frozenset({"pty", "tcp"})
"""Mounts of a device on a serial line that a serial server may carry."""
TCP = frozenset({"tcp"})


class Surroundings(PressurePort, ForcePort, EStopPort, ImagePort, PanPort, Protocol):
    """Part of the world that a device can feel; the device never holds the world itself."""


@dataclass(frozen=True)
class Imaging:
    """The scanner of this bench."""

    rate_hz: float
    settings: ImagingSettings
    geometry: Callable[[ImagingSettings], Matrix]
    """``ImageToProbe`` of the settings."""


@dataclass(frozen=True)
class SimPlace:
    """Place of a simulator on the bench."""

    role: str
    driver: str
    seed: int
    """Seed of this device on this bench: its own errors and noise."""
    surroundings: Surroundings
    contacts: ContactPort
    """With the shorts and broken wires that are planned."""
    tracked: TrackerPort
    """With the times at which the tracker sees nothing."""
    imaging: Imaging
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Properties that the rig file states (``axes``, ``limits``), checked by its driver's settings; empty when it
    states nothing."""
    error: SensorError | None = None
    """Fault planted in this sensor by ``[sim.sensor_errors]``."""
    axes: Mapping[str, float] = field(default_factory=dict)
    """``backlash`` and ``scale`` planted in these axes by ``[sim.axis_errors]``; empty for healthy ones."""
    balance: BalanceFigures = field(default_factory=BalanceFigures)
    """The balance of this bench, if it has one."""
    plunger: PlungerFigures = field(default_factory=PlungerFigures)
    """The mechanics of its pump."""


@dataclass(frozen=True)
class SimDevice:
    """One simulated device."""

    role: str
    driver: str
    core: WireCore
    tcp_core: WireCore | None
    """Core for the TCP port when it speaks differently there (Modbus TCP); None: the same one."""
    kinds: frozenset[str]
    axes: AxesSource | None = None
    """True axes of a holder or carrier in the order of ``Pose6`` or ``NeedlePose``; the world follows them."""
    plunger: PlungerSource | None = None
    """Plunger of a pump: the world takes in what it pushes out."""


Build = Callable[[SimPlace], SimDevice]


def simulator_of(driver: str) -> Build:
    """The simulator of a driver; raises ``ConfigError`` when there is none, or when it cannot be loaded."""
    entry = registry.driver(driver)
    if entry.module.startswith(BUILT_IN_DRIVERS):
        name = BUILT_IN_DEVICES + entry.module.removeprefix(BUILT_IN_DRIVERS)
        try:
            build: Build = import_module(name).simulator
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise ConfigError(_none(driver)) from None
        return build
    for point in entry_points(group=GROUP):
        if point.name == driver:
            return _loaded(point)
    raise ConfigError(f"{_none(driver)}; its package would declare one in the entry-point group {GROUP}")


def _none(driver: str) -> str:
    return f"there is no simulator of {driver}, so it cannot be on a simulated bench (rigsim://)"


def _loaded(point: EntryPoint) -> Build:
    try:
        build = point.load()
    except Exception as error:  # somebody else's code
        raise ConfigError(f"the simulator of {point.name} ({point.value}) cannot be loaded: {error!r}") from error
    if not callable(build):
        raise ConfigError(f"the simulator of {point.name} ({point.value}) is no function")
    return build  # type: ignore[no-any-return]
