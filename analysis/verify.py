"""Is every file of a run folder what was recorded, and which known anomalies may it have?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.analyse import analyse
from rig.record import Finding, RecordedRun, anomalies_of, verify_run
from rig.record.derived import derived_faults
from rig.record.integrity import manifest_is_bound
from rig.record.manifest import recorded_files


@dataclass(frozen=True)
class Verification:
    """Findings of a verification."""

    run: Path
    files_n: int
    """Files of the record that were read and compared."""
    journal_head: str
    faults: tuple[str, ...]
    """Of the record."""
    derived: tuple[str, ...]
    """Of results and report."""
    results: str
    """How far ``results.json`` was checked."""
    notes: tuple[str, ...]
    anomalies: tuple[Finding, ...]

    @property
    def intact(self) -> bool:
        return not self.faults and not self.derived

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "run": str(self.run), "intact": self.intact}


def verify(path: Path, *, recompute: bool = False) -> Verification:
    """Check a run folder; raises ``ConfigError`` when it is not one.

    ``recompute``: analyse the record again and compare every number of ``results.json``.
    """
    run = RecordedRun.open(path)
    faults, derived = verify_run(path), list(derived_faults(run))
    words, differs = _results(run, recompute)
    derived += [differs] if differs else []
    notes = []
    if run.manifest is not None and not manifest_is_bound(run):
        notes.append(
            "manifest.json was written by a version that bound only its hashes: its times, host, system and number of "
            "processors are recorded nowhere else, so a change of them cannot be seen"
        )
    if run.manifest is None:
        notes.append(f"it was killed, or still runs; a run that was killed is finished by: phantomrig resume {path}")
    return Verification(
        path, len(recorded_files(path)), run.chain.head, faults, tuple(derived), words, tuple(notes), anomalies_of(run)
    )


def _results(run: RecordedRun, recompute: bool) -> tuple[str, str]:
    """How far the results were checked, and what differs."""
    file = run.path / "results.json"
    if not file.exists():
        return "there is no results.json", ""
    if not recompute:
        return "results.json is compared with its hash; it was not computed again (--recompute does)", ""
    if analyse(run).as_bytes() == file.read_bytes():
        return "results.json was computed again from the record: byte for byte the same", ""
    return "results.json was computed again from the record", (
        "results.json is not what this version computes from the record: it was changed, or made by another version"
    )
