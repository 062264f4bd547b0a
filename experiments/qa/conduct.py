"""One QA run: checked before anything is opened, measured, sealed however it ends, judged, reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from analysis.qa.acceptance import Acceptance
from analysis.qa.kinds.registry import evaluation_of
from analysis.qa.recorded import ACCEPTANCE, FINISHED, READINGS, QaResults
from analysis.qa.report import make_qa_report
from analysis.qa.verdict import reference_faults
from experiments.calibrations.session import watched
from experiments.messages import say
from experiments.qa.procedures import PROCEDURES
from experiments.qa.shipped_files import acceptance_file, acceptance_of
from experiments.qa.station import Station
from hal.clock import VirtualClock, WallClock
from hal.errors import ConfigError
from rig.calibration.certificates.in_force import in_force
from rig.config import RigConfig, config_file, load_config
from rig.record import DeviceRecord, RunFolder, StreamWriter
from rig.safety.interrupt import held_off
from rig.setup.simulated import needs_bench


@dataclass(frozen=True)
class QaRun:
    """A QA run that came to its end, with its report."""

    path: Path
    results: QaResults

    @property
    def verdict(self) -> str:
        return self.results.verdict.word

    def figures(self) -> dict[str, float | None]:
        """Value of every figure by name; None where it was not evaluated."""
        return {f.name: f.value for f in self.results.outcome.figures}

    def __repr__(self) -> str:
        kind = "SIMULATED " if self.results.simulated else ""
        return f"<{kind}QA run {self.path.name}: {self.verdict} - {self.results.verdict.reason}>"


def run_test(
    test: str,
    rig: str | Path = "simulated",
    *,
    out: str | Path = "runs",
    seed: int = 1,
    tell: Callable[[str], None] = say,
) -> QaRun:
    """Carry out one test on a rig and write its report.

    Args:
        test: name of a shipped acceptance file, or path of one's own (``.toml``).
        rig: name of a shipped rig file, or path of one's own; it needs the device under test and its reference only.
        out: folder in which the run gets a folder of its own.
        seed: of a simulated bench.
        tell: is given progress for a person.

    Raises:
        ConfigError: acceptance or rig file cannot be used, or the reference may not decide a limit.
        RigNotOpened, SafetyStop, DeviceError, LinkError: as the rig raises them; the record is sealed all the same.
    """
    path = acceptance_file(test)
    acceptance = acceptance_of(test)
    config, stated = _checked(acceptance, str(rig))
    evaluation, procedure = evaluation_of(acceptance.test), PROCEDURES[acceptance.test]
    clock = VirtualClock() if needs_bench(config) else WallClock()
    run = RunFolder.create(
        Path(out), f"qa-{acceptance.id}", clock, seed=seed, simulated=config.rig.simulated, rooms=(READINGS,),
        files={ACCEPTANCE: path.read_bytes(), "rig.toml": config_file(str(rig)).read_bytes()},
    )  # fmt: skip
    reason = "interrupted"
    streams = StreamWriter(run.path / READINGS)
    try:
        with watched(config, clock, run.journal, seed=seed, stated=stated) as controller:
            run.devices([DeviceRecord(identity) for identity in controller.rig.identities.values()])
            station = Station(controller, evaluation.settings(acceptance.parameters), streams, tell)
            station.begin(evaluation)
            procedure.measure(station)
        reason = FINISHED
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        raise
    finally:
        with held_off():
            streams.close()
            run.seal(reason)
    return QaRun(run.path, make_qa_report(run.path))


def check_test(test: str, rig: str = "simulated") -> str:
    """Everything that ``run_test`` checks before it opens a device; returns the rig's name. Raises ``ConfigError``."""
    return _checked(acceptance_of(test), rig)[0].rig.name


def _checked(acceptance: Acceptance, rig: str) -> tuple[RigConfig, RigConfig]:
    """The rig with its certificates, and as its file states it.

    Raises ``ConfigError`` when a role is missing, the test cannot be carried out like this, or the reference may not
    decide a limit.
    """
    test = acceptance.test
    if test not in PROCEDURES:
        raise ConfigError(f"{test} is evaluated from files only: nobody has written how to carry it out on a rig")
    stated = load_config(rig)
    config = in_force(stated, datetime.now(UTC).date()).applied_to(stated)
    missing = [role for role in PROCEDURES[test].roles if role not in config.devices]
    if missing:
        raise ConfigError(f"this rig ({config.rig.name}) has no {' and no '.join(missing)}, which {test} needs")
    why = PROCEDURES[test].refusal(evaluation_of(test).settings(acceptance.parameters), config)
    if why:
        raise ConfigError(f"{acceptance.id}: {why}")
    faults = reference_faults(acceptance.reference, acceptance.criteria)
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(f"{acceptance.id}: the reference may not decide this:\n{lines}")
    return config, stated
