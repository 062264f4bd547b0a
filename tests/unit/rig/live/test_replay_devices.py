"""Recordings played as devices: in time, complete when read in time, counted when not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from analysis.motion.metrics import Motion, corrected, perk_tutor
from experiments.motion_metrics import measure
from hal.clock import VirtualClock
from hal.errors import ConfigError, DeviceError, LinkError
from hal.interfaces import PressureSensor, Tracker, Ultrasound
from hal.types import Frame, Pose6
from rig.formats import FrameEntry, export_trial, make_recording, read_recording, trial_recordings, write_recording
from rig.formats.convert import convert
from rig.formats.motions import trial_tracks
from rig.geometry.transforms import from_pose6
from rig.live import ReplayPressure, ReplayTracker, ReplayUltrasound, open_source, play
from rig.live.replay_devices import Settings
from rig.record import Field, RunFolder
from rig.record.reading import RecordedTrial

MS = 1_000_000
START_NS = 167_150_000_000


def pose(n: int) -> np.ndarray:
    return from_pose6(Pose6(n * 0.7, np.sin(n / 3), 50 - n * 0.1, n % 7, 0.3 * n, 5.0))


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> RecordedTrial:
    """Twelve frames, every third with pixels; pressure and both carriers as streams."""
    clock = VirtualClock(START_NS)
    files = {"study.toml": b"", "rig.toml": b"", "phantom.toml": b""}
    folder, began = tmp_path_factory.mktemp("runs"), "2026-02-03T10:00:00Z"
    run = RunFolder.create(folder, "x", clock, files=files, seed=1, simulated=True, started_utc=began)
    record = run.cartridge("C01", clock).trial("T001", {"simulated": True, "approach": "L4 left"})
    record.streams.declare("pressure", [Field("sensor_kpa", "kPa"), Field("flow_ml_min", "mL/min")])
    record.streams.declare("holder", [Field(name, "") for name in ("x_mm", "y_mm", "z_mm", "a_deg", "b_deg", "c_deg")])
    names = ("x_mm", "y_mm", "lateral_deg", "tilt_deg", "feed_mm", "bevel_deg")
    record.streams.declare("carrier", [Field(name, "") for name in names])
    for n in range(12):
        time_ns = START_NS + n * 83 * MS + (n * n) % 5
        frame = Frame(time_ns, np.full((8, 10), 10 * n, np.uint8), np.diag([0.5, 0.5, 1, 1]), n, n % 2)
        label = "at_injection" if n == 9 else ""
        record.frames.frame(frame, pose(n), {"tip_px": [1.5, n]}, label=label, keep=n % 3 == 0)
        record.streams.sample("pressure", time_ns + 1, (20.0 + n, float("nan") if n == 4 else 3.0))
        record.streams.sample("holder", time_ns, Pose6(n, 0, 50, 0, 0, 10.0 * n).as_tuple())
        record.streams.sample("carrier", time_ns, (1.0, 2.0, 10.0, 0.0, float(n), 0.0))
    record.close({"outcome": "success", "end_reason": "checkout", "simulated": True})
    return RecordedTrial(run.path / "trials/T001", "T001")


def test_tracks_of_a_trial_hold_probe_and_needle(trial: RecordedTrial) -> None:
    tracks = trial_tracks(trial)
    assert set(tracks) == {"ProbeToRig", "ProbeToHolder", "NeedleToCarrier"}
    found = measure(trial.folder)["tools"]
    assert found["NeedleToCarrier"]["corrected"]["path_length_mm"] == pytest.approx(11)
    assert found["NeedleToCarrier"]["corrected"]["axial_travel_mm"] == pytest.approx(11)
    assert found["ProbeToHolder"]["corrected"]["rotation_total_deg"] == pytest.approx(110)


def test_a_needle_beside_its_axis_is_exported_and_measured_at_its_tip(trial: RecordedTrial, tmp_path: Path) -> None:
    """The record says how the needle sat and where the carrier stood: nobody else knows it later."""
    calibrated = shutil.copytree(trial.folder, tmp_path / "T001")
    placed = {"frames": {"CarrierToRig": np.diag([1.0, 1.0, 1.0, 1.0]).tolist()}}
    mount = {"needle_mount": {"offset_mm": [1.5, 0.0, -2.0], "run_out_mm": [0.0, 0.5]}}
    (calibrated / "meta.json").write_text(json.dumps(trial.meta | placed | mount))
    recorded = RecordedTrial(calibrated, "T001")
    plain, found = (one["NeedleToCarrier"].matrices for one in (trial_tracks(trial), trial_tracks(recorded)))
    local = np.einsum("nji,nj->ni", plain[:, :3, :3], found[:, :3, 3] - plain[:, :3, 3])
    assert local == pytest.approx(np.tile([1.5, 0.5, -2.0], (12, 1)))
    exported = trial_recordings(recorded)["T001_stream_carrier"]
    assert exported.frames[3].transforms["NeedleToCarrier"] == pytest.approx(found[3])
    assert exported.header["CarrierToRigTransform"] == "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"


@pytest.mark.parametrize("ending", [".igs.mha", ".igs.nrrd"])
def test_exported_trial_holds_every_field_and_gives_the_same_metrics(
    trial: RecordedTrial, tmp_path: Path, ending: str
) -> None:
    written = {path.name.removesuffix(ending): path for path in export_trial(trial, tmp_path / "out", ending)}
    assert set(written) == {"T001", "T001_poses", "T001_stream_pressure", "T001_stream_holder", "T001_stream_carrier"}
    images = read_recording(written["T001"])
    assert images.pixels is not None
    assert [frame.time_ns for frame in images.frames] == [trial.frames().heads[n].time_ns for n in (0, 3, 6, 9)]
    assert images.pixels[:, 0, 0].tolist() == [0, 30, 60, 90]
    assert images.frames[3].fields["Label"] == "at_injection"
    assert images.frames[1].fields["Detections"] == '{"tip_px":[1.5,3]}'
    assert images.header["Simulated"] == "True"
    pressure = read_recording(written["T001_stream_pressure"])
    assert pressure.header["Unit_sensor_kpa"] == "kPa"
    assert [frame.fields["sensor_kpa"] for frame in pressure.frames] == [repr(20.0 + n) for n in range(12)]
    assert pressure.frames[4].fields["flow_ml_min"] == "nan"
    ours, theirs = measure(trial.folder)["tools"]["ProbeToRig"], measure(written["T001_poses"])["tools"]["ProbeToRig"]
    assert theirs == ours


def test_exported_trial_opens_in_simpleitk_and_pynrrd(trial: RecordedTrial, tmp_path: Path) -> None:
    sitk, nrrd = pytest.importorskip("SimpleITK"), pytest.importorskip("nrrd")
    expected = {
        stem: {f"Seq_Frame{f.index:04d}_{k}" for f in made.frames for k in f.fields if k != "ImageStatus"}
        for stem, made in trial_recordings(trial).items()
    }
    for path in export_trial(trial, tmp_path / "mha"):
        assert expected[path.name.split(".")[0]] <= set(sitk.ReadImage(str(path)).GetMetaDataKeys())
    for path in export_trial(trial, tmp_path / "nrrd", ".igs.nrrd"):
        assert expected[path.name.split(".")[0]] <= set(nrrd.read(str(path))[1])


def test_played_trial_gives_the_metrics_of_the_original(trial: RecordedTrial) -> None:
    source = open_source(trial.folder)
    tracks, missed = play(source, VirtualClock(987_654_321))
    assert missed == dict.fromkeys(source.tracks, 0)
    for name, track in source.tracks.items():
        original, again = (Motion(name, t.time_ns, t.matrices) for t in (track, tracks[name]))
        assert corrected(again) == corrected(original)
        assert perk_tutor(again) == perk_tutor(original)


def test_slow_polling_misses_poses_and_says_how_many(trial: RecordedTrial) -> None:
    tracks, missed = play(open_source(trial.folder), VirtualClock(), period_s=0.2)
    assert missed["ProbeToRig"] + len(tracks["ProbeToRig"].time_ns) == 12
    assert missed["ProbeToRig"] > 4


def test_devices_fill_their_roles_and_share_one_start(trial: RecordedTrial) -> None:
    clock, source = VirtualClock(), open_source(trial.folder)
    settings = Settings(file=trial.folder)
    kinds = (ReplayUltrasound, ReplayTracker, ReplayPressure)
    scanner, tracker, pressure = (kind(settings, clock, source) for kind in kinds)
    assert isinstance(scanner, Ultrasound)
    assert isinstance(tracker, Tracker)
    assert isinstance(pressure, PressureSensor)
    for device in (scanner, tracker, pressure):
        assert device.open().simulated
    with pytest.raises(DeviceError, match="before this moment"):
        pressure.read()
    clock.sleep(0.5)
    frame = scanner.read()
    assert frame is not None
    assert (frame.sequence_n, frame.dropped_n, frame.pixels[0, 0]) == (6, 2, 60)
    assert scanner.read() is None
    assert pressure.read().pressure_kpa == 26.0
    assert max(p.time_ns for p in tracker.read()) == frame.time_ns
    assert pressure.read().time_ns - frame.time_ns == 1
    scanner.close()
    with pytest.raises(LinkError, match="not open"):
        scanner.read()


def test_twice_the_speed_takes_half_the_time(trial: RecordedTrial) -> None:
    clock = VirtualClock()
    source = open_source(trial.folder)
    play(source, clock, speed=2.0)
    assert clock.now_ns() == pytest.approx((source.end_ns - source.origin_ns) / 2, abs=2)


def test_images_of_unknown_pixel_size_are_not_played(tmp_path: Path) -> None:
    made = make_recording(Path("m"), [FrameEntry(n * MS) for n in range(3)], np.zeros((3, 4, 4), np.uint8))
    path = write_recording(made, tmp_path / "a.igs.mha")
    with pytest.raises(ConfigError, match="nothing that can be played"):
        open_source(path)
    device = ReplayUltrasound(Settings(file=path, ImageToProbe=tuple(np.eye(4).ravel())), VirtualClock())
    device.open()
    assert device.read() is not None


def test_images_that_are_left_out_are_reported(tmp_path: Path) -> None:
    frames = [FrameEntry(n * MS, {"ProbeToRig": pose(n)}) for n in range(3)]
    path = write_recording(make_recording(Path("m"), frames, np.zeros((3, 4, 4), np.uint8)), tmp_path / "a.igs.mha")
    assert "3 images left out" in open_source(path).note
    assert open_source(path, np.eye(4)).note == ""


def test_conversions_refuse_what_they_cannot_do(trial: RecordedTrial, tmp_path: Path) -> None:
    taken = tmp_path / "taken.igs.mha"
    taken.write_text("x")
    for source, target, words in [
        (tmp_path / "none.mha", tmp_path / "a.mha", "no such file"),
        (taken, taken, "exists already"),
        (taken, tmp_path / "no/a.nrrd", "no such folder"),
        (taken, tmp_path / "a.docx", "no format"),
        (taken, tmp_path / "b.igs.nrrd", "not of the form|no sequence|cut off"),
        (trial.folder.parent.parent, tmp_path / "c", "run folder"),
        (trial.folder, tmp_path / "c.igs.mha", "several sequences"),
        (tmp_path, tmp_path / "d", "no trial folder"),
    ]:
        with pytest.raises(ConfigError, match=words):
            convert(source, target)


def test_trial_becomes_a_log_with_the_same_metrics(trial: RecordedTrial, tmp_path: Path) -> None:
    tools = measure(convert(trial.folder, tmp_path / "a.xml"))["tools"]
    original = measure(trial.folder)["tools"]
    assert {name: tool["corrected"] for name, tool in tools.items()} == {
        name: tool["corrected"] for name, tool in original.items()
    }


def test_metrics_of_a_whole_run_name_the_trials_that_cannot_be_judged(trial: RecordedTrial, tmp_path: Path) -> None:
    found = measure(trial.folder.parent.parent)
    assert found["simulated"] is True
    assert set(found["trials"]) == {"T001"}
    with pytest.raises(ConfigError, match="no such file"):
        measure(tmp_path / "none")
