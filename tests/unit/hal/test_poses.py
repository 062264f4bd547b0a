"""Conditions on a matrix from outside before it is accepted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hal.poses import why_no_image, why_no_pitch, why_no_pose, why_not_tracked

TURN = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()


def pose(*place: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = TURN
    matrix[:3, 3] = place
    return matrix


def image(wide: float = 0.1, tall: float = 0.1) -> np.ndarray:
    matrix = pose(-20.0, 0.0, 1.5)
    matrix[:3, :3] = TURN @ np.array([[wide, 0, 0], [0, 0, -wide], [0, tall, 0]])
    return matrix


def test_a_pose_within_ten_metres_is_one_and_a_missing_value_is_none():
    assert why_no_pose(pose(-800.0, 30.0, 2500.0)) == ""
    assert "farther than 10 m" in why_no_pose(pose(-3.697314e28, 0.0, 0.0))
    assert "not finite" in why_no_pose(pose(np.nan, 0.0, 0.0))
    bent = pose(1.0, 2.0, 3.0)
    bent[3] = 0.0, 0.0, 1.0, 1.0
    assert "last row" in why_no_pose(bent)


def test_the_identity_is_a_lost_tool_unless_a_body_gives_the_frame():
    assert "identity" in why_not_tracked("StylusToTracker", np.eye(4))
    assert why_not_tracked("PhantomToTracker", np.eye(4)) == ""
    assert why_not_tracked("StylusToTracker", pose(0.0, 0.0, 0.0)) == ""


def test_an_image_matrix_holds_a_possible_pixel():
    assert why_no_image(image(), (640, 480)) == ""
    assert why_no_image(image(0.2, 0.1), (640, 480)) == "", "pixels need not be square"
    for bad in (image(0.0), image(np.nan), image(1e-4, 1e-4), image(40.0, 40.0), image(1.0, 0.1)):
        assert why_no_image(bad) != ""
    flat = image()
    flat[:3, 2] = 0.0
    assert "third axis" in why_no_image(flat)
    skewed = image()
    skewed[:3, 1] += 0.5 * skewed[:3, 0]
    assert "upright" in why_no_image(skewed)


@pytest.mark.parametrize("pitch", [(0.0, 0.1), (-0.1, 0.1), (np.nan, 0.1), (np.inf, np.inf), (50.0, 50.0), (0.01, 0.1)])
def test_an_impossible_pitch_is_named(pitch):
    assert "pixels of" in why_no_pitch(pitch)


def test_a_picture_higher_than_any_body_is_in_other_units():
    assert "mm high" in why_no_pitch((1.0, 1.0), (640, 640))
    assert why_no_pitch((0.2, 0.2), (640, 640)) == ""
