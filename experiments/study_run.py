"""A study that a script has run: its folder, its trials, a figure, its report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from analysis.criteria import exploratory
from analysis.figures.compared import draw
from analysis.figures.style import Stamp
from analysis.report.make import make_report
from analysis.run import Run
from experiments.ended import Ended
from experiments.messages import say
from hal.errors import ConfigError, RigError
from hal.files import parse_json
from hal.files.validated import near
from rig.record import COLUMNS, Column, RecordedRun
from rig.record.derived import derived_faults


class StudyRun(Run):
    """A finished run folder as ``analysis.open_run`` gives it, with the results and the report made at its end."""

    def __init__(self, path: str | Path) -> None:
        """Raises ``ConfigError`` when the folder is no finished run."""
        super().__init__(RecordedRun.open(Path(path)))

    @cached_property
    def results(self) -> dict[str, Any]:
        """Content of ``results.json``."""
        return dict(parse_json((self.path / "results.json").read_text()))

    @property
    def stamp(self) -> Stamp:
        """Label on every figure of this run."""
        study = self.recorded.study
        demonstration = bool(study.get("study", {}).get("demonstration", False))
        return Stamp(self.simulated, demonstration, bool(exploratory(study)))

    def figure(self, name: str) -> Figure:
        """``errors``: the tip error of every trial by technique; or a figure of the report by its name.

        Raises ``ConfigError`` for another name.
        """
        if name == "errors":
            return compare(self)
        try:
            return super().figure(name)
        except ConfigError as error:
            raise ConfigError(f"{error}; and errors. Any other number: compare(run, column)") from error

    def report(self) -> Path:
        """Path of the HTML page; it is made anew when it is not the one made from this record."""
        page = self.path / "report.html"
        if not page.exists() or derived_faults(self.recorded):
            make_report(self.path, say)
        return page

    def _facts(self) -> list[tuple[str, str]]:
        return [*super()._facts(), ("verdict", str(self.results["verdict"]))]


def compare(what: StudyRun | Mapping[str, StudyRun], column: str = "tte_mm", by: str = "technique") -> Figure:
    """A number of every trial, side by side: by a factor of one run, or by run of several (``by`` is not used then).

    The limit that is drawn is that of the first criterion of a single run on the column. Raises ``ConfigError`` for a
    column that is no number, or by which trials cannot be grouped.
    """
    runs = list(what.values()) if isinstance(what, Mapping) else [what]
    shown = _column(column, runs[0].recorded.columns)
    if isinstance(what, Mapping):
        stamps = [run.stamp for run in what.values()]
        together = (any(getattr(s, f.name) for s in stamps) for f in fields(Stamp))
        return draw({name: run.trials for name, run in what.items()}, shown, Stamp(*together))
    factors = [c.name for c in COLUMNS if c.factor]
    if by not in factors:
        raise ConfigError(f"trials cannot be grouped by {by!r}{near(by, factors)}")
    arms = {str(name): own for name, own in what.trials.groupby(by)}
    limits = [c["limit"] for c in what.recorded.study.get("criteria", []) if c["metric"] == column]
    return draw(arms, shown, what.stamp, limits[0] if limits else None)


def _column(name: str, columns: Iterable[Column]) -> Column:
    numbers = {c.name: c for c in columns if c.kind != "text"}
    if name not in numbers:
        raise ConfigError(f"trials have no number {name!r}{near(name, numbers)}")
    return numbers[name]


class EndedEarly(RigError):
    """A study that a script ran was stopped, or a device failed; what was recorded until then is kept and reported."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(f"{ended.failure} (recorded until then: {ended.run})")
        self.ended = ended

    @property
    def run(self) -> StudyRun:
        """The run as far as it went."""
        return StudyRun(self.ended.run)
