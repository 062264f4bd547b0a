"""A stylus is recorded live and calibrated from its own file."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli.main import app
from hal.files.toml_text import toml_text
from hal.links.sequence import read_sequence
from hal.sim.stylus import Stylus
from rig.config import load_config
from rig.record import read_chain


def run(*arguments):
    result = CliRunner().invoke(app, ["calibrate", *map(str, arguments)], catch_exceptions=False)
    return result, (json.loads(result.stdout.splitlines()[-1]) if result.stdout.strip() else {})


def rig_file(tmp_path, **sim):
    config = load_config("simulated")
    keys = ("rig", "devices", "frames")
    data = {k: v for k, v in config.model_dump(mode="json", exclude_none=True).items() if k in keys}
    path = tmp_path / "rig.toml"
    path.write_text(toml_text({**data, "sim": sim, "safety": {"estop_inputs": ["holder"]}}))
    return path


@pytest.fixture(scope="module")
def pivoted(tmp_path_factory):
    out = tmp_path_factory.mktemp("record") / "stylus.igs.mha"
    result, found = run("record", "--seconds", 20, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    return out, found, result.stderr


def test_the_pivot_of_the_recording_finds_the_true_tip_within_its_uncertainty(pivoted):
    out, _, _ = pivoted
    result, tip = run("pivot", out, "--json")
    assert result.exit_code == 0, result.stderr
    true = Stylus.of(bench_seed=1, hand_seed=1, tremor_mm=0.08).tip_mm
    away = np.array(tip["tip_mm"]) - true
    assert away @ np.linalg.solve(np.array(tip["covariance_mm2"]), away) < 16.3  # chi2 of 3, one in a thousand
    assert tip["tip_sd_mm"] < 0.1


def test_spin_and_landmarks_work_on_recordings_of_the_same_bench(pivoted, tmp_path):
    pivot, _, _ = pivoted
    spun, touched = tmp_path / "spin.igs.mha", tmp_path / "touch.igs.mha"
    assert run("record", "--motion", "spin", "--out", spun)[0].exit_code == 0
    assert run("record", "--motion", "fiducials", "--out", touched)[0].exit_code == 0
    result, axis = run("spin", pivot, spun, "--tool", "StylusToTracker", "--json")
    assert result.exit_code == 0, result.stderr
    tip = axis["pivot"]["tip_mm"]
    nominal = tmp_path / "nominal.txt"
    nominal.write_text("F1 -88 -95 0\nF2 88 -95 0\nF3 88 115 0\nF4 -88 115 0\nF5 -95 10 30\nF6 95 -20 45\n")
    result, found = run("landmarks", touched, nominal, "--tip", *tip, "--reference", "PhantomToTracker", "--json")
    assert result.exit_code == 0, result.stderr
    assert found["points"]["F6"] == pytest.approx([95.0, -20.0, 45.0], abs=0.6)
    assert len(found["points"]) == 6


def test_the_recording_is_labelled_and_leaves_a_journal(pivoted):
    out, found, printed = pivoted
    assert found["simulated"] is True and "SIMULATED rig" in printed
    assert read_sequence(out).header["PhantomrigSimulated"] == "True"
    kinds = [e.kind for e in read_chain(out.with_name("stylus.record") / "journal.jsonl").entries]
    assert "record.completed" in kinds


def test_poses_without_sight_stay_in_the_file_and_are_marked(tmp_path):
    hidden = {"device": "tracker", "kind": "hidden", "from_s": 12.0, "to_s": 16.0}
    out = tmp_path / "stylus.igs.mha"
    result, found = run("record", "--rig", rig_file(tmp_path, faults=[hidden]), "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    frames = read_sequence(out).frames
    marked = [f for f in frames if "StylusToTracker" in f.invalid]
    assert len(frames) == found["frames_n"] and len(marked) == found["frames_n"] - found["seen_n"]
    assert 3.5 < found["longest_blind_s"] < 4.5 and len(marked) > 100
    assert not any("PhantomToTracker" in f.invalid for f in frames)
    times = [f.time_ns for f in frames]
    assert all(a < b for a, b in itertools.pairwise(times))


def test_a_tool_that_the_tracker_does_not_know_is_named(tmp_path):
    result, _ = run("record", "--tool", "PointerToTracker", "--seconds", 2, "--out", tmp_path / "p.igs.mha")
    assert result.exit_code == 2
    assert "never reported PointerToTracker" in result.stderr and "StylusToTracker" in result.stderr


@pytest.mark.parametrize(
    ("wrong", "printed"),
    [
        (("--motion", "dance"), "pivot, spin"),
        (("--seconds", "0"), "between 1 and 3600"),
        (("--out", "stylus.txt"), ".igs.mha"),
    ],
)
def test_what_makes_no_recording_is_refused_before_anything_opens(tmp_path, monkeypatch, wrong, printed):
    monkeypatch.chdir(tmp_path)
    result, _ = run("record", *wrong)
    assert result.exit_code == 2 and printed in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_recording_is_never_overwritten(pivoted):
    out, _, _ = pivoted
    before = out.read_bytes()
    result, _ = run("record", "--out", out)
    assert result.exit_code == 2 and "never overwritten" in result.stderr
    assert out.read_bytes() == before


def test_an_operator_who_declines_ends_it_as_a_stop(tmp_path):
    declines = {"device": "operator", "kind": "declines", "from_s": 0.0}
    out = tmp_path / "s.igs.mha"
    result, _ = run("record", "--rig", rig_file(tmp_path, faults=[declines]), "--out", out)
    assert result.exit_code == 3 and "declined" in result.stderr and not out.exists()


def test_a_tracker_whose_line_breaks_stops_the_recording_instead_of_waiting(tmp_path):
    broken = {"device": "tracker", "kind": "unplugged", "from_s": 12.0}
    out = tmp_path / "s.igs.mha"
    result, _ = run("record", "--rig", rig_file(tmp_path, faults=[broken]), "--out", out)
    assert result.exit_code == 3 and "tracker" in result.stderr and "line is interrupted" in result.stderr
    chain = read_chain(tmp_path / "s.record" / "journal.jsonl")
    assert chain.fault == "", [e.kind for e in chain.entries]
    assert "make_safe" in [e.kind for e in chain.entries]
