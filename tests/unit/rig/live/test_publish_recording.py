"""A recording published as a live scene: everything in it reaches a client, with its own names."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from waiting import PATIENCE_S

from hal.clock import VirtualClock, WallClock
from hal.errors import ConfigError, LinkError
from hal.links.igtl.decode import decode
from hal.links.igtl.link import IgtlLink
from hal.links.igtl.messages import Image, Transform
from hal.links.igtl.publisher import Publisher
from hal.links.igtl.server import PublishServer
from hal.types import Frame, Matrix
from rig.formats import FrameEntry, make_recording, write_recording
from rig.formats.perk_tutor import PoseTrack
from rig.live import Source, open_source
from rig.live.publish import LONGEST_WAIT_S, play, publish
from rig.record.streams import Stream

MS = 1_000_000


class SteppingClock(WallClock):
    """Real pauses, but time is what was slept: a player that the machine wakes late has missed no frame.

    The pause after the end of the recording, for the last messages to leave, lasts until the client has them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.last_arrived = threading.Event()
        self._slept_ns = 0

    def now_ns(self) -> int:
        return self._slept_ns

    def sleep(self, duration_s: float) -> None:
        super().sleep(duration_s)
        if duration_s > 0:  # the server's own thread only gives way
            self._slept_ns += round(duration_s * 1e9)
        if duration_s >= LONGEST_WAIT_S:
            self.last_arrived.wait(PATIENCE_S)


def test_recording_reaches_a_client_at_its_own_pace(tmp_path: Path) -> None:
    def pose(n: int) -> np.ndarray:
        matrix = np.eye(4)
        matrix[0, 3] = n
        return matrix

    pitch = np.diag([0.5, 0.5, 1, 1])
    entries = [FrameEntry(n * 20 * MS, {"ProbeToRig": pose(n), "ImageToProbe": pitch}) for n in range(20)]
    pixels = np.tile(np.arange(20, dtype=np.uint8)[:, None, None], (1, 6, 8))
    path = write_recording(make_recording(Path("m"), entries, pixels), tmp_path / "a.igs.mha")
    seen: list[tuple[str, object]] = []
    stamps_ns: list[int] = []
    paced = SteppingClock()

    def listen(server) -> None:
        def run() -> None:
            clock = WallClock()
            link = IgtlLink(f"igtl://127.0.0.1:{server.port}", clock, PATIENCE_S)
            link.connect()
            try:
                while not any(isinstance(m, Image) and m.pixels[0, 0, 0] == 19 for _, m in seen):
                    for packet in link.wait(clock.deadline(PATIENCE_S)):
                        seen.append((packet.device, decode(packet)))
                        if packet.type == "IMAGE":
                            stamps_ns.append(packet.stamp_ns)
            finally:
                paced.last_arrived.set()
                link.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        threads.append(thread)

    threads: list[threading.Thread] = []
    found = publish(path, port=0, wait_s=PATIENCE_S, clock=paced, serving=listen)
    threads[0].join(PATIENCE_S)
    assert found["offered"]["IMAGE"] == 20
    assert found["offered"]["TRANSFORM"] >= 20
    assert found["refused"] == {}
    images = [message for _, message in seen if isinstance(message, Image)]
    poses = [message for name, message in seen if name == "ProbeToRig" and isinstance(message, Transform)]
    assert images[-1].pixels[0, 0, 0] == 19
    assert images[-1].IndexToSpace[0, 3] == pytest.approx(19, abs=1e-4)
    assert poses[-1].matrix[0, 3] == 19
    numbers = [int(image.pixels[0, 0, 0]) for image in images]
    assert np.diff(stamps_ns) == pytest.approx(np.diff(numbers) * 20.0 * MS, abs=1000)


class Recorder(Publisher):
    """Keeps every offer in order."""

    def __init__(self) -> None:
        super().__init__(simulated=True)
        self.images: list[tuple[str, int, float]] = []
        self.values: list[tuple[str, float, int]] = []
        self.at_ns: dict[str, list[int]] = {}

    def frame(self, frame: Frame, ProbeToRig: Matrix, name: str = "Image_Rig") -> None:
        self.images.append((name, int(frame.pixels[0, 0]), float(ProbeToRig[0, 3])))

    def sensor(self, name: str, values: tuple[float, ...], unit: str, time_ns: int) -> None:
        self.values.append((name, values[0], time_ns))

    def transform(self, name: str, AToB: Matrix, time_ns: int, *, valid: bool = True) -> None:
        self.at_ns.setdefault(name, []).append(time_ns)


