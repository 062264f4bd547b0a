"""A third party's probe holder: driver and simulator in a package of its own, found through entry points."""

from __future__ import annotations

from dataclasses import replace

from hal.drivers import holder_grbl
from hal.registry import DriverEntry
from hal.sim.devices import holder_grbl as grbl_simulator
from hal.sim.simulators import SimDevice, SimPlace


class Settings(holder_grbl.Settings):
    """With one key more."""

    colour: str = "grey"


class Driver(holder_grbl.Driver):
    """Speaks as a Grbl holder does; what counts is who builds its device."""

    driver = "acme_stage"


ENTRY = DriverEntry("acme_stage", "holder", "acme_stage", "a stage of Acme")
PLACES: list[SimPlace] = []
"""Where simulators were put."""


def simulator(place: SimPlace) -> SimDevice:
    """This package's device."""
    PLACES.append(place)
    return replace(grbl_simulator.simulator(place), driver="acme_stage")


def broken(place: SimPlace) -> SimDevice:
    """A simulator that gives no axes."""
    return replace(simulator(place), axes=None)
