"""A recording published as a live scene: everything in it reaches a client, with its own names."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from waiting import PATIENCE_S

from hal.clock import WallClock
from hal.errors import ConfigError
from hal.links import igtl_messages
from hal.links.igtl_link import IgtlLink
from hal.links.igtl_messages import Image, Transform
from rig.cli.publish import LONGEST_WAIT_S, publish
from rig.record.interchange import FrameEntry, make_recording, write_recording

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
                        seen.append((packet.device, igtl_messages.decode(packet)))
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


def test_what_cannot_be_published_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="speed"):
        publish(tmp_path, speed=0)
    with pytest.raises(ConfigError, match="no trial folder"):
        publish(tmp_path, port=0)
