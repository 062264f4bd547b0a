"""``phantomrig score`` on one phantom and few scenes: the short version of the tables of the guidance page."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from experiments.scorecard import crossing as score_crossing
from experiments.scorecard import fluid as score_fluid
from experiments.scorecard.needle import KINDS, METHODS
from experiments.scorecard.score import PARTS, chosen_parts, measure, seeds_of
from hal.errors import ConfigError
from rig import __version__

SEED = 970
BONE_FRAMES_N = 6
SCENES_N = 3
LINES_OF_A_FRAME = 128


@pytest.fixture(scope="module")
def result():
    return measure((), 1, SEED, bone_frames_n=BONE_FRAMES_N, needle_scenes_n=SCENES_N, quality="fast")


def test_every_part_says_that_it_is_simulated_and_of_which_seeds_and_version(result):
    assert tuple(result["parts"]) == PARTS
    for labelled in (result, *result["parts"].values()):
        assert labelled["simulated"] is True
        assert labelled["seeds"] == [SEED]
        assert labelled["version"] == __version__


def test_the_figures_survive_strict_json(result):
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_lines_with_and_without_bone_are_all_lines(result):
    bone = result["parts"]["bone"]
    assert bone["lines_n"] == BONE_FRAMES_N * LINES_OF_A_FRAME
    assert bone["all_with_bone"]["lines_n"] + bone["without_bone"]["lines_n"] == bone["lines_n"]
    assert bone["facing_sure"]["lines_n"] <= bone["facing"]["lines_n"] <= bone["all_with_bone"]["lines_n"]


def test_bone_that_faces_the_probe_is_mostly_found_and_mostly_near(result):
    facing = result["parts"]["bone"]["facing"]
    assert facing["lines_n"] > 100
    assert facing["found_share"] > 0.85
    assert facing["median_error_mm"] < 0.5
    assert facing["over_2mm_share"] < 0.1
    without = result["parts"]["bone"]["without_bone"]
    assert without["found_n"] < 0.05 * without["lines_n"]


def test_the_level_of_one_phantom_is_right_and_its_roots_are_near(result):
    level = result["parts"]["level"]
    assert (level["phantoms_n"], level["answered_n"], level["wrong_n"], level["registered_n"]) == (1, 1, 0, 1)
    # 0 wrong of 1: the exact bound is 95 %.
    assert level["wrong_share_upper_95"] == pytest.approx(0.95)
    assert all(fits["global"]["median_mm"] < 4.0 for fits in level["roots"].values())


@pytest.mark.parametrize("method", METHODS)
def test_the_kinds_of_scenes_add_up(result, method):
    kinds = result["parts"]["needle"]["methods"][method]
    assert all(kinds[kind]["scenes_n"] == SCENES_N for kind in KINDS)
    for count in ("scenes_n", "found_n", "confirmed_n", "false_n"):
        assert sum(kinds[kind][count] for kind in KINDS) == kinds["all"][count]
    by_bevel = result["parts"]["needle"]["normal_by_bevel"]
    assert sum(rows[method]["confirmed_n"] for rows in by_bevel.values()) == kinds["normal"]["confirmed_n"]
    assert result["parts"]["needle"]["normal_confirmed_by_phantom"][method] == [kinds["normal"]["confirmed_n"]]
    row = kinds["all"]
    assert row["false_n"] == len(row["false_errors_mm"]) <= row["confirmed_n"] <= row["found_n"] <= row["scenes_n"]
    if row["false_n"] == 0:
        assert row["false_share_upper_95"] == pytest.approx(1 - math.pow(0.05, 1 / row["scenes_n"]), abs=1e-3)


@pytest.mark.parametrize(("part", "module"), [("crossing", score_crossing), ("fluid", score_fluid)])
def test_out_of_plane_and_test_injection_are_scored_alike(result, part, module):
    methods = result["parts"][part]["methods"]
    assert tuple(methods) == module.METHODS
    for kinds in methods.values():
        assert tuple(kinds) == (*module.KINDS, "all")
        assert all(kinds[kind]["scenes_n"] == SCENES_N for kind in module.KINDS)
        for count in ("scenes_n", "found_n", "confirmed_n", "false_n"):
            assert sum(kinds[kind][count] for kind in module.KINDS) == kinds["all"][count]
        assert kinds["normal"]["found_n"] > 0
        assert kinds["normal"]["false_n"] == 0


def test_a_needle_as_commanded_is_found_against_a_reference_and_near(result):
    normal = result["parts"]["needle"]["methods"]["against reference"]["normal"]
    assert normal["found_n"] == SCENES_N
    assert normal["image_error_median_mm"] < 1.0
    assert normal["false_n"] == 0


def test_a_feed_that_is_off_is_not_confirmed_where_it_was_predicted(result):
    slip = result["parts"]["needle"]["methods"]["against reference"]["slip"]
    assert slip["false_n"] == 0


@pytest.mark.parametrize(
    ("first", "count", "says"),
    [
        (100, 1, "developed"),
        (95, 10, "100, 101"),
        (112, 3, "112"),
        (950, 1, "950"),
        (-1, 1, "negative"),
        (900, 0, "at least 1"),
    ],
)
def test_seeds_of_the_development_and_senseless_ones_are_refused(first, count, says):
    with pytest.raises(ConfigError, match=says):
        seeds_of(first, count)


def test_seeds_beside_those_of_the_development_are_taken():
    assert seeds_of(113, 2) == [113, 114]
    assert seeds_of(98, 2) == [98, 99]


def test_an_unknown_part_is_refused_with_those_that_exist():
    assert chosen_parts(["needle", "bone"]) == ["bone", "needle"]
    with pytest.raises(ConfigError, match="bone, level, needle, crossing, fluid"):
        chosen_parts(["nerve"])


def test_the_command_says_why_it_refuses_and_ends_with_bad_input():
    run = subprocess.run(
        [sys.executable, "-m", "experiments.cli", "score", "--first-seed", "110", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stdout == ""
    assert "100-112" in run.stderr
