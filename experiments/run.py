"""A whole study: run folder, randomised cartridges, workers, seal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from experiments.cartridge import NO_CERTIFICATES, CartridgeJob, CartridgeResult, run_cartridge
from experiments.decidable import undecided
from experiments.fits import misfits
from experiments.protocol.plan import PlannedCartridge, plan, repeated, reserve
from experiments.protocol.study import Study
from experiments.protocol.technique import Technique
from experiments.resumption import Resumption
from experiments.trial.device_fault import DEVICE_FAULT, RULES
from experiments.workers import in_workers
from hal.clock import WallClock
from hal.errors import ConfigError, LimitViolation
from hal.phantom.nominal import load_phantom
from hal.phantom.spec import phantom_names
from rig.calibration.certificates.in_force import InForce
from rig.config import RigConfig
from rig.live.scene import LiveScene
from rig.record import RecordedPlan, RunFolder
from rig.safety.interrupt import held_off
from rig.setup.simulated import needs_bench

ROOT_SPENT = "interrupted with the needle in it, or unknown: the root is spent, the trial is run again in another block"


class Watcher(Protocol):
    """Observer of a study's progress (the progress bar)."""

    def planned(self, cartridges: Sequence[PlannedCartridge]) -> None: ...

    def trial(self, trial_id: str, what: str) -> None: ...


@dataclass(frozen=True)
class StudyOutcome:
    """Result of a study run."""

    run: Path
    planned_n: int
    completed_n: int
    failure: str = ""
    failure_kind: str = ""
    """safety, device, operator or empty."""
    virtual_s: float = 0.0


def conduct(
    study: Study,
    config: RigConfig,
    out: Path,
    *,
    files: dict[str, bytes],
    workers: int,
    watcher: Watcher,
    scene: LiveScene | None = None,
    calibrated: InForce = NO_CERTIFICATES,
) -> StudyOutcome:
    """Run a study from an empty run folder to a sealed one; ``scene`` shows it while it happens (one worker).

    Raises ``ConfigError`` or ``RecordError`` before anything moves. A safety stop, a device failure or Ctrl-C ends the
    study early; what was recorded is sealed with the reason.
    """
    if workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}")
    if scene is not None or not needs_bench(config):
        workers = 1  # a real bench has one phantom fixture, a live scene one rig
    techniques = study.loaded()
    cartridges = plan(study, techniques)
    check_rig(study, config, techniques, calibrated)
    clock = WallClock()
    run = RunFolder.create(
        out, study.study.id, clock, files=files, seed=study.study.seed, simulated=config.rig.simulated
    )
    run.plan(_recorded(cartridges, techniques, config), device_faults=RULES)
    watcher.planned(cartridges)
    ledgers = config.ledger_folder
    # The user's own file may be changed or gone while the study runs: cartridges read the run folder's copy.
    own = study.design.phantom not in phantom_names() and "phantom.toml" in files
    phantom = str(run.path / "phantom.toml") if own else study.design.phantom
    jobs = [
        CartridgeJob(
            run.path,
            c,
            techniques,
            config,
            phantom,
            study.design.cartridge_age_h,
            calibrated,
            ledgers,
            level_shift=study.design.level_shift,
            measures=study.measures,
        )
        for c in cartridges
    ]
    return _carried_out(study, run, cartridges, jobs, workers, watcher, scene)


def conclude(found: Resumption, *, workers: int, watcher: Watcher, calibrated: InForce) -> StudyOutcome:
    """Finish an interrupted study in its own folder, in the order of its plan, and seal it anew.

    Raises ``ConfigError`` or ``RecordError`` before anything moves; ends as ``conduct`` does.
    """
    study, config = found.study, found.config
    techniques = study.loaded()
    check_rig(study, config, techniques, calibrated)
    run = RunFolder.resume(found.run, WallClock())
    for trial_id, spent, new in found.moved:
        run.journal.append("trial.moved", {"trial_id": trial_id, "from": spent, "to": new, "reason": ROOT_SPENT})
    watcher.planned(found.cartridges)
    for trial_id, outcome in found.outcomes.items():
        watcher.trial(trial_id, outcome)
    jobs = [
        CartridgeJob(
            run.path, c, techniques, config, study.design.phantom, study.design.cartridge_age_h, calibrated,
            config.ledger_folder, found.before.get(c.cartridge_id), study.design.level_shift, study.measures,
        )
        for c in found.to_do
    ]  # fmt: skip
    one = not needs_bench(config)
    ended = _carried_out(study, run, found.cartridges, jobs, 1 if one else workers, watcher, None)
    idle = sum(len(c.trials) for c in found.cartridges if c not in found.to_do)
    return replace(ended, completed_n=ended.completed_n + idle)


