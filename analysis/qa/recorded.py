"""A QA run folder as the analysis reads it: acceptance file, readings, figures, verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from analysis.qa.acceptance import Acceptance, load_acceptance
from analysis.qa.evaluation import Evaluation, Tables, missing
from analysis.qa.kinds.registry import evaluation_of
from analysis.qa.outcome import Figure, Outcome
from analysis.qa.verdict import Verdict, judge
from analysis.tables import stream_table
from hal.errors import ConfigError
from rig.record import RecordedRun, read_streams, verify_run

ACCEPTANCE = "acceptance.toml"
READINGS = "readings"
"""Folder of the streams."""
FINISHED = "finished"
READ_FILE = "qa.file_read"
"""Journal entry of a table that came from a file."""


@dataclass(frozen=True)
class QaResults:
    """One QA run, analysed."""

    run: RecordedRun
    acceptance: Acceptance
    evaluation: Evaluation = field(repr=False)
    tables: Tables = field(repr=False)
    outcome: Outcome
    verdict: Verdict
    simulated: bool
    faults: tuple[str, ...]
    """What of the record does not hold."""

    def as_json(self) -> dict[str, object]:
        """Every number of the report, with its limit and its unit."""
        return {
            "schema": 1,
            "run": self.run.path.name,
            "test": self.acceptance.test,
            "acceptance": self.acceptance.id,
            "device": self.acceptance.device,
            "interval_days": self.acceptance.effort.interval_days,
            "simulated": self.simulated,
            "date": self.run.manifest.ended_utc if self.run.manifest else "",
            "verdict": self.verdict.word,
            "reason": self.verdict.reason,
            "invalid": self.outcome.invalid,
            "notes": list(self.outcome.notes),
            "faults": list(self.faults),
            "figures": [
                {"name": f.name, "words": f.words, "value": f.value, "unit": f.unit, "u": f.u, "n": f.n, "why": f.why}
                for f in self.outcome.figures
            ],
            "criteria": [
                {
                    "id": j.limit.id,
                    "figure": j.limit.figure,
                    "comparison": j.limit.comparison,
                    "limit": j.limit.limit,
                    "unit": j.limit.unit,
                    "source": j.limit.source,
                    "requirement": j.limit.requirement,
                    "risk_control": j.limit.risk_control,
                    "claim": j.limit.claim,
                    "verdict": j.verdict,
                    "reason": j.reason,
                }
                for j in self.verdict.judged
            ],
            "extra": self.outcome.extra,
        }

    def as_bytes(self) -> bytes:
        return (json.dumps(self.as_json(), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def is_qa_run(path: Path) -> bool:
    """True for the run folder of a QA test."""
    return (path / ACCEPTANCE).is_file() and (path / "journal.jsonl").is_file()


def analyse_qa(path: Path) -> QaResults:
    """Figures and verdict of a QA run folder; the same folder gives the same numbers.

    Raises ``ConfigError`` when the folder is not one.
    """
    run = RecordedRun.open(path)
    if not is_qa_run(path):
        raise ConfigError(f"{path} is no QA run: it has no {ACCEPTANCE}")
    acceptance = load_acceptance(path / ACCEPTANCE)
    evaluation = evaluation_of(acceptance.test)
    simulated = run.manifest.simulated if run.manifest else bool(run.opened.get("simulated", True))
    streams = read_streams(path / READINGS) if (path / READINGS).is_dir() else {}
    tables = {name: stream_table([(acceptance.id, stream)], simulated) for name, stream in streams.items()}
    ended = str(run.closed.get("reason", "not sealed: killed, or still running"))
    outcome = _outcome(evaluation, tables, acceptance, ended)
    files = files_read(run)
    if files:
        outcome = replace(outcome, notes=(*_of_files(files), *outcome.notes))
    verdict = judge(acceptance, outcome, simulated)
    return QaResults(run, acceptance, evaluation, tables, outcome, verdict, simulated, verify_run(path))


def _outcome(evaluation: Evaluation, tables: Tables, acceptance: Acceptance, ended: str) -> Outcome:
    if ended != FINISHED:
        return Outcome((), invalid=f"the test did not come to its end: {ended}")
    lacking = missing(evaluation, tables)
    if lacking:
        return Outcome((), invalid=lacking)
    found = evaluation.evaluate(tables, evaluation.settings(acceptance.parameters))
    return replace(found, figures=tuple(_finite(figure) for figure in found.figures))


def _finite(figure: Figure) -> Figure:
    """A figure that came out as no finite number is withheld: NaN meets no limit and fails none."""
    if figure.value is not None and not math.isfinite(figure.value):
        return replace(figure, value=None, u=None, why="no finite number: readings are missing or out of all bounds")
    return figure if figure.u is None or math.isfinite(figure.u) else replace(figure, u=None)


def files_read(run: RecordedRun) -> list[Mapping[str, object]]:
    """What the journal says of every file that readings were taken from; empty for a test carried out on a rig."""
    return [entry.data for entry in run.chain.entries if entry.kind == READ_FILE]


def _of_files(files: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """Where the readings come from, and what the files lack."""
    found = []
    for data in files:
        found.append(f"{data['table']}: {data['rows_n']} rows of {data['file']} (SHA-256 {str(data['sha256'])[:12]})")
        remarks = data["remarks"]
        assert isinstance(remarks, list)
        found += [f"{data['file']}: {remark}" for remark in remarks]
    return tuple(found)


def figures_by_name(results: QaResults) -> Mapping[str, float]:
    """Values of the figures that were evaluated."""
    return {f.name: f.value for f in results.outcome.figures if f.value is not None}
