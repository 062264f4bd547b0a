"""QA results across run folders: no server, no database, the folders are the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date as Date
from datetime import timedelta
from pathlib import Path

from analysis.qa.verdict import NOT_EVALUATED
from analysis.tables import DataFrame
from hal.files import parse_json

RESULTS = "results.json"
LONGEST_DAYS = 3660
"""As an acceptance file may say."""


@dataclass(frozen=True)
class Entry:
    """One QA run, from its ``results.json``."""

    run: str
    date: str
    """UTC, ISO; empty for a run that was not sealed."""
    acceptance: str
    test: str
    device: str
    verdict: str
    simulated: bool
    interval_days: int
    """It is due again after so many days."""
    figures: Mapping[str, tuple[float, str]] = field(repr=False)
    """Value and unit of every figure that was evaluated."""

    @property
    def day(self) -> Date:
        """UTC day of the run's end."""
        return Date.fromisoformat(self.date[:10])

    @property
    def due(self) -> Date:
        """Day on which the test is due again."""
        return self.day + timedelta(days=self.interval_days)


def last_judged(history: Sequence[Entry], acceptance: str) -> Entry | None:
    """The newest sealed run of an acceptance file that gave a verdict; None when there is none."""
    own = [e for e in history if e.acceptance == acceptance and e.date and e.verdict != NOT_EVALUATED]
    return max(own, key=lambda e: (e.date, e.run), default=None)


def read_history(runs: Path) -> list[Entry]:
    """All QA runs of a folder, oldest first; a folder without results is passed over, as is one that is no QA run."""
    found = []
    for path in sorted(runs.glob(f"qa-*/{RESULTS}")):
        try:
            found.append(entry_of(path.parent.name, parse_json(path.read_bytes())))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # results that analysis did not write
    return sorted(found, key=lambda entry: (entry.date, entry.run))


def entry_of(run: str, data: Mapping[str, object]) -> Entry:
    """The entry of ``results.json``; raises ``KeyError``, ``TypeError`` or ``ValueError`` for what is none."""
    figures, date, interval_days = data["figures"], str(data["date"]), int(str(data["interval_days"]))
    if not isinstance(figures, list):
        raise TypeError("figures are a list")
    if date:
        Date.fromisoformat(date[:10])
    if not 1 <= interval_days <= LONGEST_DAYS:
        raise ValueError(f"an interval of {interval_days} days")
    return Entry(
        run,
        date,
        str(data["acceptance"]),
        str(data["test"]),
        str(data["device"]),
        str(data["verdict"]),
        bool(data["simulated"]),
        interval_days,
        {f["name"]: (float(f["value"]), str(f["unit"])) for f in figures if f["value"] is not None},
    )


def history_table(runs: Path, acceptance: str) -> DataFrame:
    """One row per run of one acceptance file: date, verdict and a column per figure."""
    rows = [
        {"run": e.run, "date": e.date, "verdict": e.verdict, "simulated": e.simulated}
        | {name: value for name, (value, _) in e.figures.items()}
        for e in read_history(runs)
        if e.acceptance == acceptance
    ]
    return DataFrame(rows)
