"""The cartridge's ledger: what happened to one pour, append-only JSON lines.

Rule of independence: one insertion per root and side of a cartridge (design.md, Words).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hal.errors import ConfigError, LimitViolation, RecordError

KINDS = ("poured", "condition", "track", "injected", "remelted", "retired", "note")


@dataclass(frozen=True)
class Track:
    """One needle insertion: entry and deepest tip in Phantom coordinates, mm."""

    level: str
    side: str
    trial: str
    entry_mm: tuple[float, float, float]
    tip_mm: tuple[float, float, float]
    injected_ml: float = 0.0


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

    def insert(self, time_ns: int, track: Track) -> Entry:
        """Note an insertion; raises ``LimitViolation`` when this root and side were used since the last remelt."""
        if not self.is_free(track.level, track.side):
            raise LimitViolation(f"insertions at {track.level} {track.side}", 2, "one per root and side of a cartridge")
        return self.append(
            "track", time_ns, level=track.level, side=track.side, trial=track.trial,
            entry_mm=list(track.entry_mm), tip_mm=list(track.tip_mm), injected_ml=track.injected_ml,
        )  # fmt: skip

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Tracks still in the gel (remelting erases them)."""
        out: list[Track] = []
        for entry in self._entries:
            if entry.kind == "remelted":
                out.clear()
            elif entry.kind == "track":
                v = entry.values
                out.append(Track(
                    v["level"], v["side"], v["trial"], tuple(v["entry_mm"]), tuple(v["tip_mm"]), v["injected_ml"]
                ))  # fmt: skip
        return tuple(out)

    @property
    def n_prior_tracks(self) -> int:
        return len(self.tracks)

    @property
    def injected_ml(self) -> float:
        """Fluid in the gel since it was poured or last remelted."""
        total = 0.0
        for entry in self._entries:
            if entry.kind == "remelted":
                total = 0.0
            elif entry.kind == "injected":
                total += float(entry.values["volume_ml"])
        return total + sum(track.injected_ml for track in self.tracks)

    @property
    def remelts(self) -> int:
        return sum(entry.kind == "remelted" for entry in self._entries)

    @property
    def retired(self) -> bool:
        return any(entry.kind == "retired" for entry in self._entries)

    def is_free(self, level: str, side: str) -> bool:
        """Whether this root and side still wait for their one insertion."""
        return all((track.level, track.side) != (level, side) for track in self.tracks)


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
            row = json.loads(line)
            out.append(Entry(row.pop("kind"), int(row.pop("time_ns")), row))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise RecordError(
                f"cartridge ledger {path}: line {number} is damaged; a line is only ever added, so restore the file "
                f"or close the cartridge as of line {number - 1}"
            ) from error
    return out
