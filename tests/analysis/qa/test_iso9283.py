"""Pose, distance, arrival and path against the worked example, planted faults, and what pure noise gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from analysis.qa.methods.path import crossings, path, velocity
from analysis.qa.methods.pose import directions, distance, drift, orientation, pose, rp_interval
from analysis.qa.methods.settling import settling
from hal.errors import ConfigError

C1, C2 = np.array([100.0, 200.0, 50.0]), np.array([160.0, 280.0, 50.0])
J = np.arange(1, 31)
FIRST = C1 + np.column_stack(
    [
        0.120 + 0.010 * ((7 * J % 11) - 5) / 5,
        -0.080 + 0.008 * ((5 * J % 13) - 6) / 6,
        0.050 + 0.006 * ((3 * J % 7) - 3) / 3,
    ]
)
SECOND = C2 + np.column_stack(
    [
        -0.060 + 0.009 * ((4 * J % 9) - 4) / 4,
        0.030 + 0.007 * ((6 * J % 13) - 6) / 6,
        0.010 + 0.005 * ((8 * J % 11) - 5) / 5,
    ]
)


def test_accuracy_and_repeatability_of_the_worked_example():
    found = pose(FIRST, C1)
    assert found.error_mm == pytest.approx((0.1202, -0.0800, 0.0502), abs=5e-5)
    assert found.ap_mm == pytest.approx(0.1529, abs=5e-5)
    assert (found.mean_l_mm, found.s_l_mm) == pytest.approx((0.0086267, 0.0021700), abs=5e-8)
    assert found.rp_mm == pytest.approx(0.015137, abs=5e-7)
    assert found.s_mm == pytest.approx((0.00638, 0.00494, 0.00408), abs=5e-6)


def test_distance_of_the_worked_example():
    found = distance(FIRST, SECOND, [C1, C2])
    assert found.commanded_mm == pytest.approx(100.0)
    assert (found.ad_mm, found.rd_mm) == pytest.approx((-0.019444, 0.022979), abs=5e-7)
    assert found.ad_axis_mm[0] == pytest.approx(float(np.mean(SECOND[:, 0] - FIRST[:, 0])) - 60.0)


def test_directions_of_the_worked_example():
    found = directions([(0.120, -0.080, 0.050), (0.145, -0.070, 0.040), (0.110, -0.095, 0.065)])
    assert found.vap_mm == pytest.approx(0.049749, abs=5e-7)
    assert found.pair == (1, 2)


def test_angles_near_a_full_turn_are_near_each_other():
    found = orientation([[359.9, 0.0, 1.0], [0.1, 0.0, 1.2]], [0.0, 0.0, 1.0])
    assert found.error_deg == pytest.approx((0.0, 0.0, 0.1))
    assert found.rp_deg == pytest.approx((3 * 0.2 / 2**0.5, 0.0, 3 * 0.2 / 2**0.5))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_ap_and_rp_do_not_depend_on_where_and_how_the_frame_lies(seed):
    rng = np.random.default_rng(seed)
    turn, shift = Rotation.random(rng=rng), rng.normal(0.0, 100.0, 3)
    plain, moved = pose(FIRST, C1), pose(turn.apply(FIRST) + shift, turn.apply(C1) + shift)
    assert moved.ap_mm == pytest.approx(plain.ap_mm, abs=1e-9)
    assert moved.rp_mm == pytest.approx(plain.rp_mm, abs=1e-9)


def test_pure_noise_gives_the_figures_of_a_healthy_robot():
    rng = np.random.default_rng(5)
    noise = rng.normal(0.0, 1.0, (2000, 30, 3))
    rp = np.array([pose(n, np.zeros(3)).rp_mm for n in noise])
    assert rp.mean() == pytest.approx(3.53, abs=0.03)
    assert np.quantile(rp, [0.05, 0.95]) == pytest.approx((3.00, 4.09), abs=0.06)
    vap = np.array([directions(n.mean(axis=1)).vap_mm for n in noise[:1998].reshape(666, 3, 30, 3)])
    assert vap.mean() == pytest.approx(0.53, abs=0.03)
    far = np.array([1000.0, 0.0, 0.0])
    pairs = zip(noise[::2], noise[1::2], strict=True)
    rd = [distance(a, b + far, [np.zeros(3), far]).rd_mm for a, b in pairs]
    assert np.mean(rd) == pytest.approx(4.21, abs=0.06)


def test_the_interval_of_rp_holds_the_true_one_in_about_nine_of_ten_and_repeats_itself():
    true = 1.595769 + 3 * 0.673439  # mean and standard deviation of a Maxwell distribution
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(60):
        low, high, _ = rp_interval(rng.normal(0.0, 1.0, (30, 3)))
        held += low <= true <= high
    assert 48 <= held <= 60
    assert rp_interval(FIRST) == rp_interval(FIRST)
    low, high, error = rp_interval(FIRST)
    assert low < pose(FIRST, C1).rp_mm < high and 0.0 < error < 0.004


def test_positions_that_are_all_equal_have_no_interval():
    with pytest.raises(ConfigError, match="all are equal"):
        rp_interval(np.ones((30, 3)))


def test_planted_scale_error_shows_in_distance_and_not_in_repeatability():
    ends = [np.zeros(3), np.array([160.0, 0.0, 0.0])]
    noise = np.random.default_rng(7).normal(0.0, 0.01, (2, 30, 3))
    first, second = ends[0] + noise[0], 1.002 * ends[1] + noise[1]
    assert distance(first, second, ends).ad_mm == pytest.approx(0.32, abs=0.01)
    assert pose(second, ends[1]).rp_mm == pytest.approx(pose(noise[1], np.zeros(3)).rp_mm)


def test_planted_backlash_shows_between_directions():
    assert directions([(0.0, 0.0, 0.0), (0.1, 0.0, 0.0), (0.0, 0.0, 0.0)]).vap_mm == pytest.approx(0.10)


def test_planted_drift_is_found_after_ten_minutes_and_is_steady_after_eight_hours():
    hours = np.arange(0.0, 8.01, 1 / 6)
    blocks = [np.tile([0.3 * (1 - np.exp(-h)), 0.0, 0.0], (10, 1)) for h in hours]
    early, late = drift(blocks[:2], hours[:2], np.zeros(3)), drift(blocks, hours, np.zeros(3))
    assert early.dap_mm == pytest.approx(0.046, abs=5e-4) and not early.steady
    assert late.dap_mm == pytest.approx(0.300, abs=5e-4) and late.steady
    assert not drift(blocks[:13], hours[:13], np.zeros(3)).steady


def test_drift_across_the_error_is_seen_although_dap_is_blind_to_it():
    blocks = [np.tile([np.cos(a), np.sin(a), 0.0], (10, 1)) for a in (0.0, 0.5)]
    found = drift(blocks, [0.0, 1.0], np.zeros(3))
    assert found.dap_mm == pytest.approx(0.0, abs=1e-12) and found.moved_mm > 0.49


def arrival(share: float = 0.1, hz: float = 8.0, step: float = 0.2):
    time = np.arange(0.0, 2.0, 1e-4)
    omega, root = 2 * np.pi * hz, np.sqrt(1 - share**2)
    swing = np.cos(omega * root * time) + share / root * np.sin(omega * root * time)
    x = step * np.exp(-share * omega * time) * swing
    return time, np.column_stack([x, np.zeros_like(x), np.zeros_like(x)])


def test_planted_vibration_gives_overshoot_and_time_to_settle():
    time, at = arrival()
    found = settling(time, at, 0.02)
    assert found.overshoot_mm == pytest.approx(0.146, abs=5e-4)
    assert found.settled_at_s == pytest.approx(0.458, abs=1 / 16), "the envelope meets the band at 0.458 s"
    assert found.stabilisation_s == pytest.approx(found.settled_at_s - time[np.argmax(np.abs(at[:, 0]) <= 0.02)])


def test_an_overdamped_arrival_does_not_overshoot():
    time = np.arange(0.0, 2.0, 1e-3)
    at = np.column_stack([np.exp(-10 * time), 0 * time, 0 * time])
    found = settling(time, at, 0.02)
    assert found.overshoot_mm == 0.0 and found.stabilisation_s == 0.0
    assert found.settled_at_s == pytest.approx(np.log(50) / 10, abs=2e-3)


def test_an_arrival_that_is_cut_off_has_no_time():
    time, at = arrival()
    with pytest.raises(ConfigError, match="ends before"):
        settling(time[:300], at[:300], 0.02)
    with pytest.raises(ConfigError, match="begins within"):
        settling(time, at, 5.0)


LINE = np.linspace([0.0, 0.0, 0.0], [80.0, 0.0, 0.0], 20)


def test_path_figures_of_pure_noise():
    rng = np.random.default_rng(8)
    found = [path(LINE + rng.normal(0.0, 1.0, (10, 20, 3)), LINE).rt_mm for _ in range(400)]
    assert np.mean(found) == pytest.approx(4.145, abs=0.06), "scatter in two directions; of three it would be 4.49"


def test_only_what_is_across_the_path_counts():
    shifted = LINE + np.array([0.4, 0.3, 0.0])
    found = path(np.stack([shifted, shifted + np.array([1.0, 0.0, 0.0])]), LINE)
    assert found.at_mm == pytest.approx(0.3) and found.rt_mm == pytest.approx(0.0, abs=1e-12)


def test_a_recorded_track_is_read_where_it_crosses_the_planes():
    s = np.linspace(-1.0, 81.0, 500)
    track = np.column_stack([s, 0.01 * s, np.zeros_like(s)])
    assert crossings(track, LINE) == pytest.approx(np.column_stack([LINE[:, 0], 0.01 * LINE[:, 0], 0 * LINE[:, 0]]))
    with pytest.raises(ConfigError, match="are needed"):
        crossings(track[:400], LINE)
    with pytest.raises(ConfigError, match="straight"):
        path(np.zeros((2, 3, 3)), [[0, 0, 0], [1, 1, 0], [2, 0, 0]])


def test_velocity_of_three_runs_by_hand():
    found = velocity([[9.0, 11.0], [10.0, 12.0], [11.0, 13.0]], 10.0)
    assert found.accuracy_percent == pytest.approx(10.0)
    assert found.repeatability_percent == pytest.approx(30.0)
    assert found.fluctuation_mm_s == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("attained", "words"),
    [(np.zeros((1, 3)), "at least 2"), (np.zeros((5, 2)), "array of n x 3"), (np.full((5, 3), np.nan), "missing")],
)
def test_positions_that_are_none_are_refused(attained, words):
    with pytest.raises(ConfigError, match=words):
        pose(attained, np.zeros(3))


def test_drift_is_not_called_steady_before_two_hours():
    blocks = [np.zeros((10, 3)), np.full((10, 3), 0.1), np.full((10, 3), 0.1), np.full((10, 3), 0.1)]
    assert not drift(blocks, [0.0, 0.5, 1.0, 1.5], np.zeros(3)).steady
    assert drift([*blocks, blocks[-1]], [0.0, 0.5, 1.0, 1.5, 2.0], np.zeros(3)).steady


def test_jitter_along_a_slow_track_does_not_change_where_it_crosses():
    reach = np.linspace(-1.0, 81.0, 165)
    s = (reach[:, None] + [0.0, -0.9, -0.3]).ravel()
    track = np.column_stack([s, np.tile([0.0, 5.0, 5.0], 165), np.zeros_like(s)])
    assert crossings(track, LINE) == pytest.approx(LINE, abs=1e-9)
