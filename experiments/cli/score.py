"""``phantomrig score``: how well guidance does on simulated frames of phantoms that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from experiments.cli.output import say
from experiments.scorecard.bench import PHANTOM, ScoredBench, pour
from experiments.scorecard.bone import BoneScore
from experiments.scorecard.crossing import CrossingScore
from experiments.scorecard.fluid import FluidScore
from experiments.scorecard.level import LevelScore
from experiments.scorecard.needle import NeedleScore
from hal.clock import NS_PER_S, WallClock
from hal.errors import ConfigError
from rig import __version__

PARTS = ("bone", "level", "needle", "crossing", "fluid")
SEEN_SEEDS = (*range(100, 113), 950)
"""Guidance was developed on these; 950 was looked at while the motion seen from five planes was."""
BONE_ROWS = {
    "facing": "facing probe",
    "facing_sure": "confidence > 0.5",
    "all_with_bone": "all with bone",
}
SCENES: dict[str, type[NeedleScore] | type[CrossingScore] | type[FluidScore]] = {
    "needle": NeedleScore,
    "crossing": CrossingScore,
    "fluid": FluidScore,
}
"""Parts that are scored on needle scenes."""
TITLES = {
    "needle": "Needle tip in plane",
    "crossing": "Needle tip out of plane",
    "fluid": "Needle tip in plane by a test injection",
}


class Score(Protocol):
    """One part: gathers phantoms, then gives its figures."""

    def add(self, bench: ScoredBench, seed: int) -> None: ...

    def result(self) -> dict[str, Any]: ...


def seeds_of(first_seed: int, phantoms_n: int) -> list[int]:
    """Seeds of a score; raises ``ConfigError`` for none, for negative ones and for those of the development."""
    if phantoms_n < 1:
        raise ConfigError(f"--phantoms {phantoms_n}: at least 1")
    if first_seed < 0:
        raise ConfigError(f"--first-seed {first_seed}: seeds are not negative")
    seeds = list(range(first_seed, first_seed + phantoms_n))
    seen = [seed for seed in seeds if seed in SEEN_SEEDS]
    if seen:
        raise ConfigError(
            f"seeds {', '.join(map(str, seen))}: guidance was developed on 100-112 and 950, so a "
            "score on them says nothing; give another --first-seed"
        )
    return seeds


def chosen_parts(names: Sequence[str]) -> list[str]:
    """Parts in their fixed order, all of them when none is named; raises ``ConfigError`` for an unknown one."""
    for name in names:
        if name not in PARTS:
            raise ConfigError(f"--part {name}: there are {', '.join(PARTS)}")
    return [part for part in PARTS if not names or part in names]


def measure(
    parts: Sequence[str], phantoms_n: int, first_seed: int, *,
    bone_frames_n: int | None = None, needle_scenes_n: int | None = None, quality: str = "full", phantom: str = PHANTOM,
) -> dict[str, Any]:  # fmt: skip
    """Score the named parts (all when none is named); progress goes to stderr.

    All of it is over pours of one drawing, ``phantom``: how guidance does on another spine is another score. The frames
    and scenes of one phantom are those of the published tables unless given. Raises ``ConfigError`` for
    unknown parts and for seeds that may not be used, ``DeviceError`` when no needle path is found.
    """
    seeds = seeds_of(first_seed, phantoms_n)
    scores: dict[str, Score] = {}
    for part in chosen_parts(parts):
        if part == "bone":
            scores[part] = BoneScore() if bone_frames_n is None else BoneScore(bone_frames_n)
        elif part == "level":
            scores[part] = LevelScore()
        else:
            scenes = SCENES[part]
            scores[part] = scenes() if needle_scenes_n is None else scenes(needle_scenes_n)
    clock = WallClock()
    start_ns = clock.now_ns()
    steps_n, done_n = len(seeds) * len(scores), 0
    over = f"pours of one drawing ({phantom})"
    say(f"{len(seeds)} phantoms, seeds {seeds[0]}-{seeds[-1]}, {', '.join(scores)}; {over}; simulated")
    for seed in seeds:
        bench = pour(seed, quality, phantom)
        for part, score in scores.items():
            score.add(bench, seed)
            done_n += 1
            left_s = (clock.now_ns() - start_ns) / NS_PER_S / done_n * (steps_n - done_n)
            left = f", about {left_s:.0f} s left" if done_n < steps_n else ""
            say(f"{done_n}/{steps_n} seed {seed} {part}{left}")
    label = {
        "simulated": True,
        "version": __version__,
        "seeds": seeds,
        "phantom": phantom,
        "over": f"pours of one drawing ({phantom})",
        "quality": quality,
    }
    return {**label, "parts": {part: {**label, **score.result()} for part, score in scores.items()}}


def show(result: dict[str, Any]) -> None:
    """Print the figures for a person, on stderr."""
    from rich.console import Console

    seeds = result["seeds"]
    console = Console(stderr=True)
    for part, figures in result["parts"].items():
        if part == "bone":
            table = _bone_table(figures)
        elif part == "level":
            table = _level_table(figures)
        else:
            table = _tip_table(part, figures)
        table.caption = (
            f"simulated; phantomrig {result['version']}; {result['over']}, seeds {seeds[0]}-{seeds[-1]}; "
            "says nothing about other spines"
        )
        console.print(table)


def _table(title: str, head: Sequence[str]) -> Any:
    from rich.table import Table

    table = Table(title=title)
    for k, name in enumerate(head):
        table.add_column(name, justify="right" if k else "left")
    return table


def _percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def _mm(*values: float | None) -> str:
    return " / ".join("-" if v is None else f"{v:.2f}" for v in values)


def _bone_table(bone: dict[str, Any]) -> Any:
    none = bone["without_bone"]
    false = f"bone on {none['found_n']} of {none['lines_n']} lines without bone"
    table = _table(
        f"Bone surface (mm), {bone['frames_n']} frames; {false}",
        ("lines", "n", "found", "median", "RMSE < 2", "RMSE", "> 1 mm", "> 2 mm"),
    )
    for key, name in BONE_ROWS.items():
        row = bone[key]
        table.add_row(
            name, str(row["lines_n"]), _percent(row["found_share"]), _mm(row["median_error_mm"]),
            _mm(row["rmse_below_2mm_mm"]), _mm(row["rmse_mm"]), _percent(row["over_1mm_share"]),
            _percent(row["over_2mm_share"]),
        )  # fmt: skip
    return table


def _level_table(level: dict[str, Any]) -> Any:
    table = _table(
        f"Level: {level['answered_n']} of {level['phantoms_n']} answered, {level['wrong_n']} wrong "
        f"(upper bound {_percent(level['wrong_share_upper_95'])}), {level['registered_n']} registered",
        ("root", "n", "global: median / p95 (mm)", "n local", "local: median / p95 (mm)"),
    )
    for name, fits in level["roots"].items():
        whole, local = fits["global"], fits["local"]
        table.add_row(name, str(whole["n"]), _mm(whole["median_mm"], whole["p95_mm"]), str(local["n"]),
                      _mm(local["median_mm"], local["p95_mm"]))  # fmt: skip
    return table


def _tip_table(part: str, figures: dict[str, Any]) -> Any:
    table = _table(
        f"{TITLES[part]}; errors median / p95; false: confirmed, over 2 mm off; bound: one-sided 95 %",
        ("method", "kind", "n", "found", "image (mm)", "conf.", "3-D (mm)", "false", "bound"),
    )  # fmt: skip
    for method, kinds in figures["methods"].items():
        for number, (kind, row) in enumerate(kinds.items()):
            table.add_row(
                "" if number else method, kind, str(row["scenes_n"]), str(row["found_n"]),
                _mm(row["image_error_median_mm"], row["image_error_p95_mm"]), str(row["confirmed_n"]),
                _mm(row["error_3d_median_mm"], row["error_3d_p95_mm"]), str(row["false_n"]),
                _percent(row["false_share_upper_95"]),
            )  # fmt: skip
    return table
