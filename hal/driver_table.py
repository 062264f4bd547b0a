"""Which drivers there are, and whether each was compared with the real device."""

from __future__ import annotations

from hal import registry
from hal.errors import ConfigError

UNVERIFIED = "unverified"
"""No transcript of the real device exists yet: the driver was written from the manual alone."""

BY_HAND = (
    "hal.drivers.manual_entry",
    "hal.drivers.operator_terminal",
    "hal.drivers.operator_auto",
    "hal.drivers.estop",
)


def by_wire(entry: registry.DriverEntry) -> bool:
    """False for the drivers of keyboard and terminal: they have no wire that a transcript could be taken from."""
    return entry.module not in BY_HAND


def driver_rows() -> list[dict[str, str | bool]]:
    """One row per driver: name, role, what it is, verified, and whether its code can be loaded."""
    found: list[dict[str, str | bool]] = []
    for entry in registry.drivers().values():
        try:
            entry.settings_model()
            problem = ""
        except ConfigError as error:
            problem = str(error)
        found.append(
            {
                "name": entry.name,
                "role": entry.role,
                "text": entry.text,
                "verified": entry.verified,
                "by_hand": not by_wire(entry),
                "module": entry.module,
                "problem": problem,
            }
        )
    return found
