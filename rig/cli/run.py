"""``phantomrig run``: everything is read and checked first, then the study runs, then its report is made."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.protocol.plan import plan
from experiments.protocol.study import Study, load_study, narrowed
from experiments.protocol.technique import load_technique, shipped, technique_file
from experiments.run import StudyOutcome, check_rig, conduct
from hal.clock import VirtualClock, WallClock
from hal.errors import ConfigError, LinkError, RecordError
from hal.phantom.nominal import load_phantom
from hal.phantom.spec import phantom_file, phantom_names
from rig.assemble import RigNotOpened, open_rig
from rig.calibration.in_force import InForce, in_force
from rig.cli.output import Exit, one_line, say
from rig.cli.progress import StudyProgress
from rig.cli.stop_signals import workers_stop_too
from rig.cli.toml_text import toml_text
from rig.config import RigConfig, load_config
from rig.live_scene import LiveScene
from rig.simulated import check_sim, needs_bench

SHIPPED_RIG = "simulated"
WORKERS_SIMULATED = 2
AUTOMATIC = "auto_operator"
TRIAL_S = {"landmark": 3.0, "image": 15.0}
"""Of computing one simulated trial on one core of 2026, measured."""
BENCH_TRIAL_S = 1200.0
"""Of one trial at a bench with its preparation and closing [A]."""
NOT_JUDGED = "NOT JUDGED"
"""Verdict of a run that could not be analysed."""


@dataclass(frozen=True)
class RunResult:
    """What the command ends with."""

    exit: Exit
    run: Path
    planned_n: int
    completed_n: int
    verdict: str

    def as_json(self) -> dict[str, Any]:
        return {"run": str(self.run), "planned": self.planned_n, "completed": self.completed_n, "verdict": self.verdict}


@dataclass(frozen=True)
class Order:
    """A checked order: nothing in it can be refused for a mistake in a file or an option any more."""

    study: Study
    config: RigConfig
    out: Path
    workers: int
    files: dict[str, bytes]
    """Copies for the run folder, by name."""
    calibrated: InForce
    """Certificates in place of what the rig file states."""


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
    order = checked(study, rig, out, trials, seed, workers, techniques)
    if not needs_bench(order.config):
        from rig.cli.bench_trial import rehearse

        say("rehearsing in simulation, so that nothing has to be computed for long while devices are watched ...")
        rehearse(order.study)
    progress = StudyProgress(WallClock(), estimate=_estimate(order))

    def conducted() -> StudyOutcome:
        with _live(order, publish) as scene:
            return _conducted(order, progress, scene)

    return carried_through(conducted, order.out, progress)


def carried_through(conducted: Callable[[], StudyOutcome], where: Path, progress: StudyProgress) -> RunResult:
    """Carry out a study, report it, and say what the command ends with; ``where`` is the folder that it writes to."""
    with workers_stop_too() as signals:
        try:
            outcome = conducted()
        except OSError as error:
            raise RecordError(
                f"the study ended early: {error.strerror or error} ({error.filename or where}). Trials that were "
                f"completed are kept in {where}. Check free space and quota"
            ) from error
        signals.study_is_over()
        verdict = _reported(outcome)
    ends = {"": Exit.DONE, "device": Exit.DEVICE_FAILURE, "record": Exit.BAD_INPUT}
    code = ends.get(outcome.failure_kind, Exit.STOPPED)
    if outcome.failure:
        words = {Exit.DEVICE_FAILURE: "device failure", Exit.BAD_INPUT: "the record ended early"}
        say(f"phantomrig: {words.get(code, 'stopped')}: {outcome.failure}")
    completed_n = max(outcome.completed_n, progress.done_n)  # workers that were stopped hand no result back
    return RunResult(code, outcome.run, outcome.planned_n, completed_n, verdict)


def _estimate(order: Order) -> str:
    """How long the study will take, roughly, before it begins: a long one is better not begun by mistake."""
    design, simulated = order.study.design, needs_bench(order.config)
    each_s = [TRIAL_S["landmark" if t.plane == "landmark" else "image"] for t in order.study.loaded().values()]
    total_s = design.repeats * (sum(each_s) / order.workers if simulated else BENCH_TRIAL_S * len(each_s))
    hours, minutes = divmod(round(total_s / 60.0), 60)
    took = f"{hours} h {minutes} min" if hours else f"{max(minutes, 1)} min"
    where = "of computing" if simulated else "at the bench"
    return f"{design.repeats * len(each_s)} trials asked for: about {took} {where}"


def checked(
    study: str,
    rig: Path | None,
    out: Path,
    trials: int | None,
    seed: int | None,
    workers: int | None,
    techniques: tuple[str, ...],
) -> Order:
    """Read and check everything; nothing is written or moved. Raises ``ConfigError``."""
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}")
    chosen = narrowed(load_study(study), trials=trials, seed=seed, techniques=techniques)
    config = load_config(rig if rig is not None else SHIPPED_RIG)
    loaded = chosen.loaded()
    calibrated = in_force(config, datetime.now(UTC).date())
    check_rig(chosen, config, loaded, calibrated)
    phantom = load_phantom(chosen.design.phantom)
    for cartridge in plan(chosen, loaded):
        for trial in cartridge.trials:
            phantom.target(trial.level, trial.side)
    _check_out(out)
    in_process = needs_bench(config)
    copies = copies_of(chosen, config) | {f"calibrations/{path.name}": path.read_bytes() for path in calibrated.files}
    check_devices(config, calibrated)
    default = WORKERS_SIMULATED if in_process else 1
    return Order(chosen, config, out, workers or default, copies, calibrated)


def check_devices(config: RigConfig, calibrated: InForce) -> None:
    """The simulated bench's table, the person, and every device that is not simulated here. Raises ``ConfigError``."""
    if needs_bench(config):
        check_sim(config)
    if not config.rig.simulated and config.devices.get("operator", {}).get("driver") == AUTOMATIC:
        raise ConfigError(f"devices.operator: {AUTOMATIC!r} is for simulated rigs only; a bench needs a person")
    _try_devices(calibrated.applied_to(config))


