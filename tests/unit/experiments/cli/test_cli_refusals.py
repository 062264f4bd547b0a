"""Bad input: exit code 2, one line on stderr, no traceback, and nothing made."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner
from waiting import ended_patiently

from experiments.cli.main import app
from hal.clock import WallClock
from hal.sim.mounts import mount_pty

SIMULATED = Path(__file__).parents[4] / "rig" / "data" / "simulated.toml"
STUDY = Path(__file__).parents[4] / "experiments" / "studies" / "lumbar.toml"


def refused(*arguments: object, exit_code: int = 2) -> str:
    """Run the command; returns its one line on stderr."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == exit_code, result.stderr
    assert "Traceback" not in result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert result.stdout == ""
    return lines[0]


@pytest.fixture
def out(tmp_path):
    place = tmp_path / "out"
    yield place
    assert not place.exists(), "a refused order left something behind"


def rig_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rig.toml"
    path.write_text(text)
    return path


def landmark_rig(tmp_path: Path, url: str, *, simulated: bool = True, operator: str = "auto_operator") -> Path:
    """The smallest rig for a landmark technique: a pump on a port, somebody at the needle."""
    return rig_of(
        tmp_path,
        f'[rig]\nname = "small"\nsimulated = {str(simulated).lower()}\n'
        f'[devices.pump]\ndriver = "new_era_pump"\nurl = "{url}"\ndiameter_mm = 12.06\n'
        f'[devices.operator]\ndriver = "{operator}"\n'
        '[devices.estop]\ndriver = "key_estop"\nkey = false\n'
        '[safety]\nestop_inputs = ["estop"]\nhardware_cut = true\n',
    )


def test_an_unknown_study_is_named_with_the_known_ones(out):
    assert "lumbar" in refused("run", "lumbr", "--out", out)


def test_an_unknown_technique_is_named_with_its_neighbours(out):
    assert "L4_IP_T" in refused("run", "lumbar", "--technique", "L4_IP", "--out", out)


def test_a_typo_in_a_study_is_named_with_its_place(tmp_path, out):
    study = tmp_path / "typo.toml"
    study.write_text(STUDY.read_text().replace("repeats = 3", "repeets = 3"))
    assert "design.repeets" in refused("run", study, "--out", out)


@pytest.mark.parametrize("trials", ["-3", "0"])
def test_repeats_below_one_are_refused(out, trials):
    assert f"got {trials}" in refused("run", "lumbar", "--trials", trials, "--out", out)


def test_no_workers_are_refused(out):
    assert "--workers" in refused("run", "lumbar", "--workers", "0", "--out", out)


def test_a_negative_seed_is_refused(out):
    assert "--seed" in refused("run", "lumbar", "--seed", "-1", "--out", out)


def test_a_rig_file_that_is_not_there_is_named(tmp_path, out):
    assert "none.toml" in refused("run", "lumbar", "--rig", tmp_path / "none.toml", "--out", out)


def test_a_rig_file_that_is_not_toml_is_named_with_the_line(tmp_path, out):
    assert "not a TOML file" in refused("run", "lumbar", "--rig", rig_of(tmp_path, "x = ["), "--out", out)


def test_everything_wrong_with_a_rig_file_stands_on_one_line(tmp_path, out):
    text = SIMULATED.read_text().replace("\ndiameter_mm", "\ndiametre_mm")
    text = text.replace("rigsim://holder", "/dev/ttyUSB0")
    message = refused("run", "lumbar", "--rig", rig_of(tmp_path, text), "--out", out)
    assert "diametre_mm" in message and "/dev/ttyUSB0" in message


def test_a_wrong_operator_of_the_simulation_is_refused(tmp_path, out):
    text = SIMULATED.read_text().replace('operator = "expert"', 'operator = "wizard"')
    assert "wizard" in refused("run", "lumbar", "--rig", rig_of(tmp_path, text), "--out", out)


