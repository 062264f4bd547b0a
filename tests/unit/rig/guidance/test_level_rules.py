"""The rules of counting one by one, each with a case on either side of its limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rig.guidance.lumbar.dorsal_map import DorsalMap, dorsal_map
from rig.guidance.lumbar.level import LevelCount, LevelSettings, Run, bone_runs, count_levels, local_shallow
from rig.guidance.panorama import Profile

CFG = LevelSettings()


def runs_of(*pieces: tuple[int, int, float], looked: tuple[int, int] = (0, 200)) -> list[Run]:
    """Runs of a profile of 200 bins of 1 mm (bin k at k + 0.5 mm) with bone from bin to bin at a depth."""
    y = np.arange(200) + 0.5
    depth = np.full(200, np.nan)
    for first, last, z in pieces:
        depth[first : last + 1] = z
    seen = np.zeros(200, dtype=bool)
    seen[looked[0] : looked[1]] = True
    return bone_runs(y, depth, seen, CFG)


def ends(runs: list[Run]) -> list[tuple[float, float]]:
    return [(run.low_mm, run.high_mm) for run in runs]


def test_a_run_goes_from_edge_to_edge_of_its_bins_at_its_middle_depth() -> None:
    (run,) = runs_of((50, 59, 40.0), (60, 63, 42.0))
    assert (run.low_mm, run.high_mm, run.depth_mm) == (50.0, 64.0, 40.0)
    assert (run.centre_mm, run.length_mm) == (57.0, 14.0)


def test_gaps_up_to_three_millimetres_are_closed() -> None:
    assert ends(runs_of((50, 59, 40.0), (63, 70, 40.0))) == [(50.0, 71.0)]
    assert ends(runs_of((50, 59, 40.0), (64, 70, 40.0))) == [(50.0, 60.0), (64.0, 71.0)]


def test_bone_of_four_millimetres_is_a_run_and_less_is_not() -> None:
    assert ends(runs_of((50, 53, 40.0))) == [(50.0, 54.0)]
    assert ends(runs_of((50, 52, 40.0), (100, 109, 40.0))) == [(100.0, 110.0)]
    assert runs_of((50, 52, 40.0)) == []


def test_a_step_in_depth_of_more_than_nine_millimetres_ends_a_run() -> None:
    assert len(runs_of((50, 59, 40.0), (60, 69, 49.0))) == 1
    assert len(runs_of((50, 59, 40.0), (60, 69, 49.1))) == 2
    assert len(runs_of((50, 59, 49.1), (60, 69, 40.0))) == 2


def test_bone_far_behind_the_nearest_dorsal_bone_is_the_front_of_the_spine() -> None:
    assert len(runs_of((50, 59, 30.0), (70, 79, 47.0))) == 2
    assert ends(runs_of((50, 59, 30.0), (70, 79, 47.1))) == [(50.0, 60.0)]
    # Only bone within 26 mm counts as near: from bin 86 on nothing of bins 50 to 59 is.
    assert ends(runs_of((50, 59, 30.0), (82, 95, 48.0))) == [(50.0, 60.0), (86.0, 96.0)]


def test_the_shallowest_bone_is_looked_for_on_both_sides() -> None:
    depth = np.array([np.nan, 5.0, np.nan, np.nan, 9.0, np.nan, np.nan, np.nan])
    found = local_shallow(depth, 2.0)
    assert found[:7].tolist() == [5.0, 5.0, 5.0, 5.0, 9.0, 9.0, 9.0] and np.isinf(found[7])


@pytest.mark.parametrize(
    ("looked", "closed"),
    [((0, 200), (True, True)), ((50, 200), (False, True)), ((0, 60), (True, False)), ((49, 61), (True, True))],
)
def test_a_run_is_closed_where_the_profile_was_looked_at_beyond_it(
    looked: tuple[int, int], closed: tuple[bool, bool]
) -> None:
    (run,) = runs_of((50, 59, 40.0), looked=looked)
    assert (run.closed_low, run.closed_high) == closed


def test_looking_further_off_than_four_bins_does_not_close_a_run() -> None:
    y, depth = np.arange(200) + 0.5, np.full(200, np.nan)
    depth[50:60] = 40.0
    looked = np.zeros(200, dtype=bool)
    looked[[45, 50, 55, 64]] = True
    (run,) = bone_runs(y, depth, looked, CFG)
    assert (run.closed_low, run.closed_high) == (False, False)
    looked[[46, 63]] = True
    (run,) = bone_runs(y, depth, looked, CFG)
    assert (run.closed_low, run.closed_high) == (True, True)


def test_three_bins_of_bone_are_no_bone() -> None:
    assert bone_runs(np.arange(200) * 2.0, np.r_[np.full(3, 40.0), np.full(197, np.nan)], np.ones(200, bool), CFG) == []
    assert (
        len(bone_runs(np.arange(200) * 2.0, np.r_[np.full(4, 40.0), np.full(196, np.nan)], np.ones(200, bool), CFG))
        == 1
    )


# ---- the whole count ---------------------------------------------------------------------------------------

PROCESSES = {"L5": (-16.0, -3.0, 46.0), "L4": (20.0, 30.0, 49.0), "L3": (52.0, 65.0, 47.0), "L2": (87.0, 99.0, 47.0)}
SACRUM = (-104.0, -38.0)
Spine = dict[str, tuple[float, float, float]]


def bone(x: float, y: float, processes: Spine, sacrum: tuple[float, float]) -> tuple[float, str]:
    if sacrum[0] <= y <= sacrum[1]:
        return 26.0 + 0.12 * (y + 70), "sacrum.dorsal_plate"
    if x < 26:
        return 39.0 + 4.0 * np.cos(y / 34.0 * 2 * np.pi) + 0.03 * y, "L4.lamina"
    for name, (low, high, depth) in processes.items():
        if low <= y <= high:
            return depth, f"{name}.transverse"
    return float("nan"), ""


def nominal(processes: Spine = PROCESSES) -> DorsalMap:
    points, names = [], []
    for x in np.arange(5.0, 45.0):
        for y in np.arange(-104.0, 110.0):
            z, name = bone(x, y, processes, SACRUM)
            if np.isfinite(z):
                points.append((x, y, z))
                names.append(name)
    return dorsal_map(np.array(points), np.array(names))


NOMINAL = nominal()


def count(
    processes: Spine = PROCESSES,
    sacrum: tuple[float, float] = SACRUM,
    low: float = -95.0,
    high: float = 95.0,
    noise_mm: float = 0.2,
    shift_mm: float = 0.0,
    lateral_mm: float = 0.0,
    settings: LevelSettings | None = None,
) -> LevelCount:
    rng = np.random.default_rng(3)
    profiles = []
    for x in (33.0, 20.0):
        y = np.arange(low + 0.5, high)
        z = np.array([bone(x - lateral_mm, v - shift_mm, processes, sacrum)[0] for v in y])
        profiles.append(Profile(x, y, z + rng.normal(0, noise_mm, len(y)), np.ones(len(y), dtype=bool)))
    return count_levels(profiles, NOMINAL, process_line=0, settings=settings)


def moved(name: str, by_mm: float) -> Spine:
    low, high, depth = PROCESSES[name]
    return {**PROCESSES, name: (low + by_mm, high + by_mm, depth)}


def test_what_was_counted_says_where_every_process_and_gap_lies() -> None:
    found = count()
    assert found.sure, found.reason
    # Bins whose centre lies within a process: L5 from -16 to -3, L4 20 to 30, L3 52 to 65, the sacrum up to -38.
    assert found.processes_y_mm == pytest.approx(
        {"L5": -9.5, "L4": 25.0, "L3": 58.5, "L2": 91.0, "sacrum": -38.0}, abs=0.6
    )
    assert found.gaps_y_mm == pytest.approx({"L5-S1": -27.0, "L4-L5": 8.5, "L3-L4": 41.0, "L2-L3": 76.0}, abs=0.6)
    assert found.shift_mm[1:] == pytest.approx((0.0, 0.0), abs=0.6)
    assert abs(found.count_a_shift_mm) < 1.5 and found.count_b_shift_mm == 0.0
    assert found.fit_cost < 0.2 and found.fit_contrast > 1.25
    assert [run.structure for run in found.runs][:2] == ["sacrum.dorsal_plate", "L5.transverse"]


def test_a_sacral_line_of_less_than_26_mm_is_none() -> None:
    assert "no long sacral line" in count(sacrum=(-63.0, -38.0)).reason
    assert "sacral" not in count(sacrum=(-65.0, -38.0)).reason


def test_one_process_cranial_of_the_sacrum_is_not_enough() -> None:
    found = count(high=10.0)
    assert not found.sure and "only 1 bone humps" in found.reason
    assert count(high=35.0).sure


def test_a_second_long_line_makes_the_sacrum_unclear() -> None:
    long_l3 = {**PROCESSES, "L3": (45.0, 72.0, 47.0)}  # 27 mm: as long as a short sacrum
    found = count(long_l3, sacrum=(-70.0, -38.0))
    assert not found.sure and "which one is the sacrum" in found.reason
    shorter = {**PROCESSES, "L3": (46.5, 70.5, 47.0)}  # 24 mm
    assert "which one is the sacrum" not in count(shorter, sacrum=(-70.0, -38.0)).reason
    # Against a long sacrum 27 mm are less than 0.65 of it.
    assert "which one is the sacrum" not in count(long_l3).reason


@pytest.mark.parametrize(("by_mm", "expected"), [(10.0, False), (14.0, True), (-14.0, True)])
def test_a_hump_at_another_spacing_than_the_phantoms_is_reported(by_mm: float, expected: bool) -> None:
    found = count(moved("L4", by_mm))
    assert ("spacing of the humps" in found.reason) is expected


def test_the_gap_above_the_sacrum_tells_a_fused_process_from_a_free_one() -> None:
    grown = {**PROCESSES, "L5": (-28.0, -3.0, 42.0)}  # its low end 12 mm nearer to the sacrum
    found = count(grown)
    assert not found.sure and "gap above the sacrum is 10 mm, the phantom's 21 mm" in found.reason
    assert "gap above" not in count({**PROCESSES, "L5": (-24.0, -3.0, 42.0)}).reason
    shrunk = count({**PROCESSES, "L5": (-5.5, 3.0, 46.0)})
    assert not shrunk.sure and "gap above the sacrum" in shrunk.reason


def test_bone_that_touches_the_sacral_line_belongs_to_it() -> None:
    broken = {**PROCESSES, "S": (-46.0, -38.0, 30.0)}
    found = count(broken, sacrum=(-104.0, -52.0))  # a foramen of 5 mm in the sacral line
    assert found.sure, found.reason
    assert found.processes_y_mm["sacrum"] == pytest.approx(-38.0, abs=0.6)
    apart = count({**PROCESSES, "S": (-45.0, -38.0, 30.0)}, sacrum=(-104.0, -53.0))  # 7 mm: a hump of its own
    assert not apart.sure


def test_noise_of_depth_costs_more_than_a_fit_may() -> None:
    found = count(noise_mm=8.0)
    assert not found.sure
    assert count(noise_mm=1.0).sure


def test_two_counts_that_disagree_are_not_believed() -> None:
    found = count(settings=replace(CFG, agree_mm=-1.0))
    assert not found.sure and "the two counts differ by" in found.reason
    assert not np.isnan([found.count_a_shift_mm, found.count_b_shift_mm]).any()


def test_a_fit_that_is_hardly_better_than_one_a_level_away_is_not_believed() -> None:
    sure = count()
    strict = count(settings=replace(CFG, min_contrast=sure.fit_contrast + 0.01))
    assert not strict.sure and "a level further on" in strict.reason
    assert count(settings=replace(CFG, min_contrast=sure.fit_contrast - 0.01)).sure


def test_a_fit_that_costs_more_than_allowed_is_not_believed() -> None:
    sure = count()
    strict = count(settings=replace(CFG, max_cost=sure.fit_cost - 0.001))
    assert not strict.sure and "fits the phantom nowhere" in strict.reason
    assert count(settings=replace(CFG, max_cost=sure.fit_cost + 0.001)).sure


def test_the_limits_are_those_that_were_tuned() -> None:
    """Figures that no single drawn case can hold from both sides; whoever changes one has to tune it anew."""
    assert (CFG.shift_range_mm, CFG.lateral_range_mm, CFG.max_depth_error_mm) == (70.0, 8.0, 4.0)
    assert (CFG.agree_mm, CFG.min_separation_mm, CFG.min_contrast, CFG.max_cost) == (9.0, 15.0, 1.25, 0.45)


@pytest.mark.parametrize("lateral_mm", [-4.0, 4.0])
def test_a_phantom_that_lies_to_one_side_is_found_there(lateral_mm: float) -> None:
    # The lines of this drawing change at X = 26 only, so that the side shows where a profile crosses it.
    found = count(lateral_mm=lateral_mm, shift_mm=12.0)
    assert found.sure, found.reason
    assert found.shift_mm[1] == pytest.approx(12.0, abs=1.0) and found.count_a_shift_mm == pytest.approx(12.0, abs=1.5)


def test_bone_where_the_drawing_has_none_costs() -> None:
    clean, ghost = count(), count({**PROCESSES, "ghost": (70.5, 74.0, 47.0)})
    assert ghost.fit_cost > clean.fit_cost


def test_depth_noise_costs_in_proportion() -> None:
    assert count(noise_mm=0.8).fit_cost == pytest.approx(4.0 * count(noise_mm=0.2).fit_cost, rel=0.35)
