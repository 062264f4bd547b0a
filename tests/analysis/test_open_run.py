"""A run folder opens in one line: whole, damaged, and not sealed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic_run

from analysis import open_run
from analysis.run import LABEL, UNSEALED, Run
from hal.errors import ConfigError, RecordError
from rig.record import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "open-a-run-in-pandas.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_run.make(tmp_path_factory.mktemp("runs"), repeats=1)


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return open_run(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / folder.name))


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# ---- tables --------------------------------------------------------------------------------------------------------


def test_the_table_of_trials_holds_every_cell_as_recorded(run: Run) -> None:
    rows = run.recorded.rows
    for name, cells in run.trials.items():
        found = [None if missing else cell for cell, missing in zip(cells, cells.isna(), strict=True)]
        assert found == [row[str(name)] for row in rows], name


def test_units_are_given_for_every_kind_of_table(run: Run) -> None:
    assert run.units() == run.trials.attrs["units"] == {c.name: c.unit for c in COLUMNS if c.unit}
    assert run.units("events") == {"time_s": "s"}
    assert run.units("pressure") == {"time_s": "s", "pressure_kpa": "kPa", "temperature_c": "degC"}


def test_a_stream_of_all_trials_is_that_of_each_one_under_the_other(run: Run) -> None:
    assert run.streams == ("force", "pressure", "pump")
    whole, one = run.stream("pump"), run.stream("pump", trial="T002")
    recorded = run.recorded.trial("T002").streams()["pump"]
    assert np.array_equal(one["dispensed_ml"], recorded.values["dispensed_ml"])
    assert np.array_equal(one["time_s"], recorded.time_ns / 1e9)
    assert whole[whole["trial_id"] == "T002"]["rate_ml_min"].tolist() == one["rate_ml_min"].tolist()
    assert len(whole) == sum(len(run.stream("pump", trial=name)) for name in run.trials["trial_id"])
    assert list(whole["trial_id"].cat.categories) == list(run.trials["trial_id"]), "in planned order"


def test_a_trial_that_recorded_no_sample_has_an_empty_stream(run: Run) -> None:
    stopped = run.trials.loc[run.trials["outcome"] == "stopped", "trial_id"].iloc[0]
    assert len(run.stream("pump", trial=stopped)) == 0


def test_events_are_those_of_the_run_its_cartridges_and_trials(run: Run) -> None:
    chains = [run.recorded.chain, *run.recorded.cartridge_chains.values()]
    assert len(run.events) == sum(len(chain.entries) for chain in chains)
    of_run = run.events[run.events["cartridge_id"].isna()]
    assert {"selftest.completed", "run.closed"} <= set(of_run["kind"]) and of_run["trial_id"].isna().all()
    own = run.events[run.events["trial_id"] == "T001"]
    assert own["kind"].tolist() == [entry.kind for entry in run.recorded.events("T001")]
    holds = run.events[run.events["kind"] == "hold"]
    assert set(holds["data"].str["reason"]) == {"force"}


def test_frames_come_with_time_and_pose_and_a_picture_as_an_array(run: Run) -> None:
    frames, reader = run.frames("T001"), run.recorded.trial("T001").frames()
    assert len(frames) == len(reader) == 3 and frames["kept"].all()
    assert frames["label"].tolist() == ["", "", "at_injection"]
    assert np.array_equal(frames["ProbeToRig"][1], reader.heads[1].ProbeToRig)
    assert frames[["x_mm", "y_mm", "z_mm"]].to_numpy().tolist() == [h.ProbeToRig[:3, 3].tolist() for h in reader.heads]
    picture = run.frame("T001", 2)
    assert picture.dtype == np.uint8 and np.array_equal(picture, reader.pixels(2))  # type: ignore[arg-type]
    landmark = run.trials.loc[run.trials["plane"] == "landmark", "trial_id"].iloc[0]
    assert len(run.frames(landmark)) == 0


def test_every_table_of_a_simulated_run_says_so(run: Run) -> None:
    for table in (run.trials, run.events, run.stream("force"), run.frames("T001")):
        assert len(table) and table["simulated"].all()


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda run: run.stream("flow"), "no stream 'flow': there are force, pressure, pump"),
        (lambda run: run.stream("pump", trial="T099"), "no trial 'T099': there are T001, "),
        (lambda run: run.frames("T099"), "no trial 'T099'"),
        (lambda run: run.frame("T001", 3), "3 frames, counted from 0"),
        (lambda run: run.frame("T001", -1), "there is no frame -1"),
        (lambda run: run.units("frame"), "no stream 'frame'"),
    ],
)
def test_what_the_run_does_not_have_is_reported_with_what_it_has(run: Run, ask, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        ask(run)


# ---- numbers, figures, report ---------------------------------------------------------------------------------------


def test_looking_changes_nothing_and_the_report_writes_what_was_seen(copy: Path) -> None:
    before, run = _files(copy), open_run(copy)
    results, figure = run.results, run.figure("success")
    run._repr_html_()
    assert _files(copy) == before
    assert "SIMULATED DATA" in figure.texts[0].get_text()
    assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="no figure 'pie': there are target, "):
        run.figure("pie")
    page = run.report()
    assert page == copy / "report.html" and page.is_file()
    assert json.loads((copy / "results.json").read_bytes()) == results
    assert {p.stem for p in (copy / "figures").iterdir()} <= set(run.figures)
    assert {name: data for name, data in _files(copy).items() if name in before} == before


def test_a_run_is_readable_at_the_prompt_and_in_a_notebook(run: Run) -> None:
    text, page = repr(run), run._repr_html_()
    for words in (run.path.name, LABEL, "Targeting accuracy", "9 recorded, 9 planned", "force, pressure, pump"):
        assert words in text and words in page
    assert "fault" not in text and "<table" in page and "L4_IP" in page


def test_a_real_run_is_not_called_simulated_and_markup_of_a_title_is_text(tmp_path: Path) -> None:
    folder = synthetic_run.make(tmp_path, repeats=1, simulated=False, frames=False)
    study = folder / "study.toml"
    study.write_text(study.read_text().replace('title = "', 'title = "<b>'))
    run = open_run(folder)
    assert LABEL not in repr(run) and LABEL not in run._repr_html_() and not run.trials["simulated"].any()
    assert "<b>" not in run._repr_html_() and "&lt;b&gt;" in run._repr_html_()


# ---- what is damaged ------------------------------------------------------------------------------------------------


def test_a_whole_folder_has_no_fault(run: Run) -> None:
    assert run.faults == () and run.verify() == ()


def test_a_run_that_was_killed_opens_and_says_that_it_was_not_sealed(tmp_path: Path) -> None:
    run = open_run(synthetic_run.make(tmp_path, repeats=1, frames=False, seal=False))
    assert run.faults == (UNSEALED,) and UNSEALED in repr(run) and UNSEALED in run._repr_html_()
    assert len(run.trials) == 9 and len(run.stream("pressure")) and len(run.events)


@pytest.mark.parametrize("name", ["manifest.json", "plan.json", "study.toml", "devices.json", "trials/T003/row.json"])
@pytest.mark.parametrize("damage", [b"{", b"\xff\x00"])
def test_a_folder_with_one_damaged_file_opens_with_the_rest_and_names_it(copy: Path, name: str, damage: bytes) -> None:
    (copy / name).write_bytes(damage)
    run = open_run(copy)
    lost = int(name == "trials/T003/row.json")
    assert len(run.trials) == 9 - lost and len(run.stream("pressure")) and len(run.events)
    assert len(run.faults) == 1 and run.faults[0].startswith(name) and run.verify() != ()
    assert run.simulated, "what cannot be shown to be real is called simulated"


def test_a_journal_that_was_changed_is_read_up_to_there(copy: Path) -> None:
    path = sorted((copy / "cartridges").glob("*/journal.jsonl"))[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b"data", b"atad"), *lines[4:]]))
    run = open_run(copy)
    assert f"journal of {path.parent.name}" in run.faults[0]
    assert (run.events["cartridge_id"] == path.parent.name).sum() == 3


def test_samples_that_cannot_be_read_are_left_out_with_a_warning_and_refused_by_name(copy: Path) -> None:
    (copy / "trials/T001/streams.h5").write_bytes(b"no file of this kind")
    run = open_run(copy)
    with pytest.warns(UserWarning, match="trial T001 is left out"):
        table = run.stream("pump")
    assert "T001" not in set(table["trial_id"]) and "T002" in set(table["trial_id"])
    assert any("T001" in fault for fault in run.faults)
    with pytest.raises(RecordError, match=r"streams\.h5"):
        run.stream("pump", trial="T001")


def test_a_picture_that_is_not_the_recorded_one_is_refused(copy: Path) -> None:
    import h5py

    with h5py.File(copy / "trials/T001/frames.h5", "r+") as file:
        name = next(name for name in file if name.startswith("pixels_"))
        file[name][0] = 0
    with pytest.raises(RecordError, match="does not match its recorded hash"):
        open_run(copy).frame("T001", 0)


def test_a_killed_trial_without_a_row_still_has_its_samples(copy: Path) -> None:
    (copy / "trials/T002/row.json").unlink()
    run = open_run(copy)
    assert "T002" not in set(run.trials["trial_id"]) and len(run.stream("pressure", trial="T002"))


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir()])
def test_a_folder_that_is_no_run_folder_is_reported(tmp_path: Path, make) -> None:
    make(tmp_path / "x")
    with pytest.raises(ConfigError, match="run folder"):
        open_run(tmp_path / "x")


# ---- the front door -------------------------------------------------------------------------------------------------


def test_the_package_alone_loads_neither_pandas_nor_numpy() -> None:
    code = "import sys, analysis; print(sorted({'pandas', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_tables_need_neither_statistics_nor_figures() -> None:
    code = "import sys, analysis.run; print(sorted({'statsmodels', 'matplotlib', 'typst'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = synthetic_run.make(tmp_path / "runs", repeats=1)
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    known: dict[str, object] = {}
    for body in examples:
        exec(compile(body, PAGE.name, "exec"), known)
    assert len(examples) == 3 and known["page"] == Path("runs") / folder.name / "report.html"
    assert isinstance(known["picture"], np.ndarray) and (tmp_path / "target.png").stat().st_size > 10_000
    output = capsys.readouterr().out
    assert LABEL in output and "in_plane" in output and "highest_kpa" in output and "force" in output
