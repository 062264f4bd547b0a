"""All figures of one run, written to ``figures/`` with their captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from analysis.acceptance import acceptances, spheres
from analysis.figures import budget, components, curve, forest, images, pressure, scatter, target, times
from analysis.figures.style import Drawn, Stamp, save, styled
from analysis.group import PLANES
from analysis.results import CriterionResult, Results
from rig.record import RecordedRun


def limit_of(criteria: Sequence[CriterionResult], metric: str) -> float | None:
    """The limit of the first criterion on a column."""
    return next((criterion.limit for criterion in criteria if criterion.metric == metric), None)


def draw_all(run: RecordedRun, results: Results, folder: Path) -> tuple[Drawn, ...]:
    """Draw every figure that the run has data for; old ones in the folder are replaced."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    stamp = Stamp(results.simulated, results.demonstration, bool(results.exploratory))
    accepted = acceptances(run)
    rows, arms = list(run.rows), results.arms
    radii = sorted({a.radius_mm for a in spheres(accepted, (row["technique"] for row in rows))})
    drawn: list[Drawn] = []

    def keep(name: str, title: str, caption: str, figure: Figure | None, kind: str = "svg") -> None:
        if figure is not None:
            path = save(figure, folder / f"{name}.{kind}")
            drawn.append(Drawn(name, path, title, caption, f"{title}. {caption}"))

    with styled():
        if arms:
            if results.accounting.evaluated_n:
                keep("target", "Target plot", target.CAPTION, target.draw(rows, arms, accepted, stamp))
                keep("scatter", "Tip errors in three dimensions", scatter.CAPTION, scatter.draw(rows, arms, stamp))
                keep("ecdf", "Cumulative tip error", curve.CAPTION, curve.draw(rows, arms, radii, stamp))
                keep("components", "Components of the error", components.CAPTION, components.draw(rows, arms, stamp))
            success = forest.draw_success(results.approaches, arms, limit_of(results.criteria, "success"), stamp)
            keep("success", "Success per approach", forest.SUCCESS_CAPTION, success)
            contrasts = forest.draw_contrasts(results.contrasts, stamp) if results.contrasts else None
            keep("contrasts", "Differences between arms", forest.CONTRAST_CAPTION, contrasts)
            told = results.uncertainty
            sources = budget.draw(told.prediction, told.comparisons, stamp)
            keep("budget", "Where the predicted error comes from", budget.CAPTION, sources)
            keep("times", "Where the time goes", times.CAPTION, times.draw(rows, results.approaches, stamp))
            keep("pressure", "Injection pressure", pressure.CAPTION, pressure.draw(run, rows, stamp))
        for plane, words in PLANES.items():
            groups = [group for group in results.approaches if group.plane == plane]
            figure = images.draw(run, rows, groups, stamp)
            keep(f"frames_{plane}", f"Ultrasound frames, {words}", images.CAPTION, figure, "png")
    return tuple(drawn)
