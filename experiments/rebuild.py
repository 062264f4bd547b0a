"""A simulated cartridge made again: the trials that it had are run once more, beside the record, and must come out as
they were recorded.

The world of a simulation lives in its process; when that is gone, the pour, its tracks, its fluid and the clock can
only be had again by the same acts in the same order. An insertion that was interrupted is not among them.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hal.clock import Clock
from hal.errors import RecordError
from hal.phantom.ledger import Ledger
from rig.control.controller import JournalWriter
from rig.record import CartridgeRecord


class Relay:
    """A journal whose entries go to one chain while the cartridge is rebuilt and to the record's after it."""

    def __init__(self, to: JournalWriter) -> None:
        self.to = to

    def append(self, kind: str, data: dict[str, Any]) -> object:
        return self.to.append(kind, data)


class Rebuilding:
    """Earlier trials, run beside the record; use it as a context manager."""

    def __init__(self, run: Path, cartridge_id: str, clock: Clock) -> None:
        self._run = run
        self._id = cartridge_id
        self._scratch = Path(tempfile.mkdtemp(prefix="phantomrig-"))
        self.record = CartridgeRecord(self._scratch, cartridge_id, clock)
        self.ledger = Ledger()

    def __enter__(self) -> Rebuilding:
        return self

    def __exit__(self, *error: object) -> None:
        self.record.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def compare(self, trial_id: str, recorded: Ledger) -> None:
        """Raise ``RecordError`` unless a trial came out as it was recorded, in its row and in the ledger."""
        again = (self._scratch / "trials" / trial_id / "row.json").read_bytes()
        before = (self._run / "trials" / trial_id / "row.json").read_bytes()
        tracks = [[t for t in ledger.tracks if t.trial == trial_id] for ledger in (self.ledger, recorded)]
        if again != before or tracks[0] != tracks[1]:
            raise RecordError(
                f"cartridge {self._id} cannot be rebuilt: trial {trial_id}, run again, does not come out as it was "
                "recorded. Nothing was added to it; was the run made on another processor or with changed files?"
            )
