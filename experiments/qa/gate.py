"""May a study begin? Not while a required QA test was never passed, was failed last, or is overdue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

from analysis.qa.believed import Believed, believed_history, last_believed
from analysis.qa.trend import drift_faults, read_plan
from hal.errors import ConfigError
from rig.config import RigConfig

QA_FILE = "qa.json"
"""In the run folder of a study: the state of every required test when it began, and the deviation, if any."""
OVERRIDE_LEAST_N = 10
"""Characters of a name and a reason [A]."""


@dataclass(frozen=True)
class Required:
    """One required test on the day of the study."""

    acceptance: str
    run: str
    day: str
    verdict: str
    due: str
    fault: str
    """Why the study may not begin; empty when it may."""
    from_files: bool = False
    """Judged from files: their author says which device they came from."""
    acceptance_sha256: str = ""
    """Of the acceptance file by which it was judged; the rig's file may have changed since."""


def qa_state(config: RigConfig, today: date | None = None) -> tuple[Required, ...]:
    """Every required test of a rig; a run of a simulated device says nothing of a real one, and the other way round.

    Runs are verified and analysed anew: what ``results.json`` claims is not believed.
    Raises ``ConfigError`` when tests are required and no folder of runs is named.
    """
    if not config.qa.required:
        return ()
    folder = config.qa_folder
    if folder is None:
        raise ConfigError(f"{config.rig.name}: [qa] required names tests, and [qa] runs names no folder of QA runs")
    today = today or datetime.now(UTC).date()
    plan, simulated = read_plan(folder), config.rig.simulated
    states = []
    for name in config.qa.required:
        drifting: Sequence[str] = ()
        if plan.figures(name):
            drifting = drift_faults(believed_history(folder, name, simulated), plan, name)
        states.append(_state(name, last_believed(folder, name, simulated, today), today, drifting))
    return tuple(states)


def _state(name: str, found: Believed, today: date, drifting: Sequence[str]) -> Required:
    last = found.entry
    if last is None:
        return Required(name, "", "", "", "", found.fault or "it was never carried out to a verdict")
    fault = ""
    if "FAIL" in last.verdict:
        fault = f"it was failed on {last.day} ({last.run})"
    elif last.due <= today:
        fault = f"it was due on {last.due}; last carried out on {last.day}"
    elif drifting:
        fault = f"its figures drift: {'; '.join(drifting)}"
    return Required(
        name, last.run, str(last.day), last.verdict, str(last.due), fault, found.from_files, found.acceptance_sha256
    )


def gate(config: RigConfig, override: str = "", today: date | None = None) -> dict[str, bytes]:
    """Files for the run folder of a study that may begin; empty when the rig requires no tests.

    ``override``: who authorises a deviation, and why ("A. Smith: the balance is away for calibration"); it goes into
    the record and onto the first page of the report. Raises ``ConfigError`` when a test is missing and nobody has
    authorised the study, or when an override is no name with a reason.
    """
    states = qa_state(config, today)
    blocking = [state for state in states if state.fault]
    name, _, why = (part.strip() for part in override.partition(":"))
    if override and not (name and why and name.isprintable() and len(name + why) >= OVERRIDE_LEAST_N):
        raise ConfigError(
            f"--qa-override {override!r}: give a name and a reason, as in 'A. Smith: the balance is away'"
        )
    if blocking and not override:
        lines = "\n".join(f"  {state.acceptance}: {state.fault}" for state in blocking)
        raise ConfigError(
            f"required QA tests keep this study from beginning:\n{lines}\n"
            "carry them out (phantomrig qa run ...), or have a deviation authorised: --qa-override 'NAME: REASON'"
        )
    if not states:
        return {}
    return {QA_FILE: _as_bytes(states, override if blocking else "")}


def _as_bytes(states: Sequence[Required], override: str) -> bytes:
    content = {"schema": 1, "override": override, "required": [asdict(state) for state in states]}
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
