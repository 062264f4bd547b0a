"""An interrupted study is finished in its own folder, and sealed anew."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from experiments.carry_out import carried_through
from experiments.ended import Ended
from experiments.messages import say
from experiments.progress import StudyProgress
from experiments.rehearsal import rehearse
from experiments.request import WORKERS_SIMULATED, check_devices
from experiments.resumption import Resumption, resumption
from experiments.run import StudyOutcome, check_rig, conclude
from hal.clock import WallClock
from hal.errors import ConfigError
from rig.calibration.certificates.in_force import in_force
from rig.setup.simulated import needs_bench


def resume_study(run: Path, rig: Path | None, workers: int | None) -> Ended:
    """Finish a study and make its report anew.

    Raises ``ConfigError`` before anything is changed: for a run that is finished, was made with other software or with
    another rig, or is not as it was recorded.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}")
    found = resumption(run, rig)
    calibrated = in_force(found.config, datetime.now(UTC).date())
    check_rig(found.study, found.config, found.study.loaded(), calibrated)
    check_devices(found.config, calibrated)
    _tell(found)
    if not needs_bench(found.config):
        say("rehearsing in simulation, so that no long computation happens while devices are watched ...")
        rehearse(found.study)
    progress = StudyProgress(WallClock())
    default = WORKERS_SIMULATED if needs_bench(found.config) else 1

    def conducted() -> StudyOutcome:
        with progress:
            return conclude(found, workers=workers or default, watcher=progress, calibrated=calibrated)

    return carried_through(conducted, run, progress)


def _tell(found: Resumption) -> None:
    """Show what is done, what is left, and what goes elsewhere."""
    say(f"{found.run}: {len(found.outcomes)} of {sum(len(c.trials) for c in found.cartridges)} trials have a result")
    again = "run again in its cartridge, which is built again without the interrupted attempt"
    how = again if needs_bench(found.config) else "its root is spent"
    for name, before in found.before.items():
        for trial_id in before.open:
            say(f"  {trial_id} ({name}) was interrupted: {how}")
    for trial_id, spent, new in found.moved:
        say(f"  {trial_id} goes from {spent} to the reserve cartridge {new}: have an unused block of gel ready")
