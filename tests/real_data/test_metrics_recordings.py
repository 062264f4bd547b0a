"""Metrics of real tracking data: the same from the file, from its copies in other formats, and played live."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from recordings import recording

from analysis.motion.metrics import Motion, Scene, corrected, perk_tutor
from analysis.motion.solid import Solid
from experiments.motion_metrics import measure
from hal.clock import VirtualClock
from rig.formats.convert import convert
from rig.live import open_source, play

TRACKER = "plus/WaterTankBottomTranslationTrackerBuffer-trimmed.igs.mha"
SPINE = "plus/SpinePhantomFreehand.igs.mha"


@pytest.mark.parametrize("name", [TRACKER, SPINE])
@pytest.mark.parametrize("ending", ["copy.xml", "copy.igs.nrrd"])
def test_copy_in_another_format_has_the_same_metrics(tmp_path: Path, name: str, ending: str) -> None:
    original, copy = measure(recording(name)), measure(convert(recording(name), tmp_path / ending))
    assert {tool: found["corrected"] for tool, found in copy["tools"].items()} == {
        tool: found["corrected"] for tool, found in original["tools"].items()
    }
    json.dumps(original, allow_nan=False)


@pytest.mark.parametrize("name", [TRACKER, SPINE])
def test_recording_played_live_gives_the_same_metrics(name: str) -> None:
    source = open_source(recording(name))
    tracks, missed = play(source, VirtualClock(55))
    assert not any(missed.values())
    for tool, track in source.tracks.items():
        original, again = (Motion(tool, t.time_ns, t.matrices) for t in (track, tracks[tool]))
        assert corrected(again) == corrected(original)
        assert perk_tutor(again) == perk_tutor(original)


def test_elapsed_time_and_path_are_those_of_the_plain_sums() -> None:
    found = measure(recording(TRACKER))["tools"]["ProbeToTracker"]
    track = open_source(recording(TRACKER)).tracks["ProbeToTracker"]
    tips = track.matrices[:, :3, 3]
    path_mm = sum(float(np.linalg.norm(tips[n + 1] - tips[n])) for n in range(len(tips) - 1))
    assert found["corrected"]["path_length_mm"] == pytest.approx(path_mm, rel=1e-12)
    assert found["corrected"]["elapsed_time_s"] == 20.705643
    assert found["corrected"]["samples_n"] == 801


def test_points_inside_a_real_vertebra_are_found() -> None:
    corners, faces = [], []
    for line in recording("meshes/L4.obj").read_text().splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            corners.append([1000 * float(word) for word in words[1:4]])
        elif words[:1] == ["f"]:
            faces.append([int(word.split("/")[0]) - 1 for word in words[1:4]])
    triangles = np.array(corners)[faces]
    volume_ml = float(np.einsum("tk,tk->t", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2])).sum()) / 6000
    solid = Solid(triangles)
    low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
    points = np.random.default_rng(3).uniform(low, high, (1500, 3))
    share = float(solid.contains(points).mean())
    assert share * float((high - low).prod()) / 1000 == pytest.approx(abs(volume_ml), rel=0.2)
    track = np.tile(np.eye(4), (2, 1, 1))
    track[:, :3, 3] = low - 5, high + 5
    through = Motion("needle", np.array([0, 10**9]), track)
    inside_mm = corrected(through, Scene(tissue=solid))["tissue_path_mm"]
    fine = low - 5 + np.linspace(0, 1, 800)[:, None] * (high - low + 10)
    length_mm = float(np.linalg.norm(high - low + 10))
    assert inside_mm == pytest.approx(solid.contains(fine).mean() * length_mm, abs=1.0)
