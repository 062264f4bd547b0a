"""All figures of one run: each one by its name, or all of them written to ``figures/`` with their captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from analysis.acceptance import acceptances, spheres
from analysis.figures import budget, components, curve, forest, images, pressure, scatter, target, times
from analysis.figures.style import SavedFigure, Stamp, save, styled
from analysis.group import PLANES
from analysis.results import CriterionResult, Group, Results
from analysis.tables import DataFrame, trials_table
from hal.errors import ConfigError
from rig.record import RecordedRun


def limit_of(criteria: Sequence[CriterionResult], metric: str) -> float | None:
    """The limit of the first criterion on a column."""
    return next((criterion.limit for criterion in criteria if criterion.metric == metric), None)


@dataclass(frozen=True)
class Sheet:
    """One figure that can be drawn on demand."""

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure | None]
    """None where the run has no data for it."""
    kind: str = "svg"


def sheets(run: RecordedRun, results: Results) -> tuple[Sheet, ...]:
    """Every figure that a run may have, in the order of the report."""
    stamp = Stamp(results.simulated, results.demonstration, bool(results.exploratory))
    accepted = acceptances(run)
    trials, arms, approaches = trials_table(run.rows, run.columns), results.arms, results.approaches
    radii = sorted({a.radius_mm for a in spheres(accepted, trials["technique"])})
    limit, budgets = limit_of(results.criteria, "success"), results.uncertainty
    errors = (
        Sheet("target", "Target plot", target.CAPTION, lambda: target.draw(trials, arms, accepted, stamp)),
        Sheet("scatter", "Tip errors in three dimensions", scatter.CAPTION, lambda: scatter.draw(trials, arms, stamp)),
        Sheet("ecdf", "Cumulative tip error", curve.CAPTION, lambda: curve.draw(trials, arms, radii, stamp)),
        Sheet("components", "Components of the error", components.CAPTION,
              lambda: components.draw(trials, arms, stamp)),
    )  # fmt: skip
    of_arms = (
        Sheet("success", "Success per approach", forest.SUCCESS_CAPTION,
              lambda: forest.draw_success(approaches, arms, limit, stamp)),
        Sheet("contrasts", "Differences between arms", forest.CONTRAST_CAPTION,
              lambda: forest.draw_contrasts(results.contrasts, stamp) if results.contrasts else None),
        Sheet("budget", "Sources of the predicted error", budget.CAPTION,
              lambda: budget.draw(budgets.prediction, budgets.comparisons, stamp)),
        Sheet("times", "Time per trial", times.CAPTION, lambda: times.draw(trials, approaches, stamp)),
        Sheet("pressure", "Injection pressure", pressure.CAPTION, lambda: pressure.draw(run, trials, stamp)),
    )  # fmt: skip
    pictures = (_pictures(run, trials, approaches, plane, stamp) for plane in PLANES)
    return (*(errors if arms and results.accounting.evaluated_n else ()), *(of_arms if arms else ()), *pictures)


def _pictures(run: RecordedRun, trials: DataFrame, approaches: Sequence[Group], plane: str, stamp: Stamp) -> Sheet:
    groups = [group for group in approaches if group.plane == plane]
    title = f"Ultrasound frames, {PLANES[plane]}"
    return Sheet(
        f"frames_{plane}", title, images.CAPTION, lambda: images.draw(run, trials, groups, stamp), "png"
    )  # fmt: skip


def draw_all(run: RecordedRun, results: Results, folder: Path) -> tuple[SavedFigure, ...]:
    """Draw every figure that the run has data for; old ones in the folder are replaced."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    figures: list[SavedFigure] = []
    with styled():
        for sheet in sheets(run, results):
            figure = sheet.draw()
            if figure is not None:
                path = save(figure, folder / f"{sheet.name}.{sheet.kind}")
                figures.append(
                    SavedFigure(sheet.name, path, sheet.title, sheet.caption, f"{sheet.title}. {sheet.caption}")
                )
    return tuple(figures)


def draw_one(run: RecordedRun, results: Results, name: str) -> Figure:
    """Draw one figure by its name. Raises ``ConfigError`` for a name that the run has no figure of."""
    found = {sheet.name: sheet for sheet in sheets(run, results)}
    if name not in found:
        raise ConfigError(f"{run.path.name} has no figure {name!r}: there are {', '.join(found)}")
    with styled():
        figure = found[name].draw()
    if figure is None:
        raise ConfigError(f"{run.path.name} recorded nothing for the figure {name!r}")
    return figure
