"""The rig finds by its own motion where its needle's tip is, and afterwards puts it where it says."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.calibrations.needle_poses import plan_poses, room_of
from experiments.calibrations.needle_tip import measure_needle_tip
from experiments.cli.main import app
from experiments.trial.log import TrialLog
from experiments.trial.needle_hand import ABOVE_SKIN_MM, CarrierHand
from hal.clock import VirtualClock
from hal.errors import CalibrationRefused
from hal.sim.bench import Bench
from hal.types import Vector
from rig.calibration.certificates.in_force import in_force
from rig.calibration.certificates.issue import issue_file
from rig.config import RigConfig, load_config
from rig.control.controller import Controller
from rig.geometry.transforms import apply
from rig.guidance.needle_line import NeedleLine, direction_from_angles
from rig.record import Journal, read_chain
from rig.setup.opened import opened
from rig.setup.simulated import simulate

OFFSET, RUN_OUT = (1.2, -0.8, 1.6), (0.5, 0.2)
MOUNTED = f"\n[sim.needle_mount]\noffset_mm = {list(OFFSET)}\nrun_out_mm = {list(RUN_OUT)}\n"
SURVEYED = "[sim.placement]\ntracker_mm = 0.1\ntracker_deg = 0.02\ncarrier_mm = 0.8\ncarrier_deg = 0.4\n"
"""A bench whose tracker was surveyed well, and its carrier was not."""
ANGLES = ((0.0, 0.0, 0.0), (22.0, 0.0, 90.0), (-18.0, 6.0, 180.0), (12.0, -15.0, 300.0), (-30.0, 0.0, 45.0))
"""Lateral, tilt, bevel, deg."""


def rig_file(folder: Path, *tables: str, surveyed: bool = True) -> Path:
    text = (load_config("simulated").path or Path()).read_text()
    if surveyed:
        was = "-650.0], uncertainty_mm = 0.3, uncertainty_deg = 0.1"
        carrier = "CarrierToRig = { translation_mm = [300.0, 250.0, 150.0], uncertainty_mm = 0.3"
        assert was in text and carrier in text
        text = text.replace(was, "-650.0], uncertainty_mm = 0.1, uncertainty_deg = 0.02")
        text = text.replace(carrier, carrier.replace("0.3", "0.8"))
    (folder / "certificates").mkdir()
    path = folder / "rig.toml"
    path.write_text("\n".join((text, '[calibrations]\nfolder = "certificates"', *tables)))
    return path


def calibrate(rig: Path, *more: str) -> tuple[int, dict[str, Any], str, Path]:
    out = rig.parent / "needle-tip"
    words = ["calibrate", "needle-tip", "--rig", str(rig), "--out", str(out), "--json", *more]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    lines = result.stdout.splitlines()
    return result.exit_code, json.loads(lines[-1]) if lines else {}, result.stderr, out


def certify(out: Path, rig: Path, *more: str) -> None:
    words = [
        "calibrate",
        "certify",
        str(out / "needle_tip.json"),
        str(rig.parent / "certificates"),
        "--identity",
        "NT-1",
    ]
    words += ["--kind", "needle_tip", "--device", "carrier", "--by", "AB", *more]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr


@contextmanager
def standing(rig: Path, *, certified: bool, folder: Path) -> Iterator[tuple[Controller, Bench, RigConfig]]:
    """The rig opened with or without its certificates, and the bench that it does not see."""
    stated = load_config(rig)
    config = in_force(stated, datetime.date.today()).applied_to(stated) if certified else stated
    clock = VirtualClock()
    bench = simulate(stated, clock, cartridge_seed=1, phantom="lumbar_ref", needle=stated.needle.name)
    assert isinstance(bench, Bench)
    journal = Journal(folder / "journal.jsonl", clock)
    try:
        with opened(config, clock, bench, journal) as controller:
            controller.self_test()
            yield controller, bench, config
    finally:
        bench.close()
        journal.close()


def misses(rig: Path, *, certified: bool, folder: Path) -> np.ndarray:
    """Where the tip truly is, less where the carrier's hand believes it (n, 3), Rig frame, mm."""
    found = []
    with standing(rig, certified=certified, folder=folder) as (controller, bench, config):
        hand = CarrierHand(controller, TrialLog())
        PhantomToRig = config.frames.graph().get("Phantom", "Rig")
        for k, (lateral, tilt, bevel) in enumerate(ANGLES):
            entry: Vector = apply(PhantomToRig, [8.0 * k - 16.0, 12.0 - 6.0 * k, 0.0])
            line = NeedleLine(entry, direction_from_angles(lateral, tilt))
            hand.place(line, bevel)
            assert hand.feed_mm == pytest.approx(-ABOVE_SKIN_MM, abs=0.06)
            bench.world.advance(controller.clock.now_ns())
            truth = apply(bench.world.placement.PhantomToRig, bench.world.needle.tip_mm)
            found.append(truth - line.at(hand.feed_mm))
    return np.array(found)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str, Path]:
    rig = rig_file(tmp_path_factory.mktemp("bench"), SURVEYED, MOUNTED)
    code, found, printed, out = calibrate(rig)
    assert code == 0, printed
    return rig, found, printed, out


