"""Attempts at a trial: an interrupted one is set aside under a name of its own, and its trial is run again.

Nothing of a record is rewritten for that: the folder of the attempt moves from ``trials/T002`` to
``trials/T002.interrupted1`` and its truth beside it, byte for byte, and the journal says so (``trial.set_aside``).
Entries of the journal keep the trial's name; which attempt they are of follows from their order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hal.errors import RecordError
from hal.files import parse_json
from rig.record.appendfile import write_whole
from rig.record.journal import Chain, Entry, Journal

SET_ASIDE = "trial.set_aside"
MARK = ".interrupted"
TRUTHS = "trials.jsonl"
"""In ``truth/``: one line per trial, gathered at the seal."""


def attempts(chain: Chain) -> Iterator[tuple[str, Entry]]:
    """Entries of a trial, each with the name of its attempt, in order."""
    moved: dict[str, list[tuple[int, str]]] = {}
    for entry in chain.entries:
        if entry.kind == SET_ASIDE:
            moved.setdefault(str(entry.data.get("trial_id")), []).append((entry.seq, str(entry.data.get("as"))))
    for entry in chain.entries:
        if "trial_id" in entry.data:
            trial_id = str(entry.data["trial_id"])
            later = (name for seq, name in moved.get(trial_id, ()) if entry.seq <= seq)
            yield next(later, trial_id), entry


def trial_of(name: str) -> str:
    """Trial of an attempt; a trial's own name otherwise."""
    return name.partition(MARK)[0]


def set_aside_names(run: Path) -> set[str]:
    """Names of all attempts of a run folder that were set aside."""
    return {path.name for path in (run / "trials").glob(f"*{MARK}*")}


def set_aside(run: Path, trial_id: str, journal: Journal, reason: str) -> str:
    """Make room for another attempt at a trial; returns the name that the attempt has from now on.

    Raises ``RecordError`` when a file cannot be moved.
    """
    n = 1 + sum(1 for name in set_aside_names(run) if name.startswith(trial_id + MARK))
    name = f"{trial_id}{MARK}{n}"
    journal.append(SET_ASIDE, {"as": name, "reason": reason, "trial_id": trial_id})
    _move(run, trial_id, name)
    return name


def finish_moves(run: Path, chain: Chain) -> None:
    """Complete moves that a process announced before it was killed. Raises ``RecordError``."""
    for entry in chain.entries:
        trial_id, name = str(entry.data.get("trial_id")), str(entry.data.get("as"))
        if entry.kind == SET_ASIDE and not (run / "trials" / name).exists() and (run / "trials" / trial_id).exists():
            _move(run, trial_id, name)


def _move(run: Path, trial_id: str, name: str) -> None:
    try:
        _truth_aside(run / "truth", trial_id, name)
        os.replace(run / "trials" / trial_id, run / "trials" / name)
    except OSError as error:
        raise RecordError(f"trial {trial_id} cannot be set aside: {error.strerror} ({error.filename})") from error


def _truth_aside(folder: Path, trial_id: str, name: str) -> None:
    single, table = folder / f"{trial_id}.json", folder / TRUTHS
    if single.exists():
        os.replace(single, folder / f"{name}.json")
    elif table.exists():
        lines = table.read_bytes().splitlines(keepends=True)
        own = [line for line in lines if parse_json(line).get("trial_id") == trial_id]
        if own:
            write_whole(folder / f"{name}.json", b"".join(own))
            write_whole(table, b"".join(line for line in lines if line not in own))


def truth_lines(run: Path) -> Iterator[tuple[str, bytes]]:
    """All truths of a run folder with their attempts, unparsed; lines that are no truth are left out."""
    folder, aside = run / "truth", set_aside_names(run)
    for path in [folder / TRUTHS, *sorted(folder.glob("*.json"))]:
        if not path.is_file():
            continue
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                trial_id = str(parse_json(line)["trial_id"])
            except (ValueError, KeyError, TypeError):
                continue
            yield (path.stem if path.stem in aside else trial_id), line
