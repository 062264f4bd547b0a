"""How well the level is counted and the roots are mapped from simulated sweeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.intervals import proportion_bound
from experiments.scorecard.bench import PRESS_MM, ScoredBench, figure, quantile
from rig.geometry.registration import Points, apply_transform, make_surface
from rig.guidance.lumbar.anatomy_fit import fit_anatomy, refine_level, start_from_shift
from rig.guidance.lumbar.level import SACRUM, LevelCount, count_levels
from rig.guidance.panorama import SweepFrame, stitch
from rig.guidance.planning import probe_pose

LINES_MM = (33.0, 20.0)
"""X of the two sweeps: transverse processes, facets."""
SWEEP_Y_MM = np.arange(-95.0, 90.0, 13.0)
ACROSS_X_MM = 25.0
ACROSS_Y_MM = (-10.0, -4.0, 2.0, 8.0, 14.0)
"""Transverse frames about each mapped root: 15 in all."""
LEVELS = ("L4", "L5", "S1")
SIDE = "left"
SHIFT_MM = (5.0, 40.0, 2.0)
"""Largest shift of the phantom: lateral, along the spine, deep."""
TURN_SD_DEG = 0.7
WRONG_MM = 12.0
"""A process further than this from the true one of its name is another one: levels lie 34 mm apart."""
MIN_CONFIDENCE = 0.4


def sweep(bench: ScoredBench) -> tuple[LevelCount, Points]:
    """Count of the levels from two longitudinal sweeps, and the bone points that they show (Rig, mm)."""
    frames = {
        x: [SweepFrame(bench.bone(p), p) for p in (probe_pose(x, y, PRESS_MM, 0, 0, 90) for y in SWEEP_Y_MM)]
        for x in LINES_MM
    }
    count = count_levels([stitch(f, x) for x, f in frames.items()], bench.map(), process_line=0)
    points = [f.surface.rig_points(f.ProbeToRig, MIN_CONFIDENCE) for line in frames.values() for f in line]
    return count, np.concatenate(points)


@dataclass(frozen=True)
class Mapped:
    """One phantom: the answer about the level and the errors of the mapped roots."""

    seed: int
    answered: bool
    reason: str
    """Why there is no level, or no registration."""
    wrong: bool
    global_mm: dict[str, float]
    """Error by level; empty without a registration."""
    local_mm: dict[str, float]
    """The same after the fit about the root; levels at which that fit was refused are left out."""


def _wrong(bench: ScoredBench, count: LevelCount) -> bool:
    for name, y_mm in count.processes_y_mm.items():
        if name == SACRUM:
            continue
        true = apply_transform(bench.PhantomToRig, bench.nominal.landmarks[f"{name}.tp_tip.{SIDE}"])
        if abs(y_mm - float(true[1])) > WRONG_MM:
            return True
    return False


def follow(bench: ScoredBench, seed: int) -> Mapped:
    """Count, register and map the roots of a phantom that lies somewhere; guidance has the nominal phantom only."""
    rng = np.random.default_rng([seed, 3])
    placed = bench.placed(rng.uniform(-1.0, 1.0, 3) * SHIFT_MM, rng.normal(0.0, TURN_SD_DEG, 3))
    count, points = sweep(placed)
    if not count.sure:
        return Mapped(seed, False, count.reason, False, {}, {})
    nominal_points, _ = placed.nominal.dorsal_bone_points(1.5)
    surface = make_surface(nominal_points[np.abs(nominal_points[:, 0]) < 60])
    start = start_from_shift(count.shift_mm)
    roots = {level: placed.nominal.target(level, SIDE).nerve_centre_mm for level in LEVELS}
    for root in roots.values():
        for dy in ACROSS_Y_MM:
            y = float(apply_transform(start, root)[1]) + dy
            pose = probe_pose(ACROSS_X_MM + count.shift_mm[0], y, PRESS_MM, 0, 0, 0)
            points = np.concatenate([points, placed.bone(pose).rig_points(pose, MIN_CONFIDENCE)])
    fit = fit_anatomy(points, surface, start)
    wrong = _wrong(placed, count)
    if not fit.ok:
        return Mapped(seed, True, fit.reason, wrong, {}, {})
    overall, local = {}, {}
    for level, root in roots.items():
        truth = apply_transform(placed.PhantomToRig, placed.built.target(level, SIDE).nerve_centre_mm)
        overall[level] = float(np.linalg.norm(apply_transform(fit.PhantomToRig, root) - truth))
        near = refine_level(points, surface, fit, root)
        if near.ok:
            local[level] = float(np.linalg.norm(apply_transform(near.PhantomToRig, root) - truth))
    return Mapped(seed, True, "", wrong, overall, local)


@dataclass
class LevelScore:
    """Gathers phantom by phantom."""

    mapped: list[Mapped] = field(default_factory=list)

    def add(self, bench: ScoredBench, seed: int) -> None:
        """Follow one phantom."""
        self.mapped.append(follow(bench, seed))

    def result(self) -> dict[str, Any]:
        """All figures."""
        answered_n = sum(m.answered for m in self.mapped)
        wrong_n = sum(m.wrong for m in self.mapped)
        bound = proportion_bound(wrong_n, answered_n, lower=False).value
        return {
            "phantoms_n": len(self.mapped),
            "answered_n": answered_n,
            "wrong_n": wrong_n,
            "wrong_share_upper_95": None if bound is None else figure(bound, 4),
            "registered_n": sum(bool(m.global_mm) for m in self.mapped),
            "not_answered": [{"seed": m.seed, "reason": m.reason} for m in self.mapped if m.reason],
            "roots": {level: {"global": _row([m.global_mm for m in self.mapped], level),
                              "local": _row([m.local_mm for m in self.mapped], level)} for level in LEVELS},
        }  # fmt: skip


def _row(errors: list[dict[str, float]], level: str) -> dict[str, Any]:
    values = [e[level] for e in errors if level in e]
    return {"n": len(values), "median_mm": quantile(values, 0.5), "p95_mm": quantile(values, 0.95)}
