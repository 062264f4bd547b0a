"""Sources of the predicted error, per approach, beside the error found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.style import INK, MUTED, Stamp, new_figure
from analysis.uncertainty.budget import Budget, BudgetRow, Comparison

CAPTION = (
    "Squared predicted error of the tip, by source. Each bar is the mean square error that the budget of an "
    "approach predicts. Black line: mean square of the errors found, which include the error of measurement. Right: "
    "the square roots of both, n trials. Sources below 2 % in every approach are combined as others."
)
SMALL = 0.02
_FILLS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#F0E442", "#56B4E9", "#E69F00", "#9C9C9C", "#444444")
"""Okabe and Ito's set; hatches distinguish the fills without colour."""
_HATCHES = ("", "////", "....", "\\\\\\\\", "", "xxxx", "++++", "----", "")


def draw(budgets: Sequence[Budget], comparisons: Sequence[Comparison], stamp: Stamp) -> Figure | None:
    """Stacked bars of variances, one per approach; None where nothing was predicted."""
    shown = [b for b in budgets if b.combined is not None]
    if not shown:
        return None
    by_label = {c.label: c for c in comparisons}
    names = [r.quantity for r in shown[0].rows]
    large = [n for n in names if any((_row(b, n).share or 0.0) >= SMALL for b in shown)]
    figure = new_figure(1.35 + 0.27 * len(shown), stamp)
    axes = figure.subplots()
    for k, budget in enumerate(shown):
        found = by_label.get(budget.label)
        left = 0.0
        for n, name in enumerate([*large, "others"]):
            square = (_row(budget, name).contribution or 0.0) ** 2 if name != "others" else _others(budget, large)
            axes.barh(
                -k, square, left=left, height=0.62, color=_FILLS[n % len(_FILLS)], hatch=_HATCHES[n % len(_HATCHES)],
                edgecolor="white", lw=0.4, label=name if k == 0 else None,
            )  # fmt: skip
            left += square
        words = f"budget {budget.combined:.2f} mm"
        if found is not None and found.found_rms_mm is not None:
            axes.plot([found.found_rms_mm**2] * 2, [-k - 0.4, -k + 0.4], color=INK, lw=2.2, solid_capstyle="butt")
            words += f", found {found.found_rms_mm:.2f} (n = {found.trials_n})"
            left = max(left, found.found_rms_mm**2)
        axes.text(left, -k, f"   {words}", va="center", fontsize=7)
    ends = [(b.combined or 0.0) ** 2 for b in shown]
    ends += [c.found_rms_mm**2 for c in comparisons if c.found_rms_mm is not None]
    axes.set_xlim(0.0, 1.75 * float(np.max(ends)))
    axes.set_yticks([-k for k in range(len(shown))], [b.label for b in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("mean square error (mm²)")
    axes.axvline(0.0, color=MUTED, lw=0.6)
    figure.legend(loc="outside upper left", ncols=3, handlelength=1.6, columnspacing=1.2, borderpad=0.2)
    return figure


def _row(budget: Budget, name: str) -> BudgetRow:
    return next(r for r in budget.rows if r.quantity == name)


def _others(budget: Budget, large: Sequence[str]) -> float:
    return sum((r.contribution or 0.0) ** 2 for r in budget.rows if r.quantity not in large)
