"""Looking back: which studies rest on a device that has failed its test, and which of their verdicts it could change.

A study is touched when it used the device (by role and serial number) after the device was last passed and before it
failed. A criterion would change when it was met by less than the error that was found, both in units of one kind. An
error that has no unit in common with a criterion is not weighed: the study is listed all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.qa.history import Entry, read_history
from analysis.qa.recorded import QaResults, analyse_qa
from analysis.qa.verdict import FAIL
from hal.errors import ConfigError
from hal.files import parse_json
from rig.record import RecordedRun

TO_COMMON = {"um": ("mm", 1e-3), "mm": ("mm", 1.0), "kPa": ("kPa", 1.0), "N": ("N", 1.0), "mL": ("mL", 1.0)}
"""Unit of a figure or a criterion: what it is compared in, and the factor."""


@dataclass(frozen=True)
class Weighed:
    """One criterion of a study in the light of the error."""

    criterion: str
    verdict: str
    margin: float
    """By how much the limit was met, in ``unit``; negative: it was not."""
    error: float
    unit: str

    @property
    def changes(self) -> bool:
        """Whether the error is larger than the margin."""
        return self.margin >= 0.0 and self.error > self.margin


@dataclass(frozen=True)
class Touched:
    """A study that used the device while nobody knew of its fault."""

    run: str
    study: str
    date: str
    verdict: str
    weighed: tuple[Weighed, ...]

    @property
    def changes(self) -> tuple[str, ...]:
        """Criteria whose verdict the error could change."""
        return tuple(w.criterion for w in self.weighed if w.changes)

    def as_json(self) -> dict[str, object]:
        return {
            "run": self.run,
            "study": self.study,
            "date": self.date,
            "verdict": self.verdict,
            "would_change": list(self.changes),
            "weighed": [
                {"criterion": w.criterion, "margin": w.margin, "error": w.error, "unit": w.unit} for w in self.weighed
            ],
        }


@dataclass(frozen=True)
class Impact:
    """What a failed test means for the studies of a folder."""

    failed: str
    device: str
    serial: str
    since: str
    """Moment of the last pass before; empty when the device was never passed: every earlier study is touched."""
    until: str
    touched: tuple[Touched, ...]
    unreadable: tuple[str, ...]
    """Folders that could not be read."""

    def as_json(self) -> dict[str, object]:
        return {
            "failed": self.failed,
            "device": self.device,
            "serial": self.serial,
            "since": self.since,
            "until": self.until,
            "touched": [one.as_json() for one in self.touched],
            "unreadable": list(self.unreadable),
        }


def impact_of(failed: Path, studies: Path) -> Impact:
    """Studies of a folder that a failed QA run touches. Raises ``ConfigError`` for a run that did not fail."""
    results = analyse_qa(failed)
    if FAIL not in results.verdict.word:
        raise ConfigError(f"{failed.name} says {results.verdict.word}: only a failed test has an impact")
    if results.run.manifest is None or results.faults:
        raise ConfigError(f"{failed.name} is not intact: {'; '.join(results.faults) or 'it was not sealed'}")
    until = results.run.manifest.ended_utc
    since = _last_pass(read_history(failed.parent), results.acceptance.id, until)
    serial = _serial(results.run, results.acceptance.device)
    touched, unreadable = [], []
    for path in sorted(studies.glob("*/manifest.json")):
        if path.parent.name.startswith("qa-"):
            continue
        try:
            run = RecordedRun.open(path.parent)
            if _used(run, results, serial, since, until):
                touched.append(_touched(run, _errors(results)))
        except (ConfigError, OSError, ValueError, KeyError, TypeError) as error:
            unreadable.append(f"{path.parent.name}: {error}")
    return Impact(failed.name, results.acceptance.device, serial, since, until, tuple(touched), tuple(unreadable))


def _last_pass(history: Sequence[Entry], acceptance: str, before: str) -> str:
    passed = [e.date for e in history if e.acceptance == acceptance and "PASS" in e.verdict and "" < e.date < before]
    return max(passed, default="")


def _serial(run: RecordedRun, role: str) -> str:
    return next((device.identity.serial for device in run.devices if device.identity.role == role), "")


def _used(run: RecordedRun, results: QaResults, serial: str, since: str, until: str) -> bool:
    """Whether the study used the device in the time in question; without a serial number it is known by its role."""
    if run.manifest is None or run.manifest.simulated != results.simulated:
        return False
    if not since < run.manifest.ended_utc or run.manifest.started_utc > until:
        return False
    own = [device.identity for device in run.devices if device.identity.role == results.acceptance.device]
    return any(not serial or not one.serial or one.serial == serial for one in own)


def _errors(results: QaResults) -> dict[str, float]:
    """Largest error of the criteria that failed, by common unit."""
    found: dict[str, float] = {}
    for judged in results.verdict.judged:
        if judged.verdict != FAIL or judged.figure is None or judged.figure.value is None:
            continue
        common = TO_COMMON.get(judged.figure.unit)
        if common is not None:
            found[common[0]] = max(found.get(common[0], 0.0), abs(judged.figure.value) * common[1])
    return found


def _touched(run: RecordedRun, errors: Mapping[str, float]) -> Touched:
    data = parse_json((run.path / "results.json").read_bytes())
    weighed = []
    for criterion in data["criteria"]:
        common = TO_COMMON.get(criterion["unit"])
        judged = (
            criterion["bound"]["value"] if criterion["bound"]["value"] is not None else criterion["estimate"]["value"]
        )
        if common is None or common[0] not in errors or judged is None:
            continue
        sign = 1.0 if criterion["comparison"] == "<=" else -1.0
        margin = sign * (criterion["limit"] - judged) * common[1]
        weighed.append(Weighed(criterion["identity"], criterion["verdict"], margin, errors[common[0]], common[0]))
    assert run.manifest is not None
    return Touched(run.path.name, data["study_id"], run.manifest.ended_utc, data["verdict"], tuple(weighed))
