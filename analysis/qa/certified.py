"""A passed QA run as the one result type of calibrations, so that the same certificate can be issued for it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from analysis.qa.acceptance import Limit as Criterion
from analysis.qa.outcome import Figure
from analysis.qa.recorded import ACCEPTANCE, QaResults
from analysis.qa.verdict import PASS, REPORTED
from hal.errors import ConfigError
from rig.calibration.result import Limit, Origin, Result, Value, hashes_of

KIND = "qa_"
"""Before the name of the test: a certificate of a test is never taken for that of a calibration."""


def result_of(qa: QaResults) -> Result:
    """Figures of a finished, undamaged run that passed, or that has no limits, as a result.

    A figure whose uncertainty nobody knows stays in the details. Raises ``ConfigError`` for any other run.
    """
    path, acceptance = qa.run.path, qa.acceptance
    if qa.faults:
        raise ConfigError(f"{path}: is not as it was recorded ({qa.faults[0]}): nothing is certified")
    if qa.outcome.invalid or qa.verdict.word.removeprefix("WOULD ") not in (PASS, REPORTED):
        raise ConfigError(f"{path}: {qa.verdict.word} ({qa.verdict.reason}): nothing is certified")
    assert qa.run.manifest is not None  # a run without one did not end, and is invalid
    role = acceptance.device or "bench"
    serial = next((item.serial for item in acceptance.items if item.role == "device under test"), "")
    limits = {criterion.figure: criterion for criterion in acceptance.criteria}
    known = (f for f in qa.outcome.figures if f.value is not None and f.u is not None)
    return Result(
        kind=KIND + acceptance.test,
        device=role,
        method=acceptance.method.words,
        origin=Origin(
            qa.simulated,
            qa.run.manifest.ended_utc,
            serials={role: serial} if serial else {},
            inputs=hashes_of(path / "manifest.json", path / ACCEPTANCE),
        ),
        details=qa.as_json(),
        values={f.name: _value(f, limits.get(f.name)) for f in known},
        reference=" ".join(filter(None, (acceptance.reference.name, acceptance.reference.certificate))),
        departures=acceptance.method.departures,
        lines=tuple(f"{f.words}: {f.value:.4g} {f.unit}".rstrip() for f in qa.outcome.figures if f.value is not None),
    )


def due_of(qa: QaResults) -> date:
    """The day on which the test is due again, as its acceptance file says."""
    assert qa.run.manifest is not None
    made = datetime.fromisoformat(qa.run.manifest.ended_utc).date()
    return made + timedelta(days=qa.acceptance.effort.interval_days)


def _value(figure: Figure, criterion: Criterion | None) -> Value:
    assert figure.value is not None and figure.u is not None
    limit = None
    if criterion is not None and criterion.limit is not None and criterion.unit == figure.unit:
        at, source = criterion.limit, criterion.source
        limit = {
            "<=": Limit(None, at, source),
            ">=": Limit(at, None, source),
            "within": Limit(-at, at, source),
        }[criterion.comparison]
    return Value(figure.value, figure.u, figure.unit, limit)
