"""Logs of balances and pressure sensors by others: judged like the rig's own, refused where they cannot be believed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.qa.kinds.registry import evaluation_of
from analysis.tables import DataFrame
from experiments.qa import acceptance_of, evaluate_files, shipped_acceptances
from hal.errors import ConfigError
from rig.record import verify_run

TESTS = ("pump_trumpet", "pump_bolus", "pump_rate", "pump_occlusion", "balance_check")


def trumpet_log() -> DataFrame:
    """A quarter of an hour at rest, two hours at 5 mL/h, a quarter of an hour at rest; every 30 s, in g."""
    t = np.arange(0.0, 960.0 + 7260.0 + 1020.0, 30.0)
    return DataFrame({"Zeit": t, "Gewicht": 70.0 + np.clip(t - 960.0, 0.0, 7260.0) * 5.0 / 3600.0 * 0.9967})


def written(folder, table: DataFrame, mg: bool = False) -> dict[str, object]:
    table = table.assign(stable=0.0, Gewicht=table.Gewicht * (1000.0 if mg else 1.0))
    table.to_csv(folder / "balance.csv", index=False)
    (folder / "pump.csv").write_text("time_s,running,counted_ml\n960,1,0\n8220,0,10.08\n")
    unit = "mg" if mg else "g"
    (folder / "balance.toml").write_text(
        f'[columns.time_s]\ncolumn = "Zeit"\nunit = "s"\n\n[columns.mass_g]\ncolumn = "Gewicht"\nunit = "{unit}"\n'
        '\n[columns.stable]\ncolumn = "stable"\n'
    )
    tables = {"weighings": folder / "balance.csv", "delivery": folder / "pump.csv"}
    return {"tables": tables, "columns": {"weighings": folder / "balance.toml"}}


@pytest.mark.parametrize("mg", [False, True], ids=["g", "mg"])
def test_a_balance_log_by_others_gives_its_trumpet(tmp_path, mg):
    run = evaluate_files("pump_trumpet", **written(tmp_path, trumpet_log(), mg), out=tmp_path / "runs")
    assert verify_run(run.path) == () and run.verdict == "PASS"
    assert run.figures()["a_percent"] == pytest.approx(-0.064, abs=0.01)
    assert (run.path / "figures" / "trumpet.svg").is_file()


def test_a_log_with_a_hole_of_38_minutes_is_not_judged(tmp_path):
    log = trumpet_log()
    log = log[(log.Zeit < 960 + 4200) | (log.Zeit > 960 + 4200 + 38 * 60)]
    run = evaluate_files("pump_trumpet", **written(tmp_path, log), out=tmp_path / "runs")
    assert run.verdict == "NOT EVALUATED" and "not bridged" in run.results.verdict.reason
    assert run.figures()["a_percent"] is None and (run.path / "figures" / "start_up.svg").is_file()


def test_a_balance_that_was_tared_in_the_middle_is_not_bridged_either(tmp_path):
    log = trumpet_log()
    log.loc[log.Zeit > 6000.0, "Gewicht"] -= 7.0
    run = evaluate_files("pump_trumpet", **written(tmp_path, log), out=tmp_path / "runs")
    assert run.figures()["a_percent"] is None
    assert any("mg less at minute" in note for note in run.results.outcome.notes)


@pytest.mark.parametrize("test", TESTS)
def test_cells_that_are_empty_give_a_sentence_and_no_figure(test):
    evaluation = evaluation_of(test)
    names = {table: ["time_s", *(field.name for field in fields)] for table, fields in evaluation.tables.items()}
    for fill in (math.nan, 0.0, 1.0):
        tables = {
            table: DataFrame(np.full((20, len(columns)), fill), columns=columns) for table, columns in names.items()
        }
        found = evaluation.evaluate(tables, evaluation.settings(dict(acceptance_of(test).parameters)))
        assert found.invalid or all(f.value is None or math.isfinite(f.value) for f in found.figures)
        assert fill == 1.0 or found.invalid


@pytest.mark.parametrize(
    ("test", "parameter", "value"),
    [
        ("pump_trumpet", "rate_ml_h", "0.0"), ("pump_trumpet", "sample_s", "0.0"),
        ("pump_trumpet", "windows_min", "[]"), ("pump_bolus", "repeats", "0"), ("pump_bolus", "vessel_mm", "0.0"),
        ("pump_bolus", "sizes_ml", "[0.1, -0.1]"), ("pump_rate", "rates_ml_min", "[]"),
        ("pump_rate", "seconds", "0.0"), ("pump_occlusion", "rate_ml_min", "0.0"),
        ("pump_occlusion", "compliance_ul_kpa", "0.0"), ("balance_check", "weight_g", "0.0"),
        ("balance_check", "period_s", "0.0"),
    ],
)  # fmt: skip
def test_a_parameter_that_no_procedure_can_do_is_refused(tmp_path, test, parameter, value):
    lines = shipped_acceptances()[test].read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{parameter} = ")]
    text = "\n".join(kept).replace("[parameters]\n", f"[parameters]\n{parameter} = {value}\n")
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(ConfigError, match=f"{parameter} must be at least"):
        acceptance_of(str(tmp_path / "own.toml"))
