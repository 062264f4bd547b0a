"""Motion metrics on motions whose answers can be written down."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from analysis.motion.metrics import Motion, Scene, corrected, deviation_mm, perk_tutor, rotation_steps_deg
from analysis.motion.perk_player import find, lost, played, six_digits
from analysis.motion.solid import Solid

MS = 1_000_000


def motion(points: np.ndarray, step_ms: float = 50.0, turns_deg: np.ndarray | None = None) -> Motion:
    matrices = np.tile(np.eye(4), (len(points), 1, 1))
    matrices[:, :3, 3] = points
    if turns_deg is not None:
        matrices[:, :3, :3] = Rotation.from_rotvec(np.outer(turns_deg, [1, 0, 0]), degrees=True).as_matrix()
    return Motion("tool", (np.arange(len(points)) * step_ms * MS).astype(np.int64), matrices)


def line(length_mm: float, count: int, axis: int = 2) -> np.ndarray:
    points = np.zeros((count, 3))
    points[:, axis] = np.linspace(0, length_mm, count)
    return points


def box(low: float, high: float) -> Solid:
    corners = np.array([[x, y, z] for x in (low, high) for y in (low, high) for z in (low, high)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return Solid(np.array([corners[[a, b, c]] for q in quads for a, b, c in (q[:3], (q[0], q[2], q[3]))]))


def test_straight_insertion_has_the_numbers_one_can_write_down() -> None:
    found = corrected(motion(line(60, 121)), Scene(targets=np.array([[0, 2.0, 60.0], [50.0, 0, 0]])))
    assert found["path_length_mm"] == pytest.approx(60)
    assert found["elapsed_time_s"] == 6.0
    assert found["average_speed_mm_s"] == pytest.approx(10)
    assert found["path_inefficiency_pct"] == pytest.approx(0, abs=1e-9)
    assert (found["axial_travel_mm"], found["lateral_travel_mm"]) == pytest.approx((60, 0))
    assert (found["target_1_nearest_mm"], found["target_2_nearest_mm"]) == pytest.approx((2, 50))
    assert found["targets_hit_n"] == 1


def test_there_and_back_doubles_the_path_and_has_no_inefficiency() -> None:
    points = np.concatenate([line(10, 11), line(10, 11)[::-1]])
    found = corrected(motion(points))
    assert found["path_length_mm"] == pytest.approx(20)
    assert math.isnan(found["path_inefficiency_pct"])


def test_rotation_is_summed_exactly_even_in_tiny_steps() -> None:
    steps = np.full(999, 1e-6)
    still = motion(np.zeros((1000, 3)), turns_deg=np.concatenate([[0.0], np.cumsum(steps)]))
    assert rotation_steps_deg(still.matrices).sum() == pytest.approx(999e-6, rel=1e-6)
    assert corrected(motion(np.zeros((3, 3)), turns_deg=np.array([0.0, 179.0, -3.0])))["rotation_total_deg"] == (
        pytest.approx(179 + 178)
    )


def test_two_strokes_with_a_pause_are_two_actions() -> None:
    stroke, pause = line(20, 41), np.full((40, 3), [0.0, 0.0, 20.0])
    further, end = stroke + np.array([0, 0, 20.0]), np.full((20, 3), [0, 0, 40.0])
    points = np.concatenate([np.zeros((20, 3)), stroke, pause, further, end])
    assert corrected(motion(points, 50.0))["translational_actions_n"] == 2
    assert perk_tutor(motion(points, 50.0))["translational_actions_n"] == 0  # 10 mm/s never reaches 50
    assert perk_tutor(motion(points * 10, 50.0))["translational_actions_n"] == 2


def test_turning_on_the_spot_is_a_translation_for_perk_tutor_only() -> None:
    far = np.full((60, 3), [0.0, 500.0, 0.0])
    turning = motion(far, 50.0, turns_deg=np.linspace(0, 60, 60))
    assert perk_tutor(turning)["translational_actions_n"] == 1
    assert corrected(turning)["translational_actions_n"] == 0


def test_jerk_measure_does_not_depend_on_the_sampling_rate_but_perk_tutors_does() -> None:
    def reach(count: int) -> Motion:
        s = np.linspace(0, 1, count)
        points = np.zeros((count, 3))
        points[:, 0] = 100 * (10 * s**3 - 15 * s**4 + 6 * s**5)
        points[:, 1] = 0.2 * np.sin(40 * s)
        return motion(points, 4000.0 / (count - 1))

    slow, fast = reach(161), reach(801)
    smooth = [corrected(m)["log_dimensionless_jerk"] for m in (slow, fast)]
    assert smooth[1] == pytest.approx(smooth[0], abs=0.05)
    rough = [perk_tutor(m)["motion_smoothness_mm_s3"] for m in (slow, fast)]
    assert rough[1] != pytest.approx(rough[0], rel=0.01)


def test_tissue_path_counts_the_part_inside_and_perk_tutor_whole_segments() -> None:
    points = line(40, 5, axis=0) + np.array([-15.0, 0.1, 0.2])  # x = -15, -5, 5, 15, 25 through a box from -10 to 10
    scene = Scene(tissue=box(-10, 10))
    exact, theirs = corrected(motion(points), scene), perk_tutor(motion(points), scene)
    assert exact["tissue_path_mm"] == pytest.approx(20)
    assert exact["tissue_time_s"] == pytest.approx(0.1)
    assert theirs["tissue_path_mm"] == pytest.approx(20)  # the segments that end at -5 and 5
    assert theirs["tissue_time_s"] == pytest.approx(0.1)
    shifted = motion(points + np.array([4.0, 0, 0]))
    assert corrected(shifted, scene)["tissue_path_mm"] == pytest.approx(20)


def test_swept_area_of_a_needle_moved_sideways_is_a_rectangle() -> None:
    points = np.array([[x, 0.1, 0.0] for x in np.linspace(-4, 4, 9)])
    scene = Scene(tissue=box(-10, 10), needle_length_mm=300)
    found = perk_tutor(motion(points), scene)
    assert found["tissue_damage_mm2"] == pytest.approx(8 * 10)  # 8 mm sideways, 10 mm of shaft below the face
    assert found["tissue_punctures_n"] == 1


def test_two_entries_are_two_punctures() -> None:
    z = np.concatenate([np.linspace(-20, 0, 21), np.linspace(0, -20, 21), np.linspace(-20, 0, 21)])
    points = np.stack([np.full_like(z, 0.3), np.full_like(z, 0.2), z], axis=1)
    assert corrected(motion(points), Scene(tissue=box(-10, 10)))["tissue_punctures_n"] == 2


def test_inside_and_crossings_of_a_box() -> None:
    solid = box(-1, 1)
    rng = np.random.default_rng(2)
    points = rng.uniform(-2, 2, (500, 3))
    assert np.array_equal(solid.contains(points), (np.abs(points) < 1).all(axis=1))
    hit = solid.first_crossing(np.array([[0.0, 0.1, 0.2]]), np.array([[5.0, 0.1, 0.2]]))
    assert hit[0] == pytest.approx([1.0, 0.1, 0.2])


def test_stopping_half_way_is_seen_in_the_second_direction_only() -> None:
    found = deviation_mm(line(30, 31), line(60, 61))
    assert found["deviation_max_mm"] == 0
    assert found["reference_missed_max_mm"] == pytest.approx(30)


def test_single_sample_and_unordered_times_are_no_motion() -> None:
    with pytest.raises(ValueError, match="no motion"):
        corrected(motion(np.zeros((1, 3))))
    still = motion(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="increase"):
        corrected(Motion("t", still.time_ns[::-1].copy(), still.matrices))


# ---- the samples that Perk Tutor's player shows ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_ns", "seconds"),
    [(7_480_999_999, 7.481), (10_022_999_999, 10.023), (123_456_789_000, 123.457), (1_700_000_000_123_000_000, 1.7e9)],
)
def test_stamps_keep_six_digits(time_ns: int, seconds: float) -> None:
    assert six_digits(time_ns) == seconds


def test_number_within_a_millisecond_is_the_same_place() -> None:
    values = [7.256, 7.282, 7.363]
    assert find(values, 7.2825, exact=True) == 1
    assert find(values, 7.283, exact=True) == -1  # 7.283 - 7.282 is a trifle more than 0.001 in doubles
    assert find(values, 7.30, exact=True) == -1
    assert find(values, 7.30, exact=False) == 1
    assert (find(values, 1.0, exact=False), find(values, 9.0, exact=False), find([], 1.0, exact=False)) == (0, 2, -1)


def test_epoch_stamps_collapse_and_the_path_comes_out_short() -> None:
    points = np.random.default_rng(0).normal(size=(200, 3))
    start = 1_700_000_000_000_000_000
    made = Motion("A", start + motion(points).time_ns, motion(points).matrices)
    shown = played({"A": made})["A"]
    assert len(shown.time_ns) == 1
    assert lost({"A": made})["A"] == 199
    assert corrected(made)["path_length_mm"] > 300
    assert perk_tutor(shown)["path_length_mm"] == 0


def test_log_of_a_long_session_loses_part_of_a_fast_track() -> None:
    made = motion(np.random.default_rng(0).normal(size=(1000, 3)), 4.0)
    late = Motion("A", made.time_ns + 5_000_000_000_000, made.matrices)  # at 5000 s six digits are 10 ms
    assert lost({"A": made})["A"] == 0
    assert 500 <= lost({"A": late})["A"] <= 700


def test_second_tool_is_shown_at_the_times_of_the_first() -> None:
    leader = motion(line(10, 11), 100.0)
    other = Motion("B", leader.time_ns + 30 * MS, leader.matrices)
    shown = played({"A": leader, "B": other})["B"]
    assert np.array_equal(shown.time_ns, leader.time_ns)
    assert shown.tips[:, 2].tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
