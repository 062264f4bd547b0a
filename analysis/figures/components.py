"""Components of the tip error of every trial, per arm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.style import INK, MARKER, MUTED, Stamp, colour_of, name_levels, new_figure, say_empty
from analysis.group import COMPONENTS, PLANES, closed, column
from analysis.intervals import mean
from analysis.results import Group
from analysis.tables import DataFrame, measured, words

CAPTION = (
    "Components of the tip error of every trial, per arm: across (lateral, never negative) and along the planned "
    "needle axis (+ = too deep), and along the axes of the image where there was one (in-plane: + = away from the "
    "midline on either side, elevational: + = cranial, depth: + = deep). Black: mean with its 95 % interval. n "
    "is given under each name."
)

_SHORT = {"in-plane": "in-pl.", "elevational": "elev."}


def draw(trials: DataFrame, arms: Sequence[Group], stamp: Stamp) -> Figure:
    """One panel per arm, one column per component."""
    figure = new_figure(2.25, stamp)
    panels = figure.subplots(1, max(1, len(arms)), squeeze=False)[0]
    for axes, arm in zip(panels, arms, strict=False):
        own = closed(trials[trials["plane"] == arm.plane])
        axes.set_title(PLANES.get(arm.plane, arm.plane), loc="left")
        labels = []
        parts = [(name, cells) for name, cells in COMPONENTS.items() if len(measured(own, cells))]
        for k, (name, cells) in enumerate(parts):
            found = measured(own, cells)
            values = column(found, cells)
            labels.append(f"{_SHORT.get(name, name)}\n{len(found)}")
            shifts = np.linspace(-0.22, 0.22, len(found)) if len(found) > 1 else np.zeros(len(found))
            markers = words(found, "level").map(MARKER).fillna("D")
            for shift, value, marker in zip(shifts, values, markers, strict=True):
                axes.plot(k + shift, value, marker=marker, ms=3, ls="", color=colour_of(arm.plane), alpha=0.7)
            m = mean(values, "mm")
            if m.value is not None:
                axes.plot([k - 0.3, k + 0.3], [m.value, m.value], color=INK, lw=1.3)
                if m.lo is not None and m.hi is not None:
                    axes.plot([k, k], [m.lo, m.hi], color=INK, lw=1.3)
        if not parts:
            say_empty(axes, "no tip position measured")
            continue
        axes.axhline(0.0, color=MUTED, lw=0.6, zorder=0)
        axes.set_xticks(range(len(parts)), labels, fontsize=7)
        axes.set_xlim(-0.5, max(3, len(parts)) - 0.5)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel("error (mm)")
    name_levels(figure)
    return figure
