"""Scripts: the same study by TOML and by script, a script's folder resumed, its workers, and the shipped ones."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import EndedEarly, StudyRun, carry_out, compare, run_script
from experiments.cli import run as command
from experiments.cli.main import app
from experiments.ended import Ended
from experiments.protocol.technique import technique_file
from experiments.request import checked
from experiments.run import conduct
from experiments.session import Session
from experiments.source import shipped_scripts
from experiments.steps import finish, prepare
from experiments.steps.prepare import do_item
from hal.clock import VirtualClock
from hal.errors import ConfigError
from hal.phantom.spec import phantom_file
from hal.sim import bench as benches
from rig.config import config_file
from rig.record import RunFolder, verify_run
from rig.record.canonical import sha256_hex
from tests.fakes.kill_and_resume import Nobody, copied_at, counted_rows, resume_once
from tests.fakes.short_trial import in_a_second

ROOT = Path(__file__).resolve().parents[2]
SHORT = {
    "checklist.3.contact_s": 1.0, "checklist.3.wait_s": 1.0, "checklist.6.contact_s": 1.0,
    "advance.redirections_max_n": 0,
}  # fmt: skip
SCRIPT = f"""
from experiments import phantom, rig_file, study, technique
from mine import FLAT

short = {SHORT}
made = study(
    "lumbar",
    {{"study.id": "both", "design.repeats": 1, "study.seed": 4, "design.cartridge_trials_max": 2}},
    techniques={{"flat": technique("L4_LM", {{**short, **FLAT}}), "S1_LM": technique("S1_LM", short)}},
    phantom=phantom("lumbar_ref", {{"anatomy.bmi": 26, "name": "slim"}}),
    rig=rig_file("simulated", {{"sim.operator": "novice"}}),
    criteria=[],
)
run = made.run()
"""


def _in_toml(folder: Path) -> Path:
    """The same by files of one's own, written by hand from the shipped ones."""
    for name, own in (("L4_LM", "flat"), ("S1_LM", "S1_LM")):
        text = technique_file(name).read_text().replace(f'id = "{name}"', f'id = "{own}"')
        text = re.sub(r"^(wait_s|contact_s) = [\d.]+$", r"\1 = 1.0", text, flags=re.MULTILINE)
        (folder / f"{own}.toml").write_text(
            text.replace("lateral_deg = 20.0", "lateral_deg = 25.0") + "[advance]\nredirections_max_n = 0\n"
        )
    text = phantom_file("lumbar_ref").read_text().replace('name = "lumbar_ref"', 'name = "slim"')
    (folder / "slim.toml").write_text(text.replace("bmi = 24.5", "bmi = 26").replace("s0_mm = 12.0\n", ""))
    text = config_file("simulated").read_text().replace('operator = "expert"', 'operator = "novice"')
    (folder / "novice.toml").write_text(text)
    (folder / "study.toml").write_text(
        '[study]\nid = "both"\ntitle = "t"\nobjective = "o"\nseed = 4\n[design]\ntechniques = ["flat.toml", '
        '"S1_LM.toml"]\nrepeats = 1\nphantom = "slim.toml"\ncartridge_trials_max = 2\ncartridge_age_h = 24.0\n'
    )
    return folder / "study.toml"


def _run(*arguments: str) -> tuple[int, dict[str, object], str]:
    result = CliRunner().invoke(app, ["run", *arguments, "--workers", "1", "--json"], catch_exceptions=False)
    lines = result.stdout.splitlines()
    return result.exit_code, json.loads(lines[-1]) if lines else {}, result.stderr


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    """A script that was run, and its folder as a kill after the first trial would have left it."""
    folder = tmp_path_factory.mktemp("script")
    (folder / "mine.py").write_text('FLAT = {"landmark.lateral_deg": 25.0}\n')
    (folder / "both.py").write_text(SCRIPT)
    closed = []

    def after_the_first_trial(n: int, line: bytes) -> bool:
        closed.append(b'"trial.closed"' in line)
        return sum(closed[:-1]) == 1 and not any(copies)

    with copied_at(after_the_first_trial, folder / "copies", random.Random(1)) as copies:
        code, data, printed = _run(str(folder / "both.py"), "--out", str(folder / "out"))
    assert code == 0, printed
    return Path(str(data["run"])), copies[0], data


def test_the_same_study_by_toml_and_by_script_is_the_same_to_the_byte(scripted, tmp_path) -> None:
    study = _in_toml(tmp_path)
    order = checked(str(study), tmp_path / "novice.toml", tmp_path / "out", None, None, 1, ())
    by_toml = conduct(order.study, order.config, order.out, files=order.files, workers=1, watcher=Nobody()).run
    assert (by_toml / "trials.csv").read_bytes() == (scripted[0] / "trials.csv").read_bytes()
    assert b",slim," in (scripted[0] / "trials.csv").read_bytes()


def test_source_changes_and_full_files_are_in_the_sealed_record(scripted) -> None:
    path, _, data = scripted
    run = RunFolder.open(path)
    assert run.manifest is not None and verify_run(path) == ()
    assert (path / "script" / "both.py").read_text() == SCRIPT
    for name in ("script/both.py", "script/mine.py", "varied.toml", "techniques/flat.toml", "phantom.toml", "rig.toml"):
        digest = sha256_hex((path / name).read_bytes())
        assert run.manifest.files[name] == digest and run.opened["files"][name] == digest, name
    page = (path / "report.html").read_text()
    assert "from L4_LM: checklist.3.contact_s = 1.0" in page and "landmark.lateral_deg = 25.0" in page
    assert "EXPLORATORY" in page and "script/both.py" in page and "run 1; studies planned until then: 1" in page
    assert data["script"].endswith("both.py") and len(data["runs"]) == 1 and data["verdict"] == "NOT EVALUATED"


