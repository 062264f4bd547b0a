"""Every metric on a motion of four poses whose answer is worked out on paper.

Points (0,0,0), (3,4,0), (3,4,12), (0,0,12) mm at 0, 1, 3, 4 s: steps of 5, 12, 5 mm.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from analysis.motion.metrics import Motion, Scene, corrected, perk_tutor

S = 1_000_000_000
POINTS = np.array([[0, 0, 0], [3, 4, 0], [3, 4, 12], [0, 0, 12]], dtype=float)
TIMES = np.array([0, 1, 3, 4], dtype=np.int64) * S


def posed(points: np.ndarray, times: np.ndarray, turns: list[Rotation] | None = None) -> Motion:
    matrices = np.tile(np.eye(4), (len(points), 1, 1))
    matrices[:, :3, 3] = points
    if turns is not None:
        matrices[:, :3, :3] = [turn.as_matrix() for turn in turns]
    return Motion("tool", times, matrices)


PERK_TUTOR = {
    "timestamps_n": 4,
    "elapsed_time_s": 4,
    "path_length_mm": 22,
    "average_velocity_mm_s": (5 / 1 + 12 / 2 + 5 / 1) / 3,
    # speeds (3,4,0), (0,0,6), (-3,-4,0); accelerations (-1.5,-2,3), (-3,-4,-6); jerk (-1.5,-2,-9) for 1 s
    "motion_smoothness_mm_s3": math.sqrt(1.5**2 + 2**2 + 9**2),
    "path_inefficiency_pct": 100 * (22 / 12 - 1),
    "depth_perception_mm": 12,
    "rotation_total_deg": 0,
    "bounding_box_x_mm": 3,
    "bounding_box_y_mm": 4,
    "bounding_box_z_mm": 12,
    "bounding_box_volume_mm3": 144,
    "rms_mm": 6.5,  # every point is (1.5, 2, 6) from the mean
}
CORRECTED = {
    "samples_n": 4,
    "elapsed_time_s": 4,
    "longest_gap_s": 2,
    "path_length_mm": 22,
    "average_speed_mm_s": 22 / 4,
    "path_inefficiency_pct": 100 * (22 / 12 - 1),
    "axial_travel_mm": 12,
    "lateral_travel_mm": 10,
}


@pytest.mark.parametrize("name", PERK_TUTOR)
def test_perk_tutors_value(name: str) -> None:
    assert perk_tutor(posed(POINTS, TIMES))[name] == pytest.approx(PERK_TUTOR[name])


@pytest.mark.parametrize("name", CORRECTED)
def test_corrected_value(name: str) -> None:
    assert corrected(posed(POINTS, TIMES))[name] == pytest.approx(CORRECTED[name])


def test_place_and_direction_of_world_change_no_corrected_value() -> None:
    turn = Rotation.from_euler("xyz", (20, -50, 110), degrees=True)
    moved = posed(turn.apply(POINTS) + np.array([500, -300, 80]), TIMES, [turn] * 4)
    one, two = corrected(posed(POINTS, TIMES)), corrected(moved)
    assert {name: value for name, value in two.items() if value == value} == pytest.approx(
        {name: value for name, value in one.items() if value == value}
    )


def test_turns_about_different_axes_add_up() -> None:
    first = Rotation.from_euler("x", 30, degrees=True)
    second = Rotation.from_euler("z", 60, degrees=True) * first
    turning = posed(np.zeros((3, 3)), TIMES[:3], [Rotation.identity(), first, second])
    assert perk_tutor(turning)["rotation_total_deg"] == pytest.approx(90)
    assert corrected(turning)["rotation_total_deg"] == pytest.approx(90)


def test_needle_along_x_travels_along_itself_in_x() -> None:
    found = corrected(posed(POINTS, TIMES), Scene(needle_axis=(1.0, 0.0, 0.0)))
    assert found["axial_travel_mm"] == pytest.approx(3 + 0 + 3)
    assert found["lateral_travel_mm"] == pytest.approx(4 + 12 + 4)


def test_two_quick_turns_with_a_pause_are_two_rotational_actions() -> None:
    """Half a second at 120 deg/s, a second of rest, and again; 20 samples in a second, starting at 10 s."""
    rate = np.concatenate([np.zeros(10), np.full(10, 120.0), np.zeros(20), np.full(10, 120.0), np.zeros(10)])
    angle = np.concatenate([[0.0], np.cumsum(rate * 0.05)])
    times = (10 * S + np.arange(len(angle)) * S // 20).astype(np.int64)
    turning = posed(np.zeros((len(angle), 3)), times, [Rotation.from_euler("y", a, degrees=True) for a in angle])
    assert perk_tutor(turning)["rotational_actions_n"] == 2
    assert perk_tutor(turning)["translational_actions_n"] == 0
    assert corrected(turning)["rotational_actions_n"] == 2
    slower = posed(np.zeros((len(angle), 3)), times, [Rotation.from_euler("y", a / 3, degrees=True) for a in angle])
    assert perk_tutor(slower)["rotational_actions_n"] == 0  # 40 deg/s stays below its 50
    assert corrected(slower)["rotational_actions_n"] == 2


def test_targets_within_three_millimetres_are_hit_and_the_distance_is_reported() -> None:
    targets = np.array([[3.0, 4.0, 14.9], [3.0, 4.0, 15.1], [0.0, 0.0, -1.0]])
    found = corrected(posed(POINTS, TIMES), Scene(targets=targets))
    assert [found[f"target_{n}_nearest_mm"] for n in (1, 2, 3)] == pytest.approx([2.9, 3.1, 1.0])
    assert found["targets_hit_n"] == perk_tutor(posed(POINTS, TIMES), Scene(targets=targets))["targets_hit_n"] == 2


def test_sample_that_repeats_a_time_counts_for_the_path_and_for_no_rate() -> None:
    """Perk Tutor's rates pass over the second of two samples of one time; its path length does not."""
    points = np.insert(POINTS, 2, [3, 4, 100], axis=0)
    times = np.insert(TIMES, 2, TIMES[1])
    found = perk_tutor(posed(points, times))
    assert found["path_length_mm"] == pytest.approx(5 + 100 + 88 + 5)
    assert found["average_velocity_mm_s"] == pytest.approx(16 / 3)
    assert found["motion_smoothness_mm_s3"] == pytest.approx(PERK_TUTOR["motion_smoothness_mm_s3"])
