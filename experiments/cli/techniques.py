"""``phantomrig techniques``: what comes with the project, or one technique in full."""

from __future__ import annotations

from typing import Any

from experiments.protocol.technique import Technique, load_technique, shipped


def show(name: str | None) -> dict[str, Any]:
    """Print the list, or the technique ``name`` (shipped name or path of a TOML), and return the same as data.

    Raises ``ConfigError`` for an unknown name or a file that is not a technique.
    """
    if name is not None:
        technique = load_technique(name)
        _one(technique)
        return {"technique": technique.model_dump(mode="json")}
    rows = [_row(load_technique(known)) for known in shipped()]
    _table(rows)
    return {"techniques": rows}


def _row(technique: Technique) -> dict[str, str]:
    return {
        "id": technique.id,
        "name": technique.name,
        "level": technique.level,
        "plane": technique.plane,
        "needle": technique.needle,
    }


def _table(rows: list[dict[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Techniques", caption="your own: give the path of a TOML file wherever a technique is named")
    for heading in ("id", "name", "level", "plane", "needle"):
        table.add_column(heading, no_wrap=heading != "name")
    for row in rows:
        table.add_row(*(value.replace("_", "-") if key == "plane" else value for key, value in row.items()))
    Console(stderr=True).print(table)


def _one(technique: Technique) -> None:
    """Every number of the file, by its key; the checklist in words."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(stderr=True)
    table = Table(title=escape(f"{technique.id}: {technique.name}"), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    data = technique.model_dump(mode="json", exclude={"checklist", "id", "name"})
    for key, value in data.items():
        if not isinstance(value, dict):
            table.add_row(escape(key), escape(_words(value)))
            continue
        for inner, number in value.items():
            table.add_row(escape(f"{key}.{inner}"), escape(_words(number)))
    console.print(table)
    for item in technique.checklist:
        times = f" [{item.contact_s:g} s contact, {item.wait_s:g} s wait]" if item.contact_s or item.wait_s else ""
        console.print(escape(f"{item.when:6} {item.id:6} {item.text}{times}"), highlight=False)


def _words(value: object) -> str:
    if isinstance(value, dict) and set(value) == {"preferred", "lo", "hi"}:
        return f"{value['preferred']:g} ({value['lo']:g} .. {value['hi']:g})"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "-"
    return "-" if value is None or value == "" else str(value)