def test_a_scripts_folder_is_resumed_without_the_script(scripted) -> None:
    path, killed, _ = scripted
    resumed = resume_once(killed)
    assert verify_run(resumed) == () and counted_rows(resumed) == counted_rows(path)


def test_a_run_gives_its_trials_a_labelled_figure_and_its_report(scripted) -> None:
    run = StudyRun(scripted[0])
    assert list(run.trials.groupby("technique").tte_mm.count().index) == ["S1_LM", "flat"]
    figure = run.figure("errors")
    assert any("SIMULATED DATA  |  EXPLORATORY" in text.get_text() for text in figure.texts)
    assert [label.get_text().split("\n")[0] for label in figure.axes[0].get_xticklabels()] == ["S1_LM", "flat"]
    assert run.report() == run.path / "report.html" and "SIMULATED run" in repr(run)
    for wrong, words in (({"column": "tte_m"}, "did you mean 'tte_mm'"), ({"by": "sides"}, "did you mean 'side'")):
        with pytest.raises(ConfigError, match=words):
            compare(run, **wrong)
    with pytest.raises(ConfigError, match="compare"):
        run.figure("tte_mm")


GUARDLESS = f"""
import sys
sys.path.append({str(ROOT)!r})
from experiments import study, technique

print("begun")
open(__file__, "w").write("raise SystemExit('workers run this')")
short = {SHORT}
names = {{f"LM{{n}}": technique("L4_LM", short) for n in (1, 2)}}
design = {{"design.repeats": 1, "design.cartridge_trials_max": 1}}
print(study("lumbar", design, techniques=names).run(sys.argv[1], workers=2).trials.outcome.notna().sum())
"""


def test_workers_start_without_the_script_which_needs_no_main_guard(tmp_path) -> None:
    for name in ("analysis.py", "rig.py"):
        (tmp_path / name).write_text("raise SystemExit('the own one of the user')\n")
    (tmp_path / "guardless.py").write_text(GUARDLESS)
    ended = subprocess.run(
        [sys.executable, "guardless.py", "runs"], cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ)
    )
    assert ended.stdout.splitlines() == ["begun", "2"], ended.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert verify_run(run) == ()


def test_two_scripts_that_begin_at_once_in_one_place_have_folders_of_their_own(tmp_path) -> None:
    def begun(n: int) -> Path:
        clock = VirtualClock()
        return RunFolder.create(
            tmp_path, "x", clock, files={"script/a.py": b"%d" % n}, seed=1, simulated=True,
            started_utc="2026-02-03T10:00:00Z",
        ).path  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(begun, range(8)))
    assert len(set(folders)) == 8
    assert [(path / "script" / "a.py").read_bytes() for path in folders] == [b"%d" % n for n in range(8)]


@pytest.mark.parametrize(("kind", "code"), [("safety", 3), ("operator", 3), ("device", 4), ("record", 2)])
def test_a_script_ends_where_its_study_ended_early_with_the_code_of_that(tmp_path, monkeypatch, kind, code) -> None:
    ended = Ended(tmp_path / "run", 9, 4, "NOT EVALUATED", "pump is silent", kind)

    def runs(path: Path, session: Session) -> None:
        session.runs.append(ended)
        raise EndedEarly(ended)

    monkeypatch.setattr(command, "run_script", runs)
    exit_code, data, printed = _run(str(tmp_path / "any.py"))
    assert exit_code == code and "pump is silent" in printed
    assert (data["planned"], data["completed"]) == (9, 4)


def test_a_technique_is_not_chosen_for_a_script_and_an_unknown_name_gets_the_nearest(tmp_path) -> None:
    code, data, printed = _run("compare_angles", "--technique", "L4_LM", "--out", str(tmp_path))
    assert (code, data) == (2, {}) and "names its techniques itself" in printed
    code, data, printed = _run("compare_angels")
    assert (code, data) == (2, {}) and "did you mean 'compare_angles'" in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(shipped_scripts()))
def test_a_shipped_script_runs_in_its_short_form_and_leaves_its_picture(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for step in (prepare, finish):  # nobody waits for the antiseptic here
        monkeypatch.setattr(step, "do_item", lambda trial, item: do_item(trial, in_a_second(item)))
    monkeypatch.setattr(carry_out, "_reported", lambda outcome: "NOT JUDGED")  # reports have tests of their own
    one_pour = lambda settings, seed: benches._poured_before(settings.phantom, 7, settings.poured)  # noqa: E731
    monkeypatch.setattr(benches, "_poured", one_pour)
    quick = tmp_path / "quick.toml"
    quick.write_text(config_file("simulated").read_text().replace("[sim]\n", '[sim]\nframe_quality = "fast"\n'))
    session = Session(quick, trials=1, out=tmp_path / "runs", workers=1)
    run_script.run_script(shipped_scripts()[name], session)
    assert session.runs and all(one.completed_n == one.planned_n for one in session.runs)
    assert all(verify_run(one.run) == () for one in session.runs)
    assert (tmp_path / f"{name}.png").stat().st_size > 5000
    assert len(shipped_scripts()[name].read_text().splitlines()) <= 35
