"""QA runs as their records say, analysed anew: ``results.json`` is derived, and anybody can write one.

A decision (may a study begin?) rests on these; a list or a chart for a person may rest on ``history``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date as Date
from datetime import timedelta
from pathlib import Path

from analysis.qa.acceptance import load_acceptance
from analysis.qa.history import Entry, entry_of
from analysis.qa.recorded import ACCEPTANCE, analyse_qa, files_read, is_qa_run
from analysis.qa.verdict import NOT_EVALUATED
from hal.errors import RigError
from rig.record import RecordedRun
from rig.record.canonical import sha256_file

AHEAD = timedelta(days=1)
"""So far may a run's UTC day lie ahead of the day at the bench; further, and a clock was wrong."""

UNKNOWN = "~"
"""Stands after every date."""


@dataclass(frozen=True)
class Believed:
    """The newest run of an acceptance file that says anything."""

    entry: Entry | None
    fault: str = ""
    """Why nothing can be believed: the newest record is damaged, or its date has not come yet."""
    from_files: bool = False
    """The readings came in files; nobody but their author knows from which device."""
    acceptance_sha256: str = ""
    """Of the acceptance file by which it was judged."""


def last_believed(runs: Path, acceptance: str, simulated: bool, today: Date) -> Believed:
    """The newest judged run; a damaged one that is newer is a fault, for it may be the one that failed."""
    for path in _sealed(runs, acceptance, simulated):
        entry, fault = _analysed(path)
        if entry is None:
            return Believed(None, f"the record of {path.name} cannot be believed: {fault}")
        if entry.day > today + AHEAD:
            return Believed(None, f"{path.name} ended on {entry.day}, a day that has not come: a clock was wrong")
        if entry.verdict != NOT_EVALUATED:
            run = RecordedRun.open(path)
            return Believed(entry, "", bool(files_read(run)), sha256_file(path / ACCEPTANCE))
    return Believed(None)


def believed_history(runs: Path, acceptance: str, simulated: bool) -> list[Entry]:
    """All runs of an acceptance file whose records hold, oldest first."""
    found = [_analysed(path)[0] for path in _sealed(runs, acceptance, simulated)]
    return sorted((entry for entry in found if entry is not None), key=lambda entry: (entry.date, entry.run))


def _analysed(path: Path) -> tuple[Entry | None, str]:
    """The run by its record, or what of the record does not hold."""
    try:
        results = analyse_qa(path)
        if results.faults:
            return None, results.faults[0]
        return entry_of(path.name, results.as_json()), ""
    except (RigError, ValueError) as error:
        return None, str(error)


def _sealed(runs: Path, acceptance: str, simulated: bool) -> list[Path]:
    """Folders of an acceptance file, the one that ended last first; those that never came to a seal are passed over.

    A folder that bears the test's name and cannot be read, or has lost its seal, comes first: nobody knows its day.
    """
    found = []
    for path in sorted(p for p in runs.glob("qa-*") if is_qa_run(p)):
        try:
            if load_acceptance(path / ACCEPTANCE).id != acceptance:
                continue
            run = RecordedRun.open(path)
            manifest, closed = run.manifest, bool(run.closed)
        except RigError:
            manifest, closed = None, path.name.startswith(f"qa-{acceptance}-")
        if manifest is not None and manifest.simulated == simulated:
            found.append((manifest.ended_utc, path))
        elif manifest is None and closed:
            found.append((UNKNOWN, path))
    return [path for _, path in sorted(found, reverse=True)]
