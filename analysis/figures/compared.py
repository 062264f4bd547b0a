"""One number of every trial, by arm side by side: techniques of one run, or several runs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.style import COLOUR, INK, LIMIT, MUTED, Stamp, new_figure, say_empty, styled
from analysis.group import closed
from analysis.tables import DataFrame
from rig.record import Column

MISSING = "no trial has this number"


def draw(arms: Mapping[str, DataFrame], column: Column, stamp: Stamp, limit: float | None = None) -> Figure:
    """Draw a column of points per arm with its median; under the name, n of the closed trials that have the number."""
    with styled():
        figure = new_figure(2.7, stamp)
        axes = figure.subplots()
        # As planned; yes and no are 1 and 0.
        values = {arm: closed(own)[column.name].dropna().to_numpy(dtype=np.float64) for arm, own in arms.items()}
        if not any(len(found) for found in values.values()):
            say_empty(axes, MISSING)
            return figure
        labels = []
        for k, ((arm, found), colour) in enumerate(zip(values.items(), cycle(COLOUR.values()), strict=False)):
            shifts = np.linspace(-0.2, 0.2, len(found)) if len(found) > 1 else np.zeros(len(found))
            axes.plot(k + shifts, found, marker="o", ms=3.5, ls="", color=colour, alpha=0.75)
            if len(found):
                middle = float(np.median(found))
                axes.plot([k - 0.3, k + 0.3], [middle, middle], color=INK)
                axes.annotate(f"{middle:.2f}", (k + 0.32, middle), va="center", fontsize=7)
            labels.append(f"{arm}\n{len(found)} of {len(closed(arms[arm]))}")
        if limit is not None:
            axes.axhline(limit, color=LIMIT, lw=0.8, ls="--")
            axes.annotate(
                f"limit {limit:g}", (len(values) - 0.5, limit), ha="right", va="bottom", color=LIMIT, fontsize=7
            )
        axes.axhline(0.0, color=MUTED, lw=0.6, zorder=0)
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.5, len(labels) - 0.4)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel(f"{column.name} ({column.unit})" if column.unit else column.name)
        axes.set_title(column.text.split(";")[0], loc="left")
        return figure
