"""A recording published as a live scene: everything in it reaches a client, with its own names."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from hal.clock import WallClock
from hal.errors import ConfigError
from hal.links import igtl_messages
from hal.links.igtl_link import IgtlLink
from hal.links.igtl_messages import Image, Transform
from rig.cli.publish import publish
from rig.record.interchange import FrameEntry, make_recording, write_recording

MS = 1_000_000


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

    def listen(server) -> None:
        def run() -> None:
            clock = WallClock()
            link = IgtlLink(f"igtl://127.0.0.1:{server.port}", clock, 5.0)
            link.connect()
            try:
                while not any(isinstance(m, Image) and m.pixels[0, 0, 0] == 19 for _, m in seen):
                    for packet in link.wait(clock.deadline(5.0)):
                        seen.append((packet.device, igtl_messages.decode(packet)))
            finally:
                link.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        threads.append(thread)

    threads: list[threading.Thread] = []
    found = publish(path, port=0, wait_s=5.0, serving=listen)
    threads[0].join(10)
    assert found["offered"]["IMAGE"] == 20
    assert found["offered"]["TRANSFORM"] >= 20
    assert found["refused"] == {}
    images = [message for _, message in seen if isinstance(message, Image)]
    poses = [message for name, message in seen if name == "ProbeToRig" and isinstance(message, Transform)]
    assert images[-1].pixels[0, 0, 0] == 19
    assert images[-1].IndexToSpace[0, 3] == pytest.approx(19, abs=1e-4)
    assert poses[-1].matrix[0, 3] == 19


def test_what_cannot_be_published_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="speed"):
        publish(tmp_path, speed=0)
    with pytest.raises(ConfigError, match="no trial folder"):
        publish(tmp_path, port=0)
