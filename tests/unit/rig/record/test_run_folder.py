from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from hal.clock import VirtualClock
from hal.errors import ConfigError, RecordError
from hal.types import Frame, Identity
from rig.record import (
    CartridgeRecord,
    DeviceRecord,
    Field,
    RecordedPlan,
    RunFolder,
    read_chain,
    verify_run,
)
from rig.record.manifest import Manifest

FILES = {"study.toml": b'[study]\nid = "small"\n', "rig.toml": b"", "phantom.toml": b""}


def _record(out: Path, *, seal: bool = True) -> Path:
    clock = VirtualClock()
    run = RunFolder.create(out, "small", clock, files=FILES, seed=7, simulated=True, started_utc="2026-01-02T03:04:05Z")
    trials = [RecordedPlan(f"T{n:03}", f"C{n:02}", "t", "L4 left", "L4", "left", "in_plane") for n in (1, 2)]
    run.plan(trials)
    run.devices([DeviceRecord(Identity("pump", "new_era", "NE-1000", simulated=True))])
    for planned in trials:
        # As a worker does it: its own clock, nothing but the path.
        worker_clock = VirtualClock()
        cartridge = CartridgeRecord(run.path, planned.cartridge_id, worker_clock)
        trial = cartridge.trial(planned.trial_id, {"approach": planned.approach})
        trial.streams.declare("pressure", (Field("pressure_kpa", "kPa"),))
        worker_clock.sleep(1.0)
        trial.streams.sample("pressure", worker_clock.now_ns(), (3.5,))
        pixels = np.full((6, 8), len(planned.cartridge_id) + int(planned.trial_id[-1]), np.uint8)
        trial.frames.frame(Frame(0, pixels, np.eye(4)), np.eye(4))
        trial.event("hold", {"reason": "force"})
        trial.truth({"tip_true_mm": [1.0, 2.0, 3.0]})
        trial.close({"simulated": True, "outcome": "success", "tte_mm": 1.25, "cartridge_id": planned.cartridge_id})
        cartridge.close()
    for planned in trials:
        run.adopt(planned.cartridge_id)
    if seal:
        run.seal("finished")
    return run.path


def test_a_sealed_run_reads_back_and_is_intact(tmp_path: Path) -> None:
    path = _record(tmp_path)
    assert path.name == "small-20260102T030405Z"
    assert verify_run(path) == ()
    run = RunFolder.open(path)
    assert run.manifest is not None and run.manifest.reason == "finished" and run.simulated
    assert [row["trial_id"] for row in run.rows] == ["T001", "T002"]
    assert run.study["study"]["id"] == "small"
    assert [event.kind for event in run.events("T002")] == ["trial.started", "hold", "trial.closed"]
    assert run.truths["T002"]["tip_true_mm"] == [1.0, 2.0, 3.0]
    assert run.trial("T001").streams()["pressure"].values["pressure_kpa"].tolist() == [3.5]
    assert run.devices[0].identity.model == "NE-1000"
    assert run.opened["seed"] == 7


def test_two_equal_runs_differ_in_their_manifest_and_in_the_entry_that_binds_it(tmp_path: Path) -> None:
    paths = [_record(tmp_path / name) for name in ("a", "b")]
    names = [sorted(p.relative_to(path) for p in path.rglob("*") if p.is_file()) for path in paths]
    assert names[0] == names[1]
    differing = [str(n) for n in names[0] if (paths[0] / n).read_bytes() != (paths[1] / n).read_bytes()]
    assert set(differing) <= {"manifest.json", "journal.jsonl"}
    chains = [(path / "journal.jsonl").read_bytes().splitlines()[:-1] for path in paths]
    assert chains[0] == chains[1]
    text = b"".join((paths[0] / n).read_bytes() for n in names[0] if n.name != "manifest.json")
    assert str(tmp_path).encode() not in text and os.uname().nodename.encode() not in text


def test_two_runs_begun_in_the_same_second_get_two_folders(tmp_path: Path) -> None:
    assert _record(tmp_path) != _record(tmp_path)


def test_an_unsealed_run_is_still_readable_and_says_so(tmp_path: Path) -> None:
    path = _record(tmp_path, seal=False)
    run = RunFolder.open(path)
    assert run.manifest is None and len(run.rows) == 2 and run.truths["T001"]["tip_true_mm"][0] == 1.0
    assert verify_run(path) == ("the run was not sealed: there is no manifest.json",)


def _edit_row(run: Path) -> None:
    path = run / "trials/T001/row.json"
    path.write_bytes(path.read_bytes().replace(b"1.25", b"0.25"))


def _edit_table(run: Path) -> None:
    path = run / "trials.csv"
    path.write_bytes(path.read_bytes().replace(b"1.25", b"0.25"))


def _edit_table_and_manifest(run: Path) -> None:
    _edit_table(run)
    _redo_manifest(run)


def _redo_manifest(run: Path) -> None:
    from rig.record.manifest import recorded_files

    manifest = json.loads((run / "manifest.json").read_bytes())
    manifest["files"] = recorded_files(run)
    (run / "manifest.json").write_text(json.dumps(manifest))


