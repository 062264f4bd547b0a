"""A recording of a simulated rig stays labelled, whichever player, format or name it comes by."""

from pathlib import Path

import numpy as np
import pytest

from experiments.motion_metrics import measure
from hal.clock import VirtualClock
from hal.drivers import ultrasound_replay
from hal.errors import ConfigError
from hal.types import Identity
from rig.config import parse_config
from rig.formats import FrameEntry, make_recording, read_perk_log, write_perk_log, write_recording
from rig.formats.convert import convert
from rig.formats.perk_tutor import PerkLog
from rig.live.replay_devices import ReplayUltrasound
from rig.live.replay_devices import Settings as ReplaySettings
from rig.live.source import open_source
from rig.setup.assemble import open_rig

EYE = np.eye(4)


class _Button:
    """A button that nobody presses; the shipped one reads the keyboard."""

    role = "estop"

    def open(self) -> Identity:
        return Identity(self.role, "button", "a button", simulated=False)

    def read(self) -> None:
        return None

    def close(self) -> None:
        return None


def _recording(folder: Path, key: str = "Simulated") -> Path:
    frames = []
    for k in range(3):
        pose = EYE.copy()
        pose[0, 3] = k
        frames.append(FrameEntry(k * 50_000_000, {"ProbeToRig": pose, "NeedleToRig": pose, "ImageToProbe": EYE}))
    made = make_recording(Path("m"), frames, np.zeros((3, 8, 8), np.uint8), header={key: "True"})
    return write_recording(made, folder / "made.igs.mha")


@pytest.mark.parametrize("key", ["Simulated", "PhantomrigSimulated"])
def test_both_players_keep_the_label(tmp_path: Path, key: str) -> None:
    path, eye = _recording(tmp_path, key), tuple(EYE.ravel())
    plain = ultrasound_replay.Driver(ultrasound_replay.Settings(file=path, ImageToProbe=eye), VirtualClock())
    other = ReplayUltrasound(ReplaySettings(file=path, ImageToProbe=eye), VirtualClock())
    assert plain.open().simulated
    assert other.open().simulated


def test_a_rig_that_says_it_is_real_is_labelled_when_it_plays_a_simulated_recording(tmp_path: Path) -> None:
    config = parse_config(
        '[rig]\nname = "real bench"\nsimulated = false\n[safety]\nhardware_cut = true\nestop_inputs = ["estop"]\n'
        '[devices.estop]\ndriver = "key_estop"\n[devices.ultrasound]\ndriver = "replay_ultrasound"\n'
        f'file = "{_recording(tmp_path)}"\nImageToProbe = [1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1]\n'
    )
    rig = open_rig(config, VirtualClock(), provided={"estop": _Button()})
    try:
        assert rig.simulated
    finally:
        rig.close()


@pytest.mark.parametrize("name", ["b.igs.nrrd", "b.igs.mhd", "b.xml", "b.dcm"])
def test_the_label_goes_through_every_format_and_back(tmp_path: Path, name: str) -> None:
    between = convert(_recording(tmp_path), tmp_path / name)
    assert open_source(between, EYE).simulated
    assert convert(between, tmp_path / "back.igs.mha").read_bytes().count(b"Simulated = True") == 1


def test_a_log_without_the_label_is_not_simulated_and_the_label_is_no_message(tmp_path: Path) -> None:
    tracks = open_source(_recording(tmp_path)).tracks
    for simulated in (True, False):
        path = write_perk_log(tmp_path / f"{simulated}.xml", PerkLog(tracks, ((5, "go"),), simulated=simulated))
        back = read_perk_log(path)
        assert (back.simulated, back.messages) == (simulated, ((5, "go"),))
        assert measure(path)["simulated"] == simulated


def test_a_name_that_no_log_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be a name"):
        write_perk_log(tmp_path / "a.xml", PerkLog(dict(open_source(_recording(tmp_path)).tracks), ((5, "a\0b"),)))
    assert not (tmp_path / "a.xml").exists()


def test_a_link_to_a_simulators_terminal_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "pump"
    link.symlink_to("/dev/pts/7")
    text = (
        '[rig]\nname = "real"\nsimulated = false\n[safety]\nhardware_cut = true\nestop_inputs = ["estop"]\n'
        f'[devices.estop]\ndriver = "key_estop"\n[devices.pump]\ndriver = "new_era_pump"\nport = "{link}"\n'
    )
    with pytest.raises(ConfigError, match="simulator's address"):
        parse_config(text)


def test_a_tip_belongs_to_one_tool(tmp_path: Path) -> None:
    path, tip = _recording(tmp_path), tmp_path / "tip.tfm"
    tip.write_text(
        "#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\n"
        "Parameters: 1 0 0 0 1 0 0 0 1 0 0 150\nFixedParameters: 0 0 0\n"
    )
    with pytest.raises(ConfigError, match=r"NeedleToRig.*--tip-tool"):
        measure(path, tip=tip)
    with pytest.raises(ConfigError, match="no tool StylusToRig"):
        measure(path, tip=tip, tip_tool="StylusToRig")
    plain, tipped = measure(path)["tools"], measure(path, tip=tip, tip_tool="NeedleToRig")["tools"]
    assert plain["ProbeToRig"] == tipped["ProbeToRig"]
