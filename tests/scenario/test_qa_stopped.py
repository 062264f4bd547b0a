"""A QA run that is stopped, killed, declined or begun with the needle in the gel: rig safe, record kept, no verdict."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from analysis.qa.recorded import analyse_qa
from experiments.qa import run_test, shipped_acceptances
from experiments.qa.gate import gate
from hal.errors import ConfigError, DeviceError, SafetyStop, Stopped
from rig.config import config_file, load_config
from rig.record import RecordedRun, verify_run

SHORT = {
    "line_loss": {"repeats": 2}, "pressure_static": {"cycles": 2, "hold_s": 1.0, "readings": 5},
    "holder_pose": {"cycles": 2, "direction_cycles": 0}, "feed_axis": {"runs": 2, "targets": 5, "readings": 5},
}  # fmt: skip
RIGS = {"holder_pose": "qa_bench", "feed_axis": "qa_bench"}


def short(folder, name: str) -> str:
    text = shipped_acceptances()[name].read_text()
    for key, value in SHORT[name].items():
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    (folder / f"{name}.toml").write_text(text)
    return str(folder / f"{name}.toml")


def _nothing_may_act(monkeypatch):
    def acts(*_):
        raise AssertionError("an axis was moved or the pump was started")

    for name in ("feed_axis.move_needle", "holder_pose.move_probe", "line_loss.inject"):
        monkeypatch.setattr(f"experiments.qa.measure_{name}", acts)


def kept(folder):
    """The one run of a folder, which holds, has no verdict, and whose rig ended safe."""
    (path,) = folder.glob("qa-*")
    assert verify_run(path) == ()
    assert analyse_qa(path).verdict.word == "NOT EVALUATED"
    entries = RecordedRun.open(path).chain.entries
    (*_, safe) = (entry for entry in entries if entry.kind == "make_safe")
    assert all(report["safe"] for report in safe.data["reports"])
    return entries


@pytest.mark.parametrize("test", ["line_loss", "pressure_static", "holder_pose", "feed_axis"])
def test_nothing_moves_or_flows_when_the_person_declines(tmp_path, test, monkeypatch):
    _nothing_may_act(monkeypatch)
    text = config_file(RIGS.get(test, "simulated")).read_text()
    (tmp_path / "rig.toml").write_text(
        text + '\n[[sim.faults]]\ndevice = "operator"\nkind = "declines"\nfrom_s = 0.0\n'
    )
    with pytest.raises(SafetyStop, match=r"declined|agree"):
        run_test(short(tmp_path, test), tmp_path / "rig.toml", out=tmp_path / "runs", tell=lambda _: None)
    kept(tmp_path / "runs")


@pytest.mark.parametrize("test", ["line_loss", "holder_pose", "feed_axis"])
def test_a_needle_in_the_gel_is_withdrawn_by_a_person_first(tmp_path, test, monkeypatch):
    for place in ("experiments.calibrations.clear_way", "experiments.qa.measure_feed_axis"):
        monkeypatch.setattr(f"{place}.depth_mm", lambda pose, mount: 20.0)
    _nothing_may_act(monkeypatch)
    with pytest.raises(ConfigError, match="withdraw it"):
        run_test(short(tmp_path, test), RIGS.get(test, "simulated"), out=tmp_path / "runs", tell=lambda _: None)
    kept(tmp_path / "runs")


@pytest.mark.parametrize("signals_n", [1, 2])
@pytest.mark.parametrize("test", ["line_loss", "pressure_static", "holder_pose"])
def test_ctrl_c_in_the_middle_ends_the_test_safe_and_sealed(tmp_path, test, signals_n):
    told: list[str] = []

    def interrupts(text: str) -> None:
        told.append(text)
        for _ in range(signals_n if len(told) == 1 else 0):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises((SafetyStop, Stopped, KeyboardInterrupt)):
        run_test(short(tmp_path, test), RIGS.get(test, "simulated"), out=tmp_path / "runs", tell=interrupts)
    kept(tmp_path / "runs")
    assert len(told) == 1, "nothing was measured after it"


def test_a_feed_that_is_stopped_keeps_every_tip_that_was_seen(tmp_path):
    def interrupts(text: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises((SafetyStop, Stopped, KeyboardInterrupt)):
        run_test(short(tmp_path, "feed_axis"), "qa_bench", out=tmp_path / "runs", tell=interrupts)
    (path,) = (tmp_path / "runs").glob("qa-*")
    assert len(analyse_qa(path).tables["tips"]) == 5


def test_a_scanner_that_falls_silent_leaves_the_frames_before_it(tmp_path):
    text = re.sub(r"^seconds = .*$", "seconds = 20.0", shipped_acceptances()["capture_timing"].read_text(), flags=re.M)
    (tmp_path / "short.toml").write_text(text)
    fault = '\n[[sim.faults]]\ndevice = "ultrasound"\nkind = "unplugged"\nfrom_s = 8.0\n'
    quick = config_file("simulated").read_text().replace("[sim]\n", '[sim]\nframe_quality = "fast"\n', 1)
    (tmp_path / "rig.toml").write_text(quick + fault)
    with pytest.raises((SafetyStop, DeviceError)):
        run_test(str(tmp_path / "short.toml"), tmp_path / "rig.toml", out=tmp_path / "runs", tell=lambda _: None)
    kept(tmp_path / "runs")
    (path,) = (tmp_path / "runs").glob("qa-*")
    assert len(analyse_qa(path).tables["frames"]) > 20


def test_a_kill_leaves_the_readings_and_lets_no_study_begin(tmp_path):
    code = (
        "import os, signal; from experiments.qa import run_test; "
        f"run_test({short(tmp_path, 'line_loss')!r}, out={str(tmp_path / 'runs')!r}, "
        "tell=lambda text: os.kill(os.getpid(), signal.SIGKILL))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == -signal.SIGKILL
    (path,) = (tmp_path / "runs").glob("qa-*")
    assert verify_run(path, unfinished=True) == ()
    results = analyse_qa(path)
    assert results.verdict.word == "NOT EVALUATED" and len(results.tables["plateaus"]) == 1
    config = load_config("simulated")
    qa = config.qa.model_copy(update={"runs": str(tmp_path / "runs"), "required": ("line_loss",)})
    with pytest.raises(ConfigError, match="never carried out"):
        gate(config.model_copy(update={"qa": qa}))