def swept(tmp_path: Path, invalid: tuple[int, ...], probe: str = "ProbeToTracker") -> Source:
    entries = []
    for n in range(5):
        matrix = np.eye(4)
        matrix[0, 3] = 100 + n
        lost = frozenset({probe} if n in invalid else ())
        entries.append(FrameEntry(n * 20 * MS, {probe: matrix, "ImageToProbe": np.diag([0.5, 0.5, 1, 1])}, lost))
    pixels = np.tile(np.arange(5, dtype=np.uint8)[:, None, None], (1, 6, 8))
    return open_source(write_recording(make_recording(Path("m"), entries, pixels), tmp_path / "a.igs.mha"))


def test_image_without_a_valid_pose_is_shown_in_the_probes_frame_and_counted(tmp_path: Path) -> None:
    recorder = Recorder()
    passed_over, unplaced = play(swept(tmp_path, (0, 3)), recorder, VirtualClock(), 1.0)
    assert recorder.images == [
        ("Image_Probe", 0, 0.0),
        ("Image_Tracker", 1, 101.0),
        ("Image_Tracker", 2, 102.0),
        ("Image_Probe", 3, 0.0),
        ("Image_Tracker", 4, 104.0),
    ]
    assert (passed_over, unplaced) == ({}, 2)


def test_streams_with_fields_of_one_name_stay_apart_and_what_is_passed_over_is_counted() -> None:
    times = np.arange(10, dtype=np.int64) * 20 * MS
    dense = np.arange(100, dtype=np.int64) * 2 * MS
    probe = Stream("probe_force", dense, {"force_n": np.full(100, 1.0)}, {"force_n": "N"})
    needle = Stream("needle_force", times, {"force_n": np.full(10, 2.0)}, {"force_n": "N"})
    pressure = Stream(
        "pressure",
        times,
        {"sensor_kpa": np.full(10, 3.0), "tip_kpa": np.full(10, 4.0)},
        dict.fromkeys(("sensor_kpa", "tip_kpa"), "kPa"),
    )
    source = Source("s", True, {}, None, {s.name: s for s in (probe, needle, pressure)})
    recorder = Recorder()
    passed_over, _ = play(source, recorder, VirtualClock(), 1.0)
    found = {name: {value for other, value, _ in recorder.values if other == name} for name, _, _ in recorder.values}
    assert found == {
        "probe_force": {1.0},
        "needle_force": {2.0},
        "pressure.sensor_kpa": {3.0},
        "pressure.tip_kpa": {4.0},
    }
    received = sum(name == "probe_force" for name, _, _ in recorder.values)
    assert received + passed_over["probe_force"] == 100


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_values_and_poses_of_one_moment_have_one_stamp_at_every_pace(speed: float) -> None:
    times = np.arange(10, dtype=np.int64) * 40 * MS
    stream = Stream("force", times, {"force_n": np.arange(10.0)}, {"force_n": "N"})
    source = Source(
        "s", True, {"ProbeToRig": PoseTrack(times, np.tile(np.eye(4), (10, 1, 1)))}, None, {"force": stream}
    )
    recorder = Recorder()
    play(source, recorder, VirtualClock(), speed)
    stamps = [time_ns for _, _, time_ns in recorder.values]
    assert len(stamps) > 5
    assert set(stamps) <= set(recorder.at_ns["ProbeToRig"])


def test_serving_that_ended_by_itself_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(server: PublishServer) -> None:
        raise RuntimeError("out of sockets")

    monkeypatch.setattr(PublishServer, "_turn", broken)
    path = write_recording(make_recording(Path("m"), [FrameEntry(1, {"AToB": np.eye(4)})], None), tmp_path / "a.mha")
    with pytest.raises(LinkError, match="out of sockets"):
        publish(path, port=0)


def test_what_cannot_be_published_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="speed"):
        publish(tmp_path, speed=0)
    with pytest.raises(ConfigError, match="no trial folder"):
        publish(tmp_path, port=0)
