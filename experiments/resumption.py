"""Remaining work of an interrupted study, and whether its folder allows it.

The order stays that of the plan. A trial that was begun and does not count is run again as a new one: in a simulation
in its own cartridge, which is made again without it; on a bench its root is spent, so that it goes to a reserve
cartridge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.cartridge import Before
from experiments.protocol.plan import PlannedCartridge, plan, reserve
from experiments.protocol.study import Study, load_study
from hal.errors import ConfigError
from rig.config import Calibrations, RigConfig, load_config
from rig.record import Chain, RecordedRun, verify_run
from rig.record.attempts import attempts
from rig.record.folder import finish_resuming
from rig.record.software import software_versions
from rig.setup.simulated import needs_bench

INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Resumption:
    """An interrupted study, checked: no mistake can refuse any part of it any more."""

    run: Path
    study: Study
    config: RigConfig
    cartridges: tuple[PlannedCartridge, ...]
    """All of them, reserve cartridges last; a trial that moved stands in its new one only."""
    before: dict[str, Before]
    """By cartridge, where another process began it."""
    outcomes: dict[str, str]
    """Outcomes of the trials that count, by trial."""
    moved: tuple[tuple[str, str, str], ...]
    """Trial, its cartridge, its reserve cartridge."""

    @property
    def to_do(self) -> tuple[PlannedCartridge, ...]:
        """Cartridges with something left to do, or to close, in planned order."""

        def left(cartridge: PlannedCartridge) -> bool:
            before = self.before.get(cartridge.cartridge_id)
            trials = any(trial.trial_id not in self.outcomes for trial in cartridge.trials)
            return trials or (before is not None and (bool(before.open) or not before.ended))

        return tuple(cartridge for cartridge in self.cartridges if left(cartridge))


def resumption(path: Path, rig: Path | None) -> Resumption:
    """Read and check a run folder; nothing is added to it. Raises ``ConfigError`` with the reason why it cannot be
    resumed.

    ``rig`` is the bench's rig file: its folders of ledgers and certificates lie beside it, and it must be the one that
    the run was begun with. A simulated run needs none.
    """
    RecordedRun.open(path)
    finish_resuming(path)
    run = RecordedRun.open(path)
    _check_folder(run)
    study = load_study(str(path / "study.toml"), as_run=True)
    config = _config(run, rig)
    cartridges = plan(study, study.loaded())
    trials = [(t.trial_id, t.cartridge_id) for c in cartridges for t in c.trials]
    if trials != [(t.trial_id, t.cartridge_id) for t in run.planned]:
        raise ConfigError(f"{path} cannot be resumed: its study file does not give the trials of its plan.json")
    outcomes = {
        str(row["trial_id"]): str(row["outcome"])
        for row in run.rows
        if row["outcome"] != INTERRUPTED and row["trial_id"] in dict(trials)
    }
    before = {name: _before(chain, outcomes) for name, chain in run.cartridge_chains.items()}
    if run.manifest is not None and len(outcomes) == len(trials):
        raise ConfigError(f"{path} is finished: each of its {len(trials)} trials has a result")
    moved: tuple[tuple[str, str, str], ...] = ()
    if not needs_bench(config):
        cartridges, moved = _with_reserves(study, cartridges, before, outcomes, run)
    return Resumption(path, study, config, cartridges, before, outcomes, moved)


def _check_folder(run: RecordedRun) -> None:
    path = run.path
    missing = [name for name in ("study.toml", "rig.toml", "phantom.toml", "plan.json") if not (path / name).is_file()]
    if missing:
        raise ConfigError(
            f"{path} cannot be resumed: {', '.join(missing)} is missing. A run that ended before its plan was written "
            "has no trial: begin it anew"
        )
    faults = verify_run(path, unfinished=True)
    if faults:
        raise ConfigError(
            f"{path} cannot be resumed: it is not as it was recorded: {'; '.join(faults[:5])}. "
            f"To see everything: phantomrig verify {path}"
        )
    here, there = software_versions(), run.versions
    names = sorted(set(here) | set(there))
    other = [f"{name} {there.get(name, 'unknown')} (here {here.get(name, 'unknown')})" for name in names
             if here.get(name) != there.get(name)]  # fmt: skip
    if other:
        raise ConfigError(
            f"{path} cannot be resumed: it was made with other software, and a study made half with each is not valid: "
            + ", ".join(other)
        )


def _config(run: RecordedRun, rig: Path | None) -> RigConfig:
    copy = run.path / "rig.toml"
    if rig is not None:
        if rig.is_file() and rig.read_bytes() != copy.read_bytes():
            raise ConfigError(f"{rig} is not the rig file that {run.path} was begun with (its copy: {copy})")
        return load_config(rig)
    config = load_config(copy)
    if not config.rig.simulated:
        raise ConfigError(
            f"{run.path} is of a real bench ({config.rig.name}): name its rig file with --rig, since the ledgers of "
            "its blocks lie beside that"
        )
    folder = "calibrations" if (run.path / "calibrations").is_dir() else ""
    return config.model_copy(update={"calibrations": Calibrations(folder=folder)})


def _before(chain: Chain, outcomes: dict[str, str]) -> Before:
    begun: dict[str, None] = {}
    block = ""
    for name, entry in attempts(chain):
        if entry.kind == "trial.started" and name == entry.data.get("trial_id"):
            begun[name] = None
    for entry in chain.entries:
        if entry.kind == "cartridge.identified":
            block = str(entry.data.get("block", ""))
    closed = tuple(name for name in begun if name in outcomes)
    ended = bool(chain.entries) and chain.entries[-1].kind == "cartridge.closed"
    return Before(closed, tuple(name for name in begun if name not in outcomes), block, ended)


def _with_reserves(
    study: Study,
    cartridges: Sequence[PlannedCartridge],
    before: dict[str, Before],
    outcomes: dict[str, str],
    run: RecordedRun,
) -> tuple[tuple[PlannedCartridge, ...], tuple[tuple[str, str, str], ...]]:
    """On a bench: what was begun and does not count goes to reserve cartridges, after all others."""
    known = {c.cartridge_id for c in cartridges}
    earlier = [PlannedCartridge(name, 0, ()) for name in sorted(before) if name not in known]
    begun = {
        str(entry.data.get("trial_id"))
        for chain in run.cartridge_chains.values()
        for entry in chain.entries
        if entry.kind == "trial.started"
    }
    spent = [t for c in cartridges for t in c.trials if t.trial_id in begun and t.trial_id not in outcomes]
    extra = reserve(study, (*cartridges, *earlier), spent)
    home = {t.trial_id: t.cartridge_id for t in spent}
    kept = tuple(replace(c, trials=tuple(t for t in c.trials if t not in spent)) for c in cartridges)
    moved = tuple((t.trial_id, home[t.trial_id], t.cartridge_id) for c in extra for t in c.trials)
    return (*kept, *earlier, *extra), moved


__all__ = ["Resumption", "resumption"]
