"""``phantomrig run``: from its arguments to the order, and from how the study ended to the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.carry_out import carry_out
from experiments.cli.output import Exit, say
from experiments.cli.shadows import tell_shadows_in
from experiments.ended import Ended
from experiments.protocol.study import shipped_studies
from experiments.request import checked
from experiments.run_script import run_script, script_path
from experiments.session import Session
from experiments.source import shipped_scripts
from experiments.study_run import EndedEarly
from hal.errors import ConfigError
from hal.files.validated import near

CODES = {"": Exit.DONE, "device": Exit.DEVICE_FAILURE, "record": Exit.BAD_INPUT}
"""By kind of failure; whatever else ended a study stopped it."""
FAILED = {Exit.DEVICE_FAILURE: "device failure", Exit.BAD_INPUT: "the record ended early"}


OUT = Path("runs")


@dataclass(frozen=True)
class ScriptResult:
    """Output of the command after a script was run."""

    exit: Exit
    script: Path
    runs: tuple[Ended, ...]

    def as_json(self) -> dict[str, Any]:
        """That of the last run, and of all."""
        last = self.runs[-1].as_json() if self.runs else {}
        return {**last, "script": str(self.script), "runs": [run.as_json() for run in self.runs]}


@dataclass(frozen=True)
class RunResult:
    """Output of the command."""

    exit: Exit
    ended: Ended

    def as_json(self) -> dict[str, Any]:
        return self.ended.as_json()


def run_study(
    study: str,
    rig: Path | None,
    out: Path | None,
    trials: int | None,
    seed: int | None,
    workers: int | None,
    techniques: tuple[str, ...],
    publish: int | None = None,
    qa_override: str = "",
) -> RunResult | ScriptResult:
    """Run a study, or a script that runs some; ``publish`` is a port on which OpenIGTLink clients may look on.

    Raises ``ConfigError`` before anything is made when the order cannot be carried out, and ``RecordError`` when the
    record cannot be written; a safety stop and a device failure are in the result's exit code.
    """
    script = script_path(study)
    if script is not None:
        if techniques:
            raise ConfigError(f"--technique: {script.name} is a script, which names its techniques itself")
        return _script(script, Session(rig, out, trials, seed, workers, publish, qa_override))
    _known(study)
    order = checked(study, rig, out or OUT, trials, seed, workers, techniques, qa_override)
    return reported(carry_out(order, publish))


def _script(path: Path, session: Session) -> ScriptResult:
    """Run a script and report each of its runs like a single one."""
    code, folder = Exit.DONE, path.parent.resolve()
    if folder != Path.cwd():
        tell_shadows_in(folder)
    try:
        run_script(path, session)
    except EndedEarly as early:
        code = reported(early.ended).exit
    except SystemExit as end:
        if end.code not in (None, 0):
            say(f"phantomrig: the script {path} ended itself: {end.code}")
            code = Exit.BAD_INPUT
    if not session.runs:
        say(f"phantomrig: {path} ran no study")
    return ScriptResult(code, path, tuple(session.runs))


def _known(study: str) -> None:
    """A name that is neither of a study nor of a script; raises ``ConfigError`` with the nearest of both."""
    names = [*shipped_studies(), *shipped_scripts()]
    if not study.endswith(".toml") and study not in names:
        hint = near(study, names)
        raise ConfigError(f"there is no study {study!r}{hint} (a path must end in .toml, that of a script in .py)")


def reported(ended: Ended) -> RunResult:
    """Say why a study ended early, and choose the exit code."""
    code = CODES.get(ended.failure_kind, Exit.STOPPED)
    if ended.failure:
        say(f"phantomrig: {FAILED.get(code, 'stopped')}: {ended.failure}")
    return RunResult(code, ended)