def _check_out(out: Path) -> None:
    """The output folder, or the nearest folder above it that exists, must be ours to write."""
    place = out.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise ConfigError(f"--out {out}: {place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {out}: {place} cannot be written; choose a folder that you may write to")


def _try_devices(config: RigConfig) -> None:
    """Open what is not simulated in this process, and close it again: a rig file that does not fit the bench is found
    before a run folder exists. Raises ``ConfigError`` with every device that did not open."""
    own = {
        role: table
        for role, table in config.devices.items()
        if config.driver_settings(role) is not None
        and not any(str(value).startswith("rigsim://") for value in table.values())
    }
    if not own:
        return
    try:
        # Beside devices simulated in this process time is virtual, in which only recordings can be played.
        clock = VirtualClock() if needs_bench(config) else WallClock()
        rig = open_rig(config.model_copy(update={"devices": own}), clock)
    except RigNotOpened as error:
        why = "; ".join(f"{role}: {one_line(failure)}" for role, failure in error.failures.items())
        raise ConfigError(f"the rig file does not fit what is connected, nothing was begun: {why}") from None
    for problem in rig.close():
        say(f"phantomrig: after the first look at the devices: {problem}")


def copies_of(study: Study, config: RigConfig) -> dict[str, bytes]:
    """The files of the study as used, to be kept in the run folder; the study names the copies of the user's own files,
    so that the folder can be resumed without them."""
    design = study.design
    own = {name: f"techniques/{load_technique(name).id}.toml" for name in design.techniques if name not in shipped()}
    inside: dict[str, object] = {"techniques": tuple(own.get(name, name) for name in design.techniques)}
    if design.phantom not in phantom_names():
        inside["phantom"] = "phantom.toml"
    kept = study.model_copy(update={"design": design.model_copy(update=inside)})
    copies = {"study.toml": toml_text(kept.model_dump(mode="json")).encode()}
    if config.path is not None:
        copies["rig.toml"] = config.path.read_bytes()
    copies["phantom.toml"] = phantom_file(study.design.phantom).read_bytes()
    for name in study.design.techniques:
        content = technique_file(name).read_bytes()
        label = f"techniques/{load_technique(name).id}.toml"
        if copies.setdefault(label, content) != content:
            raise ConfigError(f"{name}: another technique of this study has the same id")
    return copies


@contextmanager
def _live(order: Order, port: int | None) -> Iterator[LiveScene | None]:
    """A live scene on a port of this machine; raises ``ConfigError`` when the port cannot be had."""
    if port is None:
        yield None
        return
    from hal.links.igtl_server import PublishServer
    from hal.links.publisher import Publisher

    publisher = Publisher(simulated=order.config.rig.simulated)
    try:
        server = PublishServer(publisher, WallClock(), port=port)
    except LinkError as error:
        raise ConfigError(f"--publish {port}: {error}") from None
    say(f"live scene: OpenIGTLink on 127.0.0.1:{server.port} (in 3D Slicer: OpenIGTLinkIF, client)")
    try:
        yield LiveScene(publisher)
    finally:
        ended = server.error
        server.close()
        if ended is not None:
            say(f"the live scene ended before the study: {ended!r}; the record of the study is not touched by it")
        for reason in server.lost_clients:
            say(f"live scene: {reason}")


def _conducted(order: Order, progress: StudyProgress, scene: LiveScene | None) -> StudyOutcome:
    with progress:
        return conduct(
            order.study, order.config, order.out, files=order.files, workers=order.workers, watcher=progress,
            scene=scene, calibrated=order.calibrated,
        )  # fmt: skip


def _reported(outcome: StudyOutcome) -> str:
    """Analyse and report; returns the verdict. A study that was stopped is reported as far as it went."""
    from rig.cli.report import make_report

    say(f"run folder: {outcome.run}")
    try:
        page = make_report(outcome.run)
    except (RecordError, OSError) as error:
        raise RecordError(
            f"the record is complete in {outcome.run}, but its report could not be written: {one_line(error)}. "
            f"Make room and type: phantomrig report {outcome.run}"
        ) from error
    results = json.loads((outcome.run / "results.json").read_text())
    show_results(results)
    say(f"report: {page}")
    return str(results.get("verdict") or NOT_JUDGED)


def show_results(results: dict[str, Any]) -> None:
    """One table for a person, on stderr: approach, n, success, median error; then the verdict."""
    from rich.console import Console
    from rich.table import Table

    title = "SIMULATED - " * bool(results["simulated"]) + str(results["title"])
    table = Table(title=title, caption=f"verdict: {results['verdict']} - {results['verdict_reason']}")
    table.add_column("approach", no_wrap=True)
    for heading in ("n", "success", "median error (mm)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in results["approaches"]:
        median = group["median"]["value"]
        success = group["success"]
        table.add_row(
            group["label"],
            f"{group['closed_n']}/{group['planned_n']}",
            f"{success['count']}/{success['n']}",
            "not measured" if median is None else f"{median:.2f}",
        )
    Console(stderr=True).print(table)
