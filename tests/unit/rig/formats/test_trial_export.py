"""A trial's sequences are read again by our own reader, and carry what the trial carries."""

from pathlib import Path

import numpy as np
import pytest

from analysis.motion.metrics import Motion, Scene, corrected
from experiments.motion_metrics import measure
from hal.errors import ConfigError
from rig.formats.convert import convert
from rig.formats.formats import read_recording, write_recording
from rig.formats.motions import stream_track
from rig.formats.recording import FrameEntry, make_recording
from rig.formats.trial import _once, _samples
from rig.record.streams import Stream

AXES = ("x_mm", "y_mm", "z_mm", "a_deg", "b_deg", "c_deg")


def poses(n: int = 9) -> list[FrameEntry]:
    made = []
    for k in range(n):
        pose = np.eye(4)
        pose[:3, 3] = k, 2.0 * np.sin(k), 0.5 * k
        made.append(FrameEntry(50_000_000 * k, {"ProbeToTracker": pose, "StylusToTracker": np.eye(4)}))
    return made


def written(path: Path, entries: list[FrameEntry], *changes: tuple[bytes, bytes]) -> Path:
    write_recording(make_recording(path, entries, np.zeros((len(entries), 4, 4), np.uint8)), path, compressed=False)
    data = path.read_bytes()
    for old, new in changes:
        assert old in data
        data = data.replace(old, new)
    path.write_bytes(data)
    return path


def test_axes_of_a_holder_are_exported_as_values_and_as_the_pose_that_they_make(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    values = {name: rng.normal(0, 20, 30) for name in AXES}
    values["c_deg"][4] = np.nan  # a reading that failed has no pose
    stream = Stream("holder", np.arange(30, dtype=np.int64) * 20_000_000, values, dict.fromkeys(AXES, ""))
    sequence = _samples("T001_stream_holder", stream, {"Simulated": "True"})
    path = write_recording(sequence, tmp_path / "T001_stream_holder.igs.mha")
    back = read_recording(path)
    assert back.frames[7].fields["x_mm"] == repr(float(values["x_mm"][7]))
    assert "ProbeToHolder" not in back.frames[4].transforms
    named = stream_track(stream)
    assert named is not None
    plain = corrected(Motion("ProbeToHolder", named[1].time_ns, named[1].matrices), Scene())
    assert measure(path)["tools"]["ProbeToHolder"]["corrected"] == plain


def test_a_picture_that_was_consumed_twice_is_exported_once() -> None:
    class Head:
        def __init__(self, time_ns: int) -> None:
            self.time_ns = time_ns

    heads = [Head(t) for t in (1, 2, 2, 3, 1, 4)]
    assert [head.time_ns for head in _once(heads)] == [1, 2, 3, 4]  # type: ignore[arg-type,type-var]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"1 0 0 3 0 1 0 ", b"1 0 0 3 0 -1 0 ", "frame 3: ProbeToTracker is mirrored"),
        (b"1 0 0 3 0 1 0 ", b"1 0 0 3 0 1.2 0 ", "frame 3: ProbeToTracker is no rotation: axis y .* scaled by 1.2"),
        (b"1 0 0 3 0 1 0 ", b"1 0 0 nan 0 1 0 ", "frame 3: ProbeToTracker has numbers that are not finite"),
        (b"Seq_Frame0005_Timestamp", b"Seq_Frame0005_Timestomp", "frame 5 has no Timestamp"),
    ],
)
def test_poses_that_no_tracker_gives_have_no_metrics(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        measure(written(tmp_path / "a.igs.mha", poses(), (old, new)))


def test_a_file_that_was_cut_off_has_no_metrics(tmp_path: Path) -> None:
    path = written(tmp_path / "a.igs.mha", poses())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigError, match="was cut off: pixels of 7 of 9 frames"):
        measure(path)


def test_a_tool_that_never_moved_is_named(tmp_path: Path) -> None:
    assert measure(written(tmp_path / "a.igs.mha", poses()))["never_moved"] == ["StylusToTracker"]


def test_a_recording_with_a_missing_time_is_not_converted(tmp_path: Path) -> None:
    path = written(tmp_path / "a.igs.mha", poses(), (b"Seq_Frame0005_Timestamp", b"Seq_Frame0005_Timestomp"))
    with pytest.raises(ConfigError, match="frame 5 has no Timestamp"):
        convert(path, tmp_path / "b.igs.nrrd")
    assert not (tmp_path / "b.igs.nrrd").exists()
