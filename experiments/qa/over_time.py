"""Figures of a test over its runs: limits designed, charts drawn."""

from __future__ import annotations

import difflib
from datetime import UTC, date, datetime
from pathlib import Path

from analysis.qa.history import Entry, read_history
from analysis.qa.trend import Designed, Trend, add_design, read_plan, trend_of
from analysis.qa.trend_report import write_trend
from hal.errors import ConfigError


def draw_trend(runs: str | Path, acceptance: str, figure: str = "") -> tuple[Path, tuple[Trend, ...]]:
    """Charts of one figure, or of all that have limits, as a page in the folder of the runs; returns page and charts.

    Simulated and real runs are never on one chart: real ones are drawn where there are any. Raises ``ConfigError`` when
    there are no runs, or no limits were designed.
    """
    folder = Path(runs)
    history = _of_one_kind(folder, acceptance)
    plan = read_plan(folder)
    names = (figure,) if figure else plan.figures(acceptance)
    trends = tuple(t for name in names if (t := trend_of(history, plan, acceptance, name)) is not None)
    if not trends:
        known = sorted({name for entry in history for name in entry.figures})
        near = difflib.get_close_matches(figure, known, n=1)
        hint = f"did you mean {near[0]}?" if near and near[0] != figure else f"its figures are {', '.join(known)}"
        raise ConfigError(
            f"{acceptance}: no limits were designed{f' for {figure}' if figure else ''} ({hint}); design them from ten "
            "runs or more with --figure NAME --design"
        )
    return write_trend(trends, history[0].simulated, folder), trends


def design_limits(
    runs: str | Path, acceptance: str, figure: str, reason: str = "", today: date | None = None
) -> Designed:
    """Design the limits of one figure from the runs so far; see ``analysis.qa.trend.add_design``."""
    if not figure:
        raise ConfigError("limits are designed figure by figure: name it with --figure")
    history = _of_one_kind(Path(runs), acceptance)
    return add_design(Path(runs), history, acceptance, figure, today or datetime.now(UTC).date(), reason)


def _of_one_kind(folder: Path, acceptance: str) -> list[Entry]:
    """Runs of the test, real ones only where there are any. Raises ``ConfigError`` when there are none."""
    history = [entry for entry in read_history(folder) if entry.acceptance == acceptance]
    if not history:
        raise ConfigError(f"{folder} holds no QA run of {acceptance!r}")
    real = [entry for entry in history if not entry.simulated]
    return real or history
