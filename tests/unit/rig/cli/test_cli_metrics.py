"""Metrics of a file say what of it took no part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rig.cli.metrics import measure
from rig.record.interchange import FrameEntry, make_recording, write_recording

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