def test_offset_and_run_out_are_those_of_the_world(calibrated):
    _, found, _, _ = calibrated
    assert found["offset_mm"] == pytest.approx(OFFSET, abs=0.15)
    assert found["run_out_mm"] == pytest.approx(RUN_OUT, abs=0.08)
    held = found["held_out"]
    assert held["n"] == 6 and held["rms_mm"] < 2.0 * held["expected_mm"]


def test_after_calibration_the_tip_lies_within_the_claimed_uncertainty_where_before_it_was_off(calibrated, tmp_path):
    rig, found, _, out = calibrated
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    before = misses(rig, certified=False, folder=tmp_path / "before")
    certify(out, rig, "--transform", "CarrierToRig")
    after = misses(rig, certified=True, folder=tmp_path / "after")
    assert np.linalg.norm(before, axis=1).min() > 1.0
    assert np.abs(after).max() < 2.0 * found["tip_rig_u_mm"]
    assert found["tip_rig_u_mm"] < 0.5
    assert np.sqrt(np.mean(after**2)) < 0.25 * np.sqrt(np.mean(before**2))


def test_the_carriers_place_is_certified_with_the_offset_where_it_is_better(calibrated, tmp_path):
    made = issue_file(calibrated[3] / "needle_tip.json", "NT-9", "AB")
    assert (made.kind, made.device, made.transform) == ("needle_tip", "carrier", "CarrierToRig")
    alone = issue_file(calibrated[3] / "needle_tip.json", "NT-9", "AB", transform="none")
    assert alone.transform == "" and alone.values == made.values


def test_the_result_is_labelled_and_leaves_a_record_and_a_picture(calibrated):
    _, found, printed, out = calibrated
    assert found["simulated"] is True and "SIMULATED rig" in printed
    assert found["CarrierToRig_advice"].startswith("better than the value in force")
    assert (out / "needle_tip.png").stat().st_size > 10_000
    assert json.loads((out / "needle_tip.json").read_text())["offset_mm"] == found["offset_mm"]
    chain = read_chain(out / "journal.jsonl")
    kinds = [entry.kind for entry in chain.entries]
    assert chain.fault == "" and kinds.count("tip_seen") == 24
    assert kinds[-2:] == ["needle_tip.completed", "make_safe"]


def test_the_tip_stays_above_the_skin_and_the_probe_is_out_of_the_way(tmp_path):
    rig = rig_file(tmp_path, SURVEYED, MOUNTED)
    lowest, nearest = [], []
    with standing(rig, certified=False, folder=tmp_path) as (controller, bench, config):

        def look(sample):
            bench.world.advance(controller.clock.now_ns())
            lowest.append(bench.world.needle.tip_mm[2])
            probe = bench.world.probe_to_phantom(controller.clock.now_ns())[:3, 3]
            nearest.append(np.linalg.norm(probe[:2] - bench.world.needle.tip_mm[:2]))

        journal = Journal(tmp_path / "own.jsonl", controller.clock)
        poses = plan_poses(room_of(config), 12)
        controller.on_sample("carrier", look)
        measure_needle_tip(controller, poses, journal)
        journal.close()
    assert len(lowest) > 100 and max(lowest) < -15.0, "Z is depth: negative is above the skin"
    assert nearest[-1] > 100.0