def _swap_frames(run: Path) -> None:
    a, b = (run / f"trials/{t}/frames.h5" for t in ("T001", "T002"))
    a_bytes, b_bytes = a.read_bytes(), b.read_bytes()
    assert a_bytes != b_bytes
    a.write_bytes(b_bytes)
    b.write_bytes(a_bytes)
    _redo_manifest(run)


def _drop_last_line(name: str) -> Callable[[Path], None]:
    def tamper(run: Path) -> None:
        lines = (run / name).read_bytes().splitlines(keepends=True)
        (run / name).write_bytes(b"".join(lines[:-1]))

    return tamper


def _cut_tail(run: Path) -> None:
    path = run / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-5])


def _replace_protocol(run: Path) -> None:
    (run / "study.toml").write_bytes(b'[study]\nid = "kinder"\n')
    _redo_manifest(run)


def _edit_truth(run: Path) -> None:
    path = run / "truth/trials.jsonl"
    path.write_bytes(path.read_bytes().replace(b"[1,2,3]", b"[1,2,2]"))
    _redo_manifest(run)


def _remove_trial_file(run: Path) -> None:
    (run / "trials/T002/streams.h5").unlink()


def _add_file(run: Path) -> None:
    (run / "trials/T002/better.h5").write_bytes(b"")


def _add_trial(run: Path) -> None:
    (run / "trials/T009").mkdir()
    _redo_manifest(run)


def _add_truth(run: Path) -> None:
    (run / "truth/T009.json").write_bytes(b'{"trial_id":"T009"}\n')
    _redo_manifest(run)


def _reindent_manifest(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_bytes())
    (run / "manifest.json").write_text(json.dumps(manifest, sort_keys=True))


def _edit_manifest(name: str) -> Callable[[Path], None]:
    def tamper(run: Path) -> None:
        manifest = json.loads((run / "manifest.json").read_bytes())
        other: dict[type, object] = {str: "another", bool: not manifest[name], int: 99, dict: {"numpy": "0"}}
        manifest[name] = other[type(manifest[name])]
        (run / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")

    return tamper


def _rebuild_cartridge_chain(run: Path) -> None:
    path = run / "cartridges/C01/journal.jsonl"
    lines = [json.loads(line)["body"] for line in path.read_bytes().splitlines()]
    path.unlink()
    from rig.record.journal import Journal

    clock = VirtualClock()
    journal = Journal(path, clock)
    for body in lines:
        clock.sleep_until(body["time_ns"])
        if body["kind"] != "hold":
            journal.append(body["kind"], body["data"])
    journal.close()
    assert read_chain(path).fault == ""
    _redo_manifest(run)


@pytest.mark.parametrize(
    "tamper",
    [
        _edit_row,
        _edit_table,
        _edit_table_and_manifest,
        _swap_frames,
        _drop_last_line("journal.jsonl"),
        _drop_last_line("cartridges/C01/journal.jsonl"),
        _cut_tail,
        _replace_protocol,
        _edit_truth,
        _remove_trial_file,
        _add_file,
        _rebuild_cartridge_chain,
        _add_trial,
        _add_truth,
        _reindent_manifest,
        *(_edit_manifest(field.name) for field in fields(Manifest)),
    ],
)
def test_tampering_is_found(tmp_path: Path, tamper: Callable[[Path], None]) -> None:
    path = _record(tmp_path)
    tamper(path)
    assert verify_run(path) != ()


def test_files_made_by_analysis_do_not_disturb_the_record(tmp_path: Path) -> None:
    path = _record(tmp_path)
    (path / "results.json").write_text("{}")
    (path / "figures").mkdir()
    (path / "figures" / "a.svg").write_text("")
    assert verify_run(path) == ()


def test_an_output_folder_that_is_a_file_gives_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(RecordError, match="run folder cannot be made"):
        _record(tmp_path / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_rights_gives_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(RecordError, match="run folder cannot be made"):
        _record(tmp_path / "out")


@pytest.mark.parametrize("damage", ["absent", "empty", "manifest", "row", "study"])
def test_a_folder_that_cannot_be_used_is_a_config_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "nothing" if damage == "absent" else tmp_path
    if damage not in ("absent", "empty"):
        path = _record(tmp_path)
        target = {"manifest": "manifest.json", "row": "trials/T001/row.json", "study": "study.toml"}[damage]
        (path / target).write_text("{ no")
    with pytest.raises(ConfigError):
        run = RunFolder.open(path)
        assert run.rows and run.study


def test_what_cannot_be_shown_to_be_real_counts_as_simulated(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "r", VirtualClock(), files=FILES, seed=1, simulated=False)
    run.seal("nothing was done")
    assert RunFolder.open(run.path).simulated


def test_a_trial_is_closed_once(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "r", VirtualClock(), files=FILES, seed=1, simulated=True)
    trial = run.cartridge("C01").trial("T001")
    trial.close({"outcome": "aborted"})
    with pytest.raises(RecordError, match="closed already"):
        trial.close({"outcome": "success"})
