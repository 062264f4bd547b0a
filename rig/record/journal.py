"""The journal: the events in order, each entry bound to the one before by its hash.

One JSON line per entry: ``{"body": {actor, data, kind, seq, time_ns}, "hash": hex, "prev": hex}`` with
``hash = SHA-256(prev bytes || RFC 8785 JSON of body)``; the first entry's ``prev`` is 64 zeros. Times are
those of the rig's clock (integer nanoseconds), never of the wall, so that equal runs give equal journals. A run that is
resumed has a new clock: an entry ``*.resumed`` begins it.
A chain shows any change inside it; a cut at its end or a chain that was computed anew shows only against
a head kept elsewhere: the manifest, the root chain (for a cartridge's) and the printed report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hal.clock import Clock
from hal.errors import RecordError
from hal.files import parse_json
from rig.record.appendfile import AppendFile
from rig.record.canonical import Json, canonical_json, plain

GENESIS = "0" * 64
RESUMED = ".resumed"
"""Ending of the kinds after which the clock counts anew."""


@dataclass(frozen=True)
class Entry:
    """One line of the journal."""

    seq: int
    time_ns: int
    actor: str
    kind: str
    data: dict[str, Json]
    hash: str


def chain_hash(prev: str, body: Json) -> str:
    """Hash of an entry, from the previous entry's hash (hex) and its own body."""
    return hashlib.sha256(bytes.fromhex(prev) + canonical_json(body)).hexdigest()


class Journal:
    """Writer of one chain. ``append`` returns when the operating system has the entry."""

    def __init__(self, path: Path, clock: Clock, actor: str = "phantomrig") -> None:
        self.path = path
        self.head = GENESIS
        self.count = 0
        self._clock = clock
        self._actor = actor
        self._file = AppendFile(path)

    @staticmethod
    def resume(path: Path, clock: Clock, kind: str, data: Mapping[str, object]) -> Journal:
        """Continue a chain that another process began, with an entry ``kind.resumed`` that says so.

        A last line that was cut in the middle is taken into that entry and out of the file. Raises ``RecordError`` when
        the chain does not hold: nothing is added to a record that is not what was recorded.
        """
        chain = read_chain(path)
        if chain.fault:
            raise RecordError(f"{path} cannot be continued: {chain.fault}")
        raw = path.read_bytes()
        whole_n = raw.rfind(b"\n") + 1
        journal = Journal.__new__(Journal)
        journal.path, journal.head, journal.count = path, chain.head, len(chain.entries)
        journal._clock, journal._actor = clock, "phantomrig"
        journal._file = AppendFile(path, whole_n)
        cut = raw[whole_n:].decode(errors="replace")
        journal.append(kind + RESUMED, {**data, **({"cut_line": cut} if cut else {})})
        return journal

    def append(self, kind: str, data: Mapping[str, object] | None = None, *, actor: str = "") -> Entry:
        """Add one entry; raises ``RecordError`` when it cannot be written (the chain stays valid)."""
        content = {str(key): plain(value) for key, value in (data or {}).items()}
        time_ns = self._clock.now_ns()
        body: dict[str, Json] = {
            "actor": actor or self._actor,
            "data": content,
            "kind": kind,
            "seq": self.count,
            "time_ns": plain(time_ns),
        }
        hashed = chain_hash(self.head, body)
        self._file.append(canonical_json({"body": body, "hash": hashed, "prev": self.head}) + b"\n")
        self.head = hashed
        self.count += 1
        return Entry(self.count - 1, time_ns, actor or self._actor, kind, content, hashed)

    @contextmanager
    def activity(self, kind: str, data: Mapping[str, object] | None = None) -> Iterator[dict[str, object]]:
        """Record ``kind.started``, then ``kind.completed`` or ``kind.failed``, whatever ends the block.

        The block may put its results into the dictionary that it is given; they go into the last entry.
        """
        self.append(f"{kind}.started", data)
        outcome: dict[str, object] = {}
        try:
            yield outcome
        except BaseException as error:
            if not isinstance(error, RecordError):
                self.append(f"{kind}.failed", {**outcome, "error": type(error).__name__, "message": str(error)})
            raise
        self.append(f"{kind}.completed", outcome)

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class Chain:
    """A journal as read back: the entries up to the first one that does not hold."""

    entries: tuple[Entry, ...]
    fault: str = ""
    """Fault and its place; empty when every entry holds."""
    cut_tail: bool = False
    """The last line is incomplete: the run was killed while writing it."""

    @property
    def head(self) -> str:
        return self.entries[-1].hash if self.entries else GENESIS


def read_chain(path: Path) -> Chain:
    """Read a journal and check every link. Raises ``RecordError`` only when the file cannot be read at all."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot read the journal {path}: {error.strerror}") from error
    entries: list[Entry] = []
    prev = GENESIS
    lines = raw.split(b"\n")
    cut_tail = lines[-1] != b""
    for n, line in enumerate(lines[:-1]):
        try:
            record = parse_json(line)
            body = record["body"]
            entry = Entry(
                int(body["seq"]), int(body["time_ns"]), body["actor"], body["kind"], body["data"], record["hash"]
            )
            own = chain_hash(prev, body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Chain(tuple(entries), f"{path.name}, entry {n}: not a journal entry ({error})", cut_tail)
        if entry.seq != n:
            return Chain(tuple(entries), f"{path.name}, entry {n}: it says it is entry {entry.seq}", cut_tail)
        if record.get("prev") != prev:
            return Chain(tuple(entries), f"{path.name}, entry {n}: not linked to the entry before", cut_tail)
        if own != entry.hash:
            return Chain(tuple(entries), f"{path.name}, entry {n}: its content does not match its hash", cut_tail)
        if entries and entry.time_ns < entries[-1].time_ns and not str(entry.kind).endswith(RESUMED):
            return Chain(tuple(entries), f"{path.name}, entry {n}: the clock went back", cut_tail)
        entries.append(entry)
        prev = entry.hash
    return Chain(tuple(entries), "", cut_tail)
