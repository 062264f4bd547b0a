"""Remaining work of an interrupted study, and obstacles to resuming it; without running anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.cartridge import NO_CERTIFICATES
from experiments.protocol.plan import plan, reserve
from experiments.protocol.study import Study, load_study, narrowed
from experiments.put_aside import KILLED, put_aside
from experiments.request import copies_of
from experiments.resumption import resumption
from experiments.run import _recorded, conclude
from hal.clock import VirtualClock
from hal.errors import ConfigError
from rig.config import load_config
from rig.record import CartridgeRecord, Field, RunFolder, verify_run
from rig.record.folder import finish_resuming


def _study() -> Study:
    return narrowed(load_study("lumbar"), trials=2, seed=7, techniques=("L4_LM",))


def _run(tmp_path: Path, *outcomes: str, sealed: bool = False, infusing: bool = False) -> Path:
    """T001 and T002 with these outcomes; ``killed`` is begun and never closed."""
    study, config, clock = _study(), load_config("simulated"), VirtualClock()
    run = RunFolder.create(tmp_path, "x", clock, files=copies_of(study, config), seed=7, simulated=True)
    cartridges = plan(study, study.loaded())
    run.plan(_recorded(cartridges, study.loaded(), config))
    cartridge = run.cartridge("C01")
    for trial_id, outcome in zip(("T001", "T002"), outcomes, strict=False):
        trial = cartridge.trial(trial_id, {"simulated": True, "cartridge_id": "C01"})
        trial.streams.declare("pump", [Field("dispensed_ml", "mL")])
        trial.event("state.entered", {"state": "ST10 injection"})
        if infusing:
            cartridge.journal.append("infusion.started", {"volume_ml": 0.5, "counted_ml": 0.35})
            trial.streams.sample("pump", clock.now_ns() + 1, [0.47])
        trial.truth({"aim_mm": [1, 2, 3]})
        if outcome != "killed":
            trial.close({"outcome": outcome, "simulated": True})
    if sealed:
        cartridge.close("stopped")
        run.adopt("C01")
        run.seal("stopped by the operator")
    return run.path


def test_what_has_a_result_stays_and_what_was_interrupted_is_begun_again(tmp_path: Path) -> None:
    found = resumption(_run(tmp_path, "success", "interrupted", sealed=True), None)
    assert found.outcomes == {"T001": "success"}
    assert found.before["C01"].closed == ("T001",) and found.before["C01"].open == ("T002",)
    assert [c.cartridge_id for c in found.to_do] == ["C01"] and found.moved == ()


def test_a_killed_run_is_resumed_as_well(tmp_path: Path) -> None:
    path = _run(tmp_path, "success", "killed")
    with (path / "cartridges/C01/journal.jsonl").open("ab") as file:
        file.write(b'{"body":{"act')
    assert resumption(path, None).before["C01"].open == ("T002",)


def _finish(path: Path) -> None:
    for trial in ("T001", "T002"):
        assert (path / "trials" / trial / "row.json").exists()


def _edit(path: Path) -> None:
    row = path / "trials/T001/row.json"
    row.write_bytes(row.read_bytes().replace(b"success", b"miss   "))


def _other_software(path: Path) -> None: ...


def _without(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_edit, "not as it was recorded: trials/T001/row.json"),
        (_without("study.toml"), "study.toml is missing"),
        (_without("plan.json"), "plan.json is missing"),
        (_without("rig.toml"), "rig.toml is missing"),
        (_without("trials/T001/meta.json"), "trials/T001/meta.json is absent"),
    ],
)
def test_a_folder_that_is_not_as_recorded_is_not_resumed(
    tmp_path: Path, damage: Callable[[Path], None], why: str
) -> None:
    path = _run(tmp_path, "success", "killed")
    damage(path)
    before = (path / "journal.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=why):
        resumption(path, None)
    assert (path / "journal.jsonl").read_bytes() == before


def test_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is finished: each of its 2 trials has a result"):
        resumption(_run(tmp_path, "success", "miss", sealed=True), None)


class _Nobody:
    """Who does not want to know how a study goes on."""

    def planned(self, cartridges: object) -> None: ...

    def trial(self, trial_id: str, what: str) -> None: ...


@pytest.mark.parametrize("cut", ["nothing adopted", "only the manifest is missing"])
def test_a_run_killed_while_it_was_sealed_is_sealed_by_several_workers_as_well(tmp_path: Path, cut: str) -> None:
    path = _run(tmp_path, "success", "miss", sealed=True)
    (path / "manifest.json").unlink()
    if cut == "nothing adopted":
        journal = path / "journal.jsonl"
        kept = [line for line in journal.read_bytes().splitlines(keepends=True) if b'"kind":"run.closed"' not in line]
        journal.write_bytes(b"".join(line for line in kept if b'"kind":"cartridge.adopted"' not in line))
    found = resumption(path, None)
    assert found.to_do == ()
    ended = conclude(found, workers=2, watcher=_Nobody(), calibrated=NO_CERTIFICATES)
    assert (ended.planned_n, ended.completed_n, ended.failure) == (2, 2, "")
    assert verify_run(path) == ()


def test_other_software_does_not_finish_what_this_one_has_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _run(tmp_path, "success", "killed")
    monkeypatch.setattr("rig.record.software.__version__", "9.9.9")
    with pytest.raises(ConfigError, match=r"other software.*phantomrig .* \(here 9\.9\.9\)"):
        resumption(path, None)


def test_another_rig_file_is_refused(tmp_path: Path) -> None:
    path = _run(tmp_path, "success", "killed")
    other = tmp_path / "other.toml"
    other.write_bytes((path / "rig.toml").read_bytes() + b"\n")
    with pytest.raises(ConfigError, match="is not the rig file"):
        resumption(path, other)


def test_an_interrupted_attempt_is_set_aside_byte_for_byte_and_its_record_still_holds(tmp_path: Path) -> None:
    path = _run(tmp_path, "success", "interrupted", sealed=True)
    before = {p.name: p.read_bytes() for p in (path / "trials/T002").iterdir()}
    seal = (path / "manifest.json").read_bytes()
    run = RunFolder.resume(path, VirtualClock())
    record = CartridgeRecord.resume(path, "C01", VirtualClock(), {})
    put_aside(path, "T002", record.journal)
    record.trial("T002", {"cartridge_id": "C01"}).close({"outcome": "miss", "simulated": True})
    record.close()
    run.adopt_all(["C01"])
    run.seal("finished")
    assert {p.name: p.read_bytes() for p in (path / "trials/T002.interrupted1").iterdir()} == before
    assert (path / "seals/1/manifest.json").read_bytes() == seal
    assert verify_run(path) == ()
    recorded = RunFolder.open(path)
    assert [(row["trial_id"], row["outcome"]) for row in recorded.rows] == [
        ("T001", "success"), ("T002", "miss"), ("T002.interrupted1", "interrupted"),
    ]  # fmt: skip
    assert [e.kind for e in recorded.events("T002")] == ["trial.started", "trial.closed"]
    assert "T002.interrupted1" in recorded.truths and "T002" not in recorded.truths


def test_of_a_trial_that_was_killed_while_it_injected_the_volume_is_reported_within_bounds(tmp_path: Path) -> None:
    path = _run(tmp_path, "success", "killed", infusing=True)
    record = CartridgeRecord.resume(path, "C01", VirtualClock(), {})
    put_aside(path, "T002", record.journal)
    row = json.loads((path / "trials/T002.interrupted1/row.json").read_bytes())
    assert (row["outcome"], row["end_reason"], row["v_inj_ml"]) == ("interrupted", KILLED, None)
    assert row["v_inj_min_ml"] == pytest.approx(0.12) and row["v_inj_max_ml"] == pytest.approx(0.5)
    assert not list((path / "trials/T002.interrupted1").glob("*.seg"))


def test_a_resumption_that_was_killed_itself_is_finished_by_the_next_one(tmp_path: Path) -> None:
    path = _run(tmp_path, "success", "interrupted", sealed=True)
    seal = (path / "manifest.json").read_bytes()
    RunFolder.resume(path, VirtualClock())
    record = CartridgeRecord.resume(path, "C01", VirtualClock(), {})
    record.journal.append("trial.set_aside", {"as": "T002.interrupted1", "reason": "", "trial_id": "T002"})
    (path / "manifest.json").write_bytes(seal)  # said to be put away, and not done yet
    finish_resuming(path)
    assert not (path / "manifest.json").exists() and (path / "trials/T002.interrupted1").is_dir()
    assert resumption(path, None).before["C01"].closed == ("T001",)


def test_on_a_bench_a_spent_root_sends_its_trial_to_a_reserve_cartridge_after_all_others() -> None:
    study = _study()
    cartridges = plan(study, study.loaded())
    spent = [trial for cartridge in cartridges for trial in cartridge.trials][:1]
    (extra,) = reserve(study, cartridges, [*spent, *spent])[:1]
    assert extra.cartridge_id == f"C{len(cartridges) + 1:02d}"
    assert extra.trials[0].trial_id == spent[0].trial_id and extra.trials[0].order_in_cartridge == 1
    assert len(reserve(study, cartridges, [*spent, *spent])) == 2, "one insertion per root and side of a cartridge"
