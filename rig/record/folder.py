"""Writing a run folder: everything that one study or QA run records.

::

    study.toml rig.toml phantom.toml   what was asked for (copies)
    plan.json devices.json             planned trials; devices as identified
    journal.jsonl                      root chain; holds the head of every cartridge's chain
    cartridges/C01/journal.jsonl       one chain per cartridge
    trials/T001/                       meta.json row.json streams.h5 frames.h5
    truth/trials.jsonl                 simulated truth, for scoring only
    trials.csv .parquet .dictionary.json
    manifest.json                      written last, by rename: hashes of all files, journal head, reason for ending
    seals/1/                           manifest and tables of before, of a run that was resumed
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from hal.clock import Clock
from hal.errors import RecordError
from rig.record.appendfile import write_whole
from rig.record.attempts import TRUTHS, finish_moves, set_aside_names
from rig.record.canonical import canonical_json, sha256_file, sha256_hex
from rig.record.columns import columns_in
from rig.record.journal import Journal, read_chain
from rig.record.manifest import JOURNAL, MANIFEST, Manifest, recorded_files
from rig.record.plan import DeviceRecord, RecordedPlan
from rig.record.reading import RUN_RESUMED, RecordedRun, read_rows
from rig.record.rows import write_tables
from rig.record.software import software_versions
from rig.record.trial import CartridgeRecord

DEVICES = "devices.json"
SEALS = "seals"
"""Folder of the seals of a run that was resumed, one per number."""


def utc_text() -> str:
    """Wall time for the manifest and the folder's name, the only places that hold it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _started(run_id: str) -> str:
    """The moment in a run folder's name; empty when it was renamed."""
    stamp = re.search(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z(?:-\d+)?$", run_id)
    return "{}-{}-{}T{}:{}:{}Z".format(*stamp.groups()) if stamp else ""


def finish_resuming(path: Path) -> None:
    """Do what a resumption that was killed itself has written down and not done yet; does nothing else.

    Raises ``RecordError`` when a file cannot be moved.
    """
    run = RecordedRun.open(path)
    last = next((e for e in reversed(run.chain.entries) if e.kind in ("run.closed", RUN_RESUMED)), None)
    seal = last.data.get("seal") if last is not None and last.kind == RUN_RESUMED else None
    for copy, digest in (seal if isinstance(seal, dict) else {}).items():
        original = path / Path(copy).name
        if original.is_file() and sha256_file(original) == digest and (path / copy).is_file():
            original.unlink()
    for chain in run.cartridge_chains.values():
        finish_moves(path, chain)


class RunFolder:
    """A run being recorded. Make one with ``create``; ``seal`` must be reached however the run ends."""

    def __init__(
        self, path: Path, study_id: str, clock: Clock, started_utc: str, simulated: bool, journal: Journal | None = None
    ) -> None:
        self.path = path
        self.study_id = study_id
        self.clock = clock
        self.journal = journal or Journal(path / JOURNAL, clock)
        self._started_utc = started_utc
        self._simulated = simulated
        self._software = software_versions()

    @staticmethod
    def create(
        out: Path,
        study_id: str,
        clock: Clock,
        *,
        files: Mapping[str, bytes],
        seed: int,
        simulated: bool,
        started_utc: str = "",
        rooms: Sequence[str] = ("cartridges", "trials"),
    ) -> RunFolder:
        """Make a new run folder inside ``out`` and begin its journal.

        ``files`` are the contents of ``study.toml``, ``rig.toml``, ``phantom.toml`` (and techniques) as used;
        their hashes are in the first entry. ``rooms``: folders made in it; a QA run has ``readings`` and no trials.
        Raises ``RecordError`` when the folder cannot be written.
        """
        started = started_utc or utc_text()
        stamp = started.replace("-", "").replace(":", "")
        path = out
        try:
            out.mkdir(parents=True, exist_ok=True)
            for n in range(1, 1000):
                path = out / (f"{study_id}-{stamp}" + (f"-{n}" if n > 1 else ""))
                try:
                    path.mkdir()
                    break
                except FileExistsError:
                    continue
            else:
                raise RecordError(f"{out} holds 999 runs of {study_id} that began at {started}")
            for name in rooms:
                (path / name).mkdir()
        except OSError as error:
            raise RecordError(
                f"the run folder cannot be made in {out}: {error.strerror}. Choose a folder that you may write to"
            ) from error
        for name, content in sorted(files.items()):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(path / name, content)
        run = RunFolder(path, study_id, clock, started, simulated)
        run.journal.append(
            "run.opened",
            {
                "files": {name: sha256_hex(content) for name, content in files.items()},
                "schema": Manifest.SCHEMA,
                "seed": seed,
                "simulated": simulated,
                "software": run._software,
                "study_id": study_id,
            },
        )
        return run

    @staticmethod
    def resume(path: Path, clock: Clock) -> RunFolder:
        """Continue a run folder that was not finished: its chain goes on, the seal of before is kept in ``seals/``.

        Raises ``ConfigError`` or ``RecordError`` when the folder is not one, or its chain does not hold.
        """
        recorded = RecordedRun.open(path)
        opened, manifest = recorded.opened, recorded.manifest
        sealed = [p.name for p in (path / MANIFEST, *sorted(path.glob("trials.*"))) if p.exists()]
        seal: dict[str, str] = {}
        if manifest is not None:
            aside = path / SEALS / str(sum(p.is_dir() for p in (path / SEALS).glob("*")) + 1)
            aside.mkdir(parents=True)
            for name in sealed:
                write_whole(aside / name, (path / name).read_bytes())
                seal[f"{aside.relative_to(path).as_posix()}/{name}"] = sha256_file(aside / name)
        started = manifest.started_utc if manifest is not None else _started(path.name)
        software = software_versions()
        journal = Journal.resume(path / JOURNAL, clock, "run", {"seal": seal, "software": software})
        for name in sealed:
            (path / name).unlink()
        return RunFolder(
            path, str(opened.get("study_id", "")), clock, started, bool(opened.get("simulated", True)), journal
        )

    @staticmethod
    def open(path: Path) -> RecordedRun:
        """Open a run folder for reading; see ``RecordedRun``. Raises ``ConfigError``."""
        return RecordedRun.open(path)

    def plan(self, trials: Sequence[RecordedPlan], device_faults: Mapping[str, Sequence[str]] | None = None) -> None:
        """Record the randomised list of trials before the first one starts.

        ``device_faults``: per device the kinds of fault that end a trial without being a failure of its technique.
        """
        content = canonical_json([asdict(trial) for trial in trials]) + b"\n"
        write_whole(self.path / "plan.json", content)
        data: dict[str, object] = {"planned_n": len(trials), "sha256": sha256_hex(content)}
        if device_faults is not None:
            data["device_faults"] = {device: list(kinds) for device, kinds in device_faults.items()}
        self.journal.append("study.planned", data)

    def devices(self, devices: Sequence[DeviceRecord]) -> None:
        """Record identities and calibrations of the opened devices."""
        listed = [device.as_json() for device in devices]
        if (self.path / DEVICES).exists():  # of a run that was resumed: what it was begun with stays
            self.journal.append("rig.identified", {"devices": listed})
            return
        self._simulated = self._simulated or any(device.identity.simulated for device in devices)
        write_whole(self.path / DEVICES, canonical_json(listed) + b"\n")
        self.journal.append("rig.identified", {"devices": listed})

    def cartridge(self, cartridge_id: str, clock: Clock | None = None) -> CartridgeRecord:
        """Begin a cartridge in this process; a worker does the same by ``CartridgeRecord(run.path, ...)``."""
        return CartridgeRecord(self.path, cartridge_id, clock or self.clock)

    def adopt_all(self, cartridge_ids: Iterable[str]) -> None:
        """Adopt every cartridge that was begun and whose chain the root chain does not hold in its present state."""
        held = {
            str(entry.data.get("cartridge_id")): entry.data.get("head")
            for entry in read_chain(self.path / JOURNAL).entries
            if entry.kind == "cartridge.adopted"
        }
        for cartridge_id in cartridge_ids:
            path = self.path / "cartridges" / cartridge_id / JOURNAL
            if path.parent.exists() and read_chain(path).head != held.get(cartridge_id):
                self.adopt(cartridge_id)

    def adopt(self, cartridge_id: str) -> None:
        """Put the head of a finished (or killed) cartridge's chain into the root chain.

        Call it in planned order, whatever the order of finishing, so that equal runs give equal journals.
        """
        chain = read_chain(self.path / "cartridges" / cartridge_id / "journal.jsonl")
        self.journal.append(
            "cartridge.adopted",
            {
                "cartridge_id": cartridge_id,
                "cut_tail": chain.cut_tail,
                "entries_n": len(chain.entries),
                "fault": chain.fault,
                "head": chain.head,
            },
        )

    def seal(self, reason: str) -> Manifest:
        """Write tables and manifest and end the record; ``reason`` says why the run ended.

        Raises ``RecordError`` when something cannot be written; what was recorded before stays valid.
        """
        self._gather_truth()
        rows = []
        if (self.path / "trials").is_dir():
            rows = read_rows(self.path)
            write_tables(self.path, rows, columns_in(self.path))
        self._simulated = self._simulated or any(row["simulated"] is not False for row in rows)
        tables = {p.name: sha256_file(p) for p in sorted(self.path.glob("trials.*"))}
        manifest = Manifest(
            run_id=self.path.name,
            study_id=self.study_id,
            simulated=self._simulated,
            reason=reason,
            started_utc=self._started_utc,
            ended_utc=utc_text(),
            host=platform.node(),
            system=platform.platform(),
            cpu_n=os.cpu_count() or 0,
            software=self._software,
            journal_head="",
            journal_entries_n=0,
            files=recorded_files(self.path),
        )
        closing = {"manifest": manifest.bound, "reason": reason, "tables": tables, "trials_n": len(rows)}
        self.journal.append("run.closed", closing)
        self.journal.close()
        manifest = replace(
            manifest,
            journal_head=self.journal.head,
            journal_entries_n=self.journal.count,
            files={**manifest.files, JOURNAL: sha256_file(self.journal.path)},
        )
        write_whole(self.path / MANIFEST, manifest.as_bytes())
        return manifest

    def _gather_truth(self) -> None:
        """One file of truths in place of one per trial; those of attempts that were set aside stay by themselves."""
        folder, aside = self.path / "truth", set_aside_names(self.path)
        single = [path for path in sorted(folder.glob("*.json")) if path.stem not in aside]
        if single:
            table = folder / TRUTHS
            before = table.read_bytes() if table.exists() else b""
            write_whole(table, before + b"".join(path.read_bytes() for path in single))
            for path in single:
                path.unlink()
