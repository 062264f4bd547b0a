"""How well the tip of an in-plane needle is found and confirmed in simulated frames.

The needle that was really pushed in is made here, from a curvature, guide errors and probe poses that guidance does not
know; what guidance predicts follows from the command alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.scorecard.answers import SCENES_N, Answer, Answers, answer, counted
from experiments.scorecard.bench import CORRECTED, PROBE, ScoredBench, with_noise
from hal.errors import DeviceError
from hal.phantom.needles import load_needle
from hal.types import Matrix, Vector
from rig.geometry.registration import Points, apply_transform, invert_rigid, rigid_matrix
from rig.guidance.bending import Bending, bevel_in_plane, nominal_bending
from rig.guidance.confirmation import Confirmation, confirm_direct, confirm_motion, confirm_motion_sweep
from rig.guidance.needle import find_needle
from rig.guidance.needle_line import NeedleLine
from rig.guidance.needle_motion import find_motion
from rig.guidance.planning import PathRules, Plan, plan_path

KINDS = ("normal", "exit", "shift", "slip")
METHODS = ("single frame", "against reference", "motion, one plane", "motion, five planes")
OPENINGS = ("towards the probe", "away from the probe")
"""Where the bevel opens, with equal chance: a carrier places it at 0 on either side, and guidance may turn it."""
NEEDLE = "22G_quincke_120"
FEED_STEP_MM = 1.0
PRESS_MM = 3.0
PLANES_MM = (-2.0, -1.0, 0.0, 1.0, 2.0)
GUIDE_SD_DEG, GUIDE_SD_MM = 0.4, 0.3
POSE_SD_DEG, POSE_SD_MM = 0.4, 0.4


def true_needle(
    bending: Bending, pose: Matrix, feed_mm: float, factor: float, in_plane_deg: float, off_plane_deg: float,
    entry_off_mm: tuple[float, float] = (0.0, 0.0),
) -> Points:  # fmt: skip
    """The needle that was really pushed in: an arc of its own curvature, from a guide that is a little askew.

    What guidance predicts knows neither the factor nor the angles (deg) nor the offsets of the entry (mm, in the plane
    and out of it). Points in Rig, mm, tip last.
    """
    x, y = bending.line.lateral_axes()
    (segment,) = bending.bevel
    away = -(np.cos(np.radians(segment.bevel_deg)) * x + np.sin(np.radians(segment.bevel_deg)) * y)
    normal = pose[:3, 1]
    start = bending.line.direction + np.tan(np.radians(in_plane_deg)) * away
    start = start + np.tan(np.radians(off_plane_deg)) * normal
    start /= np.linalg.norm(start)
    across = away - (away @ start) * start
    across /= np.linalg.norm(across)
    kappa = 1e-3 * bending.kappa_per_m * factor
    s = np.append(np.arange(0.0, feed_mm, 1.0), feed_mm)[:, None]
    entry = bending.line.entry_mm + entry_off_mm[0] * away + entry_off_mm[1] * normal
    return np.asarray(entry + np.sin(kappa * s) / kappa * start + (1 - np.cos(kappa * s)) / kappa * across)


def insertion(plan: Plan, opens_to_probe: bool = False) -> tuple[Bending, Matrix]:
    """Bending that guidance expects on a planned path, and the pose of the view.

    The bevel turns in the image plane; the needle bends away from its opening.
    """
    line = NeedleLine(plan.entry_mm, plan.direction)
    pose = plan.ProbeToRig.copy()
    pose[2, 3] = PRESS_MM
    bend_towards = np.array([0.0, 0.0, 1.0 if opens_to_probe else -1.0])
    bevel = bevel_in_plane(line, pose[:3, 1], bend_towards)
    return nominal_bending(line, load_needle(NEEDLE), bevel_deg=bevel), pose


@dataclass(frozen=True)
class NeedleScene:
    """One needle and one view: what is believed and what is true."""

    bending: Bending
    feed_mm: float
    """Believed."""
    ProbeToRig: Matrix
    """Believed."""
    true_ProbeToRig: Matrix
    true_feed_mm: float
    factor: float
    in_plane_deg: float
    off_plane_deg: float
    entry_off_mm: tuple[float, float]
    opens_to_probe: bool
    """The bevel faces the probe and echoes; else it faces away."""

    def needle(self, back_mm: float = 0.0) -> Points:
        """The true needle, ``back_mm`` before its place; Rig, mm."""
        return true_needle(self.bending, self.ProbeToRig, self.true_feed_mm - back_mm, self.factor, self.in_plane_deg,
                           self.off_plane_deg, self.entry_off_mm)  # fmt: skip


def _random_plan(bench: ScoredBench, rng: np.random.Generator) -> Plan:
    for _ in range(50):
        level, side = str(rng.choice(["L4", "L5"])), str(rng.choice(["left", "right"]))
        lateral, tilt = rng.uniform(20.0, 42.0), rng.uniform(-5.0, 20.0)
        rules = PathRules(True, (max(20.0, lateral - 5.0), min(42.0, lateral + 5.0)), (-10.0, 30.0), lateral, tilt)
        plan = plan_path(bench.nominal.target(level, side), np.eye(4), rules, PROBE, bench.nominal.bone_distance,
                         side=1 if side == "left" else -1)  # fmt: skip
        if plan.ok:
            return plan
    raise DeviceError(f"no path to a root in 50 random ones; the last: {plan.reason}")


def draw(bench: ScoredBench, kind: str, rng: np.random.Generator) -> NeedleScene:
    """A scene of this kind; raises ``DeviceError`` when no path to a root is found."""
    plan = _random_plan(bench, rng)
    opens_to_probe = bool(rng.random() < 0.5)
    bending, pose = insertion(plan, opens_to_probe)
    feed = float(rng.uniform(0.45, 1.0)) * plan.feed_mm
    factor = float(rng.uniform(0.7, 1.3))
    in_plane, off_plane = (float(v) for v in rng.normal(0.0, GUIDE_SD_DEG, 2))
    entry = (float(rng.normal(0.0, GUIDE_SD_MM)), float(rng.normal(0.0, GUIDE_SD_MM)))
    error = rigid_matrix(np.radians(rng.normal(0.0, POSE_SD_DEG, 3)), rng.normal(0.0, POSE_SD_MM, 3))
    sign = float(rng.choice([-1.0, 1.0]))
    yaw_deg, beside_mm, slip_mm = (sign * float(rng.uniform(*span)) for span in ((3, 9), (2, 6), (2.5, 8)))
    if kind == "exit":
        off_plane += yaw_deg
    if kind == "shift":
        error = error @ rigid_matrix(np.zeros(3), np.array([0.0, beside_mm, 0.0]))
    true_feed = feed + (slip_mm if kind == "slip" else 0.0)
    return NeedleScene(bending, feed, pose, pose @ error, true_feed, factor, in_plane, off_plane, entry,
                       opens_to_probe)  # fmt: skip


def judge(bench: ScoredBench, scene: NeedleScene, rng: np.random.Generator) -> dict[str, Answer]:
    """Every method on one scene: guidance first, from frames and beliefs, then the truth."""
    prediction = scene.bending.predict(scene.feed_mm)
    bevel = scene.bending.bevel[0].bevel_deg
    now, before = scene.needle(), scene.needle(FEED_STEP_MM)

    def shown(plane: Matrix, needle: Points | None) -> NDArray[np.uint8]:
        return with_noise(bench.frame(scene.true_ProbeToRig @ plane, needle, bevel), rng)

    tip, direction = prediction.tip_mm, prediction.direction
    after = shown(np.eye(4), now)
    plain = find_needle(after, CORRECTED, scene.ProbeToRig, tip, direction)
    against = find_needle(after, CORRECTED, scene.ProbeToRig, tip, direction, reference=shown(np.eye(4), None))
    looks = []
    for offset in PLANES_MM:
        plane = rigid_matrix(np.zeros(3), np.array([0.0, offset, 0.0]))
        pose = scene.ProbeToRig @ plane
        image = after if offset == 0.0 else shown(plane, now)
        looks.append((pose, find_motion(shown(plane, before), image, CORRECTED, pose, tip, direction, FEED_STEP_MM)))
    motion = looks[PLANES_MM.index(0.0)][1]
    over_planes = confirm_motion_sweep(prediction, looks)
    true_tip = now[-1]

    def judged(found: bool, seen: Vector | None, confirmation: Confirmation) -> Answer:
        off = float("nan") if seen is None or not found else image_error_mm(scene, seen, true_tip)
        return answer(found, confirmation, true_tip, off)

    return dict(zip(METHODS, (
        judged(plain.found, plain.tip_rig_mm, confirm_direct(prediction, plain, scene.ProbeToRig)),
        judged(against.found, against.tip_rig_mm, confirm_direct(prediction, against, scene.ProbeToRig)),
        judged(motion.found, motion.tip_rig_mm, confirm_motion(prediction, motion, scene.ProbeToRig)),
        judged(any(view.found for _, view in looks), None, over_planes),
    ), strict=True))  # fmt: skip


def image_error_mm(scene: NeedleScene, seen_rig_mm: Vector, true_tip_mm: Vector) -> float:
    """Distance in the image plane, in the probe's own coordinates."""
    seen = apply_transform(invert_rigid(scene.ProbeToRig), seen_rig_mm)
    true = apply_transform(invert_rigid(scene.true_ProbeToRig), true_tip_mm)
    return float(np.hypot(seen[0] - true[0], seen[2] - true[2]))


