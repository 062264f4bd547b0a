"""A rig opened at a prompt: it obeys every limit, leaves a record, and ends in the safe state however it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import rig
from hal.clock import WallClock
from hal.errors import ConfigError, DeviceError, LimitViolation, RecordError, SafetyStop
from rig.by_hand import opened_rig
from rig.record import read_chain

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def nothing_stays_open():
    yield
    rig.close_all()


def entries(folder: Path) -> list[Any]:
    chain = read_chain(folder / "journal.jsonl")
    assert chain.fault == "" and not chain.cut_tail
    return list(chain.entries)


def test_a_person_looks_steps_the_needle_infuses_and_reads_everything(tmp_path):
    with rig.open(out=tmp_path / "r") as bench:
        bench.probe.over(20.0, 0.0, press_mm=1.5, turn_deg=90.0)
        view = bench.eye.frame()
        assert view.pixels.std() > 10.0 and view.ImageToRig.shape == (4, 4)
        bench.needle.place(x_mm=60.0, y_mm=40.0)
        bench.needle.place(feed_mm=0.0)
        bench.needle.step(1.5)
        assert bench.needle.depth_mm == pytest.approx(1.5, abs=0.05)
        result = bench.syringe.infuse(0.1)
        assert 0.0 < result.pumped.max_ml <= 0.11
        read = bench.read()
        assert read["carrier.pose.feed_mm"] == pytest.approx(1.5, abs=0.05) and "pressure.pressure_kpa" in read
        assert bench.reference().measured
        assert bench.needle.out().feed_mm < 0.0
        assert "SIMULATED" in repr(bench) and "no verdict" in repr(bench)
    done = [e.data["what"] for e in entries(tmp_path / "r") if e.kind == "by_hand"]
    assert done[:2] == ["probe.move", "eye.frame"] and "syringe.infuse" in done
    assert entries(tmp_path / "r")[-1].kind == "make_safe"


def test_the_needle_goes_no_further_than_its_tip_is_known_unless_the_person_says_how_it_was_seen(tmp_path):
    with rig.open(out=tmp_path / "r") as bench:
        bench.needle.place(x_mm=60.0, y_mm=40.0)
        bench.needle.place(feed_mm=0.0)
        bench.needle.step(2.0)
        with pytest.raises(LimitViolation, match="without confirmed tip"):
            bench.needle.step(1.0)
        with pytest.raises(ValueError, match="say how"):
            bench.needle.tip_seen(" ")
        bench.needle.tip_seen("bright dot at the end of the shaft")
        bench.needle.step(1.0)
        with pytest.raises(LimitViolation, match="sideways"):
            bench.needle.place(x_mm=61.0)
    words = [e.data["how"] for e in entries(tmp_path / "r") if e.data.get("what") == "needle.tip_seen"]
    assert words == ["bright dot at the end of the shaft"]


def test_limits_of_rig_and_volume_hold_at_the_prompt_too(tmp_path):
    with rig.open(out=tmp_path / "r") as bench:
        with pytest.raises(LimitViolation):
            bench.probe.over(2000.0, 0.0)
        with pytest.raises(LimitViolation):
            bench.probe.move(x_mm=1.0, speed_mm_s=1e4)
        with pytest.raises(LimitViolation):
            bench.syringe.infuse(1e3)
        with pytest.raises(DeviceError, match="has no depth_mm"):
            bench.needle.place(depth_mm=3.0)
        assert bench.stopped == "", "a refusal stops nothing"


def test_an_error_of_the_persons_own_ends_in_the_safe_state_and_its_reason_is_kept(tmp_path):
    with pytest.raises(ZeroDivisionError), rig.open(out=tmp_path / "r") as bench:
        print(1 / 0)
    last = entries(tmp_path / "r")[-1]
    assert last.kind == "make_safe" and "ZeroDivisionError" in last.data["reason"]
    with pytest.raises(ConfigError, match="was closed"):
        bench.read()
    bench.close()


def test_one_rig_at_a_time_in_a_folder_of_its_own(tmp_path):
    first = rig.open(out=tmp_path / "a")
    with pytest.raises(ConfigError, match="still open"):
        rig.open(out=tmp_path / "b")
    first.close()
    with pytest.raises(RecordError, match="not empty"):
        rig.open(out=tmp_path / "a")


def test_a_forgotten_rig_is_made_safe_when_the_interpreter_ends(tmp_path):
    script = f"import rig; bench = rig.open(out={str(tmp_path / 'r')!r}); bench.wait(1.0)"
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert entries(tmp_path / "r")[-1].kind == "make_safe"


@pytest.fixture
def on_the_wall_clock(monkeypatch):
    """The simulated bench on the wall clock; its worlds."""
    benches: list[Any] = []
    simulate = opened_rig.simulate

    def seen(*args: Any, **kwargs: Any) -> Any:
        benches.append(simulate(*args, **kwargs))
        return benches[-1]

    monkeypatch.setattr(opened_rig, "VirtualClock", WallClock)
    monkeypatch.setattr(opened_rig, "simulate", seen)
    return benches


def test_on_the_wall_clock_an_emergency_stop_between_calls_stops_the_rig(tmp_path, on_the_wall_clock):
    with rig.open(out=tmp_path / "r") as bench:
        assert "watched between calls" in repr(bench)
        on_the_wall_clock[0].world.estop = True
        until = time.monotonic() + 20.0
        while not bench.stopped and time.monotonic() < until:
            time.sleep(0.02)
        assert "emergency stop" in bench.stopped
        with pytest.raises(SafetyStop):
            bench.needle.step(0.5)
        assert not bench.release(), "it is still pressed"
    kinds = [e.kind for e in entries(tmp_path / "r")]
    assert kinds.count("make_safe") == 1


def test_ctrl_c_between_calls_ends_the_persons_own_loop_and_the_rig_does_not_go_on(tmp_path):
    with rig.open(out=tmp_path / "r") as bench:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                time.sleep(0.01)
        with pytest.raises(SafetyStop, match="Ctrl-C"):
            bench.wait(0.1)


PUMP_AND_GAUGE = """
[rig]
name = "pump and gauge"
simulated = true
[devices.pump]
driver = "new_era_pump"
url = "rigsim://pump"
diameter_mm = 12.06
[devices.pressure]
driver = "keller_pressure"
url = "rigsim://pressure"
[safety]
estop_inputs = []
"""


def test_a_pump_and_a_gauge_open_without_a_robot_and_obey_their_limits(tmp_path):
    (tmp_path / "pump.toml").write_text(PUMP_AND_GAUGE)
    with rig.open(tmp_path / "pump.toml", out=tmp_path / "r") as bench:
        assert 0.09 < bench.syringe.infuse(0.1).pumped.max_ml <= 0.11
        assert set(bench.read()) >= {"pump.running", "pressure.pressure_kpa"}
        with pytest.raises(DeviceError, match="has no carrier"):
            bench.needle.step(1.0)
        with pytest.raises(LimitViolation):
            bench.syringe.infuse(50.0)
    assert entries(tmp_path / "r")[-1].kind == "make_safe"


def test_without_an_emergency_stop_input_nothing_that_moves_is_opened(tmp_path):
    holder = '[devices.holder]\ndriver = "grblhal_holder"\nurl = "rigsim://holder"\n'
    (tmp_path / "moves.toml").write_text(PUMP_AND_GAUGE.replace("[devices.pump]", f"{holder}[devices.pump]"))
    with pytest.raises(ConfigError, match="at least one emergency-stop input is needed; without one the holder"):
        rig.open(tmp_path / "moves.toml", out=tmp_path / "r")