def _carried_out(
    study: Study,
    run: RunFolder,
    cartridges: Sequence[PlannedCartridge],
    jobs: list[CartridgeJob],
    workers: int,
    watcher: Watcher,
    scene: LiveScene | None,
) -> StudyOutcome:
    """Run the jobs; seal the run folder whatever ends them."""
    planned_n = sum(len(c.trials) for c in cartridges)
    results: dict[str, CartridgeResult] = {}
    failure, kind, reason = "", "", "finished"
    try:
        for result in each_cartridge(jobs, workers, watcher, scene):
            results[result.cartridge_id] = result
            if result.failure and result.failure_kind != DEVICE_FAULT:
                failure, kind, reason = result.failure, result.failure_kind, f"ended early: {result.failure}"
                break
        else:
            further = _repeats(study, cartridges, results, run)
            if further:
                watcher.planned((*cartridges, *further))
            cartridges = (*cartridges, *further)
            again = [replace(jobs[0], cartridge=c, before=None) for c in further]
            for result in each_cartridge(again, workers, watcher, scene) if again else ():
                results[result.cartridge_id] = result
                if result.failure:
                    how = "device" if result.failure_kind == DEVICE_FAULT else result.failure_kind
                    failure, kind, reason = result.failure, how, f"ended early: {result.failure}"
                    break
    except KeyboardInterrupt:
        failure, kind, reason = "stopped by the operator", "operator", "stopped by the operator"
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        raise
    finally:
        with held_off():
            run.adopt_all(c.cartridge_id for c in cartridges)
            first = next((results[c.cartridge_id] for c in cartridges if c.cartridge_id in results), None)
            if first is not None and first.devices:
                run.devices(first.devices)
            run.seal(reason)
    completed = sum(r.completed_n - len(r.faulted) for r in results.values())
    return StudyOutcome(run.path, planned_n, completed, failure, kind, sum(r.virtual_s for r in results.values()))


def _repeats(
    study: Study, cartridges: Sequence[PlannedCartridge], results: dict[str, CartridgeResult], run: RunFolder
) -> tuple[PlannedCartridge, ...]:
    """Reserve cartridges for what device faults ended, as new trials, and for what was not begun because of them.

    In planned order, so that equal runs give equal records. Each trial is repeated once.
    """
    lost = {name for result in results.values() for name in result.faulted}
    left = {name for result in results.values() for name in result.left}
    trials = [trial for cartridge in cartridges for trial in cartridge.trials]
    again = [repeated(t) if t.trial_id in lost else t for t in trials if t.trial_id in lost | left]
    further = reserve(study, cartridges, again)
    for trial in (t for cartridge in further for t in cartridge.trials):
        data = {"trial_id": trial.trial_id, "repeats": trial.repeats, "cartridge_id": trial.cartridge_id}
        run.journal.append("trial.repeated" if trial.repeats else "trial.moved", data)
    return further


