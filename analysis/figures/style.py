"""Common style of all figures; they are saved so that equal data give equal bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

COLOUR: Mapping[str, str] = {"in_plane": "#0072B2", "out_of_plane": "#D55E00", "landmark": "#009E73"}
"""Colour per needle plane, from the colour-blind-safe set of Okabe and Ito."""
MARKER: Mapping[str, str] = {"L4": "o", "L5": "s", "S1": "^"}
"""Marker per level."""
INK = "#222222"
MUTED = "#767676"
LIMIT = "#B00020"
WIDTH_IN = 6.9
"""Width of the text block of an A4 page."""

_RC = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 8.0,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.labelcolor": INK,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "phantomrig",
    "path.simplify": True,
}


@dataclass(frozen=True)
class SavedFigure:
    """A figure on disk with its title and caption."""

    name: str
    path: Path
    title: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Stamp:
    """Label that every figure carries, so that it stays true when it is cut out of the report."""

    simulated: bool
    demonstration: bool
    exploratory: bool = False

    @property
    def text(self) -> str:
        parts = ["SIMULATED DATA"] if self.simulated else []
        parts += ["EXPLORATORY"] if self.exploratory else []
        parts += ["demonstration, not powered"] if self.demonstration else []
        return "  |  ".join(parts)


@contextmanager
def styled() -> Iterator[None]:
    """Figure style, whatever the user's own matplotlib settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)  # type: ignore[arg-type]
        yield


class Page(Figure):
    """A figure that a notebook shows by itself, as it looks in the report."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        with styled():
            self.savefig(picture, format="png", dpi=110, facecolor="white")
        return picture.getvalue()


def new_figure(height_in: float, stamp: Stamp, width_in: float = WIDTH_IN) -> Figure:
    """An empty figure with the stamp in its lower right corner."""
    figure = Page(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0.0, 0.17 / height_in, 1.0, 1.0 - 0.17 / height_in))  # type: ignore[call-arg]
    if stamp.text:
        figure.text(0.995, 0.02 / height_in, stamp.text, ha="right", va="bottom", fontsize=6.5, color=LIMIT)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write SVG or PNG without date or version, so that the bytes repeat."""
    if path.suffix == ".svg":
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    else:
        figure.savefig(path, format="png", dpi=170, facecolor="white", metadata={"Software": None})
    return path


def name_levels(figure: Figure) -> None:
    """Write in the strip at the foot of the figure which marker stands for which level."""
    handles = [
        Line2D([], [], ls="", marker=marker, color=INK, markersize=4.5, label=level) for level, marker in MARKER.items()
    ]
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, 0.0), ncols=3, borderpad=0.1, borderaxespad=0.1,
        handletextpad=0.1, columnspacing=1.0,
    )  # fmt: skip


def colour_of(plane: str) -> str:
    """Colour of a needle plane; grey for an unknown one."""
    return COLOUR.get(plane, MUTED)


def say_empty(axes: Axes, text: str) -> None:
    """Write in an empty panel why it is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED, wrap=True)
