"""A recording played over OpenIGTLink into the drivers of a bench gives the metrics of the original."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from replayed_wire import through_the_drivers

from analysis.motion.metrics import Motion, corrected
from hal.clock import VirtualClock
from hal.types import Pose6
from rig.formats import FrameEntry, make_recording, write_recording
from rig.geometry.transforms import from_pose6
from rig.live import Source, open_source

MS = 1_000_000
SINGLE = 2e-6
"""Relative: poses travel as single floats."""


def source(tmp_path: Path) -> Source:
    entries = []
    for n in range(60):
        poses = {
            "ProbeToRig": from_pose6(Pose6(n * 0.7, np.sin(n / 3), 50 - n * 0.1, n % 7, 0.3 * n, 5.0)),
            "NeedleToRig": from_pose6(Pose6(5.0, 9 * np.cos(n / 4), 80.0, 0.0, 2.0 * n, 0.0)),
            "ImageToProbe": np.array([[0.2, 0, 0, -8], [0, 0, 1, 0], [0, 0.25, 0, 3], [0, 0, 0, 1.0]]),
        }
        entries.append(FrameEntry(n * 33 * MS + (n * n) % 7, poses, frozenset({"NeedleToRig"} if n == 20 else ())))
    pixels = np.random.default_rng(1).integers(0, 255, (60, 30, 40), dtype=np.uint8)
    return open_source(write_recording(make_recording(Path("m"), entries, pixels), tmp_path / "a.igs.mha"))


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_poses_times_and_metrics_are_those_of_the_recording(tmp_path: Path, speed: float) -> None:
    played = source(tmp_path)
    tracks, _, core = through_the_drivers(played, VirtualClock(9 * 10**9), speed)
    assert (core.publisher.refused, core.listener.dropped) == ({}, {})
    for name in ("ProbeToRig", "NeedleToRig"):
        original, again = played.tracks[name], tracks[name]
        assert np.diff(again.time_ns) * speed == pytest.approx(np.diff(original.time_ns), abs=speed)
        assert again.matrices == pytest.approx(original.matrices, abs=1e-5)
        exact = corrected(Motion(name, original.time_ns, original.matrices))
        live = corrected(
            Motion(
                name,
                original.time_ns[0] + ((again.time_ns - again.time_ns[0]) * speed).astype(np.int64),
                again.matrices,
            )
        )
        assert live == pytest.approx(exact, rel=SINGLE * 100, abs=1e-4)


def test_pixels_and_their_places_are_those_of_the_recording(tmp_path: Path) -> None:
    played = source(tmp_path)
    _, frames, _ = through_the_drivers(played, VirtualClock(10**9))
    assert played.images is not None
    assert len(frames) == 60
    for n, frame in enumerate(frames):
        assert np.array_equal(frame.pixels, played.images.pixels(n))
        assert frame.ImageToProbe[:3, [0, 1, 3]] == pytest.approx(
            played.images.ImageToProbe[n][:3, [0, 1, 3]], abs=1e-5
        )
