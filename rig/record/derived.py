"""Files that analysis made from a record: listed with their hashes in ``derived.json``, so that an edit shows."""

from __future__ import annotations

import json
from pathlib import Path

from hal.files import parse_json
from rig.record.appendfile import write_whole
from rig.record.canonical import sha256_file
from rig.record.manifest import DERIVED
from rig.record.reading import RecordedRun

LIST = "derived.json"


def made_files(run: Path) -> list[str]:
    """Everything in the folder that analysis makes, except the list itself."""
    found = [path for name in DERIVED for path in sorted([run / name, *(run / name).glob("**/*")])]
    return sorted(path.relative_to(run).as_posix() for path in found if path.is_file() and path.name != LIST)


def write_derived(run: RecordedRun) -> None:
    """List the files that were made, and the record that they were made from. Raises ``RecordError``."""
    content = {
        "files": {name: sha256_file(run.path / name) for name in made_files(run.path)},
        "journal_head": run.chain.head,
        "schema": 1,
    }
    write_whole(run.path / LIST, _as_bytes(content))


def _as_bytes(content: object) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def derived_faults(run: RecordedRun) -> tuple[str, ...]:
    """Faults of results and report, one sentence each; empty when they are as made from this record, or
    were not made."""
    present = made_files(run.path)
    if not (run.path / LIST).is_file():
        return tuple(f"{name} is there without {LIST}: nothing says what it was made from" for name in present)
    try:
        written = (run.path / LIST).read_bytes()
        content = parse_json(written)
        named, head = dict(content["files"]), content["journal_head"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return (f"{LIST} is damaged: {error!r}",)
    faults = [] if written == _as_bytes(content) else [f"{LIST} is not in the form that it was written in"]
    faults += [f"{name} is absent" for name in sorted(set(named) - set(present))]
    faults += [f"{name} was added after the report" for name in sorted(set(present) - set(named))]
    both = sorted(set(present) & set(named))
    faults += [f"{name} was changed after it was made" for name in both if sha256_file(run.path / name) != named[name]]
    if head != run.chain.head:
        faults.append("results and report were made from another state of the record: make them again (report)")
    return tuple(faults)
