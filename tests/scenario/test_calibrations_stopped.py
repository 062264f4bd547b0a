"""A calibration that moves the rig can be stopped: the rig is made safe, the reason reported, the record kept."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_devices import Bench
from typer.testing import CliRunner

from experiments.calibrations.clear_way import require_clear, way_over
from experiments.calibrations.latency import measure_latency
from experiments.calibrations.phantom_surface import SPEED_MM_S, scan, scan_plan
from experiments.calibrations.session import session
from experiments.cli.main import app
from hal.clock import NS_PER_S, VirtualClock
from hal.errors import ConfigError, LimitViolation, SafetyStop
from hal.types import NeedlePose, OperatorResponse, Pose6
from rig.config import load_config
from rig.instruments.jogs import QUEUE_S
from rig.record import read_chain

LATENCY = ("latency", "--x", "18", "--y", "-10")


def rig_with_fault(folder: Path, fault: str) -> Path:
    text = (load_config("simulated").path or Path()).read_text(encoding="utf-8")
    path = folder / "rig.toml"
    path.write_text(f"{text}\n[[sim.faults]]\n{fault}\n")
    return path


def calibrate(folder: Path, fault: str, *words: str):
    out = folder / "out"
    rig = rig_with_fault(folder, fault)
    result = CliRunner().invoke(
        app, ["calibrate", *words, "--rig", str(rig), "--out", str(out)], catch_exceptions=False
    )
    return result, read_chain(out / "journal.jsonl")


@pytest.mark.parametrize("words", [LATENCY, ("needle-tip",), ("phantom",)])
def test_a_foot_on_the_pedal_ends_a_calibration_as_a_stop_and_not_as_a_fault_of_ours(tmp_path, words):
    pedal = 'device = "contact"\nkind = "short"\ninput = 2\nfrom_s = 20.0'
    result, chain = calibrate(tmp_path, pedal, *words)
    assert result.exit_code == 3 and "the foot pedal is pressed" in result.stderr
    kinds = [entry.kind for entry in chain.entries]
    assert chain.fault == "" and "hold" in kinds and kinds[-1] == "make_safe"
    assert all(report["safe"] for report in chain.entries[-1].data["reports"])


@pytest.mark.parametrize("words", [LATENCY, ("needle-tip",), ("phantom",)])
def test_a_command_that_is_refused_in_an_emergency_stop_is_reported_as_that_stop(tmp_path, words):
    pressed = 'device = "bench"\nkind = "emergency_stop"\nfrom_s = 20.0'
    result, chain = calibrate(tmp_path, pressed, *words)
    assert result.exit_code == 3 and "emergency stop pressed" in result.stderr
    assert [e.data["source"] for e in chain.entries if e.kind == "trip"] == ["estop"]


def test_a_cable_that_is_pulled_in_the_middle_of_a_move_is_the_hard_stop_that_it_is_elsewhere(tmp_path):
    result, chain = calibrate(tmp_path, 'device = "holder"\nkind = "unplugged"\nfrom_s = 20.0', "needle-tip")
    assert result.exit_code == 3 and "the cable at" in result.stderr and "pulled" in result.stderr
    assert "make_safe" in [e.kind for e in chain.entries]


@pytest.mark.parametrize(("words", "kind"), [(LATENCY, "latency"), (("phantom",), "phantom_scan")])
def test_no_probe_moves_when_a_person_says_no(tmp_path, words, kind):
    result, chain = calibrate(tmp_path, 'device = "operator"\nkind = "declines"\nfrom_s = 0.0', *words)
    assert result.exit_code == 3 and "did not agree" in result.stderr
    assert [e for e in chain.entries if e.kind == f"{kind}.failed"]
    safe = next(e for e in chain.entries if e.kind == "make_safe")
    assert "X 0.000, Y 0.000, Z -30.000" in json.dumps(safe.data), "the probe stands where it stood"


@pytest.mark.parametrize("kind", ["silent", "unplugged"])
def test_a_scanner_that_falls_silent_stops_the_slide_instead_of_leaving_half_of_it(tmp_path, kind):
    result, chain = calibrate(tmp_path, f'device = "ultrasound"\nkind = "{kind}"\nfrom_s = 20.0', *LATENCY)
    assert result.exit_code == 3 and "no ultrasound picture came while the probe moved" in result.stderr
    (hold,) = [e.data for e in chain.entries if e.kind == "hold"]
    assert hold["stopped"] == ["holder"] and not (tmp_path / "out" / "latency.json").exists()


def test_a_person_who_never_answers_is_not_waited_for_without_end(tmp_path):
    result, chain = calibrate(tmp_path, 'device = "operator"\nkind = "absent"\nfrom_s = 0.0', *LATENCY)
    assert result.exit_code == 4 and "did not happen within 600.0 s" in result.stderr
    assert "X 0.000, Y 0.000, Z -30.000" in json.dumps(chain.entries[-1].data)


def test_ctrl_c_while_the_result_is_computed_is_not_swallowed(tmp_path):
    with (
        pytest.raises(SafetyStop, match=r"Ctrl-C"),
        session(load_config("simulated"), tmp_path / "out") as (controller, _),
    ):
        controller.interrupt.request()  # nothing waits any more: no scan follows in the block
    kinds = [entry.kind for entry in read_chain(tmp_path / "out" / "journal.jsonl").entries]
    assert kinds[-2:] == ["trip", "make_safe"]


def test_ctrl_c_ends_a_scan_with_the_probe_where_it_is_and_a_record(tmp_path):
    with (
        pytest.raises(SafetyStop, match=r"Ctrl-C"),
        session(load_config("simulated"), tmp_path / "out") as (controller, _),
    ):
        pressed_ns = controller.clock.now_ns() + 25 * NS_PER_S
        places_mm = []

        def press(sample):
            if controller.clock.now_ns() > pressed_ns and not controller.interrupt.count:
                controller.interrupt.request()
            if controller.interrupt.count:
                places_mm.append(sample.value.pose.as_tuple()[:3])

        controller.on_sample("holder", press)
        scan(controller, scan_plan(controller.rig.frames.get("Phantom", "Rig")))
    last = read_chain(tmp_path / "out" / "journal.jsonl").entries[-1]
    assert last.kind == "make_safe" and all(report["safe"] for report in last.data["reports"])
    way_mm = np.linalg.norm(np.array(places_mm[-1]) - np.array(places_mm[0]))
    assert len(places_mm) > 1 and way_mm <= QUEUE_S * SPEED_MM_S, "no more than what was queued"


@pytest.mark.parametrize(
    ("motion", "tool"),
    [("pivot", "StylusToTracker"), ("fiducials", "StylusToTracker"), ("none", "NeedleTipToTracker")],
)
def test_a_recording_moves_neither_probe_nor_needle(tmp_path, motion, tool):
    out = tmp_path / "stylus.igs.mha"
    words = ["calibrate", "record", "--out", str(out), "--motion", motion, "--tool", tool, "--seconds", "3"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    last = read_chain(tmp_path / "stylus.record" / "journal.jsonl").entries[-1]
    data = json.dumps(last.data)
    assert last.kind == "make_safe" and "X 0.000, Y 0.000, Z -30.000" in data and "Z -40.000" in data, data


def started(carrier_at=None, **more):
    bench = Bench(VirtualClock(), **more)
    if carrier_at is not None:
        bench.carrier._from = bench.carrier._to = carrier_at.as_tuple()
    controller = bench.controller()
    controller.start()
    return bench, controller


def test_no_lag_is_measured_with_a_needle_in_the_gel():
    bench, controller = started(NeedlePose(0.0, 0.0, 0.0, 0.0, 8.0))
    with pytest.raises(ConfigError, match=r"8\.0 mm in the gel"):
        measure_latency(controller, Pose6(0.0, 0.0, 3.0))
    assert bench.holder.jogs == []


def test_a_tip_that_hangs_below_its_axis_is_a_needle_in_the_gel():
    _, controller = started(NeedlePose(0.0, 0.0, 0.0, 0.0, -1.0), needle={"tip_offset_mm": [0.0, 0.0, 4.0]})
    with pytest.raises(ConfigError, match=r"3\.0 mm in the gel"):
        require_clear(controller, "test")


@pytest.mark.parametrize("pose", [Pose6(149.0, 0.0, 3.0), Pose6(0.0, 0.0, -110.0)])
def test_all_of_a_slide_and_its_approach_is_checked_before_anything_moves(pose):
    bench, controller = started()
    with pytest.raises(LimitViolation, match="workspace"):
        measure_latency(controller, pose)
    assert bench.holder.jogs == []


def test_a_probe_that_a_stop_left_on_the_gel_rises_before_it_goes_anywhere():
    here = SimpleNamespace(pose=Pose6(40.0, 10.0, 3.0, 0.0, 0.0, 90.0))
    controller = SimpleNamespace(read=lambda role: here, limits=load_config("simulated").limits)
    above = Pose6(0.0, 0.0, -12.0)
    assert way_over(controller, above) == (Pose6(40.0, 10.0, -12.0, 0.0, 0.0, 90.0), above)


def test_a_person_may_see_what_no_sensor_does():
    bench, controller = started()
    bench.operator.begin = lambda instruction: None
    bench.operator.poll = lambda: OperatorResponse(0, False)
    with pytest.raises(SafetyStop, match="did not agree to the probe moving"):
        require_clear(controller, "test")
