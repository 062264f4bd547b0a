"""Order to carry out a study: everything is read and checked before a folder is made or anything moves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from experiments.messages import say
from experiments.protocol.plan import plan
from experiments.protocol.study import Study, load_study, narrowed
from experiments.protocol.technique import load_technique, shipped, technique_file
from experiments.qa.gate import gate
from experiments.run import check_rig
from hal.clock import VirtualClock, WallClock
from hal.errors import ConfigError, one_line
from hal.files.toml_text import toml_text
from hal.phantom.nominal import load_phantom
from hal.phantom.spec import phantom_file, phantom_names
from rig.calibration.certificates.in_force import InForce, in_force
from rig.config import RigConfig, load_config
from rig.setup.assemble import RigNotOpened, open_rig
from rig.setup.simulated import check_sim, needs_bench

SHIPPED_RIG = "simulated"
WORKERS_SIMULATED = 2
AUTOMATIC = "auto_operator"
TRIAL_S = {"landmark": 3.0, "image": 15.0}
"""Time for computing one simulated trial on one core of 2026, measured."""
BENCH_TRIAL_S = 1200.0
"""Time of one trial at a bench with its preparation and closing [A]."""


@dataclass(frozen=True)
class Order:
    """A checked order: no mistake in a file or an option can refuse any part of it any more."""

    study: Study
    config: RigConfig
    out: Path
    workers: int
    files: dict[str, bytes]
    """Copies for the run folder, by name."""
    calibrated: InForce
    """Certificates in place of what the rig file states."""


def estimate(order: Order) -> str:
    """Approximate duration of the study, shown before it begins so that nobody starts a long one by mistake."""
    design, simulated = order.study.design, needs_bench(order.config)
    each_s = [TRIAL_S["landmark" if t.plane == "landmark" else "image"] for t in order.study.loaded().values()]
    total_s = design.repeats * (sum(each_s) / order.workers if simulated else BENCH_TRIAL_S * len(each_s))
    hours, minutes = divmod(round(total_s / 60.0), 60)
    took = f"{hours} h {minutes} min" if hours else f"{max(minutes, 1)} min"
    where = "of computing" if simulated else "at the bench"
    return f"trials requested: {design.repeats * len(each_s)}, about {took} {where}"


def checked(
    study: str,
    rig: Path | None,
    out: Path,
    trials: int | None,
    seed: int | None,
    workers: int | None,
    techniques: tuple[str, ...],
    qa_override: str = "",
) -> Order:
    """Order from a command line: files are read, and everything is checked. Raises ``ConfigError``."""
    chosen = narrowed(load_study(study), trials=trials, seed=seed, techniques=techniques)
    config = load_config(rig if rig is not None else SHIPPED_RIG)
    return ordered(chosen, config, out, workers, qa_override=qa_override)


def ordered(
    study: Study,
    config: RigConfig,
    out: Path,
    workers: int | None,
    also: Mapping[str, bytes] = MappingProxyType({}),
    qa_override: str = "",
) -> Order:
    """Check everything; nothing is written or moved. Raises ``ConfigError``.

    ``also``: further files for the run folder, by name. ``qa_override``: see ``experiments.qa.gate``.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}")
    calibrated = checked_on_paper(study, config)
    _check_out(out)
    copies = {**copies_of(study, config), **also, **gate(config, qa_override)}
    for one in study.loaded().values():
        if one.procedure and one.procedure.rsplit(":", 1)[0] not in also:
            raise ConfigError(f"technique {one.id}: procedure = {one.procedure!r} comes with a script; run that script")
    copies |= {f"calibrations/{path.name}": path.read_bytes() for path in calibrated.files}
    check_devices(config, calibrated)
    default = WORKERS_SIMULATED if needs_bench(config) else 1
    return Order(study, config, out, workers or default, copies, calibrated)


def checked_on_paper(study: Study, config: RigConfig) -> InForce:
    """Check what can be checked before opening: study, rig, phantom and certificates against each other.

    Returns the certificates in force; raises ``ConfigError``.
    """
    loaded = study.loaded()
    calibrated = in_force(config, datetime.now(UTC).date())
    check_rig(study, config, loaded, calibrated)
    phantom = load_phantom(study.design.phantom)
    for cartridge in plan(study, loaded):
        for trial in cartridge.trials:
            phantom.target(trial.level, trial.side)
    return calibrated


def check_devices(config: RigConfig, calibrated: InForce) -> None:
    """Check the simulated bench's table, the person, and every device that is not simulated here. Raises
    ``ConfigError``."""
    if needs_bench(config):
        check_sim(config)
    if not config.rig.simulated and config.devices.get("operator", {}).get("driver") == AUTOMATIC:
        raise ConfigError(f"devices.operator: {AUTOMATIC!r} is for simulated rigs only; a bench needs a person")
    _try_devices(calibrated.applied_to(config))


def _check_out(out: Path) -> None:
    """Require that the output folder, or the nearest existing folder above it, is writable."""
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
        raise ConfigError(f"the rig file does not fit what is connected; nothing was started: {why}") from None
    for problem in rig.close():
        say(f"phantomrig: after the first check of the devices: {problem}")


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
