"""The cube of the probe holder's test stands above the skin however the probe was left."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.qa.measure_holder_pose import UP_MM, _cube
from hal.types import Pose6

SKIN_Z_MM = 40.0


def _stands(pose: Pose6) -> SimpleNamespace:
    frames = np.eye(4)
    frames[2, 3] = SKIN_Z_MM
    box = SimpleNamespace(x_mm=(-60.0, 60.0), y_mm=(-100.0, 100.0))
    return SimpleNamespace(
        read=lambda role: SimpleNamespace(pose=pose),
        limits=SimpleNamespace(motion=SimpleNamespace(holder=box)),
        rig=SimpleNamespace(frames=SimpleNamespace(get=lambda a, b: frames)),
    )


def test_a_probe_that_was_left_tilted_is_measured_upright_above_the_skin():
    poses = _cube(_stands(Pose6(5.0, 6.0, 20.0, a_deg=15.0, b_deg=-10.0, c_deg=90.0)), edge_mm=50.0)
    assert {(pose.a_deg, pose.b_deg, pose.c_deg) for pose in poses.values()} == {(0.0, 0.0, 90.0)}
    assert max(pose.z_mm for pose in poses.values()) <= SKIN_Z_MM - UP_MM - (0.5 - 0.4) * 50.0 + 1e-9


def test_the_four_corners_stand_forty_percent_of_the_edge_from_the_middle():
    poses = _cube(_stands(Pose6(0.0, 0.0, 0.0)), edge_mm=50.0)
    middle = np.array(poses[1].as_tuple()[:3])
    for n in (2, 3, 4, 5):
        away = np.array(poses[n].as_tuple()[:3]) - middle
        assert np.abs(away) == pytest.approx(20.0)
