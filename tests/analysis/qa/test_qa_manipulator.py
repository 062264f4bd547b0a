"""Feed axis and probe holder from readings as logs have them: figures of the worked examples, and what is withheld."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.qa.kinds.feed_axis import FEED_AXIS
from analysis.qa.kinds.holder_pose import HOLDER_POSE
from analysis.tables import DataFrame

TARGETS = (0.0, 12.3, 24.9, 36.8, 49.5)
UP = ((1, 2, 1.5, 0.5, 1), (3, 4, 3.5, 3, 2.5), (5, 6, 5.5, 6.5, 5), (8, 7.5, 8.5, 9, 8), (10, 11, 10.5, 9.5, 10))
DOWN = (
    (-3, -2, -2.5, -3.5, -3), (-1.5, -0.5, -1, -2, -1), (0.5, 1.5, 1, 2, 1.5), (3, 2.5, 4, 3.5, 3), (5.5, 6, 6.5, 5, 6),
)  # fmt: skip


def targets(*ways: tuple[float, tuple]) -> DataFrame:
    rows = [
        (run + 1.0, direction, target, target + um / 1e3)
        for direction, deviations in ways
        for target, runs in zip(TARGETS, deviations, strict=True)
        for run, um in enumerate(runs)
    ]
    return DataFrame(rows, columns=["run", "direction", "target_mm", "reading_mm"])


def of_axis(table: DataFrame):
    return FEED_AXIS.evaluate({"targets": table}, FEED_AXIS.settings({}))


def test_an_axis_log_gives_the_figures_of_the_worked_example():
    outcome = of_axis(targets((1.0, UP), (-1.0, DOWN)))
    found = {f.name: f.value for f in outcome.figures}
    expected = {"a_um": 15.2804, "r_um": 7.2804, "e_um": 13.0, "m_um": 8.8, "b_um": 5.0, "mean_b_um": 4.42}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    assert all(f.u is not None for f in outcome.figures) and set(found) == set(FEED_AXIS.figures)


def test_one_direction_gives_its_own_figures_and_withholds_the_others():
    outcome = of_axis(targets((1.0, UP)))
    assert outcome.figure("a_up_um").value == pytest.approx(11.2804, abs=1e-4)
    for name in ("a_um", "r_um", "b_um", "e_um", "m_um", "a_down_um"):
        assert outcome.figure(name).value is None and outcome.figure(name).why, name


def test_a_run_that_lacks_a_target_gives_no_number():
    outcome = of_axis(targets((1.0, UP), (-1.0, DOWN)).iloc[:-1])
    assert "run 5 has 4 readings for 5 targets" in outcome.invalid and outcome.figures == ()


def poses(noise_mm: float = 0.01, scale: float = 1.0, turned: bool = True, seed: int = 4) -> DataFrame:
    rng = np.random.default_rng(seed)
    corners = 20.0 * np.array([[0, 0, 0], [1, 1, 1], [-1, 1, 1], [-1, -1, -1], [1, -1, -1]])
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    rows = []
    for direction in (0, 1, 2, 3) if turned else (0,):
        for n in (1, 2, 3, 4, 5) if direction == 0 else (1, 2, 4):
            for cycle in range(1, 31):
                off = 0.2 * (direction == 3) * np.array([1.0, 0.0, 0.0])
                at = turn @ (scale * corners[n - 1] + off + rng.normal(0.0, noise_mm, 3)) + [100.0, -50.0, 900.0]
                rows.append((n, cycle, direction, *corners[n - 1], *at))
    names = ["pose", "cycle", "direction", "cx_mm", "cy_mm", "cz_mm", "x_mm", "y_mm", "z_mm"]
    return DataFrame(rows, columns=names, dtype=float)


def of_holder(table: DataFrame, **settings: object):
    return HOLDER_POSE.evaluate({"poses": table}, HOLDER_POSE.settings(settings))


def test_poses_in_a_frame_of_the_tracker_are_judged_after_the_frames_were_fitted():
    outcome = of_holder(poses())
    rp, ap = outcome.figure("rp_max_mm"), outcome.figure("ap_max_mm")
    assert 0.030 < rp.value < 0.045 and ap.value < 0.01
    assert outcome.figure("vap_mm").value == pytest.approx(0.2, abs=0.02)
    assert any("was fitted" in note for note in outcome.notes)
    assert {f.name for f in outcome.figures} == set(HOLDER_POSE.figures)


def test_a_wrong_scale_is_found_in_the_distance_and_not_hidden_by_the_fit():
    outcome = of_holder(poses(scale=1.005))
    apart = float(np.linalg.norm([40.0, 40.0, 40.0]))
    assert outcome.figure("ad_mm").value == pytest.approx(0.005 * apart, abs=0.02)


def test_without_the_fit_a_displaced_base_is_all_in_the_pose_accuracy():
    assert of_holder(poses(), fit_to_commanded=False).figure("ap_max_mm").value > 100.0


def test_one_direction_of_approach_withholds_the_variation_over_directions():
    vap = of_holder(poses(turned=False)).figure("vap_mm")
    assert vap.value is None and "one direction" in vap.why


def test_a_pose_that_was_commanded_to_two_places_gives_no_number():
    table = poses()
    table.loc[3, "cx_mm"] += 1.0
    assert "different places" in of_holder(table).invalid
