"""Checks that a run folder is what was recorded: chains, heads, hashes, and the tables against the rows."""

from __future__ import annotations

from pathlib import Path

from hal.errors import ConfigError, RecordError
from rig.record.attempts import attempts, truth_lines
from rig.record.canonical import Json, sha256_file, sha256_hex
from rig.record.journal import Chain
from rig.record.manifest import MANIFEST, Manifest, recorded_files
from rig.record.reading import RUN_RESUMED, RecordedRun
from rig.record.rows import csv_bytes


def verify_run(path: Path, *, unfinished: bool = False) -> tuple[str, ...]:
    """Everything in the record that does not hold, one sentence each; empty when the record is intact.

    ``unfinished``: what a kill leaves behind is no fault (no seal, a cut last line, a cartridge that the root chain has
    not adopted yet). Raises ``ConfigError`` when the folder is not a run folder at all.
    """
    run = RecordedRun.open(path)
    unfinished = unfinished and run.manifest is None
    faults: list[str] = []
    if run.manifest is None and not unfinished:
        faults.append("the run was not sealed: there is no manifest.json")
    faults += _chain_faults("root chain", run.chain, unfinished)
    for name, chain in run.cartridge_chains.items():
        faults += _chain_faults(f"cartridge {name}", chain, unfinished)
    faults += _head_faults(run, unfinished)
    faults += _opened_faults(run)
    for name, chain in run.cartridge_chains.items():
        faults += _trial_faults(run, name, chain)
    faults += _stranger_faults(run, unfinished)
    faults += _manifest_faults(run)
    return tuple(faults)


def _chain_faults(name: str, chain: Chain, unfinished: bool) -> list[str]:
    faults = [f"{name}: {chain.fault}"] if chain.fault else []
    return faults + ([f"{name}: the last line is cut"] if chain.cut_tail and not unfinished else [])


def _head_faults(run: RecordedRun, unfinished: bool) -> list[str]:
    faults: list[str] = []
    if run.manifest is not None:
        if run.chain.head != run.manifest.journal_head:
            faults.append("the root chain does not end at the head that the manifest names")
        if len(run.chain.entries) != run.manifest.journal_entries_n:
            faults.append(f"the root chain has {len(run.chain.entries)} entries, not {run.manifest.journal_entries_n}")
    adopted = {
        str(entry.data.get("cartridge_id")): entry.data
        for entry in run.chain.entries
        if entry.kind == "cartridge.adopted"
    }
    for name in sorted(set(adopted) | set(run.cartridge_chains)):
        own = run.cartridge_chains.get(name)
        if own is None:
            faults.append(f"cartridge {name}: its journal is absent")
        elif name not in adopted:
            faults += [] if unfinished else [f"cartridge {name}: the root chain does not know it"]
        elif unfinished and any(entry.hash == adopted[name].get("head") for entry in own.entries):
            continue  # resumed and killed again: it went on from where the root chain says
        elif (own.head, len(own.entries)) != (adopted[name].get("head"), adopted[name].get("entries_n")):
            faults.append(f"cartridge {name}: its chain does not end where the root chain says")
    return faults


def _opened_faults(run: RecordedRun) -> list[str]:
    faults: list[str] = []
    if not run.chain.entries or run.chain.entries[0].kind != "run.opened":
        return ["the root chain does not begin with run.opened"]
    files = run.opened.get("files")
    for name, expected in (files if isinstance(files, dict) else {}).items():
        faults += _file_fault(run.path / name, name, expected)
    for entry in run.chain.entries:
        if entry.kind == "study.planned":
            faults += _file_fault(run.path / "plan.json", "plan.json", entry.data.get("sha256"))
        seal = entry.data.get("seal")
        if entry.kind == RUN_RESUMED and isinstance(seal, dict):
            for name, expected in seal.items():
                faults += _file_fault(run.path / name, name, expected)
    tables = run.closed.get("tables")
    for name, expected in (tables if isinstance(tables, dict) else {}).items():
        faults += _file_fault(run.path / name, name, expected)
    table = run.path / "trials.csv"
    try:
        # Columns as the run had them: an older run is not damaged because newer ones have more.
        if table.is_file() and table.read_bytes() != csv_bytes(run.rows, _header(table)):
            faults.append("trials.csv does not hold the rows of the trials")
    except ConfigError as error:
        faults.append(str(error))
    return faults


