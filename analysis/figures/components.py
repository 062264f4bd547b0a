"""Where the error comes from: every component of every trial, per arm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.style import INK, MARKER, MUTED, Stamp, colour_of, name_levels, new_figure, say_empty
from analysis.group import COMPONENTS, PLANES, closed
from analysis.intervals import mean
from analysis.results import Group
from rig.record import Row

CAPTION = (
    "Components of the tip error, every trial, per arm: across (lateral, never negative) and along the planned "
    "needle axis (+ = too deep), and along the axes of the image where there was one (in-plane: + = away from the "
    "midline on either side, elevational: + = cranial, depth: + = deep). Black: mean with its 95 % interval. n "
    "stands under each name."
)

_SHORT = {"in-plane": "in-pl.", "elevational": "elev."}


def draw(rows: Sequence[Row], arms: Sequence[Group], stamp: Stamp) -> Figure:
    """One panel per arm, one column per component."""
    figure = new_figure(2.25, stamp)
    panels = figure.subplots(1, max(1, len(arms)), squeeze=False)[0]
    for axes, arm in zip(panels, arms, strict=False):
        own = [row for row in closed(rows) if row["plane"] == arm.plane]
        axes.set_title(PLANES.get(arm.plane, arm.plane), loc="left")
        labels = []
        measured = [(n, c) for n, c in COMPONENTS.items() if any(isinstance(row[c], float) for row in own)]
        for k, (name, cells) in enumerate(measured):
            found = [row for row in own if isinstance(row[cells], float)]
            labels.append(f"{_SHORT.get(name, name)}\n{len(found)}")
            shifts = np.linspace(-0.22, 0.22, len(found)) if len(found) > 1 else np.zeros(len(found))
            for shift, row in zip(shifts, found, strict=True):
                marker = MARKER.get(str(row["level"]), "D")
                value = float(str(row[cells]))
                axes.plot(k + shift, value, marker=marker, ms=3, ls="", color=colour_of(arm.plane), alpha=0.7)
            m = mean(np.array([float(str(row[cells])) for row in found]), "mm")
            if m.value is not None:
                axes.plot([k - 0.3, k + 0.3], [m.value, m.value], color=INK, lw=1.3)
                if m.lo is not None and m.hi is not None:
                    axes.plot([k, k], [m.lo, m.hi], color=INK, lw=1.3)
        if not measured:
            say_empty(axes, "no tip position measured")
            continue
        axes.axhline(0.0, color=MUTED, lw=0.6, zorder=0)
        axes.set_xticks(range(len(measured)), labels, fontsize=7)
        axes.set_xlim(-0.5, max(3, len(measured)) - 0.5)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel("error (mm)")
    name_levels(figure)
    return figure
