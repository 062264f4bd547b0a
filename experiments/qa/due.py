"""Dates of past tests and tests that are due, from the QA runs of a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from analysis.qa.acceptance import Acceptance, load_acceptance
from analysis.qa.history import last_judged, read_history
from experiments.qa.shipped_files import shipped_acceptances


@dataclass(frozen=True)
class Due:
    """One test of the list."""

    name: str
    acceptance: Acceptance
    last: str
    """Day of the last run that could be judged, with its verdict; empty when there is none."""
    due: str
    """Day, ``now`` when it was never done or its day has passed."""

    def as_json(self) -> Mapping[str, object]:
        effort = self.acceptance.effort
        return {
            "test": self.name,
            "title": self.acceptance.title,
            "device": self.acceptance.device,
            "bench_hours": effort.bench_hours,
            "hands_on_minutes": effort.hands_on_minutes,
            "liquids": effort.liquids,
            "reference": self.acceptance.reference.name,
            "last": self.last,
            "due": self.due,
        }


def due_list(runs: Path, today: date | None = None) -> list[Due]:
    """Every shipped test with its last run in ``runs`` (which may not exist yet)."""
    today = today or datetime.now(UTC).date()
    history = read_history(runs)
    found = []
    for name, path in shipped_acceptances().items():
        acceptance = load_acceptance(path)
        last = last_judged(history, acceptance.id)
        if last is None:
            found.append(Due(name, acceptance, "", "now"))
            continue
        last_test = f"{last.date[:10]} {last.verdict}"
        found.append(Due(name, acceptance, last_test, "now" if last.due <= today else str(last.due)))
    return found
