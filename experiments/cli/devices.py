"""``phantomrig devices``: the drivers, and whether each was compared with the real device."""

from __future__ import annotations

from experiments.cli.output import say
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


def rows() -> list[dict[str, str | bool]]:
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


def show(found: list[dict[str, str | bool]]) -> None:
    """Print the table for a person, on stderr."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Drivers", caption="unverified: not yet compared with a transcript of the real device")
    for heading in ("role", "driver", "status", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for row in sorted(found, key=lambda r: (str(r["role"]), str(r["name"]))):
        status = "by hand" if row["by_hand"] else "verified" if row["verified"] else UNVERIFIED
        if row["problem"]:
            status = "cannot be loaded"
        table.add_row(str(row["role"]), str(row["name"]), status, str(row["text"]))
    Console(stderr=True).print(table)
    for row in found:
        if row["problem"]:
            say(f"phantomrig: {row['problem']}")
    for bad in registry.bad_plugins():
        say(f"phantomrig: {bad.words}")
