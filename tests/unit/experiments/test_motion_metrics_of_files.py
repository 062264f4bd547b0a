"""Metrics of a file say what of it took no part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.motion_metrics import measure
from rig.formats import FrameEntry, make_recording, write_recording

S = 1_000_000_000


def test_poses_that_were_not_seen_are_left_out_and_counted(tmp_path: Path) -> None:
    entries = []
    for n in range(5):
        matrix = np.eye(4)
        matrix[0, 3] = 1000.0 if n in (1, 2) else 2.0 * n
        lost = frozenset({"ProbeToTracker"} if n in (1, 2) else ())
        entries.append(FrameEntry(n * S, {"ProbeToTracker": matrix, "StylusToTracker": np.eye(4)}, lost))
    found = measure(write_recording(make_recording(Path("m"), entries, None), tmp_path / "a.igs.mha"))
    assert found["invalid_poses_n"] == {"ProbeToTracker": 2}
    probe = found["tools"]["ProbeToTracker"]["corrected"]
    assert (probe["samples_n"], probe["path_length_mm"]) == (3, pytest.approx(8.0))
    assert probe["longest_gap_s"] == 3.0
    assert found["never_moved"] == ["StylusToTracker"]


def test_a_sequence_keeps_its_label_and_its_pixels_are_no_tool(tmp_path: Path) -> None:
    poses = [np.diag([1.0, 1.0, 1.0, 1.0]) for _ in range(4)]
    for n, pose in enumerate(poses):
        pose[0, 3] = n
    pixels = np.diag([0.2, 0.2, 0.2, 1.0])
    entries = [
        FrameEntry(n * S, {"ProbeToRig": pose, "ImageToProbe": pixels}, frozenset()) for n, pose in enumerate(poses)
    ]
    for header, simulated in (({"Simulated": "True"}, True), ({}, False)):
        made = make_recording(Path("m"), entries, None, header=header)
        found = measure(write_recording(made, tmp_path / f"{simulated}.igs.mha"))
        assert (found["simulated"], list(found["tools"])) == (simulated, ["ProbeToRig"])