def _header(table: Path) -> list[str]:
    return table.read_bytes().split(b"\n", 1)[0].decode(errors="replace").split(",")


def _file_fault(path: Path, name: str, expected: Json) -> list[str]:
    if not path.is_file():
        return [f"{name} is absent"]
    return [] if sha256_file(path) == expected else [f"{name} is not the file that the journal names"]


def _trial_faults(run: RecordedRun, cartridge: str, chain: Chain) -> list[str]:
    faults: list[str] = []
    truths = {name: sha256_hex(line) for name, line in truth_lines(run.path)}
    for trial_id, entry in attempts(chain):
        files = entry.data.get("files")
        if entry.kind != "trial.closed" or not isinstance(files, dict):
            continue
        folder = run.path / "trials" / trial_id
        for name, expected in files.items():
            if name == "truth":
                if truths.get(trial_id) != expected:
                    faults.append(f"trial {trial_id} of {cartridge}: its truth is not the one that the journal names")
            else:
                faults += _file_fault(folder / name, f"trials/{trial_id}/{name}", expected)
        present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        faults += [f"trials/{trial_id}/{name} was added" for name in sorted(present - set(files))]
    return faults


UNBEGUN = frozenset({"meta.json", "streams.seg", "frames.seg"})
"""Files in the folder of a trial before its first entry is in the chain."""


def _stranger_faults(run: RecordedRun, unfinished: bool) -> list[str]:
    """Trials and truths that no journal began; a kill may come between a trial's folder and its first entry."""
    begun = {name for chain in run.cartridge_chains.values() for name, _ in attempts(chain)}
    folders = tuple((run.path / "trials").glob("*"))
    left = {p.name for p in folders if unfinished and p.is_dir() and {f.name for f in p.iterdir()} <= UNBEGUN}
    present = {p.name for p in folders} - left
    faults = [f"trials/{name} was added: no journal knows it" for name in sorted(present - begun)]
    strange = sorted({name for name, _ in truth_lines(run.path)} - begun)
    return faults + [f"truth of {name} was added: no journal knows it" for name in strange]


def _manifest_faults(run: RecordedRun) -> list[str]:
    if run.manifest is None:
        return []
    try:
        present = recorded_files(run.path)
    except OSError as error:
        raise RecordError(f"cannot read {run.path}: {error}") from error
    faults = _manifest_words_faults(run, run.manifest)
    named = run.manifest.files
    faults += [f"{name} is absent" for name in sorted(set(named) - set(present))]
    faults += [f"{name} was added after the manifest" for name in sorted(set(present) - set(named))]
    changed = [name for name in sorted(set(present) & set(named)) if present[name] != named[name]]
    return faults + [f"{name} was changed after the manifest" for name in changed]


def _manifest_words_faults(run: RecordedRun, manifest: Manifest) -> list[str]:
    """Statements of the manifest, other than hashes of files, that the journal contradicts."""
    if (run.path / MANIFEST).read_bytes() != manifest.as_bytes():
        return ["manifest.json is not in the form that it was written in"]
    bound = run.closed.get("manifest")
    if isinstance(bound, str):
        return [] if manifest.bound == bound else ["manifest.json is not the one that the journal was closed with"]
    # Written before the journal bound it: what stands in both places must agree.
    pairs = (
        ("study_id", manifest.study_id, run.opened.get("study_id")),
        ("software", dict(manifest.software), run.versions),
        ("reason", manifest.reason, run.closed.get("reason")),
    )
    faults = [f"manifest.json: {name} is not what the journal says" for name, a, b in pairs if a != b]
    if manifest.simulated is not run.simulated:
        faults.append("manifest.json: simulated is not what devices and trials say")
    return faults


def manifest_is_bound(run: RecordedRun) -> bool:
    """True when the journal covers every statement of the manifest; runs before 0.2.0 bound its hashes only."""
    return run.manifest is not None and isinstance(run.closed.get("manifest"), str)
