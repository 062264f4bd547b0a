"""How well the tip of an out-of-plane needle is found and confirmed in simulated frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from experiments.protocol.technique import Technique, load_technique
from experiments.scorecard.answers import SCENES_N, Answer, Answers, answer
from experiments.scorecard.bench import CORRECTED, PROBE, ScoredBench, with_noise
from experiments.scorecard.needle import (
    FEED_STEP_MM,
    GUIDE_SD_DEG,
    GUIDE_SD_MM,
    NEEDLE,
    POSE_SD_DEG,
    POSE_SD_MM,
    PRESS_MM,
    NeedleScene,
)
from hal.errors import DeviceError
from hal.phantom.needles import load_needle
from hal.types import Matrix
from rig.geometry.registration import rigid_matrix
from rig.guidance.bending import nominal_bending
from rig.guidance.confirmation import confirm_fan, confirm_motion
from rig.guidance.fan_planes import Difference, crossing_pose, planned_fan, tip_of_fan
from rig.guidance.needle_line import NeedleLine
from rig.guidance.needle_motion import find_motion
from rig.guidance.planning import PathRules, Plan, plan_path

TECHNIQUES = ("L4_OOP_T", "L5_OOP_T", "S1_OOP")
KINDS = ("normal", "turned", "slip")
METHODS = ("fan", "motion, one plane")
TURNED_DEG, SLIP_MM = (3.0, 9.0), (2.5, 8.0)


@dataclass(frozen=True)
class CrossingScene:
    """A needle across the image, and the planes that a trial would have taken without it."""

    needle: NeedleScene
    planned: NeedleLine
    planes: tuple[Matrix, ...]
    """Believed poses of the fan."""
    home: Matrix
    """Believed pose of the plane through the predicted tip."""
    error: Matrix
    """True pose = believed pose @ error."""


def _random_plan(bench: ScoredBench, technique: Technique, rng: np.random.Generator) -> Plan:
    path = technique.path
    assert path is not None
    for _ in range(50):
        side = str(rng.choice(["left", "right"]))
        lateral, tilt = (float(rng.uniform(span.lo, span.hi)) for span in (path.lateral_deg, path.tilt_deg))
        rules = PathRules(False, (path.lateral_deg.lo, path.lateral_deg.hi), (path.tilt_deg.lo, path.tilt_deg.hi),
                          lateral, tilt)  # fmt: skip
        plan = plan_path(bench.nominal.target(technique.level, side), np.eye(4), rules, PROBE,
                         bench.nominal.bone_distance, side=1 if side == "left" else -1)  # fmt: skip
        if plan.ok:
            return plan
    raise DeviceError(f"no path to a root in 50 random ones; the last: {plan.reason}")


def draw(bench: ScoredBench, kind: str, rng: np.random.Generator) -> CrossingScene:
    """A scene of this kind; raises ``DeviceError`` when no path to a root is found."""
    technique = load_technique(str(rng.choice(TECHNIQUES)))
    advance = technique.advance
    plan = _random_plan(bench, technique, rng)
    planned = NeedleLine(plan.entry_mm, plan.direction)
    face = plan.ProbeToRig.copy()
    face[2, 3] = PRESS_MM
    bending = nominal_bending(planned, load_needle(NEEDLE))
    first = min(advance.superficial_mm / float(plan.direction[2]), plan.feed_mm - 10.0)
    feed = float(rng.uniform(first, plan.feed_mm))
    factor = float(rng.uniform(0.7, 1.3))
    in_plane, off_plane = (float(v) for v in rng.normal(0.0, GUIDE_SD_DEG, 2))
    entry = (float(rng.normal(0.0, GUIDE_SD_MM)), float(rng.normal(0.0, GUIDE_SD_MM)))
    error = rigid_matrix(np.radians(rng.normal(0.0, POSE_SD_DEG, 3)), rng.normal(0.0, POSE_SD_MM, 3))
    sign = float(rng.choice([-1.0, 1.0]))
    turned_deg, slip_mm = (sign * float(rng.uniform(*span)) for span in (TURNED_DEG, SLIP_MM))
    in_plane += turned_deg if kind == "turned" else 0.0
    true_feed = feed + (slip_mm if kind == "slip" else 0.0)
    needle = NeedleScene(bending, feed, face, face @ error, true_feed, factor, in_plane, off_plane, entry, False)
    planes = planned_fan(face, planned, max(6.0, advance.superficial_mm - 8.0), plan.feed_mm, advance.fan_tilt_deg)
    home = crossing_pose(face, planned, bending.predict(feed).tip_mm, advance.fan_tilt_deg)
    return CrossingScene(needle, planned, tuple(planes), home, error)


def judge(bench: ScoredBench, scene: CrossingScene, rng: np.random.Generator) -> dict[str, Answer]:
    """The fan as a trial takes it, and the motion that it falls back on: guidance first, then the truth."""
    of = scene.needle
    prediction = of.bending.predict(of.feed_mm)
    bevel = of.bending.bevel[0].bevel_deg
    now, before = of.needle(), of.needle(FEED_STEP_MM)
    line = NeedleLine(prediction.tip_mm - of.feed_mm * prediction.direction, prediction.direction)

    def shown(pose: Matrix, needle: NDArray[np.float64] | None) -> NDArray[np.uint8]:
        return with_noise(bench.frame(pose @ scene.error, needle, bevel), rng)

    def look(index: int) -> Difference:
        pose = scene.planes[index]
        change = np.asarray(cv2.subtract(shown(pose, now), shown(pose, None)), dtype=np.uint8)
        return change, CORRECTED, pose

    fan, _ = tip_of_fan(scene.planes, look, line, of.feed_mm)
    motion = find_motion(shown(scene.home, before), shown(scene.home, now), CORRECTED, scene.home, prediction.tip_mm,
                         prediction.direction, FEED_STEP_MM)  # fmt: skip
    return dict(zip(METHODS, (
        answer(fan.found, confirm_fan(prediction, fan), now[-1]),
        answer(motion.found, confirm_motion(prediction, motion, scene.home), now[-1]),
    ), strict=True))  # fmt: skip


@dataclass
class CrossingScore:
    """Gathers phantom by phantom."""

    scenes_n: int = SCENES_N
    answers: Answers = field(default_factory=lambda: Answers(KINDS, METHODS))

    def add(self, bench: ScoredBench, seed: int) -> None:
        """Draw and judge the scenes of one phantom; raises ``DeviceError`` when no path to a root is found."""
        for index, kind in enumerate(KINDS):
            for scene in range(self.scenes_n):
                rng = np.random.default_rng([seed, 4, index, scene])
                self.answers.add(kind, judge(bench, draw(bench, kind, rng), rng))

    def result(self) -> dict[str, Any]:
        return {"methods": self.answers.figures()}
