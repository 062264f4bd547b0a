"""Writing the record of one trial, inside the record of its cartridge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hal.clock import Clock
from hal.errors import RecordError
from hal.files import parse_json
from rig.record.appendfile import write_whole
from rig.record.canonical import canonical_json, sha256_file
from rig.record.columns import columns_in
from rig.record.frames import FrameWriter, finish_frames
from rig.record.journal import Entry, Journal
from rig.record.rows import normal_row
from rig.record.streams import StreamWriter, finish_streams


class TrialRecord:
    """Record of one insertion; ``close`` must be reached however the trial ends."""

    def __init__(self, run: Path, trial_id: str, journal: Journal, meta: Mapping[str, object]) -> None:
        self.trial_id = trial_id
        self.folder = run / "trials" / trial_id
        self.journal = journal
        self._run = run
        self._closed = False
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise RecordError(f"cannot make the folder of trial {trial_id}: {error.strerror}") from error
        self.streams = StreamWriter(self.folder)
        self.frames = FrameWriter(self.folder)
        write_whole(self.folder / "meta.json", canonical_json({**meta, "trial_id": trial_id}) + b"\n")
        self.event("trial.started", meta)

    def event(self, kind: str, data: Mapping[str, object] | None = None) -> Entry:
        """Journal an event of this trial (step, hold, confirmation, injection start, ...)."""
        return self.journal.append(kind, {**(data or {}), "trial_id": self.trial_id})

    def truth(self, data: Mapping[str, object]) -> None:
        """Keep what only the simulated world knows; for scoring, never for guidance."""
        folder = self._run / "truth"
        folder.mkdir(exist_ok=True)
        write_whole(folder / f"{self.trial_id}.json", canonical_json({**data, "trial_id": self.trial_id}) + b"\n")

    def close(self, row: Mapping[str, object]) -> None:
        """Write the row, turn the segments into HDF5, and put the hashes of all files into the journal.

        Raises ``RecordError``; a trial is closed once.
        """
        if self._closed:
            raise RecordError(f"trial {self.trial_id} was closed already")
        self._closed = True
        _write_row(self._run, self.folder, {**row, "trial_id": self.trial_id})
        self.streams.close()
        self.frames.close()
        _journal_closed(self._run, self.trial_id, self.journal)


def close_killed(run: Path, trial_id: str, journal: Journal, row: Mapping[str, object]) -> None:
    """Close the record of a trial whose process was killed: its segments become HDF5, its row holds what is known.

    A kill may have come in the middle of closing: what stands already is kept. Raises ``RecordError``.
    """
    folder = run / "trials" / trial_id
    for part in folder.glob("*.part"):
        part.unlink()
    if not (folder / "row.json").exists():
        _write_row(run, folder, {**row, "trial_id": trial_id})
    for segment, finish in ((folder / "streams.seg", finish_streams), (folder / "frames.seg", finish_frames)):
        if segment.exists():
            finish(folder)
    _journal_closed(run, trial_id, journal)


def _write_row(run: Path, folder: Path, row: Mapping[str, object]) -> None:
    write_whole(folder / "row.json", canonical_json(normal_row(row, columns_in(run))) + b"\n")


def _journal_closed(run: Path, trial_id: str, journal: Journal) -> None:
    """Write the last entry of a trial: the hashes of all its files."""
    folder = run / "trials" / trial_id
    row = parse_json((folder / "row.json").read_bytes())
    files = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
    truth = run / "truth" / f"{trial_id}.json"
    if truth.exists():
        files["truth"] = sha256_file(truth)
    journal.append(
        "trial.closed",
        {"files": files, "outcome": row["outcome"], "end_reason": row["end_reason"], "trial_id": trial_id},
    )


class CartridgeRecord:
    """The chain of one cartridge. Cartridges run in parallel, so each worker writes its own.

    ``run`` is the run folder's path; nothing here needs the object that made it, so a worker process can open its
    cartridge from the path alone.
    """

    def __init__(self, run: Path, cartridge_id: str, clock: Clock, journal: Journal | None = None) -> None:
        self.cartridge_id = cartridge_id
        self._run = run
        folder = run / "cartridges" / cartridge_id
        if journal is not None:
            self.journal = journal
            return
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise RecordError(f"cannot make the folder of cartridge {cartridge_id}: {error.strerror}") from error
        self.journal = Journal(folder / "journal.jsonl", clock)
        self.journal.append("cartridge.opened", {"cartridge_id": cartridge_id})

    @staticmethod
    def resume(run: Path, cartridge_id: str, clock: Clock, data: Mapping[str, object]) -> CartridgeRecord:
        """Continue the chain of a cartridge; ``data`` says what was made of it. Raises ``RecordError``."""
        path = run / "cartridges" / cartridge_id / "journal.jsonl"
        return CartridgeRecord(run, cartridge_id, clock, Journal.resume(path, clock, "cartridge", data))

    def trial(self, trial_id: str, meta: Mapping[str, object] | None = None) -> TrialRecord:
        """Begin the record of one trial; ``meta`` is what is known before it starts."""
        return TrialRecord(self._run, trial_id, self.journal, meta or {})

    def close(self, reason: str = "finished") -> str:
        """End the chain; returns its head."""
        self.journal.append("cartridge.closed", {"cartridge_id": self.cartridge_id, "reason": reason})
        self.journal.close()
        return self.journal.head
