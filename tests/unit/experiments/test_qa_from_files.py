"""QA tests from logs by others: the same record, figures and report; wrong files are refused before a folder exists."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from analysis.qa.report import make_qa_report
from analysis.report.make import make_report
from experiments.cli.main import app
from experiments.qa import evaluate_files, shipped_acceptances
from experiments.qa.gate import qa_state
from hal.errors import ConfigError
from rig.config import load_config
from rig.record import verify_run
from rig.record.canonical import sha256_file
from tests.analysis import synthetic_run
from tests.analysis.qa.test_qa_manipulator import DOWN, TARGETS, UP

MAP = """
[columns.run]
column = "Lauf"
[columns.direction]
column = "Richtung"
[columns.target_mm]
column = "Soll"
unit = "mm"
[columns.reading_mm]
column = "Ist"
unit = "um"
"""


def gauge(up=UP, down=DOWN, unit: float = 1.0, head: str = "run,direction,target_mm,reading_mm") -> str:
    rows = [
        f"{run + 1},{way},{target},{(target + um / 1e3) * unit:.6f}"
        for way, deviations in ((1, up), (-1, down))
        for target, runs in zip(TARGETS, deviations, strict=bool(deviations))
        for run, um in enumerate(runs)
    ]
    return "\n".join([head, *rows]) + "\n"


def test_a_gauge_log_gives_the_figures_of_the_worked_example_and_a_sealed_run(tmp_path):
    (tmp_path / "gauge.csv").write_text(gauge())
    run = evaluate_files("feed_axis", {"targets": tmp_path / "gauge.csv"}, out=tmp_path / "runs")
    assert run.figures()["a_um"] == pytest.approx(15.2804, abs=1e-3) and verify_run(run.path) == ()
    assert not run.results.simulated and run.verdict == "PASS"
    page = (run.path / "report.html").read_text()
    assert "SIMULATED" not in page and "50 rows of gauge.csv" in page and "No device of a rig took part" in page
    assert (run.path / "files" / "gauge.csv").read_text() == gauge()
    before = (run.path / "results.json").read_bytes()
    make_qa_report(run.path)
    assert (run.path / "results.json").read_bytes() == before


def test_a_study_that_rests_on_files_says_so_and_names_the_limits_by_their_sum(tmp_path):
    (tmp_path / "gauge.csv").write_text(gauge())
    run = evaluate_files("feed_axis", {"targets": tmp_path / "gauge.csv"}, out=tmp_path / "runs", simulated=True)
    config = load_config("simulated")
    qa = config.qa.model_copy(update={"runs": str(tmp_path / "runs"), "required": ("feed_axis",)})
    (state,) = qa_state(config.model_copy(update={"qa": qa}))
    assert state.fault == "" and state.from_files
    assert state.acceptance_sha256 == sha256_file(run.path / "acceptance.toml")
    study = synthetic_run.make(tmp_path / "study", frames=False)
    (study / "qa.json").write_text(json.dumps({"override": "", "required": [asdict(state)]}))
    make_report(study)
    assert "WOULD PASS (from files)" in (study / "report.html").read_text()


def test_a_column_map_brings_names_and_units_of_others(tmp_path):
    (tmp_path / "log.csv").write_text(gauge(unit=1e3, head="Lauf;Richtung;Soll;Ist").replace(",", ";"))
    (tmp_path / "map.toml").write_text(MAP)
    run = evaluate_files(
        "feed_axis", {"targets": tmp_path / "log.csv"}, {"targets": tmp_path / "map.toml"}, out=tmp_path / "runs"
    )
    assert run.figures()["b_um"] == pytest.approx(5.0, abs=1e-3)


def test_a_simulated_log_says_so_everywhere(tmp_path):
    (tmp_path / "gauge.csv").write_text(gauge())
    run = evaluate_files("feed_axis", {"targets": tmp_path / "gauge.csv"}, out=tmp_path / "runs", simulated=True)
    page = (run.path / "report.html").read_text()
    assert run.verdict == "WOULD PASS" and "SIMULATED DATA" in page and ">PASS<" not in page


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("0.001000", "about 1 um"), "row 2, column 'reading_mm': 'about 1 um' is no number"),
        (("reading_mm", "reading"), "targets needs run, direction, target_mm, reading_mm, or a column map"),
        (("0.001000", "0.001 in"), "is in 'in'"),
    ],
)
def test_a_wrong_cell_is_refused_with_row_and_column_and_leaves_nothing(tmp_path, change, words):
    (tmp_path / "gauge.csv").write_text(gauge().replace(*change, 1))
    with pytest.raises(ConfigError, match=words):
        evaluate_files("feed_axis", {"targets": tmp_path / "gauge.csv"}, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_one_direction_in_a_log_withholds_the_figures_of_both(tmp_path):
    (tmp_path / "gauge.csv").write_text(gauge(down=()))
    run = evaluate_files("feed_axis", {"targets": tmp_path / "gauge.csv"}, out=tmp_path / "runs")
    assert run.figures()["a_um"] is None and run.figures()["a_up_um"] == pytest.approx(11.2804, abs=1e-3)
    assert run.verdict == "NOT EVALUATED"


def test_a_direction_that_is_neither_up_nor_down_is_said_and_no_reading_is_passed_over(tmp_path):
    (tmp_path / "gauge.csv").write_text(gauge().replace(",-1,", ",0,"))
    run = evaluate_files("feed_axis", {"targets": tmp_path / "gauge.csv"}, out=tmp_path / "runs")
    assert run.figures().get("a_up_um") is None and run.verdict != "PASS"
    assert "direction is 1 (up) or -1 (down), not 0" in (run.path / "report.html").read_text()


def test_a_table_that_the_test_does_not_have_is_answered_with_those_it_needs(tmp_path):
    (tmp_path / "gauge.csv").write_text(gauge())
    with pytest.raises(ConfigError, match="no table gauge; the test needs targets with run, direction"):
        evaluate_files("feed_axis", {"gauge": tmp_path / "gauge.csv"}, out=tmp_path / "runs")


def test_the_command_takes_files_by_table(tmp_path):
    (tmp_path / "gauge.csv").write_text(gauge())
    order = ["qa", "evaluate", "feed_axis", "--out", str(tmp_path / "runs"), "--json"]
    done = CliRunner().invoke(app, [*order, "--table", f"targets={tmp_path / 'gauge.csv'}"])
    assert done.exit_code == 0 and json.loads(done.stdout.splitlines()[-1])["verdict"] == "PASS"
    wrong = CliRunner().invoke(app, [*order, "--table", "gauge.csv"])
    assert wrong.exit_code == 2 and "give NAME=FILE" in wrong.stderr


def test_a_reference_that_is_too_uncertain_judges_no_log_either(tmp_path):
    text = shipped_acceptances()["feed_axis"].read_text()
    poor = re.sub(r"^expanded_uncertainty = .*$", "expanded_uncertainty = 300.0", text, flags=re.MULTILINE)
    (tmp_path / "poor.toml").write_text(poor)
    (tmp_path / "gauge.csv").write_text(gauge())
    with pytest.raises(ConfigError, match="the reference may not decide this"):
        evaluate_files(str(tmp_path / "poor.toml"), {"targets": tmp_path / "gauge.csv"}, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_two_files_of_one_name_would_overwrite_each_other_and_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "gauge").write_text(gauge())
    (tmp_path / "b" / "gauge").write_text(MAP)
    with pytest.raises(ConfigError, match="two of the files have one name"):
        evaluate_files(
            "feed_axis", {"targets": tmp_path / "a" / "gauge"}, {"targets": tmp_path / "b" / "gauge"},
            out=tmp_path / "runs",
        )  # fmt: skip
