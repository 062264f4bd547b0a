"""One figure of a device over its QA runs: charts with limits that were designed once and are kept in a file.

``trend.toml`` in the folder of the runs holds the designs, newest last; an older one is never changed or taken out. A
phase begins on a day and says why (repair, new reference): charts do not reach across.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date as Date
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from analysis.qa.history import Entry
from analysis.qa.methods.charts import Chart, Design, ewma, individuals, phase_one
from analysis.qa.verdict import NOT_EVALUATED
from hal.errors import ConfigError
from hal.files import Id, read, validated, within
from hal.files.toml_text import toml_text
from rig.record.appendfile import write_whole

TREND_FILE = "trend.toml"


def _day(text: str) -> str:
    """Days are compared as text, so only one way to write them will do."""
    if str(Date.fromisoformat(text)) != text:
        raise ValueError("must be a day like 2026-03-01")
    return text


Day = Annotated[str, AfterValidator(_day)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Designed(_Data):
    """Limits of one figure: a ``[[designs]]`` table."""

    acceptance: Id
    figure: str
    centre: float
    sigma: float = Field(gt=0.0)
    source: str = Field(min_length=1)
    """Where the numbers come from: the maker, or the runs that they were estimated from."""
    points_n: int = within(0, 100_000, 0)
    made: Day
    """Day of the design, ISO."""
    reason: str = ""
    """Why it replaces the one before; empty for the first."""


class Phase(_Data):
    """Charts begin anew on this day: a ``[[phases]]`` table."""

    acceptance: Id
    begins: Day
    """ISO day."""
    reason: str = Field(min_length=1)


class TrendPlan(_Data):
    """``trend.toml``."""

    designs: tuple[Designed, ...] = ()
    phases: tuple[Phase, ...] = ()

    def design(self, acceptance: str, figure: str) -> Design | None:
        """The design in force, with those that it replaced; None when there is none."""
        found: Design | None = None
        for one in self.designs:
            if (one.acceptance, one.figure) != (acceptance, figure):
                continue
            if found is None:
                found = Design(one.centre, one.sigma, one.source, one.points_n)
            else:
                found = found.replaced_by(one.centre, one.sigma, one.source, one.reason, one.points_n)
        return found

    def figures(self, acceptance: str) -> tuple[str, ...]:
        """Figures that have a design, each once, in the order of the file."""
        return tuple(dict.fromkeys(one.figure for one in self.designs if one.acceptance == acceptance))


@dataclass(frozen=True)
class Trend:
    """One figure over time."""

    acceptance: str
    figure: str
    unit: str
    runs: tuple[str, ...]
    days: tuple[Date, ...]
    phases: tuple[str, ...]
    """Name of the phase of each point."""
    shewhart: Chart = field(repr=False)
    average: Chart = field(repr=False)
    """EWMA."""

    def as_json(self) -> dict[str, object]:
        """Points and signals."""
        return {
            "figure": self.figure,
            "unit": self.unit,
            "runs": list(self.runs),
            "values": self.shewhart.value.tolist(),
            "drifting": self.drifting,
            "signals": [
                {"run": self.runs[s.index], "rule": s.rule, "value": s.value}
                for chart in (self.shewhart, self.average)
                for s in chart.signals
            ],
        }

    @property
    def drifting(self) -> str:
        """What the newest point says, in words; empty when no rule fires on it."""
        last = len(self.days) - 1
        fired = [s.rule for chart in (self.shewhart, self.average) for s in chart.signals if s.index == last]
        return f"{self.figure}: {', '.join(fired)} on {self.days[last]}" if fired else ""


def read_plan(runs: Path) -> TrendPlan:
    """Plan of a folder of runs; an empty one when there is no file. Raises ``ConfigError``."""
    path = runs / TREND_FILE
    return validated(read(path), TrendPlan) if path.is_file() else TrendPlan()


def points_of(history: Sequence[Entry], acceptance: str, figure: str) -> list[tuple[Entry, float, str]]:
    """Runs that give the figure, oldest first, each with value and unit; raises ``ConfigError`` for two units."""
    found = [
        (entry, *entry.figures[figure])
        for entry in history
        if entry.acceptance == acceptance and entry.date and entry.verdict != NOT_EVALUATED and figure in entry.figures
    ]
    units = sorted({unit for _, _, unit in found})
    if len(units) > 1:
        raise ConfigError(f"{acceptance}: {figure} was recorded in {' and '.join(units)}")
    return found


def trend_of(history: Sequence[Entry], plan: TrendPlan, acceptance: str, figure: str) -> Trend | None:
    """Charts of a figure by the design in force; None without a design or without a run that gives the figure."""
    design, points = plan.design(acceptance, figure), points_of(history, acceptance, figure)
    if design is None or not points:
        return None
    begins = sorted((phase.begins, phase.reason) for phase in plan.phases if phase.acceptance == acceptance)
    phases = []
    for entry, _, _ in points:
        own = [f"from {day}: {reason}" for day, reason in begins if day <= str(entry.day)]
        phases.append(own[-1] if own else "from the beginning")
    values = [value for _, value, _ in points]
    return Trend(
        acceptance,
        figure,
        points[0][2],
        tuple(entry.run for entry, _, _ in points),
        tuple(entry.day for entry, _, _ in points),
        tuple(phases),
        individuals(values, design, phases=phases),
        ewma(values, design, phases=phases),
    )


def add_design(
    runs: Path, history: Sequence[Entry], acceptance: str, figure: str, today: Date, reason: str = ""
) -> Designed:
    """Design limits from the runs so far and write them at the end of ``trend.toml``; nothing in it is changed.

    Raises ``ConfigError`` for fewer than ten runs, and for a second design without a reason.
    """
    plan = read_plan(runs)
    before = plan.design(acceptance, figure)
    if before is not None and not reason:
        raise ConfigError(f"{figure} has limits ({before.source}): say why they are replaced, with --reason")
    points = points_of(history, acceptance, figure)
    source = f"{len(points)} runs, {points[0][0].day} to {points[-1][0].day}" if points else "no run"
    made = phase_one([value for _, value, _ in points], source)
    designed = Designed(
        acceptance=acceptance, figure=figure, centre=made.centre, sigma=made.sigma, source=source,
        points_n=made.points_n, made=str(today), reason=reason if before is not None else "",
    )  # fmt: skip
    new = plan.model_copy(update={"designs": (*plan.designs, designed)})
    write_whole(runs / TREND_FILE, toml_text(new.model_dump(mode="json")).encode())
    return designed


def drift_faults(history: Sequence[Entry], plan: TrendPlan, acceptance: str) -> list[str]:
    """What the newest point of each designed figure says against the device."""
    found = []
    for figure in plan.figures(acceptance):
        trend = trend_of(history, plan, acceptance, figure)
        if trend is not None and trend.drifting:
            found.append(trend.drifting)
    return found
