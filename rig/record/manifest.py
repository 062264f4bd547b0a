"""The manifest: written last, names every file of the record by its hash, and holds all that is volatile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from hal.errors import RecordError
from hal.files import parse_json
from rig.record.canonical import canonical_json, sha256_file, sha256_hex

JOURNAL = "journal.jsonl"
MANIFEST = "manifest.json"
DERIVED = ("results.json", "report.html", "report.pdf", "derived.json", "figures")
"""Files that analysis makes from the record; they can be made again and are not part of it."""


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``. Wall times, host and paths stand here and nowhere else in the record."""

    SCHEMA: ClassVar[int] = 1

    run_id: str
    study_id: str
    simulated: bool
    reason: str
    """Why the run ended."""
    started_utc: str
    ended_utc: str
    host: str
    system: str
    cpu_n: int
    software: Mapping[str, str]
    journal_head: str
    journal_entries_n: int
    files: Mapping[str, str]
    """Path inside the run folder to SHA-256, for every file of the record except this one."""

    @property
    def bound(self) -> str:
        """SHA-256 over what the journal does not say itself: all but its own head, length and hash. The journal's last
        entry holds it, so that no word of this file can be changed without the chain's end."""
        content = {"schema": self.SCHEMA, **asdict(self)}
        for name in ("journal_head", "journal_entries_n"):
            content.pop(name)
        content["files"] = {name: digest for name, digest in self.files.items() if name != JOURNAL}
        return sha256_hex(canonical_json(content))

    def as_bytes(self) -> bytes:
        return (json.dumps({"schema": self.SCHEMA, **asdict(self)}, indent=1, sort_keys=True) + "\n").encode()

    @staticmethod
    def read(path: Path) -> Manifest:
        """Read it back; raises ``RecordError`` when it is absent, damaged or of another schema."""
        try:
            data = parse_json(path.read_bytes())
            schema = data.pop("schema")
            if schema != Manifest.SCHEMA:
                raise RecordError(f"{path} has schema {schema}, this program reads {Manifest.SCHEMA}")
            return Manifest(**data)
        except OSError as error:
            raise RecordError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(f"{path} is damaged: {error}") from error


def recorded_files(run: Path) -> dict[str, str]:
    """Hashes of all files of the record, by path inside the run folder."""
    found: dict[str, str] = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.is_file() and name != MANIFEST and name.split("/")[0] not in DERIVED:
            found[name] = sha256_file(path)
    return found
