"""A reference instrument is qualified from a table, certified, and then judged by what it did."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli.main import app
from experiments.decidable import expected_deflection_mm, undecided
from experiments.protocol.study import load_study
from experiments.run import check_rig
from hal.errors import ConfigError
from rig.calibration.certificates.in_force import InForce, in_force
from rig.calibration.instrument.readings import COLUMNS, MARK, read_readings
from rig.config import RigConfig, load_config

TODAY = datetime.date.today()


def run(*words: object) -> tuple[int, dict[str, Any], str]:
    result = CliRunner().invoke(app, ["calibrate", *map(str, words)], catch_exceptions=False)
    last = result.stdout.splitlines()[-1:] or ["{}"]
    return result.exit_code, json.loads(last[0]) if last[0].startswith("{") else {}, result.stderr


def table(
    path: Path, *, blind: float = 0.0, sd: float = 0.2, bias: float = 0.0, bent: int = 10, depth: float = 55.0,
    in_gel: str = "yes", simulated: bool = False, seed: int = 3,
) -> Path:  # fmt: skip
    """Twenty straight readings and some bent ones, of an instrument that misses ``blind`` of the bend."""
    rng = np.random.default_rng(seed)
    lines = [MARK] if simulated else []
    lines.append(",".join((*COLUMNS, "true_u_mm")))
    for k in range(20 + bent):
        true = np.array([*rng.uniform(-20, 20, 2), depth + rng.uniform(-3, 3)])
        angle = rng.uniform(0, 2 * np.pi)
        away = (k >= 20) * rng.uniform(2, 4) * np.array([np.cos(angle), np.sin(angle), 0.0])
        read = true - blind * away + bias + rng.normal(0, sd, 3)
        numbers = [*true, *read, true[2], *away]
        lines.append(",".join([*(f"{v:.4f}" for v in numbers), in_gel, "0.05"]))
    path.write_text("\n".join(lines) + "\n")
    return path


def bench(folder: Path, **tracker: object) -> RigConfig:
    """The simulated rig with a folder of certificates and other words about its tracker."""
    text = (load_config("simulated").path or Path()).read_text()
    for key, value in {"sees_bending": "true", "tip_uncertainty_mm": "0.3", **tracker}.items():
        line = next(line for line in text.splitlines() if line.startswith(f"{key} ="))
        text = text.replace(line, f"{key} = {value}" if value is not None else "")
    (folder / "certificates").mkdir(exist_ok=True)
    path = folder / "rig.toml"
    path.write_text(text + '\n[calibrations]\nfolder = "certificates"\n')
    return load_config(path)


def certify(folder: Path, readings: Path, declares: str, identity: str = "RI-1") -> None:
    code, found, printed = run("instrument", readings, "--declares-bending", declares, "--json")
    assert code == 0, printed
    result = folder / f"{identity}.txt"
    result.write_text(json.dumps(found) + "\n")
    words = ("--identity", identity, "--kind", "reference_instrument", "--device", "tracker", "--by", "AB")
    (folder / "certificates").mkdir(exist_ok=True)
    assert run("certify", result, folder / "certificates", *words)[0] == 0


def judged(config: RigConfig) -> tuple[str, ...]:
    study = load_study("lumbar")
    return undecided(study, study.loaded(), in_force(config, TODAY).applied_to(config))


def test_an_instrument_in_the_tip_is_qualified_with_its_decisions_and_a_picture(tmp_path):
    readings = table(tmp_path / "r.csv")
    picture = tmp_path / "r.png"
    code, found, printed = run(
        "instrument", readings, "--name", "EM stylet", "--declares-bending", "yes", "--criterion", "tte_mm=3.0",
        "--criterion", "gap=0.8", "--picture", picture, "--json",
    )  # fmt: skip
    assert code == 0 and found["sees_bending"] is True and found["name"] == "EM stylet"
    assert found["tip_uncertainty_mm"] == pytest.approx(np.hypot(0.2, 0.05), abs=0.06)
    low, high = found["tip_uncertainty_interval_95_mm"]
    assert low < found["tip_uncertainty_mm"] < high
    assert found["decisions"]["tte_mm"]["can_decide"] is True
    assert found["decisions"]["gap"]["can_decide"] is False and "CANNOT DECIDE gap" in printed
    assert any(key.startswith("IP-TTE") for key in found["decisions"]), "the study's own criteria are judged too"
    assert picture.stat().st_size > 10_000 and found["simulated"] is False


def test_readings_of_a_simulated_rig_stay_labelled(tmp_path):
    _, found, printed = run("instrument", table(tmp_path / "r.csv", simulated=True), "--json")
    assert found["simulated"] is True and "SIMULATED readings" in printed


@pytest.mark.parametrize(
    ("changes", "declares", "code", "words"),
    [
        ({"blind": 1.0}, "yes", "declaration", "declares to see bending and misses"),
        ({"bent": 2}, "yes", "no bent needle", "only 2 readings of a bent needle"),
        ({"in_gel": "no"}, "no", "not in gel", "30 of 30 readings were not in gel"),
        ({"depth": 15.0}, "no", "wrong depth", "outside the targets' depth"),
        ({"sd": 0.0}, "no", "no scatter", "repeats itself to the last digit"),
    ],
)
def test_readings_that_do_not_qualify_are_refused_with_code_and_sentence(tmp_path, changes, declares, code, words):
    readings = table(tmp_path / "r.csv", **changes)
    exit_code, found, printed = run("instrument", readings, "--declares-bending", declares, "--json")
    assert exit_code == 2 and found["ok"] is False
    assert found["code"] == code and words in printed


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        (COLUMNS[0], "true_x_inch", "lacks the columns true_x_mm"),
        ("yes", "perhaps", "line 2: in_gel 'perhaps' is neither yes nor no"),
        (",0.05", ",0.05,7", "line 2: 13 values for 12 columns"),
        (",0.05", ",0.07", "true_u_mm must be one number"),
        (",0.05", ",-1", "true_u_mm must be one number"),
        (",0.05", ",", ""),
        ("0.0000", "nan", "is no length in mm"),
        ("0.0000", "1,5", "values for 12 columns"),
        ("0.0000", "5 mm", "is no number (decimal point, no unit)"),
    ],
)
def test_a_table_that_says_something_else_is_refused_by_line_and_column(tmp_path, was, now, words):
    readings = table(tmp_path / "r.csv")
    readings.write_text(readings.read_text().replace(was, now, 1))
    code, found, printed = run("instrument", readings, "--json")
    if not words:  # one line that does not repeat what the others say
        assert code == 0
        return
    assert code == 2 and words in printed and found["code"] == "bad input"


@pytest.mark.parametrize("text", ["", "# only a remark\n", ",".join(COLUMNS) + "\n"])
def test_a_table_without_readings_is_refused(tmp_path, text):
    (tmp_path / "r.csv").write_text(text)
    code, _, printed = run("instrument", tmp_path / "r.csv", "--known-u", "0.1")
    assert code == 2 and (
        "is empty" in printed or "0 readings of a straight needle" in printed or "at least" in printed
    )


def test_the_template_can_be_read_but_qualifies_nothing_and_is_not_written_over(tmp_path):
    file = tmp_path / "readings.csv"
    assert run("instrument", "--template", file)[0] == 0
    rows = read_readings(file)
    assert len(rows.rows) == 2 and rows.known_u_mm == 0.05 and not rows.simulated
    assert run("instrument", file, "--json")[1]["code"] == "too few"
    code, _, printed = run("instrument", "--template", file)
    assert code == 2 and "exists" in printed


def test_known_tips_of_unknown_worth_qualify_nothing(tmp_path):
    readings = table(tmp_path / "r.csv")
    readings.write_text(readings.read_text().replace("true_u_mm", "remark"))
    code, _, printed = run("instrument", readings)
    assert code == 2 and "how well the tips are known is not stated" in printed
    assert run("instrument", readings, "--known-u", "0.1")[0] == 0


@pytest.mark.parametrize("text", ["tte_mm", "tte_mm=three"])
def test_a_criterion_without_a_limit_is_refused(tmp_path, text):
    code, _, printed = run("instrument", table(tmp_path / "r.csv"), "--criterion", text)
    assert code == 2 and "NAME=LIMIT" in printed


def test_the_certificate_takes_the_place_of_what_the_rig_file_declares(tmp_path):
    certify(tmp_path, table(tmp_path / "r.csv", sd=0.5), "yes")
    config = bench(tmp_path, sees_bending=None, tip_uncertainty_mm=None)
    applied = in_force(config, TODAY).applied_to(config)
    tracker = applied.driver_settings("tracker")
    assert tracker.sees_bending is True and tracker.tip_uncertainty_mm == pytest.approx(0.5, abs=0.1)
    assert config.driver_settings("tracker").sees_bending is False, "the rig file itself says what it said"
    record = in_force(config, TODAY).of("tracker")
    assert record.identity == "RI-1" and "sees the needle bend" in record.uncertainty


def test_what_the_qualification_contradicts_is_refused_with_the_reason(tmp_path):
    certify(tmp_path, table(tmp_path / "r.csv", blind=1.0, sd=0.5), "no")
    config = bench(tmp_path, tip_uncertainty_mm=None)
    with pytest.raises(
        ConfigError, match=r"sees_bending = true: RI-1 contradicts it, the instrument missed 9\d|10\d %"
    ):
        in_force(config, TODAY)
    config = bench(tmp_path, sees_bending="false", tip_uncertainty_mm="0.1")
    with pytest.raises(ConfigError, match=r"tip_uncertainty_mm = 0\.1: RI-1 contradicts it, it found 0\.\d+ mm"):
        in_force(config, TODAY)
    result = CliRunner().invoke(app, ["doctor", "--rig", str(config.path)], catch_exceptions=False)
    assert result.exit_code == 2 and "contradicts it" in " ".join(result.stderr.split())
    config = bench(tmp_path, sees_bending="false", tip_uncertainty_mm="2.0")  # more than was found: no contradiction
    assert in_force(config, TODAY).applied_to(config).driver_settings("tracker").tip_uncertainty_mm < 1.0


def test_bending_that_was_not_shown_to_be_seen_counts_as_not_seen(tmp_path):
    certify(tmp_path, table(tmp_path / "r.csv", bent=0), "no")
    with pytest.raises(ConfigError, match="was not shown to"):
        in_force(bench(tmp_path), TODAY)
    config = bench(tmp_path, sees_bending="false")
    assert in_force(config, TODAY).applied_to(config).driver_settings("tracker").sees_bending is False


def test_an_instrument_that_cannot_decide_blocks_the_study_by_its_certificate(tmp_path):
    study = load_study("lumbar")
    certify(tmp_path, table(tmp_path / "r.csv", blind=1.0), "no")
    config = bench(tmp_path, sees_bending=None, tip_uncertainty_mm=None)
    bend = expected_deflection_mm(study, study.loaded())
    assert bend > 1.0 and f"{bend:.1f} mm of it because it does not see the needle bend" in judged(config)[0]
    with pytest.raises(ConfigError, match=r"cannot decide the study.*as RI-1 of \d{4}-\d\d-\d\d qualified it"):
        check_rig(study, config, study.loaded(), in_force(config, TODAY))
    check_rig(study, bench(tmp_path, sees_bending="true"), study.loaded(), InForce())


def test_bending_is_charged_once(tmp_path):
    """The certified uncertainty is without bending: the study adds its own."""
    certify(tmp_path, table(tmp_path / "r.csv", blind=1.0), "no")
    config = bench(tmp_path, sees_bending=None, tip_uncertainty_mm=None)
    assert in_force(config, TODAY).applied_to(config).driver_settings("tracker").tip_uncertainty_mm < 0.4


def test_two_qualifications_of_one_tracker_are_not_chosen_from_in_silence(tmp_path):
    certify(tmp_path, table(tmp_path / "r.csv"), "yes", "RI-1")
    result = tmp_path / "RI-1.txt"
    words = (
        "--identity",
        "RI-2",
        "--kind",
        "reference_instrument",
        "--device",
        "tracker",
        "--serial",
        "SN9",
        "--by",
        "AB",
    )
    assert run("certify", result, tmp_path / "certificates", *words)[0] == 0
    with pytest.raises(ConfigError, match="RI-1 and RI-2 are both in force as reference_instrument"):
        in_force(bench(tmp_path), TODAY)
