"""Ledger of a cartridge: the history of one pour, append-only JSON lines.

Rule of independence: one insertion per root and side of a cartridge (design.md, Words).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hal.errors import ConfigError, LimitViolation, RecordError
from hal.files import parse_json

KINDS = (
    "poured", "condition", "begun", "unused", "track", "injected", "remelted", "rebuilt", "retired", "note",
)  # fmt: skip
"""``begun`` stands before the needle enters a root, ``track`` (or ``unused``: it never entered) after it has left, so
that a kill leaves no used root free. ``rebuilt``: a simulated pour was made again with these trials' insertions only.
"""


@dataclass(frozen=True)
class PriorTrack:
    """One needle insertion: entry and tip in Phantom coordinates (mm), None where nobody measured them; what was
    injected is at least ``injected_min_ml`` and at most ``injected_max_ml``."""

    level: str
    side: str
    trial: str
    entry_mm: tuple[float, float, float] | None
    tip_mm: tuple[float, float, float] | None
    injected_min_ml: float = 0.0
    injected_max_ml: float = 0.0


@dataclass(frozen=True)
class Entry:
    """One line: kind, moment (ns of the run's clock) and its values."""

    kind: str
    time_ns: int
    values: Mapping[str, Any]


class Ledger:
    """Ledger of one cartridge; ``path`` None keeps it in memory.

    Raises ``RecordError`` when the file is damaged or cannot be written, ``ConfigError`` on an unknown kind.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._entries: list[Entry] = []
        if path is not None and path.exists():
            self._entries = list(_read(path))

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries)

    def append(self, kind: str, time_ns: int, **values: Any) -> Entry:
        """Write one line and flush it to the disk."""
        if kind not in KINDS:
            raise ConfigError(f"ledger: unknown entry {kind!r} (known: {', '.join(KINDS)})")
        if self.retired and kind != "note":
            raise LimitViolation("cartridge use", 1, "a retired cartridge: pour a new one")
        entry = Entry(kind, int(time_ns), values)
        line = json.dumps({"kind": kind, "time_ns": entry.time_ns, **values}, sort_keys=True)
        if self.path is not None:
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise RecordError(f"cartridge ledger {self.path}: line could not be written ({error})") from error
        self._entries.append(entry)
        return entry

    def pour(self, time_ns: int, lot: str, phantom: str, seed: int | None = None, age_h: float = 0.0) -> Entry:
        return self.append("poured", time_ns, lot=lot, phantom=phantom, seed=seed, age_h=age_h)

    def condition(self, time_ns: int, temperature_c: float, age_h: float) -> Entry:
        return self.append("condition", time_ns, temperature_c=temperature_c, age_h=age_h)

    def begin(self, time_ns: int, level: str, side: str, trial: str) -> Entry:
        """Spend a root before its needle enters; raises ``LimitViolation`` when it was used since the last remelt."""
        if not self.is_free(level, side):
            raise LimitViolation(f"insertions at {level} {side}", 2, "one per root and side of a cartridge")
        return self.append("begun", time_ns, level=level, side=side, trial=trial)

    def unused(self, time_ns: int, level: str, side: str, trial: str) -> Entry:
        """Free the root again: the trial that began here ended before its needle entered."""
        return self.append("unused", time_ns, level=level, side=side, trial=trial)

    def insert(self, time_ns: int, track: PriorTrack) -> Entry:
        """Note an insertion; raises ``LimitViolation`` when another trial used this root and side since the last
        remelt."""
        if (track.level, track.side, track.trial) not in self._begun and not self.is_free(track.level, track.side):
            raise LimitViolation(f"insertions at {track.level} {track.side}", 2, "one per root and side of a cartridge")
        return self.append(
            "track", time_ns, level=track.level, side=track.side, trial=track.trial,
            entry_mm=_listed(track.entry_mm), tip_mm=_listed(track.tip_mm),
            injected_min_ml=track.injected_min_ml, injected_max_ml=track.injected_max_ml,
        )  # fmt: skip

    def rebuild(self, time_ns: int, trials: Sequence[str]) -> Entry:
        """Rebuild a simulated pour with the insertions of these trials and no others."""
        return self.append("rebuilt", time_ns, trials=list(trials))

    @property
    def _begun(self) -> list[tuple[str, str, str]]:
        """Level, side and trial of insertions that began and were not noted since: their outcome is unknown."""
        out: list[tuple[str, str, str]] = []
        for entry in self._entries:
            if entry.kind in ("remelted", "rebuilt"):
                out.clear()
            elif entry.kind in ("begun", "unused", "track"):
                site = (str(entry.values["level"]), str(entry.values["side"]), str(entry.values["trial"]))
                out = [other for other in out if other != site] + ([site] if entry.kind == "begun" else [])
        return out

    @property
    def tracks(self) -> tuple[PriorTrack, ...]:
        """Tracks still in the gel (remelting erases them)."""
        out: list[PriorTrack] = []
        for entry in self._entries:
            v = entry.values
            if entry.kind == "remelted":
                out.clear()
            elif entry.kind == "rebuilt":
                out = [track for track in out if track.trial in v["trials"]]
            elif entry.kind == "track":
                out.append(PriorTrack(
                    v["level"], v["side"], v["trial"], _placed(v["entry_mm"]), _placed(v["tip_mm"]),
                    v["injected_min_ml"], v["injected_max_ml"],
                ))  # fmt: skip
        return tuple(out)

    @property
    def used(self) -> tuple[tuple[str, str], ...]:
        """Level and side of every root that has been, or may have been, used."""
        sites = [(track.level, track.side) for track in self.tracks] + [(level, side) for level, side, _ in self._begun]
        return tuple(dict.fromkeys(sites))

    @property
    def lot(self) -> str:
        """Lot of the pour; empty before it is noted."""
        return next((str(e.values.get("lot") or "") for e in self._entries if e.kind == "poured"), "")

    @property
    def n_prior_tracks(self) -> int:
        """Number of tracks, including insertions that may have become one."""
        return len(self.tracks) + len(self._begun)

    @property
    def injected_ml(self) -> tuple[float, float]:
        """Fluid in the gel since it was poured or last remelted: at least, at most. Of an insertion whose end was never
        noted, nothing is known but what the run folder of its trial says."""
        total = 0.0
        for entry in self._entries:
            if entry.kind == "remelted":
                total = 0.0
            elif entry.kind == "injected":
                total += float(entry.values["volume_ml"])
        lo, hi = (sum(getattr(t, f"injected_{end}_ml") for t in self.tracks) for end in ("min", "max"))
        return total + lo, total + hi

    @property
    def remelts(self) -> int:
        return sum(entry.kind == "remelted" for entry in self._entries)

    @property
    def retired(self) -> bool:
        return any(entry.kind == "retired" for entry in self._entries)

    def is_free(self, level: str, side: str) -> bool:
        """True while this root and side still await their one insertion."""
        return (level, side) not in self.used


def _listed(place: tuple[float, float, float] | None) -> list[float] | None:
    return None if place is None else list(place)


def _placed(place: Sequence[float] | None) -> tuple[float, float, float] | None:
    return None if place is None else (place[0], place[1], place[2])


def _read(path: Path) -> list[Entry]:
    out = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"cartridge ledger {path}: cannot be read ({error})") from error
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            row = parse_json(line)
            out.append(Entry(row.pop("kind"), int(row.pop("time_ns")), row))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise RecordError(
                f"cartridge ledger {path}: line {number} is damaged; a line is only ever added, so restore the file "
                f"or close the cartridge as of line {number - 1}"
            ) from error
    return out
