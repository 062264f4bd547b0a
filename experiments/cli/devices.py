"""``phantomrig devices``: the drivers, and whether each was compared with the real device."""

from __future__ import annotations

from experiments.cli.output import say
from hal import registry
from hal.driver_table import UNVERIFIED


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