def test_a_tracker_whose_place_is_poorly_known_is_not_recommended_for_the_carrier(tmp_path):
    rig = rig_file(tmp_path, surveyed=False)
    code, found, _, out = calibrate(rig, "--poses", "12")
    assert code == 0 and found["CarrierToRig_u_mm"] > 1.0
    assert found["CarrierToRig_advice"].startswith("no better than the value in force")
    text = rig.read_text()
    rig.write_text(text.replace(", uncertainty_deg = 0.1", ""))
    again = rig.parent / "again"
    words = ["calibrate", "needle-tip", "--rig", str(rig), "--out", str(again), "--poses", "12", "--json"]
    printed = CliRunner().invoke(app, words, catch_exceptions=False)
    found = json.loads(printed.stdout.splitlines()[-1])
    assert found["CarrierToRig"] is None and "state uncertainty_deg" in found["CarrierToRig_advice"]
    assert found["offset_mm"] == json.loads((out / "needle_tip.json").read_text())["offset_mm"]


@pytest.mark.parametrize(
    ("tables", "code", "words"),
    [
        (("[sim.needle_mount]\nbend_per_mm = 0.0015",), "residual", "A bent needle"),
        (("[limits.motion]\nneedle_angle_deg = 5.0",), "no room", "lateral_deg can be -5 to 5 only"),
        (('[[sim.faults]]\ndevice = "tracker"\nkind = "stale"\nfrom_s = 40.0',), "frozen", "no pose of the tip"),
    ],
)
def test_a_bench_that_cannot_hold_the_calibration_is_refused_with_the_reason(tmp_path, tables, code, words):
    exit_code, found, printed, out = calibrate(rig_file(tmp_path, *tables), "--poses", "16")
    assert exit_code == 2 and found["ok"] is False
    assert found["code"] == code and words in printed
    if code == "residual":
        assert json.loads((out / "needle_tip.json").read_text())["simulated"] is True


def test_a_tip_that_the_tracker_does_not_see_is_refused_by_name(tmp_path):
    rig = rig_file(tmp_path)
    with standing(rig, certified=False, folder=tmp_path) as (controller, bench, config):
        see = bench.world.tracked
        bench.world.tracked = lambda now_ns: {**see(now_ns), "NeedleTipToTracker": None}
        journal = Journal(tmp_path / "own.jsonl", controller.clock)
        poses = plan_poses(room_of(config), 13)
        with pytest.raises(CalibrationRefused, match="does not see NeedleTipToTracker at 2 of 2 poses") as refused:
            measure_needle_tip(controller, poses, journal)
        assert refused.value.code == "not seen"
        journal.close()


def test_a_person_who_says_no_ends_it_before_anything_moves(tmp_path):
    rig = rig_file(tmp_path, '[[sim.faults]]\ndevice = "operator"\nkind = "declines"\nfrom_s = 0.0')
    code, _, printed, out = calibrate(rig)
    assert code == 3 and "did not agree" in printed
    chain = read_chain(out / "journal.jsonl")
    assert [e for e in chain.entries if e.kind == "needle_tip.failed"]
    safe = next(e for e in chain.entries if e.kind == "make_safe")
    assert "X 0.000, Y 0.000, Z -30.000" in json.dumps(safe.data), "the probe stands where it stood"


def test_another_needle_than_the_one_calibrated_is_refused(calibrated, tmp_path):
    _, _, _, out = calibrated
    rig = rig_file(tmp_path)
    certify(out, rig)
    text = rig.read_text()
    assert in_force(load_config(rig), datetime.date.today()).applied_to(load_config(rig)).needle.tip_offset_mm != (
        0,
        0,
        0,
    )
    rig.write_text(text.replace("22G_quincke_120", "22G_chiba_150"))
    result = CliRunner().invoke(app, ["doctor", "--rig", str(rig)], catch_exceptions=False)
    assert result.exit_code == 2 and "calibrate again" in " ".join(result.stderr.split())
