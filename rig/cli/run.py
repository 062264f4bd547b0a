"""``phantomrig run``: from its arguments to the order, and from how the study ended to the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.carry_out import Ended, carry_out
from experiments.order import checked
from rig.cli.output import Exit, say

CODES = {"": Exit.DONE, "device": Exit.DEVICE_FAILURE, "record": Exit.BAD_INPUT}
"""By kind of failure; whatever else ended a study stopped it."""
FAILED = {Exit.DEVICE_FAILURE: "device failure", Exit.BAD_INPUT: "the record ended early"}


@dataclass(frozen=True)
class RunResult:
    """What the command ends with."""

    exit: Exit
    ended: Ended

    def as_json(self) -> dict[str, Any]:
        return self.ended.as_json()


def run_study(
    study: str,
    rig: Path | None,
    out: Path,
    trials: int | None,
    seed: int | None,
    workers: int | None,
    techniques: tuple[str, ...],
    publish: int | None = None,
) -> RunResult:
    """Run a study and make its report; ``publish`` is a port on which OpenIGTLink clients may look on.

    Raises ``ConfigError`` before anything is made when the order cannot be carried out, and ``RecordError`` when the
    record cannot be written; a safety stop and a device failure are in the result's exit code.
    """
    return told(carry_out(checked(study, rig, out, trials, seed, workers, techniques), publish))


def told(ended: Ended) -> RunResult:
    """Say why a study ended early, and choose the exit code."""
    code = CODES.get(ended.failure_kind, Exit.STOPPED)
    if ended.failure:
        say(f"phantomrig: {FAILED.get(code, 'stopped')}: {ended.failure}")
    return RunResult(code, ended)
