"""What is wrong with this installation and with a rig file; nothing is opened or moved."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path
from typing import Literal

from hal import registry
from hal.driver_table import by_wire
from hal.errors import ConfigError
from rig.calibration.certificates.in_force import in_force
from rig.config import ROLES, RigConfig, load_config
from rig.setup.simulated import check_sim, needs_bench

Level = Literal["ok", "warning", "error"]
ROOMS = ("rig", "hal", "experiments", "analysis")
DISTRIBUTION = "phantomrig"
NEEDED_MB = 500
"""Free space below which a study with frames may not finish [A]."""

NOT_MEASURED = {
    "carrier": "the needle is in a person's hand; its path is what the person reports",
    "needle_force": "strong resistance is felt, not measured; no force interlock",
    "probe_force": "the probe's pressure on the gel is not watched",
    "contact": "contact with nerve or vessel inserts is not recognised; no pedal",
    "tracker": "without a reference instrument every trial ends as truth missing",
    "temperature": "the gel's speed of sound follows the pressure cell's temperature, in the line, not in the gel; "
    "without one it is that of the rig file",
    "estop": "there is no stop by key beside the wired one",
}
REQUIRED = ("holder", "pump", "pressure", "ultrasound", "operator")
"""The core rig: enough for a study."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    what: str
    text: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def examine(rig: Path | str | None) -> list[Finding]:
    """Everything that can be seen without opening a port; ``rig`` = a rig file to check as well."""
    findings = [*_python(), *_packages(), *_shadowing(), *_drivers(), *_places()]
    if rig is not None:
        findings += _rig_file(rig)
    return findings


def _python() -> Iterator[Finding]:
    yield Finding("ok", "python", f"Python {'.'.join(str(n) for n in sys.version_info[:3])} in {sys.prefix}")


def _packages() -> Iterator[Finding]:
    try:
        needed = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        yield Finding("warning", "packages", "phantomrig is not installed; running from a checkout")
        return
    missing = []
    for line in needed:
        match = re.match(r"[A-Za-z0-9._-]+", line)
        if match is None or "extra ==" in line:
            continue
        try:
            version(match[0])
        except PackageNotFoundError:
            missing.append(match[0])
    if missing:
        yield Finding("error", "packages", f"missing: {', '.join(missing)}", "install phantomrig again")
    else:
        yield Finding("ok", "packages", f"phantomrig {version(DISTRIBUTION)} with everything it needs")


def _shadowing() -> Iterator[Finding]:
    """``rig`` and ``hal`` are names that other distributions use too (rig 2.4.1, robotpy-hal)."""
    owners = packages_distributions()
    here = Path(__file__).resolve().parents[1]
    advice = "use an environment that holds phantomrig alone"
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        others = sorted(set(owners.get(room, [])) - {DISTRIBUTION})
        if origin is None or origin.parent.parent != here:
            yield Finding("error", "shadowing", f"'import {room}' finds {origin}, not {here / room}", advice)
        elif others:
            yield Finding("error", "shadowing", f"package {room!r} also belongs to {', '.join(others)}", advice)
        else:
            yield Finding("ok", "shadowing", f"package {room!r} is ours")


def _drivers() -> Iterator[Finding]:
    wired = [e for e in registry.drivers().values() if by_wire(e)]
    unverified = [e.name for e in wired if not e.verified]
    broken = []
    for entry in registry.drivers().values():
        try:
            entry.settings_model()
        except ConfigError as error:
            broken.append(str(error))
    if broken:
        yield Finding("error", "drivers", "; ".join(broken), "install again what brought it")
    for bad in registry.bad_plugins():
        yield Finding("warning", "plug-in", bad.words, f"repair or uninstall {bad.distribution}; everything else works")
    if unverified:
        text = f"{len(unverified)} of {len(wired)} drivers were never compared with the real device"
        yield Finding("warning", "drivers", text, "record a transcript at the first bench session")


def _places() -> Iterator[Finding]:
    here = Path.cwd()
    if not os.access(here, os.W_OK):
        yield Finding("warning", "output", f"{here} cannot be written", "give --out a folder that can")
        return
    free_mb = _free_mb(here)
    level: Level = "ok" if free_mb >= NEEDED_MB else "warning"
    yield Finding(level, "output", f"{free_mb} MB free in {here}", "" if level == "ok" else "free some space")


def _free_mb(place: Path) -> int:
    import shutil

    return shutil.disk_usage(place).free // 1_000_000


def _rig_file(rig: Path | str) -> list[Finding]:
    try:
        config = load_config(rig)
        if needs_bench(config):
            check_sim(config)
    except ConfigError as error:
        return [Finding("error", "rig file", line) for line in str(error).splitlines()]
    kind = "simulated" if config.rig.simulated else "real bench"
    findings = [Finding("ok", "rig file", f"{config.path}: {config.rig.name} ({kind}), {len(config.devices)} devices")]
    findings += _roles(config)
    if not config.rig.simulated:
        findings += [finding for role in config.devices for finding in _port(role, config)]
    findings += _calibrations(config)
    for role, table in config.devices.items():
        name = str(table["driver"])
        entry = registry.drivers().get(name)
        if entry is not None and by_wire(entry) and not entry.verified and not config.rig.simulated:
            advice = "compare it with a transcript of the device first"
            findings.append(Finding("warning", role, f"driver {name} is unverified", advice))
    return findings


def _calibrations(config: RigConfig) -> Iterator[Finding]:
    if config.calibration_folder is None:
        if not config.rig.simulated:
            advice = "file certificates (phantomrig calibrate certify) and name their folder in [calibrations]"
            yield Finding("warning", "calibrations", "none: positions are as good as the figures typed in", advice)
        return
    try:
        standing = in_force(config, datetime.now(UTC).date())
    except ConfigError as error:
        yield Finding("error", "calibrations", str(error))
        return
    names = ", ".join(f"{c.identity} ({c.transform or c.device})" for c in standing.certificates) or "none"
    yield Finding("ok", "calibrations", f"in force: {names}")


def _roles(config: RigConfig) -> Iterator[Finding]:
    for role in REQUIRED:
        if role not in config.devices:
            advice = f"add [devices.{role}]; a manual driver will do where one exists"
            yield Finding("error", role, "missing, and a study needs it", advice)
    for role in ROLES:
        if role not in config.devices and role in NOT_MEASURED:
            yield Finding("warning", role, f"not there: {NOT_MEASURED[role]}")
    for role, table in config.devices.items():
        if str(table.get("driver", "")).startswith("manual_"):
            yield Finding("warning", role, "typed by a person: no interlock can watch it")


def _port(role: str, config: RigConfig) -> Iterator[Finding]:
    """A serial port must exist and be ours to open; addresses of a network are left alone."""
    settings = config.driver_settings(role)
    for key in ("url", "port"):
        value = getattr(settings, key, None)
        if not isinstance(value, str) or not value.startswith("/dev/"):
            continue
        path = Path(value)
        if not path.exists():
            yield Finding("error", role, f"{value} does not exist", "is the device plugged in and switched on?")
        elif not os.access(path, os.R_OK | os.W_OK):
            yield Finding("error", role, f"no permission for {value}", "join the group of the port (often dialout)")
        else:
            yield Finding("ok", role, f"{value} exists and may be opened")
