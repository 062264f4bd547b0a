"""The report as typed content, before any layout: HTML and PDF are two renderings of the same view."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.figures import SavedFigure


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str
    kind: str = "text"
    """``text``, ``note`` (smaller) or ``warning``."""


@dataclass(frozen=True)
class Bullets:
    """A list of short points."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of text under titles."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str
    """One letter per column: l, c or r."""
    widths: tuple[float, ...] = ()
    """Relative widths; empty lets the content decide."""
    caption: str = ""
    strong_from: int = -1
    """First row of a group that is set apart (pooled arms); -1 for none."""


@dataclass(frozen=True)
class Facts:
    """Names and values side by side."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Picture:
    """A figure with its caption."""

    figure: SavedFigure
    width: float = 1.0
    """Share of the text width."""


Block = Paragraph | Bullets | Table | Facts | Picture


@dataclass(frozen=True)
class Section:
    """A numbered part of the report."""

    title: str
    blocks: tuple[Block, ...]
    new_page: bool = False


@dataclass(frozen=True)
class View:
    """One report."""

    title: str
    report_id: str
    date: str
    """UTC day of the run's end, ``2026-01-31``; empty for a run that was not sealed."""
    banner: str
    """Stands on every page; empty only for a run in which every device is real and whose criteria were fixed before
    its first trial."""
    note: str
    """Second line of the banner."""
    watermark: str
    """Across every printed page; one word of the banner, empty without one."""
    subject: str
    verdict: str
    verdict_reason: str
    verdict_class: str
    """``pass``, ``marginal``, ``fail`` or ``none``: the colour of the verdict."""
    criteria: Table
    cover: tuple[Block, ...]
    sections: tuple[Section, ...]
