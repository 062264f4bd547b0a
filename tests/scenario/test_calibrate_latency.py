"""The rig measures by its own motion how late its pictures are."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from rig.cli.main import app
from rig.record import read_chain


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "latency"
    arguments = ["calibrate", "latency", "--strokes", "10", "--out", str(out), "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return out, json.loads(result.stdout.splitlines()[-1]), result.stderr


def test_stamps_of_the_simulated_scanner_agree_with_the_holder_within_5_ms(measured):
    _, found, _ = measured
    low, high = found["interval_95_s"]
    assert abs(found["lag_s"]) < 0.005 and high - low < 0.005
    assert found["scale"] == pytest.approx(1.0, abs=0.03)


def test_the_result_is_labelled_and_leaves_a_record_and_a_picture(measured):
    out, found, told = measured
    assert found["simulated"] is True and "SIMULATED rig" in told
    assert (out / "latency.png").stat().st_size > 10_000
    assert json.loads((out / "latency.json").read_text())["lag_s"] == found["lag_s"]
    chain = read_chain(out / "journal.jsonl")
    kinds = [entry.kind for entry in chain.entries]
    assert chain.fault == ""
    assert "interlock_self_test" in kinds and kinds[-2:] == ["latency.completed", "make_safe"]


def test_a_folder_that_holds_a_record_is_not_used_again(measured):
    out, _, _ = measured
    result = CliRunner().invoke(app, ["calibrate", "latency", "--out", str(out)])
    assert result.exit_code == 2 and "not empty" in result.stderr


def test_a_place_outside_the_workspace_is_refused_before_anything_moves(tmp_path):
    result = CliRunner().invoke(app, ["calibrate", "latency", "--x", "400", "--out", str(tmp_path / "o")])
    assert result.exit_code == 2 and "--x 400" in result.stderr and "workspace" in result.stderr
    chain = read_chain(tmp_path / "o" / "journal.jsonl")
    assert not [e for e in chain.entries if e.kind == "latency.completed"]