@dataclass
class NeedleScore:
    """Gathers phantom by phantom."""

    scenes_n: int = SCENES_N
    answers: Answers = field(default_factory=lambda: Answers(KINDS, METHODS))
    by_bevel: dict[str, list[dict[str, Answer]]] = field(default_factory=lambda: {way: [] for way in OPENINGS})
    """The normal scenes again, by where the bevel opens."""

    def add(self, bench: ScoredBench, seed: int) -> None:
        """Draw and judge the scenes of one phantom; raises ``DeviceError`` when no path to a root is found."""
        for index, kind in enumerate(KINDS):
            for n in range(self.scenes_n):
                rng = np.random.default_rng([seed, 2, index, n])
                scene = draw(bench, kind, rng)
                answers = judge(bench, scene, rng)
                self.answers.add(kind, answers)
                if kind == "normal":
                    self.by_bevel[OPENINGS[0] if scene.opens_to_probe else OPENINGS[1]].append(answers)

    def result(self) -> dict[str, Any]:
        """Figures by method, each kind by itself and all together."""
        return {
            "methods": self.answers.figures(),
            "normal_by_bevel": {
                way: {method: counted([a[method] for a in answers]) for method in METHODS}
                for way, answers in self.by_bevel.items()
            },
            "normal_confirmed_by_phantom": {method: self._by_phantom(method) for method in METHODS},
        }

    def _by_phantom(self, method: str) -> list[int]:
        # The bounds take scenes as independent; the spread of these says how far they are not.
        confirmed = [a[method].confirmed for a in self.answers.of["normal"]]
        return [sum(confirmed[k : k + self.scenes_n]) for k in range(0, len(confirmed), self.scenes_n)]
