"""Common parts of the pictures of calibrations: colours, panels, the file, lines of text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BAD, GOOD, GREY = "#c0392b", "#1f6fb2", "#7f8c8d"


def panels(columns: int, width: float = 12.0, height: float = 5.0) -> tuple[Figure, list[Axes]]:
    """A figure of panels side by side, inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(1, columns)))


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG or SVG, by the name of the file."""
    figure.savefig(path, dpi=110)
    return path


def wrapped(text: str, width: int = 150) -> str:
    """Text in lines of about ``width`` letters."""
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) > width:
            lines.append(line)
            line = ""
        line += word + " "
    return "\n".join([*lines, line])