def test_a_rig_without_what_the_study_needs_is_refused(tmp_path, out):
    message = refused("run", "lumbar", "--rig", landmark_rig(tmp_path, "socket://127.0.0.1:9"), "--out", out)
    assert "holder" in message and "ultrasound" in message


def test_a_missing_port_is_found_before_anything_is_made(tmp_path, out):
    rig = landmark_rig(tmp_path, "/dev/ttyNOT_THERE", simulated=False, operator="terminal_operator")
    message = refused("run", "lumbar", "--technique", "L4_LM", "--rig", rig, "--out", out)
    assert "no such port" in message and "/dev/ttyNOT_THERE" in message


def test_an_automatic_operator_is_refused_on_a_real_bench(tmp_path, out):
    rig = landmark_rig(tmp_path, "/dev/ttyNOT_THERE", simulated=False)
    assert "simulated rigs only" in refused("run", "lumbar", "--technique", "L4_LM", "--rig", rig, "--out", out)


class _Babbler:
    """A device that answers every byte in a language that is not a pump's."""

    def __init__(self, answer: bytes) -> None:
        self._answer, self._waiting = answer, b""

    def receive(self, data: bytes, now_ns: int) -> None:
        self._waiting = self._answer

    def transmit(self, now_ns: int) -> bytes:
        sent, self._waiting = self._waiting, b""
        return sent

    def next_ns(self, now_ns: int) -> int | None:
        return now_ns if self._waiting else None


@pytest.mark.parametrize("answer", [b"error:2\r\n", b""], ids=["another language", "silence"])
def test_a_wrong_device_on_a_port_is_found_before_anything_is_made(tmp_path, out, answer):
    with ended_patiently(mount_pty(_Babbler(answer), WallClock(), threading.RLock())) as mount:
        rig = landmark_rig(tmp_path, mount.url)
        message = refused("run", "lumbar", "--technique", "L4_LM", "--rig", rig, "--out", out)
    assert "pump" in message and mount.url in message


def test_a_port_beside_devices_in_this_process_is_refused(tmp_path, out):
    text = SIMULATED.read_text().replace("rigsim://pump", "socket://127.0.0.1:9")
    assert "simulated time" in refused("run", "lumbar", "--rig", rig_of(tmp_path, text), "--out", out)


def test_an_unreadable_recording_is_found_before_anything_is_made(tmp_path, out):
    recording = tmp_path / "broken.igs.mha"
    recording.write_bytes(b"ObjectType = Image\nnonsense")
    text = SIMULATED.read_text().replace(
        'driver = "igtl_ultrasound"\nurl = "rigsim://ultrasound"',
        f'driver = "replay_ultrasound"\nfile = "{recording}"\n'
        "ImageToProbe = [0.2, 0, 0, 0, 0, 0.2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]",
    )
    assert "broken.igs.mha" in refused("run", "lumbar", "--rig", rig_of(tmp_path, text), "--out", out)


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    place = tmp_path / "taken"
    place.write_text("mine")
    assert "not a folder" in refused("run", "lumbar", "--out", place / "below")
    assert place.read_text() == "mine"


def test_an_output_folder_that_cannot_be_made_is_refused():
    assert "run folder cannot be made" in refused("run", "lumbar", "--technique", "L4_LM", "--out", "/proc/nowhere")


def test_a_report_of_nothing_is_refused(tmp_path):
    assert "no run folder" in refused("report", tmp_path / "none")


def test_an_unknown_phantom_is_refused(tmp_path, out):
    assert "lumbar_ref" in refused("phantom", "show", "no_such", "--out", out)


@pytest.mark.parametrize(("option", "value"), [("--seed", "-1"), ("--cartridge", "0"), ("--rig", "none.toml")])
def test_a_simulation_with_bad_options_is_refused(option, value):
    refused("sim", option, value)


def test_a_technique_that_is_no_technique_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('id = "X"\n')
    assert "checklist" in refused("techniques", path)