def check_rig(
    study: Study, config: RigConfig, techniques: dict[str, Technique], calibrated: InForce = NO_CERTIFICATES
) -> None:
    """The rig must have what the techniques need, and an instrument that can decide the criteria: as qualified by a
    certificate, else as declared. Raises ``ConfigError`` with all gaps."""
    roles = set(config.devices)
    needs = {"pump"}
    if any(t.plane != "landmark" for t in techniques.values()):
        needs |= {"holder", "ultrasound"}
    if "carrier" not in roles or any(t.plane == "landmark" for t in techniques.values()):
        needs.add("operator")
    missing = sorted(needs - roles)
    if missing:
        raise ConfigError(f"this rig ({config.rig.name}) has no {', '.join(missing)}, which the study needs")
    if not config.safety.estop_inputs:  # a pump and a gauge may be tried by hand without one; no trial goes without
        raise ConfigError(f"this rig ({config.rig.name}) has no emergency-stop input, which every trial needs")
    _check_benches(study, config, calibrated)
    if not config.rig.simulated and "operator" not in roles and len(plan(study, techniques)) > 1:
        raise ConfigError(
            f"this rig ({config.rig.name}) has no operator, and the study needs more than one block of gel: somebody "
            "has to change it and to say which block is in"
        )
    others = sorted({t.needle for t in techniques.values()} - {config.needle.name})
    if others:
        raise ConfigError(
            f"this rig ({config.rig.name}) holds the needle {config.needle.name}, the study's techniques need "
            f"{', '.join(others)}: one study uses one kind of needle, named in the rig file too"
        )
    unfit = misfits(techniques, config, load_phantom(study.design.phantom))
    if unfit:
        raise ConfigError("\n".join(unfit))
    for technique in techniques.values():
        _check_run_on(technique, config)
    blocked = undecided(study, techniques, calibrated.applied_to(config))
    if blocked:
        certificate = calibrated.qualification
        advice = ". Use a better instrument"
        if certificate is None:
            advice += ", or state sees_bending and tip_uncertainty_mm as it was qualified"
        else:
            advice += f": this one is as {certificate.identity} of {certificate.performed_at[:10]} qualified it"
        raise ConfigError(f"this rig ({config.rig.name}) cannot decide the study. " + "; ".join(blocked) + advice)


def _check_run_on(technique: Technique, config: RigConfig) -> None:
    """Check that no infusion of a technique goes on too far once the host has died; raises ``ConfigError``."""
    injection, advance = technique.injection, technique.advance
    for name, volume_ml, rate_ml_min in (
        ("injection", injection.volume_ml, injection.rate_ml_min),
        ("test injection", injection.test_ml, injection.rate_ml_min),
        ("confirmation by fluid", advance.fluid_ml, advance.fluid_rate_ml_min),
    ):
        try:
            config.check_run_on(volume_ml, rate_ml_min)
        except LimitViolation as beyond:
            raise ConfigError(f"technique {technique.id}, {name}, on {config.rig.name}: {beyond}") from None


def _check_benches(study: Study, config: RigConfig, calibrated: InForce) -> None:
    """Check the number of benches: several are drawn at random; a real, named or calibrated bench is one."""
    if study.design.level_shift and not needs_bench(config):
        raise ConfigError(
            f"the study shifts its cartridges by a level unknown to all, and nobody can do that on {config.rig.name}: "
            "level_shift is for simulated benches"
        )
    if study.design.benches == 1:
        return
    asked = f"the study asks for {study.design.benches} benches"
    if not needs_bench(config):
        raise ConfigError(f"{asked}, and the rig file ({config.rig.name}) is of one: a run on it needs benches = 1")
    if config.sim.get("bench_seed") is not None:
        raise ConfigError(f"{asked}, and sim.bench_seed of the rig file ({config.rig.name}) names one: leave it out")
    if calibrated.certificates:
        raise ConfigError(f"{asked}, and the certificates of this rig ({config.rig.name}) are of one")


def each_cartridge(
    jobs: list[CartridgeJob], workers: int, watcher: Watcher, scene: LiveScene | None = None
) -> Iterator[CartridgeResult]:
    """Run cartridges in this process (one worker) or in several; results come in order of finishing."""
    if workers == 1 or len(jobs) <= 1:  # none: a run that was killed when only its seal was missing
        for job in jobs:
            yield run_cartridge(job, watcher.trial, scene=scene)
        return
    yield from in_workers(jobs, min(workers, len(jobs)), watcher.trial)


def _recorded(
    cartridges: Sequence[PlannedCartridge], techniques: dict[str, Technique], config: RigConfig
) -> list[RecordedPlan]:
    robot = "carrier" in config.devices
    rows = []
    for cartridge in cartridges:
        for t in cartridge.trials:
            technique = techniques[t.technique]
            guidance = "landmark" if technique.plane == "landmark" else ("robot" if robot else "freehand")
            rows.append(
                RecordedPlan(
                    t.trial_id, t.cartridge_id, technique.id, technique.approach(t.side), t.level, t.side,
                    technique.plane, guidance, t.block, t.order_in_cartridge, cartridge.bench_id,
                )
            )  # fmt: skip
    return rows
