"""Readings that no device gives: refused with row and column, or judged without a verdict; never a crash or a PASS."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from analysis.qa.kinds.registry import EVALUATIONS, evaluation_of
from analysis.qa.recorded import analyse_qa
from experiments.qa import evaluate_files
from hal.errors import ConfigError
from rig.record import verify_run

NAN = math.nan


def looks(n: int = 100):
    """Of a tracker at rest: time, position, seen."""
    return [[k / 20, 10 + 0.01 * (k % 7), 20 + 0.01 * (k % 5), 30 + 0.01 * (k % 3), 1.0] for k in range(n)]


def frames(n: int = 100, age_s: float = 0.05):
    return [[k / 20, k / 20 + age_s, float(k), 1.0] for k in range(n)]


def steps(unit: float = 1.0):
    """Of a sound sensor: cycles up, down, up."""
    levels = [0.0, 50.0, 100.0, 150.0, 200.0]
    return [
        [cycle, way, level * unit, level * unit, level * unit, 0.01 * unit, 20.0]
        for cycle, way in ((1.0, 1.0), (2.0, -1.0), (3.0, 1.0))
        for level in levels[:: int(way)]
    ]


def evaluated(folder, test: str, rows, *, timed: bool = False):
    ((table, fields),) = evaluation_of(test).tables.items()
    head = ["time_s"] * timed + [field.name for field in fields]
    cells = [",".join("" if math.isnan(value) else repr(value) for value in row) for row in rows]
    (folder / "log.csv").write_text("\n".join([",".join(head), *cells]) + "\n")
    run = evaluate_files(test, {table: folder / "log.csv"}, out=folder / "runs")
    assert verify_run(run.path) == ()
    return run


def test_a_static_calibration_by_others_is_judged(tmp_path):
    run = evaluated(tmp_path, "pressure_static", steps())
    assert run.verdict == "PASS" and run.figures()["gain_error_percent"] == pytest.approx(0.0, abs=1e-9)


def test_looks_without_a_position_did_not_see_the_tool(tmp_path):
    rows = looks()
    for row in rows[:30]:
        row[1] = NAN
    run = evaluated(tmp_path, "tracker_still", rows, timed=True)
    assert run.figures()["unseen_share"] == 0.3 and math.isfinite(run.figures()["jitter_mm"])


def test_each_look_twice_with_its_time_keeps_the_rate(tmp_path):
    doubled = [[row[0], *(value + 0.001 * again for value in row[1:4]), 1.0] for row in looks() for again in (0, 1)]
    run = evaluated(tmp_path, "tracker_still", doubled, timed=True)
    assert run.figures()["rate_hz"] == pytest.approx(20.0)


def test_looks_that_were_all_taken_at_one_time_give_no_figure(tmp_path):
    run = evaluated(tmp_path, "tracker_still", [[1.0, *row[1:]] for row in looks()], timed=True)
    assert run.verdict == "NOT EVALUATED" and "do not rise" in run.results.verdict.reason


@pytest.mark.parametrize("test", [name for name, one in EVALUATIONS.items() if one.timed and len(one.tables) == 1])
def test_a_log_without_times_is_refused_where_figures_rest_on_them(tmp_path, test):
    rows = [row[1:] for row in (looks() if test == "tracker_still" else frames())]
    with pytest.raises(ConfigError, match=r"log.csv: has no time_s"):
        evaluated(tmp_path, test, rows)
    assert not (tmp_path / "runs").exists()


def test_ages_that_are_alike_to_the_last_digit_are_drawn(tmp_path):
    run = evaluated(tmp_path, "capture_timing", [[row[0], row[0], *row[2:]] for row in frames()], timed=True)
    assert run.figures()["age_median_ms"] == 0.0 and (run.path / "figures" / "steps.svg").is_file()


def test_frames_that_arrive_before_they_were_taken_have_no_age(tmp_path):
    run = evaluated(tmp_path, "capture_timing", frames(age_s=-0.5), timed=True)
    assert run.figures()["age_median_ms"] is None and run.verdict == "NOT EVALUATED"
    assert "two clocks" in run.results.verdict.reason


def test_frames_without_a_time_of_arrival_have_no_age_and_the_others_keep_theirs(tmp_path):
    rows = frames()
    rows[3][1] = NAN
    assert evaluated(tmp_path, "capture_timing", rows, timed=True).figures()["age_median_ms"] == pytest.approx(50.0)
    for row in rows:
        row[1] = NAN
    run = evaluated(tmp_path / "runs", "capture_timing", rows, timed=True)
    assert run.figures()["age_p95_ms"] is None and run.figures()["rate_hz"] == pytest.approx(20.0)


@pytest.mark.parametrize("wrong", [1e13, -1e300])
def test_a_reading_beyond_all_bounds_is_refused_with_its_row(tmp_path, wrong):
    rows = looks()
    rows[4][2] = wrong
    with pytest.raises(ConfigError, match=r"row 6, column 'y_mm': .* is larger than any reading can be"):
        evaluated(tmp_path, "tracker_still", rows, timed=True)


def test_a_time_that_no_clock_shows_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="which no clock shows"):
        evaluated(tmp_path, "tracker_still", [[1e10 + row[0], *row[1:]] for row in looks()], timed=True)
    assert not (tmp_path / "runs").exists()


def poses(cycles: int = 10):
    places = {1: (0, 0, 0), 2: (4, 4, 4), 3: (-4, 4, 4), 4: (-4, -4, -4), 5: (4, -4, -4)}
    return [
        [float(n), float(cycle), 0.0, *(10.0 * v for v in at), *(10.0 * v + 0.01 * ((cycle + n) % 3) for v in at)]
        for cycle in range(1, cycles + 1)
        for n, at in places.items()
    ]


def test_a_pose_that_was_copied_counts_once_or_not_at_all(tmp_path):
    rows = poses()
    run = evaluated(tmp_path, "holder_pose", [*rows, rows[7]])
    assert run.verdict == "NOT EVALUATED" and "pose 3 has cycle 2 more than once" in run.results.verdict.reason


def test_poses_without_one_coordinate_are_not_judged(tmp_path):
    rows = [[*row[:6], NAN, *row[7:]] for row in poses()]
    run = evaluated(tmp_path, "holder_pose", rows)
    assert run.verdict == "NOT EVALUATED" and "missing or not finite" in run.results.verdict.reason


def test_a_figure_that_is_no_finite_number_is_withheld_and_fails_nothing(tmp_path, monkeypatch):
    own = evaluation_of("tracker_still")

    def spoiled(tables, parameters):
        found = own.evaluate(tables, parameters)
        return replace(found, figures=tuple(replace(f, value=NAN, u=math.inf) for f in found.figures))

    run = evaluated(tmp_path, "tracker_still", looks(), timed=True)
    monkeypatch.setitem(EVALUATIONS, "tracker_still", replace(own, evaluate=spoiled))
    results = analyse_qa(run.path)
    assert results.verdict.word == "NOT EVALUATED" and b"NaN" not in results.as_bytes()


def test_a_record_that_breaks_while_it_is_written_is_sealed_without_a_verdict(tmp_path, monkeypatch):
    def fails(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.qa.from_files._keep", fails)
    with pytest.raises(KeyboardInterrupt):
        evaluated(tmp_path, "tracker_still", looks(), timed=True)
    (folder,) = (tmp_path / "runs").glob("qa-*")
    assert verify_run(folder) == () and analyse_qa(folder).verdict.word == "NOT EVALUATED"


def test_a_name_that_leaves_no_room_for_a_copy_is_refused_before_a_folder_exists(tmp_path):
    (tmp_path / ("x" * 250 + ".csv")).write_text("run\n1\n")
    with pytest.raises(ConfigError, match="name is too long"):
        evaluate_files("feed_axis", {"targets": tmp_path / ("x" * 250 + ".csv")}, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
