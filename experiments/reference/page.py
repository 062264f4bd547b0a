"""A reference page and its tables, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTE = "*Made from the code by `python -m experiments.cli.reference_pages`; do not edit by hand.*"
BAR = chr(92) + "|"
"""A bar inside a cell."""


def page(title: str, lead: str, *parts: str) -> str:
    """A whole page: title, where it comes from, what it is about, and its parts."""
    return "\n\n".join((f"# {title}", NOTE, lead, *parts)) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under a head; a bar inside a cell stays one."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', BAR) for cell in line)} |" for line in lines)
