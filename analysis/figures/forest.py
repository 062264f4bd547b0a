"""Forest plots: success per approach, and differences between arms."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import INK, LIMIT, MUTED, Stamp, colour_of, new_figure
from analysis.quantity import Quantity
from analysis.results import Contrast, Group

SUCCESS_CAPTION = (
    "Share of successful trials with the exact (Clopper-Pearson) 95 % interval. Diamonds: arms over all levels. "
    "Every closed trial counts; one that was stopped or whose tip was not measured is not a success."
)
CONTRAST_CAPTION = (
    "Difference between arms, first minus second, with its 95 % interval: of the mean tip error (bootstrap over "
    "cartridges) and of the share of successes (Newcombe). No interval is shown where the cartridges are too few "
    "for one."
)


def draw_success(approaches: Sequence[Group], arms: Sequence[Group], limit: float | None, stamp: Stamp) -> Figure:
    """One line per approach, then one per arm; ``limit`` is that of the success criterion."""
    groups = [*approaches, *arms]
    figure = new_figure(0.8 + 0.2 * len(groups), stamp)
    axes = figure.subplots()
    for k, group in enumerate(groups):
        pooled = k >= len(approaches)
        y = -k - (0.6 if pooled else 0.0)
        share = group.success.share
        colour = colour_of(group.plane)
        _whisker(axes, y, share, colour, "D" if pooled else "o")
        axes.text(-0.03, y, group.label + (", all levels" if pooled else ""), ha="right", va="center", fontsize=7.5)
        text = f"{group.success.count}/{group.success.n}"
        if share.lo is not None and share.hi is not None:
            text += f"   {share.value:.2f} ({share.lo:.2f} to {share.hi:.2f})"
        axes.text(1.03, y, text, ha="left", va="center", fontsize=7.5)
    if limit is not None:
        axes.axvline(limit, color=LIMIT, ls="--", lw=1.0)
        axes.text(limit, 0.9, f"limit {limit:g}", color=LIMIT, fontsize=7, ha="center", va="bottom")
    axes.set(xlim=(0, 1), ylim=(-len(groups) - 0.2, 0.8), xlabel="share of successful trials")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return figure


def draw_contrasts(contrasts: Sequence[Contrast], stamp: Stamp) -> Figure:
    """Left the tip error, right the success share; one line per contrast."""
    figure = new_figure(0.9 + 0.2 * max(3, len(contrasts)), stamp)
    left, right = figure.subplots(1, 2)
    for axes, name in ((left, "error"), (right, "success")):
        for k, contrast in enumerate(contrasts):
            quantity: Quantity = contrast.error if name == "error" else contrast.success
            _whisker(axes, -k, quantity, INK, "D" if contrast.level == "all" else "o")
        axes.axvline(0.0, color=MUTED, lw=0.8)
        axes.set_ylim(-len(contrasts) + 0.4, 0.6)
    words = [f"{'all' if c.level == 'all' else c.level}: {c.first} - {c.second}" for c in contrasts]
    left.set_yticks([-k for k in range(len(contrasts))], words)
    right.set_yticks([-k for k in range(len(contrasts))], [""] * len(contrasts))
    left.set_xlabel("difference of mean tip error (mm)\n< 0: first arm is closer")
    right.set_xlabel("difference of success share\n> 0: first arm succeeds more often")
    right.set_xlim(-1.05, 1.05)
    return figure


def _whisker(axes: Axes, y: float, quantity: Quantity, colour: str, marker: str) -> None:
    if quantity.value is None:
        return
    if quantity.lo is not None and quantity.hi is not None:
        axes.plot([quantity.lo, quantity.hi], [y, y], color=colour, lw=1.5, solid_capstyle="butt")
    filled = "white" if quantity.lo is None else colour
    axes.plot(quantity.value, y, marker=marker, ms=5, mec=colour, mfc=filled, ls="", clip_on=False)
