"""Known anomalies: faults of earlier versions that could have altered a number in a run folder.

They stand in ``known_anomalies.toml``, one table each::

    [[anomaly]]
    id = "lost-pump-count"          # letters, digits, "-"
    title = "..."                   # one line, what was wrong
    affected = ["0.1.0"]            # versions of phantomrig that have it
    mended_in = "0.2.0"
    effect = "..."                  # in words, with the size
    effect_max = 0.3                # largest known size, in effect_unit; leave out where nobody can say
    effect_unit = "mL"              # mL, mm, deg, m/s, kPa, s or "" (a count, a label)
    look = "..."                    # how a person sees it in a run folder
    condition = { ... }             # what a folder must show for the anomaly to be possible; empty: any folder

Every key of a condition must hold: ``simulated`` (true or false), ``drivers`` and ``roles`` (one of them is among the
devices), ``files`` (one of these exists), ``cartridges_min`` (so many were used), ``unclosed`` (true: a trial was begun
and has no row), ``rows`` (column to values: a trial row has one of them in every column; ``"*"`` is any value at all),
``journal`` (kinds of entries: one of them was written), ``entry`` (name to values: in an entry of these kinds every
named value is one of those given).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from hal.errors import ConfigError
from hal.files import parse as parse_toml
from rig.record.journal import Entry
from rig.record.reading import RecordedRun

LIST = "known_anomalies.toml"
UNITS = frozenset({"mL", "mm", "deg", "m/s", "kPa", "s", ""})
CONDITIONS = frozenset(
    {"simulated", "drivers", "roles", "files", "cartridges_min", "unclosed", "rows", "journal", "entry"}
)
ANY = "*"
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_KEYS = {"id", "title", "affected", "mended_in", "effect", "look"}


@dataclass(frozen=True)
class Anomaly:
    """One fault of earlier versions."""

    id: str
    title: str
    affected: tuple[str, ...]
    mended_in: str
    effect: str
    look: str
    effect_max: float | None = None
    effect_unit: str = ""
    condition: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """An anomaly that one run folder may have."""

    id: str
    title: str
    effect: str
    effect_max: float | None
    effect_unit: str
    look: str
    mended_in: str
    trials: tuple[str, ...] = ()
    """The trials whose rows or entries meet the condition; empty when it is about the whole run."""

    @property
    def words(self) -> str:
        """One sentence for a person."""
        where = f" Trials: {', '.join(self.trials)}." if self.trials else ""
        return f"{self.title}. Effect: {self.effect}. To see it: {self.look}. Fixed in {self.mended_in}.{where}"


@cache
def known_anomalies() -> tuple[Anomaly, ...]:
    """The shipped list."""
    return parse_anomalies(files("rig.record").joinpath(LIST).read_text(encoding="utf-8"))


def parse_anomalies(text: str) -> tuple[Anomaly, ...]:
    """Read a list; raises ``ConfigError`` with the entry that is wrong."""
    tables = parse_toml(text, LIST).data.get("anomaly", [])
    found = tuple(_parsed(table) for table in tables)
    ids = [anomaly.id for anomaly in found]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise ConfigError(f"{LIST}: {', '.join(twice)} occurs twice")
    return found


def _parsed(table: Mapping[str, Any]) -> Anomaly:
    where = f"{LIST}: {table.get('id', 'an entry without id')}"
    missing = sorted(_KEYS - set(table))
    unknown = sorted(set(table) - _KEYS - {"effect_max", "effect_unit", "condition"})
    if missing or unknown:
        raise ConfigError(f"{where}: missing {missing or 'nothing'}, unknown {unknown or 'nothing'}")
    condition = dict(table.get("condition", {}))
    strange = sorted(set(condition) - CONDITIONS)
    if strange or ("entry" in condition and "journal" not in condition):
        raise ConfigError(f"{where}: condition {', '.join(strange) or 'entry'} cannot be checked")
    if not _ID.fullmatch(table["id"]) or table.get("effect_unit", "") not in UNITS:
        raise ConfigError(f"{where}: the id is small letters, digits and '-'; the unit one of {sorted(UNITS)}")
    return Anomaly(**{**table, "affected": tuple(table["affected"]), "condition": condition})


def anomalies_of(run: RecordedRun, known: tuple[Anomaly, ...] | None = None) -> tuple[Finding, ...]:
    """Known anomalies that a run folder may have, by the version that made it and by its contents.

    A folder that does not say its version may have any of them.
    """
    versions = versions_of(run)
    found = []
    for anomaly in known_anomalies() if known is None else known:
        if versions and not set(versions) & set(anomaly.affected):
            continue
        trials = _met(anomaly.condition, run)
        if trials is not None:
            found.append(
                Finding(
                    anomaly.id, anomaly.title, anomaly.effect, anomaly.effect_max, anomaly.effect_unit, anomaly.look,
                    anomaly.mended_in, trials,
                )
            )  # fmt: skip
    return tuple(found)


def versions_of(run: RecordedRun) -> tuple[str, ...]:
    """All versions of phantomrig that wrote in this folder."""
    found: dict[str, None] = {}
    for entry in run.chain.entries:
        software = entry.data.get("software")
        if isinstance(software, dict) and isinstance(software.get("phantomrig"), str):
            found[str(software["phantomrig"])] = None
    return tuple(found)


def _met(condition: Mapping[str, Any], run: RecordedRun) -> tuple[str, ...] | None:
    """Trials that meet a condition (empty: the whole run does); None when it is not met."""
    if "simulated" in condition and condition["simulated"] != run.simulated:
        return None
    drivers, roles = _devices(run)
    if "drivers" in condition and not drivers & set(condition["drivers"]):
        return None
    if "roles" in condition and not roles & set(condition["roles"]):
        return None
    if "files" in condition and not any((run.path / name).exists() for name in condition["files"]):
        return None
    if len(run.cartridge_chains) < condition.get("cartridges_min", 0):
        return None
    trials: set[str] | None = None
    if condition.get("unclosed"):
        begun = {str(e.data.get("trial_id")) for e in _entries(run, ["trial.started"])}
        trials = begun - {str(row["trial_id"]) for row in run.rows}
        if not trials:
            return None
    if "rows" in condition:
        fitting = {str(row["trial_id"]) for row in run.rows if _fits(row, condition["rows"])}
        trials = fitting if trials is None else trials & fitting
        if not trials:
            return None
    if "journal" in condition:
        entries = [e for e in _entries(run, condition["journal"]) if _fits(e.data, condition.get("entry", {}))]
        if not entries:
            return None
        of_trials = {str(e.data["trial_id"]) for e in entries if "trial_id" in e.data}
        if of_trials:
            trials = of_trials if trials is None else trials & of_trials
            if not trials:
                return None
    return tuple(sorted(trials or ()))


def _devices(run: RecordedRun) -> tuple[set[str], set[str]]:
    """Drivers and roles: as identified, else (in a run that was killed) as the rig file names them."""
    if run.devices:
        return {d.identity.driver for d in run.devices}, {d.identity.role for d in run.devices}
    if not (run.path / "rig.toml").is_file():
        return set(), set()
    tables = run.toml("rig.toml").get("devices", {})
    return {str(table.get("driver")) for table in tables.values()}, set(tables)


def _entries(run: RecordedRun, kinds: list[str]) -> Iterator[Entry]:
    for chain in (run.chain, *run.cartridge_chains.values()):
        yield from (entry for entry in chain.entries if entry.kind in kinds)


def _fits(values: Mapping[str, Any], wanted: Mapping[str, list[Any]]) -> bool:
    return all(
        values.get(name) is not None if ANY in allowed else values.get(name) in allowed
        for name, allowed in wanted.items()
    )
