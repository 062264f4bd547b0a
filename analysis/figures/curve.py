"""Cumulative curve of the tip error, per arm, with limit and 95/95 bound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, ScalarFormatter

from analysis.figures.style import LIMIT, Stamp, colour_of, new_figure
from analysis.group import PLANES, closed, column
from analysis.results import Group
from analysis.tables import DataFrame

CAPTION = (
    "Share of the trials with a tip error of at most the value on the axis (logarithmic). Red line: acceptance "
    "radius of the techniques that are judged by distance (S1 may be judged by its channel instead, see success). "
    "Flag at 0.95: one-sided 95/95 tolerance bound where n allows one. Trials without a measured tip are "
    "not in the curve; the legend gives their number."
)


def draw(trials: DataFrame, arms: Sequence[Group], radii_mm: Sequence[float], stamp: Stamp) -> Figure:
    """One curve per arm; ``radii_mm`` are the acceptance radii of the techniques."""
    figure = new_figure(2.15, stamp)
    axes = figure.subplots()
    everything = np.maximum(np.r_[column(closed(trials), "tte_mm"), np.asarray(radii_mm, dtype=float)], 0.01)
    largest, smallest = (float(everything.max()), float(everything.min())) if len(everything) else (10.0, 1.0)
    for k, arm in enumerate(arms):
        own = closed(trials[trials["plane"] == arm.plane])
        errors = np.sort(column(own, "tte_mm"))
        missing = len(own) - len(errors)
        label = f"{PLANES.get(arm.plane, arm.plane)}: n = {len(errors)}" + (
            f", {missing} not measured" if missing else ""
        )
        colour = colour_of(arm.plane)
        axes.plot([], [], color=colour, label=label)
        if not len(errors):
            continue
        errors = np.maximum(errors, 0.01)
        steps = np.arange(1, len(errors) + 1) / len(errors)
        axes.step(np.r_[errors[0], errors], np.r_[0.0, steps], where="post", color=colour)
        axes.plot(errors, steps, marker="o", ms=2.5, ls="", color=colour)
        if arm.tolerance.value is not None:
            bound = arm.tolerance.value
            axes.plot([bound, bound], [0.95, 1.04], color=colour, lw=2.2)
            axes.annotate(
                f"{bound:.1f}", (bound, 1.04), xytext=(0, 2 + 8 * (k % 2)), textcoords="offset points", ha="center",
                fontsize=7, color=colour,
            )  # fmt: skip
            largest = max(largest, bound)
    for radius_mm in radii_mm:
        axes.axvline(radius_mm, color=LIMIT, lw=1.0, ls="--")
        axes.annotate(
            f"{radius_mm:g} mm", (radius_mm, 0.02), xytext=(3, 0), textcoords="offset points", color=LIMIT, fontsize=7
        )
    axes.axhline(0.95, color="#cccccc", lw=0.6, zorder=0)
    axes.set(xscale="log", xlim=(smallest / 1.4, largest * 1.4), ylim=(0, 1.25), yticks=[0.0, 0.25, 0.5, 0.75, 0.95])
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if smallest / 1.4 <= t <= largest * 1.4]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="distance from tip to aim point (mm)", ylabel="share of trials")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
