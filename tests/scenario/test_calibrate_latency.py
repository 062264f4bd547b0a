"""The rig measures by its own motion how late its pictures are."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments.calibrations.latency import SPEEDS_MM_S
from experiments.cli.main import app
from hal.sim.devices import motion_grbl
from hal.sim.devices.motion_config import holder_config
from hal.sim.devices.ultrasound_igtl import UltrasoundCore
from rig.calibration.certificates.certificate import read_certificate
from rig.record import read_chain

QUICK = 'frame_quality = "fast"'
OPERATOR = 'operator = "expert"'
LATE_MS = 20.0
AGREE_MS = 0.5


def rig_with(path: Path, after: str, text: str) -> Path:
    """The shipped simulated rig with its quick pictures, and with lines added below a line of it."""
    shipped = files("rig").joinpath("data/simulated.toml").read_text(encoding="utf-8")
    assert shipped.count(after) == shipped.count(OPERATOR) == 1
    shipped = shipped.replace(OPERATOR, f"{QUICK}\n{OPERATOR}")
    path.write_text(shipped.replace(after, f"{after}\n{text}\n"), encoding="utf-8")
    return path


def lag_ms(out: Path, rig: Path | None = None) -> float:
    """Lag that the command finds, ms."""
    return 1e3 * float(run(out, rig)[0]["lag_s"])


def run(out: Path, rig: Path | None = None) -> tuple[dict[str, Any], str]:
    """Result and what was told."""
    rig = rig or rig_with(out.with_suffix(".toml"), OPERATOR, "")
    arguments = ["calibrate", "latency", "--strokes", "10", "--out", str(out), "--json", "--rig", str(rig)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1]), result.stderr


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "latency"
    return out, *run(out)


def test_the_lag_of_the_simulated_bench_is_that_of_its_controller_and_its_play(measured):
    _, found, _ = measured
    low, high = found["interval_95_s"]
    assert high - low < 0.002
    assert found["scale"] == pytest.approx(1.0, abs=0.03)
    read_ms = motion_grbl.QUERY_NS / 1e6
    # Half of the play is missing while the probe slides: at a speed v that looks like a lag of play / 2 / v.
    least_ms, most_ms = (1e3 * 0.5 * holder_config().backlash / v for v in reversed(SPEEDS_MM_S))
    assert read_ms + least_ms <= -1e3 * found["lag_s"] <= read_ms + most_ms


def test_pictures_older_than_their_stamps_are_found_late_and_the_setting_takes_it_back(measured, tmp_path, monkeypatch):
    late_ns = round(LATE_MS * 1e6)
    sample = UltrasoundCore._sample

    def old(self, index, taken_ns):
        render = self._port.render
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self._port, "render", lambda at_ns, settings: render(max(0, at_ns - late_ns), settings))
            return sample(self, index, taken_ns)

    monkeypatch.setattr(UltrasoundCore, "_sample", old)
    usual_ms = 1e3 * measured[1]["lag_s"]
    assert lag_ms(tmp_path / "late") == pytest.approx(usual_ms - LATE_MS, abs=AGREE_MS)
    printed = rig_with(tmp_path / "rig.toml", 'driver = "igtl_ultrasound"', f"latency_ms = {LATE_MS}")
    assert lag_ms(tmp_path / "told", printed) == pytest.approx(usual_ms, abs=AGREE_MS)


def test_a_controller_that_looks_at_its_axes_later_is_found_early(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(motion_grbl, "QUERY_NS", motion_grbl.QUERY_NS + round(LATE_MS * 1e6))
    assert lag_ms(tmp_path / "later") == pytest.approx(1e3 * measured[1]["lag_s"] - LATE_MS, abs=AGREE_MS)


def test_positions_that_only_take_longer_to_arrive_do_not_change_the_lag(measured, tmp_path):
    fault = f'[[sim.faults]]\ndevice = "holder"\nkind = "delay"\nfrom_s = 0.0\ndelay_s = {1e-3 * LATE_MS}'
    slow = rig_with(tmp_path / "rig.toml", OPERATOR, fault)
    assert lag_ms(tmp_path / "slow", slow) == pytest.approx(1e3 * measured[1]["lag_s"], abs=AGREE_MS)


def test_the_result_is_labelled_and_leaves_a_record_and_a_picture(measured):
    out, found, printed = measured
    assert found["simulated"] is True and "SIMULATED rig" in printed
    assert (out / "latency.png").stat().st_size > 10_000
    assert json.loads((out / "latency.json").read_text())["lag_s"] == found["lag_s"]
    chain = read_chain(out / "journal.jsonl")
    kinds = [entry.kind for entry in chain.entries]
    assert chain.fault == ""
    assert "interlock_self_test" in kinds and kinds[-2:] == ["latency.completed", "make_safe"]


def test_the_stored_result_is_certified_without_telling_again_what_it_knows(measured, tmp_path):
    out, found, _ = measured
    words = ["certify", out / "latency.json", tmp_path / "c", "--identity", "T-1", "--by", "AB", "--json"]
    made = CliRunner().invoke(app, ["calibrate", *map(str, words)], catch_exceptions=False)
    assert made.exit_code == 0, made.stderr
    certificate = read_certificate(tmp_path / "c" / "T-1.json")
    assert (certificate.kind, certificate.device, certificate.simulated) == ("temporal", "ultrasound", True)
    assert certificate.values["lag_s"].value == found["lag_s"]
    assert certificate.performed_at == found["result"]["performed_at"]
    assert {"latency.json"} < set(certificate.inputs), "and the rig file"


def test_a_folder_that_holds_a_record_is_not_used_again(measured):
    out, _, _ = measured
    result = CliRunner().invoke(app, ["calibrate", "latency", "--out", str(out)])
    assert result.exit_code == 2 and "not empty" in result.stderr


def test_a_place_outside_the_workspace_is_refused_before_anything_moves(tmp_path):
    result = CliRunner().invoke(app, ["calibrate", "latency", "--x", "180", "--out", str(tmp_path / "o")])
    assert result.exit_code == 2 and "--x 180" in result.stderr and "workspace" in result.stderr
    chain = read_chain(tmp_path / "o" / "journal.jsonl")
    assert not [e for e in chain.entries if e.kind == "latency.completed"]
