"""How well guidance does on simulated frames of phantoms that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from experiments.messages import say
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
SCENES: dict[str, type[NeedleScore] | type[CrossingScore] | type[FluidScore]] = {
    "needle": NeedleScore,
    "crossing": CrossingScore,
    "fluid": FluidScore,
}
"""Parts that are scored on needle scenes."""


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
