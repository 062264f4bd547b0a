"""``phantomrig bench``: speed and memory on this machine beside their targets."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.scorecard.speed import TARGETS


def show(figures: Mapping[str, float]) -> None:
    """Print the figures for a person, on stderr, with the targets beside them."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Speed and memory", caption="peak_mb: of one process; a study with two workers has three")
    table.add_column("figure", no_wrap=True)
    for heading in ("value", "target", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, value in figures.items():
        target = TARGETS.get(name)
        verdict = "" if target is None else "[green]met[/]" if target.met(value) else "[red]missed[/]"
        table.add_row(name, f"{value:g}", "" if target is None else str(target), verdict)
    Console(stderr=True).print(table)
