"""How well a small test injection confirms the tip of an in-plane needle in simulated frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.scorecard.answers import SCENES_N, Answer, Answers, answer
from experiments.scorecard.bench import CORRECTED, ScoredBench, with_noise
from experiments.scorecard.needle import KINDS, NeedleScene, draw, image_error_mm
from rig.geometry.registration import rigid_matrix
from rig.guidance.confirmation import confirm_fluid, confirm_fluid_sweep
from rig.guidance.needle_motion import find_fluid

METHODS = ("one plane", "seven planes")
PLANES_MM = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)
"""A pool of 0.3 mL is 8 mm wide: planes on both sides of it."""
VOLUMES_ML = (0.1, 0.3)
"""Uniform: the range that a technique allows. The pool is a ball at the tip [assumed]."""


def judge(bench: ScoredBench, scene: NeedleScene, rng: np.random.Generator) -> dict[str, Answer]:
    """One plane as a trial looks at it, and seven parallel ones."""
    prediction = scene.bending.predict(scene.feed_mm)
    bevel = scene.bending.bevel[0].bevel_deg
    needle = scene.needle()
    volume_ml = float(rng.uniform(*VOLUMES_ML))

    def shown(plane: NDArray[np.float64], injected_ml: float) -> NDArray[np.uint8]:
        return with_noise(bench.frame(scene.true_ProbeToRig @ plane, needle, bevel, injected_ml), rng)

    looks = []
    for offset in PLANES_MM:
        plane = rigid_matrix(np.zeros(3), np.array([0.0, offset, 0.0]))
        pose = scene.ProbeToRig @ plane
        fluid = find_fluid(shown(plane, 0.0), shown(plane, volume_ml), CORRECTED, pose, prediction.tip_mm, volume_ml)
        looks.append((pose, fluid))
    pose, fluid = looks[PLANES_MM.index(0.0)]
    off = image_error_mm(scene, fluid.centre_rig_mm, needle[-1]) if fluid.found else float("nan")
    return dict(zip(METHODS, (
        answer(fluid.found, confirm_fluid(prediction, fluid, pose), needle[-1], off),
        answer(any(seen.found for _, seen in looks), confirm_fluid_sweep(prediction, looks), needle[-1]),
    ), strict=True))  # fmt: skip


@dataclass
class FluidScore:
    """Gathers phantom by phantom."""

    scenes_n: int = SCENES_N
    answers: Answers = field(default_factory=lambda: Answers(KINDS, METHODS))

    def add(self, bench: ScoredBench, seed: int) -> None:
        """Draw and judge the scenes of one phantom; raises ``DeviceError`` when no path to a root is found."""
        for index, kind in enumerate(KINDS):
            for scene in range(self.scenes_n):
                rng = np.random.default_rng([seed, 3, index, scene])
                self.answers.add(kind, judge(bench, draw(bench, kind, rng), rng))

    def result(self) -> dict[str, Any]:
        return {"methods": self.answers.figures()}
