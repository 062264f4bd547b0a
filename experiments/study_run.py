"""What a script has of a study that was run: its folder, its trials, a figure, its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.criteria import exploratory
from analysis.figures.compared import draw
from analysis.figures.style import Stamp
from analysis.report.make import make_report
from experiments.carry_out import Ended
from experiments.told import say
from hal.errors import ConfigError, RigError
from hal.files import parse_json
from hal.files.validated import near
from rig.record import COLUMNS, Column, RecordedRun, Row
from rig.record.derived import derived_faults


class StudyRun:
    """A finished run folder."""

    def __init__(self, path: str | Path) -> None:
        """Raises ``ConfigError`` when it is none."""
        self.path = Path(path)
        self._record = RecordedRun.open(self.path)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial, columns as in ``trials.csv``."""
        return pd.read_csv(self.path / "trials.csv")

    @property
    def results(self) -> dict[str, Any]:
        """What ``results.json`` holds."""
        return dict(parse_json((self.path / "results.json").read_text()))

    @property
    def stamp(self) -> Stamp:
        """What every figure of this run carries."""
        study = self._record.study
        demonstration = bool(study.get("study", {}).get("demonstration", False))
        return Stamp(self._record.simulated, demonstration, bool(exploratory(study)))

    def figure(self, name: str) -> Figure:
        """``errors``: the tip error of every trial by technique. Raises ``ConfigError`` for another name."""
        if name != "errors":
            raise ConfigError(f"there is no figure {name!r}; known: errors; any other number: compare(run, column)")
        return compare(self)

    def report(self) -> Path:
        """Path of the HTML page; it is made anew when it is not the one made from this record."""
        page = self.path / "report.html"
        if not page.exists() or derived_faults(self._record):
            make_report(self.path, say)
        return page

    def __repr__(self) -> str:
        label = "SIMULATED " * self._record.simulated
        return f"<{label}run {self.path}: {len(self._record.rows)} trials, verdict {self.results['verdict']}>"


def compare(what: StudyRun | Mapping[str, StudyRun], column: str = "tte_mm", by: str = "technique") -> Figure:
    """A number of every trial, side by side: by a factor of one run, or by run of several (``by`` is not used then).

    The limit that is drawn is that of the first criterion of a single run on the column. Raises ``ConfigError`` for a
    column that is no number, or by which trials cannot be grouped.
    """
    shown = _column(column)
    if isinstance(what, Mapping):
        stamps = [run.stamp for run in what.values()]
        together = (any(getattr(s, f.name) for s in stamps) for f in fields(Stamp))
        return draw({name: run._record.rows for name, run in what.items()}, shown, Stamp(*together))
    factors = [c.name for c in COLUMNS if c.factor]
    if by not in factors:
        raise ConfigError(f"trials cannot be grouped by {by!r}{near(by, factors)}")
    arms: dict[str, list[Row]] = {}
    for row in what._record.rows:
        arms.setdefault(str(row[by]), []).append(row)
    limits = [c["limit"] for c in what._record.study.get("criteria", []) if c["metric"] == column]
    return draw(dict(sorted(arms.items())), shown, what.stamp, limits[0] if limits else None)


def _column(name: str) -> Column:
    numbers = {c.name: c for c in COLUMNS if c.kind != "text"}
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
        """What there is."""
        return StudyRun(self.ended.run)
