"""The fit of a count by hand: what each bin of a profile costs, over which shifts, and to which side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rig.guidance.lumbar.dorsal_map import DorsalMap, dorsal_map
from rig.guidance.lumbar.level import LevelCount, LevelSettings, Run, _shape_costs, bone_runs, count_levels
from rig.guidance.panorama import Profile

NAN = float("nan")
ONE_PLACE = replace(LevelSettings(), shift_range_mm=0.0, lateral_range_mm=0.0)


def one_line(depths: list[float]) -> DorsalMap:
    """A drawing along Y at X = 0 only, bins of 1 mm from Y = 0."""
    row = np.array([depths])
    return DorsalMap(0.0, 0.0, 1.0, row, np.where(np.isfinite(row), "L4.lamina", ""))


def profile(depths: list[float], looked: list[bool] | None = None) -> Profile:
    seen = np.ones(len(depths), dtype=bool) if looked is None else np.array(looked)
    return Profile(0.0, np.arange(len(depths), dtype=float), np.array(depths), seen)


def cost(designed: list[float], seen: list[float], **more: object) -> tuple[float, float]:
    """Cost without any shift, and the shift in depth that goes with it."""
    costs, dys, dxs, depth_shift = _shape_costs([profile(seen, **more)], one_line(designed), ONE_PLACE, 0.0)  # type: ignore[arg-type]
    assert costs.shape == (1, 1) and dys.tolist() == [0.0] and dxs.tolist() == [0.0]
    return float(costs[0, 0]), float(depth_shift[0, 0])


def test_depths_cost_in_quarters_of_a_millimetre_up_to_one_after_their_median_is_taken_out() -> None:
    designed = [40.0] * 10
    assert cost(designed, [41.0] * 10) == (0.0, 1.0)
    found = cost(designed, [41.0] * 7 + [43.0, 38.0, 60.0])  # 2 mm, 3 mm and far more than 4 mm off
    assert found == (pytest.approx((0.5 + 0.75 + 1.0) / 10), 1.0)


def test_bone_on_one_side_only_costs_eight_tenths() -> None:
    designed = [40.0] * 8 + [NAN, 40.0]
    seen = [41.0] * 8 + [41.0, NAN]
    assert cost(designed, seen) == (pytest.approx(1.6 / 10), 1.0)
    assert cost([40.0] * 8 + [NAN], [41.0] * 8 + [NAN]) == (0.0, 1.0)  # neither side has any


def test_deep_bone_that_is_not_seen_has_no_vote_but_seen_it_has() -> None:
    assert cost([40.0] * 8 + [57.1, 40.0], [41.0] * 8 + [NAN, NAN])[0] == pytest.approx(0.8 / 9)
    assert cost([40.0] * 8 + [57.0, 40.0], [41.0] * 8 + [NAN, NAN])[0] == pytest.approx(1.6 / 10)
    assert cost([40.0] * 8 + [57.1, 40.0], [41.0] * 8 + [60.1, NAN])[0] == pytest.approx((0.5 + 0.8) / 10)


def test_deep_is_counted_from_the_shallow_quarter_of_the_drawing() -> None:
    # A quarter of nine values lies at the third lowest: 30 mm with three such bins, 40 mm with two.
    three = [30.0] * 3 + [40.0] * 5 + [50.0]
    two = [30.0] * 2 + [40.0] * 6 + [50.0]
    assert cost(three, [*three[:8], NAN])[0] == 0.0  # 50 lies more than 17 mm behind 30
    assert cost(two, [*two[:8], NAN])[0] == pytest.approx(0.8 / 9)


def test_two_fifths_of_what_is_seen_must_lie_on_designed_bone() -> None:
    assert np.isfinite(cost([40.0] * 4 + [NAN] * 6, [41.0] * 10)[0])
    assert np.isinf(cost([40.0] * 3 + [NAN] * 7, [41.0] * 10)[0])


def test_places_that_were_not_looked_at_have_no_vote() -> None:
    assert cost([40.0] * 9 + [40.0], [41.0] * 8 + [NAN, NAN], looked=[True] * 9 + [False])[0] == pytest.approx(0.8 / 9)


def test_the_drawing_is_tried_in_steps_of_one_and_two_millimetres_ends_included() -> None:
    designed = [40.0] * 10
    costs, dys, dxs, _ = _shape_costs([profile(designed)], one_line(designed), LevelSettings(), 3.0)
    assert dys == pytest.approx(np.arange(-70.0, 71.0)) and dxs == pytest.approx(3.0 + np.arange(-8.0, 9.0, 2.0))
    assert costs.shape == (141, 9)


def test_a_shift_says_where_the_drawing_lies_in_the_room() -> None:
    designed = [40.0, 41.0, 43.0, 46.0, 50.0, 46.0, 43.0, 41.0, 40.0, 39.0]
    y = np.arange(10.0) + 3.0
    moved = Profile(2.0, y, np.array(designed) - 0.5, np.ones(10, dtype=bool))
    costs, dys, dxs, depth_shift = _shape_costs([moved], one_line(designed), LevelSettings(), 0.0)
    i, j = np.unravel_index(np.argmin(costs), costs.shape)
    assert (dys[i], dxs[j], depth_shift[i, j], costs[i, j]) == (3.0, 2.0, -0.5, 0.0)


# ---- runs --------------------------------------------------------------------------------------------------


def test_a_lone_bin_before_a_run_is_no_part_of_it() -> None:
    depth = np.full(200, NAN)
    depth[[50, *range(60, 70)]] = 40.0
    (run,) = bone_runs(np.arange(200) + 0.5, depth, np.ones(200, dtype=bool), LevelSettings())
    assert (run.low_mm, run.high_mm) == (60.0, 70.0)


def test_bins_of_two_millimetres_have_edges_of_their_own() -> None:
    depth = np.full(100, NAN)
    depth[25:30] = 40.0
    depth[32:36] = 40.0  # 6 mm from bin to bin: more than 3 mm and one bin
    runs = bone_runs(np.arange(100) * 2.0 + 1.0, depth, np.ones(100, dtype=bool), LevelSettings())
    assert [(r.low_mm, r.high_mm) for r in runs] == [(50.0, 60.0), (64.0, 72.0)]


# ---- the whole count on a drawn spine ----------------------------------------------------------------------

PROCESSES = {"L5": (-16.0, -3.0, 46.0), "L4": (20.0, 30.0, 49.0), "L3": (52.0, 65.0, 47.0), "L2": (87.0, 99.0, 47.0)}
SACRUM = (-104.0, -38.0)
Spine = dict[str, tuple[float, float, float]]


def bone(x: float, y: float, processes: Spine = PROCESSES, sacrum: tuple[float, float] = SACRUM) -> tuple[float, str]:
    if sacrum[0] <= y <= sacrum[1]:
        return 26.0 + 0.12 * (y + 70), "sacrum.dorsal_plate"
    if x < 26:
        return 39.0 + 4.0 * np.cos(y / 34.0 * 2 * np.pi) + 0.03 * y, "L4.lamina"
    for name, (low, high, depth) in processes.items():
        if low <= y <= high:
            return depth, f"{name}.transverse"
    return NAN, ""


def drawing(step_mm: float = 1.0, *, sacrum: bool = True) -> DorsalMap:
    found = [
        (x, y, *bone(x, y))
        for x in np.arange(4.0, 46.0, step_mm)
        for y in np.arange(-104.0, 110.0, step_mm)
        if np.isfinite(bone(x, y)[0]) and (sacrum or y > SACRUM[1])
    ]
    return dorsal_map(np.array([f[:3] for f in found]), np.array([f[3] for f in found]), step_mm)


def count(
    nominal: DorsalMap, lines: tuple[float, float] = (33.0, 20.0), lateral_mm: float = 0.0, low: float = -95.0,
    processes: Spine = PROCESSES, sacrum: tuple[float, float] = SACRUM,
) -> LevelCount:  # fmt: skip
    profiles = []
    for x in lines:
        y = np.arange(low + 0.5, 95.0)
        z = np.array([bone(x - lateral_mm, v, processes, sacrum)[0] for v in y])
        profiles.append(Profile(x, y, z, np.ones(len(y), dtype=bool)))
    return count_levels(profiles, nominal, process_line=0)


DRAWN = drawing()


def test_a_drawing_of_two_millimetres_counts_as_well() -> None:
    found = count(drawing(2.0))
    assert found.sure, found.reason
    assert found.processes_y_mm["L4"] == pytest.approx(25.0, abs=1.0) and abs(found.count_a_shift_mm) < 1.5


def test_the_side_to_which_a_phantom_lies_is_reported() -> None:
    # The drawing has processes from X = 26 on and a lamina below: each line says on which side of 26 it lies.
    right = count(DRAWN, (33.0, 28.0), lateral_mm=4.0)
    assert right.sure, right.reason
    assert 2.0 < right.shift_mm[0] <= 7.0
    left = count(DRAWN, (33.0, 24.0), lateral_mm=-4.0)
    assert left.sure, left.reason
    assert left.shift_mm[0] <= -2.0


def test_the_runs_of_a_count_say_where_the_profile_ends() -> None:
    found = count(DRAWN, low=-95.0)
    assert found.runs[0].closed_high and not found.runs[0].closed_low  # the sweep began upon the sacrum
    assert all(run.closed_low and run.closed_high for run in found.runs[1:4])
    assert isinstance(found.runs[1], Run) and found.runs[1].depth_mm == 46.0


def test_a_drawing_without_a_sacrum_here_cannot_be_counted_in() -> None:
    found = count(drawing(sacrum=False))
    assert not found.sure and "has no sacrum at this X" in found.reason


def test_a_line_of_26_millimetres_may_be_the_sacrum() -> None:
    assert "sacral" not in count(DRAWN, sacrum=(-64.0, -38.0)).reason
    as_long = count(DRAWN, sacrum=(-70.0, -38.0), processes={**PROCESSES, "L3": (46.0, 72.0, 47.0)})
    assert not as_long.sure and "which one is the sacrum" in as_long.reason


@pytest.mark.parametrize(("by_mm", "expected"), [(12.0, False), (13.0, True)])
def test_humps_may_stand_twelve_millimetres_from_their_places(by_mm: float, expected: bool) -> None:
    found = count(DRAWN, processes={**PROCESSES, "L4": (20.0 + by_mm, 30.0 + by_mm, 49.0)})
    assert ("spacing of the humps" in found.reason) is expected


@pytest.mark.parametrize(("low", "expected"), [(-26.0, False), (-27.0, True), (-7.0, True), (-8.0, False)])
def test_the_gap_above_the_sacrum_may_differ_by_nine_millimetres(low: float, expected: bool) -> None:
    # The drawing's gap is 21 mm, this profile's from -38 to the process.
    found = count(DRAWN, processes={**PROCESSES, "L5": (low, low + 13.0, 42.0)})
    assert ("gap above the sacrum" in found.reason) is expected


def test_a_drawing_with_one_process_cannot_be_counted_in() -> None:
    found = [
        (x, y, *bone(x, y, {"L5": PROCESSES["L5"]})) for x in np.arange(4.0, 46.0) for y in np.arange(-104.0, 110.0)
        if np.isfinite(bone(x, y, {"L5": PROCESSES["L5"]})[0])
    ]  # fmt: skip
    poor = dorsal_map(np.array([f[:3] for f in found]), np.array([f[3] for f in found]))
    answer = count(poor)
    assert not answer.sure and "fewer processes than were seen" in answer.reason
