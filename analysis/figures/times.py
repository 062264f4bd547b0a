"""Median scanning, needle and closing time per approach, with every trial's total."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.style import INK, Stamp, new_figure
from analysis.group import closed, column
from analysis.results import Group
from analysis.tables import DataFrame

CAPTION = (
    "Median time per trial: first probe contact to plan fixed (scan), skin break to final position (needle), and "
    "the rest (injection, prompts, withdrawal, closing). Dots: total time of each trial. Time is that of the "
    "rig's clock."
)
_PARTS = (("scan", "#56B4E9"), ("needle", "#E69F00"), ("rest", "#CCCCCC"))


def draw(trials: DataFrame, approaches: Sequence[Group], stamp: Stamp) -> Figure:
    """One bar per approach."""
    figure = new_figure(0.7 + 0.2 * max(2, len(approaches)), stamp)
    axes = figure.subplots()
    for k, group in enumerate(approaches):
        own = closed(trials[trials["technique"] == group.key])
        scan, needle, total = (column(own, f"t_{name}_s") for name in ("scan", "needle", "total"))
        if not len(total):
            continue
        parts = [float(np.median(x)) if len(x) else 0.0 for x in (scan, needle)]
        parts.append(max(0.0, float(np.median(total)) - sum(parts)))
        left = 0.0
        for width, (_, colour) in zip(parts, _PARTS, strict=True):
            axes.barh(-k, width, left=left, height=0.62, color=colour)
            left += width
        axes.plot(total, np.full(len(total), -k), marker="o", ms=2.8, mfc="white", mec=INK, mew=0.7, ls="")
    for name, colour in _PARTS:
        axes.barh(0, 0, color=colour, label=name)
    axes.plot([], [], marker="o", ms=2.8, mfc="white", mec=INK, ls="", label="one trial, total")
    axes.set_yticks([-k for k in range(len(approaches))], [f"{g.label} (n = {g.closed_n})" for g in approaches])
    axes.set(xlabel="time (s)", ylim=(-len(approaches) + 0.4, 0.6))
    axes.set_xlim(left=0)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
