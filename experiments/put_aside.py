"""Setting aside an interrupted trial for its repeat: it is closed if its process was killed, then renamed.

What it may have left in the gel is stated within bounds: of an infusion that began and whose end nobody wrote, at least
what the pump reported last and at most all of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from experiments.protocol.states import State
from hal.errors import RecordError
from hal.files import parse_json
from rig.record import NAMES, Entry, Journal, read_chain
from rig.record.attempts import attempts, set_aside
from rig.record.canonical import sha256_file
from rig.record.streams import read_streams
from rig.record.trial import close_killed
from rig.safety.volume import NOTHING, PumpedVolume

KILLED = "the process ended without a word (killed, or its power was lost); closed when the run was resumed"


def put_aside(run: Path, trial_id: str, journal: Journal) -> str:
    """Close an open trial and set it aside; returns the name of the attempt. Raises ``RecordError``."""
    folder = run / "trials" / trial_id
    chain = read_chain(journal.path)
    own = [entry for name, entry in attempts(chain) if name == trial_id]
    if not any(entry.kind == "trial.closed" for entry in own):
        between = [e for e in chain.entries if own and e.seq >= own[0].seq]
        close_killed(run, trial_id, journal, _row(folder, between))
    return set_aside(run, trial_id, journal, "interrupted; its trial is run again as a new one")


def clear_unbegun(run: Path, trial_id: str, journal: Journal) -> None:
    """Make room for a trial whose process was killed before its first word was in the chain: nothing had moved, and
    its folder holds no reading. What it held is journalled. Raises ``RecordError`` when it cannot be removed."""
    folder = run / "trials" / trial_id
    if not folder.is_dir() or any(name == trial_id for name, _ in attempts(read_chain(journal.path))):
        return
    files = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
    journal.append("trial.unbegun", {"trial": trial_id, "files": files})
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise RecordError(f"{folder} cannot be removed: {error.strerror}") from error


def _row(folder: Path, entries: Sequence[Entry]) -> dict[str, object]:
    """Row with everything known about a trial whose process was killed."""
    try:
        meta = parse_json((folder / "meta.json").read_bytes())
    except (OSError, ValueError) as error:
        raise RecordError(f"{folder / 'meta.json'}: {error}") from error
    volume = injected(folder, entries)
    return {
        **{name: value for name, value in meta.items() if name in NAMES},
        "outcome": "interrupted",
        "end_reason": KILLED,
        "success": False,
        "placement_success": False,
        "first_pass_success": False,
        "v_inj_ml": volume.ml,
        "v_inj_min_ml": volume.min_ml,
        "v_inj_max_ml": volume.max_ml,
    }


def injected(folder: Path, entries: Sequence[Entry]) -> PumpedVolume:
    """Volume that went into the gel in a trial, by its chain and by the pump's reports up to the end."""
    total, state, begun = NOTHING, "", None
    for entry in entries:
        if entry.kind == "state.entered":
            state = str(entry.data.get("state"))
        elif entry.kind == "infusion.started" and state != State.SETUP.value:  # the line is primed in air
            begun = entry
        elif entry.kind == "infusion" and begun is not None:
            total += PumpedVolume(_number(entry, "pumped_min_ml"), _number(entry, "pumped_max_ml"))
            begun = None
    if begun is None:
        return total
    pump = read_streams(folder).get("pump")
    counted = [] if pump is None else pump.values["dispensed_ml"][pump.time_ns >= begun.time_ns].tolist()
    least_ml = max(0.0, max(counted, default=0.0) - _number(begun, "counted_ml"))
    return total + PumpedVolume(least_ml, max(least_ml, _number(begun, "volume_ml")))


def _number(entry: Entry, name: str) -> float:
    value = entry.data.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
