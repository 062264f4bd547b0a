"""``phantomrig verify``: what it finds, and with which exit code it says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli.main import app
from hal.clock import VirtualClock
from rig.record import RunFolder
from rig.record.derived import write_derived


def _run(tmp_path: Path, *, sealed: bool = True) -> Path:
    run = RunFolder.create(tmp_path, "x", VirtualClock(), files={"study.toml": b""}, seed=1, simulated=True)
    cartridge = run.cartridge("C01")
    cartridge.trial("T001").close({"outcome": "success", "simulated": True})
    cartridge.close()
    run.adopt("C01")
    if sealed:
        run.seal("finished")
    return run.path


def _verified(path: Path) -> tuple[int, dict[str, object]]:
    result = CliRunner().invoke(app, ["verify", str(path), "--json"])
    lines = result.stdout.strip().splitlines()
    return result.exit_code, json.loads(lines[-1]) if lines else {}


def test_an_intact_folder_ends_with_0_and_says_that_nothing_was_computed_again(tmp_path: Path) -> None:
    path = _run(tmp_path)
    (path / "results.json").write_text("{}")
    write_derived(RunFolder.open(path))
    code, printed = _verified(path)
    assert (code, printed["intact"], printed["faults"]) == (0, True, [])
    assert "not computed again" in str(printed["results"])


def test_an_edited_manifest_ends_with_1_and_is_named(tmp_path: Path) -> None:
    path = _run(tmp_path)
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"reason": "finished"', '"reason": "Finished"'))
    code, printed = _verified(path)
    assert code == 1 and any("manifest.json" in str(fault) for fault in list(printed["faults"]))  # type: ignore[call-overload]


@pytest.mark.parametrize("edit", ["results.json", "figures/a.svg"])
def test_an_edited_result_or_figure_ends_with_1(tmp_path: Path, edit: str) -> None:
    path = _run(tmp_path)
    (path / "figures").mkdir()
    for name in ("results.json", "figures/a.svg"):
        (path / name).write_text("{}")
    write_derived(RunFolder.open(path))
    (path / edit).write_text("{ }")
    code, printed = _verified(path)
    assert code == 1 and printed["derived"] == [f"{edit} was changed after it was made"]


def test_a_killed_run_ends_with_1_and_names_the_way_to_finish_it(tmp_path: Path) -> None:
    code, printed = _verified(_run(tmp_path, sealed=False))
    assert code == 1 and "phantomrig resume" in str(printed["notes"])


def test_what_is_no_run_folder_ends_with_2(tmp_path: Path) -> None:
    assert _verified(tmp_path)[0] == 2
    assert _verified(tmp_path / "absent")[0] == 2


def test_an_old_folder_gets_its_known_anomalies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rig.record.software.__version__", "0.1.0")
    path = _run(tmp_path, sealed=False)
    run = RunFolder.open(path)
    assert run.versions["phantomrig"] == "0.1.0"
    RunFolder.open(path)
    (path / "trials" / "T001" / "row.json").unlink()
    _, printed = _verified(path)
    assert "injection-lost-in-kill" in [a["id"] for a in list(printed["anomalies"])]  # type: ignore[call-overload]


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "name", ["manifest.json", "derived.json", "plan.json", "devices.json", "trials/T001/row.json", "truth/trials.jsonl"]
)
@pytest.mark.parametrize("how", ["nested without end", "a folder in its place"])
def test_whatever_stands_in_place_of_a_file_is_reported_without_a_traceback(
    tmp_path: Path, name: str, how: str
) -> None:
    path = _run(tmp_path)
    (path / "results.json").write_text("{}")
    write_derived(RunFolder.open(path))
    (path / name).unlink(missing_ok=True)
    (path / name).parent.mkdir(exist_ok=True)
    if how == "nested without end":
        (path / name).write_text(DEEP)
    else:
        (path / name).mkdir()
        (path / name / "x").write_text("x")
    result = CliRunner().invoke(app, ["verify", str(path)])
    assert result.exit_code in (1, 2) and isinstance(result.exception, SystemExit)


def test_one_more_character_in_the_list_of_results_is_reported(tmp_path: Path) -> None:
    path = _run(tmp_path)
    (path / "results.json").write_text("{}")
    write_derived(RunFolder.open(path))
    with (path / "derived.json").open("a") as file:
        file.write("\n")
    code, printed = _verified(path)
    assert code == 1 and printed["derived"] == ["derived.json is not in the form that it was written in"]
