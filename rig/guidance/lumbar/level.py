"""Identity of each vertebra: counted from the sacrum in longitudinal profiles, twice, and accepted only if both agree.

Count A (topology): bone runs of a profile lateral of the facets. The most caudal long run is the sacrum; the short runs
cranial of it are transverse processes, named in the order in which the nominal phantom has them. Nothing of their
position in the room is used, so a phantom that lies one level off is still counted right.
Count B (shape): all profiles together against the nominal height map, over shifts of more than one level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from rig.guidance.lumbar.dorsal_map import DorsalMap
from rig.guidance.panorama import Profile


@dataclass(frozen=True)
class Run:
    """Uninterrupted bone in a profile."""

    low_mm: float
    high_mm: float
    depth_mm: float
    closed_low: bool
    """False when the profile ends here: the run may be longer."""
    closed_high: bool
    structure: str = ""
    """Only for runs of the nominal map."""

    @property
    def centre_mm(self) -> float:
        return 0.5 * (self.low_mm + self.high_mm)

    @property
    def length_mm(self) -> float:
        return self.high_mm - self.low_mm


@dataclass(frozen=True)
class LevelSettings:
    """Numbers of the counts.

    Unless a source stands beside it, a number was tuned on simulated frames of the seeds 100-112 [A].
    """

    bridge_mm: float = 3.0
    """Gaps up to this are closed."""
    min_run_mm: float = 4.0
    max_depth_step_mm: float = 9.0
    """A step in depth larger than this ends a run."""
    dorsal_band_mm: float = 17.0
    """Bone deeper than the shallowest bone within ``dorsal_reach_mm`` by more than this is the front of the spine."""
    dorsal_reach_mm: float = 26.0
    sacrum_min_mm: float = 26.0
    sacrum_join_mm: float = 6.0
    """Bone this near to the sacral line belongs to it; the gap to a free process is 15 mm and more."""
    sacrum_ratio: float = 0.65
    """A second run longer than this share of the sacral one makes it unclear which is the sacrum."""
    shift_range_mm: float = 70.0
    lateral_range_mm: float = 8.0
    max_depth_error_mm: float = 4.0
    agree_mm: float = 9.0
    min_separation_mm: float = 15.0
    min_contrast: float = 1.25
    """Cost of the best fit elsewhere (a level away) over the best."""
    max_cost: float = 0.45


@dataclass(frozen=True)
class LevelCount:
    """Answer. All positions in the Rig frame."""

    sure: bool
    reason: str
    processes_y_mm: dict[str, float]
    """Y of each transverse process or sacrum run, by the nominal structure name."""
    gaps_y_mm: dict[str, float]
    """Y of the gaps between them by disc: "L5-S1", "L4-L5", ..."""
    shift_mm: tuple[float, float, float]
    """Phantom -> Rig translation that the shape fit found, start of a registration."""
    count_a_shift_mm: float
    count_b_shift_mm: float
    fit_cost: float
    fit_contrast: float
    runs: tuple[Run, ...] = field(repr=False, default=())


def local_shallow(depth: NDArray[np.float64], reach_bins: float) -> NDArray[np.float64]:
    """Running minimum of the depth over +- ``reach_bins`` bins; infinite where no bone is near."""
    return np.asarray(
        minimum_filter1d(np.where(np.isfinite(depth), depth, np.inf), 2 * int(reach_bins) + 1, mode="nearest")
    )


def bone_runs(profile_y: NDArray[np.float64], depth: NDArray[np.float64], looked: NDArray[np.bool_],
              cfg: LevelSettings) -> list[Run]:  # fmt: skip
    """Runs of dorsal bone, caudal to cranial."""
    bone = np.isfinite(depth)
    if bone.sum() < 4:
        return []
    step = float(profile_y[1] - profile_y[0])
    bone = bone & (depth <= local_shallow(depth, cfg.dorsal_reach_mm / step) + cfg.dorsal_band_mm)
    index = np.flatnonzero(bone)
    runs: list[Run] = []
    start = 0
    for k in range(1, len(index) + 1):
        last = k == len(index)
        far = not last and (index[k] - index[k - 1]) * step > cfg.bridge_mm + step
        jump = not last and abs(depth[index[k]] - depth[index[k - 1]]) > cfg.max_depth_step_mm
        if not (last or far or jump):
            continue
        a, b = index[start], index[k - 1]
        start = k
        low, high = float(profile_y[a] - step / 2), float(profile_y[b] + step / 2)
        if high - low < cfg.min_run_mm:
            continue
        before = looked[max(0, a - 4) : a]
        after = looked[b + 1 : b + 5]
        runs.append(
            Run(low, high, float(np.median(depth[a : b + 1][bone[a : b + 1]])), bool(before.any()), bool(after.any()))
        )
    return runs


def _nominal_runs(nominal: DorsalMap, x_mm: float, cfg: LevelSettings) -> list[Run]:
    ny = nominal.depth_mm.shape[1]
    y = np.asarray(nominal.y0_mm + np.arange(ny) * nominal.step_mm, dtype=np.float64)
    x = np.full(ny, x_mm)
    depth = nominal.at(x, y)
    names = nominal.names(x, y)
    named = []
    for run in bone_runs(y, depth, np.ones(ny, dtype=bool), cfg):
        inside = (y >= run.low_mm) & (y <= run.high_mm) & np.isfinite(depth)
        values, counts = np.unique(names[inside], return_counts=True)
        name = str(values[np.argmax(counts)]) if len(values) else ""
        named.append(Run(run.low_mm, run.high_mm, run.depth_mm, True, True, name))
    return named


SACRUM = "sacrum"


def bone_of(structure: str) -> str:
    """Bone of a structure name of the nominal phantom: "L4.lamina" -> "L4"."""
    return structure.split(".")[0]


def disc_name(above: str, below: str) -> str:
    """Name of the gap between two bones: "L4-L5"; above the sacrum "L5-S1" (or "S1-S2" when S1 is free)."""
    if below != SACRUM:
        return f"{above}-{below}"
    return f"{above}-{'S2' if above == 'S1' else 'S1'}"


def _join_sacrum(runs: list[Run], sacrum: int, reach_mm: float) -> list[Run]:
    """Runs from the sacral one on, with pieces that touch it (a step in its surface, a foramen) taken into it."""
    whole, rest = runs[sacrum], runs[sacrum + 1 :]
    while rest and rest[0].low_mm - whole.high_mm <= reach_mm:
        whole = Run(
            whole.low_mm, rest[0].high_mm, whole.depth_mm, whole.closed_low, rest[0].closed_high, whole.structure
        )
        rest = rest[1:]
    return [whole, *rest]


@dataclass(frozen=True)
class _CountA:
    ok: bool
    reason: str
    named: tuple[Run, ...] = ()
    shift_mm: float = float("nan")


def _count_a(profile: Profile, nominal: DorsalMap, x_nominal_mm: float, cfg: LevelSettings) -> _CountA:
    runs = bone_runs(profile.y_mm, profile.depth_mm, profile.looked, cfg)
    model = _nominal_runs(nominal, x_nominal_mm, cfg)
    model_sacrum = [i for i, r in enumerate(model) if bone_of(r.structure) == SACRUM]
    if not model_sacrum:
        return _CountA(False, "the nominal phantom has no sacrum at this X")
    model = _join_sacrum(model, model_sacrum[-1], cfg.sacrum_join_mm)
    long = [i for i, r in enumerate(runs) if r.length_mm >= cfg.sacrum_min_mm]
    if not long:
        return _CountA(False, "no long sacral line in the sweep")
    s, *above = _join_sacrum(runs, long[0], cfg.sacrum_join_mm)
    if len(above) < 2:
        return _CountA(False, f"only {len(above)} bone humps cranial of the sacral line, 2 needed")
    if any(r.length_mm >= max(cfg.sacrum_min_mm, cfg.sacrum_ratio * s.length_mm) for r in above):
        return _CountA(False, "a second long bone line cranial of the first: which one is the sacrum is not clear")
    lumbar = model[1:]
    named = [Run(r.low_mm, r.high_mm, r.depth_mm, r.closed_low, r.closed_high, m.structure)
             for r, m in zip(above, lumbar, strict=False)]  # fmt: skip
    if len(named) < 2:
        return _CountA(False, "the nominal phantom has fewer processes than were seen")
    offsets = np.array([r.centre_mm - m.centre_mm for r, m in zip(named, lumbar, strict=False)])
    if np.ptp(offsets[:3]) > 12.0:
        return _CountA(False, f"the spacing of the humps differs from the phantom's by {np.ptp(offsets[:3]):.0f} mm")
    top = model[0]
    named.insert(0, Run(s.low_mm, s.high_mm, s.depth_mm, s.closed_low, s.closed_high, top.structure))
    # The gap above the sacrum distinguishes a process fused to the sacrum from a free one.
    gap_seen, gap_model = named[1].low_mm - s.high_mm, lumbar[0].low_mm - top.high_mm
    if abs(gap_seen - gap_model) > 9.0:
        return _CountA(False, f"the gap above the sacrum is {gap_seen:.0f} mm, the phantom's {gap_model:.0f} mm")
    return _CountA(True, "", tuple(named), float(np.mean(offsets[:3])))


def _shape_costs(
    profiles: Sequence[Profile], nominal: DorsalMap, cfg: LevelSettings, x_start_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Cost (ny, nx) of shifts Phantom -> Rig, the shifts, and the depth shift that goes with each."""
    dys = np.arange(-cfg.shift_range_mm, cfg.shift_range_mm + 1e-9, 1.0)
    dxs = x_start_mm + np.arange(-cfg.lateral_range_mm, cfg.lateral_range_mm + 1e-9, 2.0)
    y = np.concatenate([p.y_mm[p.looked] for p in profiles])
    z = np.concatenate([p.depth_mm[p.looked] for p in profiles])
    x = np.concatenate([np.full(int(p.looked.sum()), p.x_mm) for p in profiles])
    cost = np.full((len(dys), len(dxs)), np.inf)
    depth_shift = np.zeros((len(dys), len(dxs)))
    seen = np.isfinite(z)
    for j, dx in enumerate(dxs):
        model = nominal.at(x[None, :] - dx, y[None, :] - dys[:, None])
        known = np.isfinite(model)
        both = known & seen[None, :]
        with np.errstate(invalid="ignore"):
            difference = np.where(both, z[None, :] - model, np.nan)
        enough = both.sum(axis=1) >= 0.4 * max(int(seen.sum()), 1)
        if not enough.any():
            continue
        shift = np.full(len(dys), np.nan)
        shift[enough] = np.nanmedian(difference[enough], axis=1)
        error = np.where(both, np.abs(difference - shift[:, None]) / cfg.max_depth_error_mm, 0.0)
        # Deep model bone between processes is often not seen: no vote.
        deep = (
            known & ~seen[None, :] & (model > np.nanquantile(np.where(known, model, np.nan), 0.25) + cfg.dorsal_band_mm)
        )
        wrong = known != seen[None, :]
        vote = np.where(deep, 0.0, 1.0)
        error = np.where(wrong, 0.8, np.minimum(error, 1.0)) * vote
        total = error.sum(axis=1) / np.maximum(vote.sum(axis=1), 1.0)
        cost[enough, j] = total[enough]
        depth_shift[:, j] = shift
    return cost, dys, dxs, depth_shift


def count_levels(
    profiles: Sequence[Profile], nominal: DorsalMap, *, process_line: int, x_start_mm: float = 0.0,
    settings: LevelSettings | None = None,
) -> LevelCount:  # fmt: skip
    """Count from profiles of one side. ``profiles[process_line]`` runs over the transverse processes (|X| about 34);
    the others where the facets and laminae are (|X| about 15-22). ``x_start_mm`` is the expected X shift of the
    phantom.
    """
    cfg = settings or LevelSettings()
    nan = float("nan")

    def unsure(reason: str, a: float = nan, b: float = nan, cost: float = nan, contrast: float = nan,
               runs: tuple[Run, ...] = ()) -> LevelCount:  # fmt: skip
        return LevelCount(False, reason, {}, {}, (nan, nan, nan), a, b, cost, contrast, runs)

    if not profiles or all(not p.bone.any() for p in profiles):
        return unsure("no bone in the sweep")
    cost, dys, dxs, depth_shift = _shape_costs(profiles, nominal, cfg, x_start_mm)
    if not np.isfinite(cost).any():
        return unsure("no shift of the nominal phantom explains the bone that was seen")
    per_dy = cost.min(axis=1)
    i = int(np.argmin(per_dy))
    j = int(np.argmin(cost[i]))
    away = np.abs(dys - dys[i]) >= cfg.min_separation_mm
    contrast = float(np.min(per_dy[away]) / max(per_dy[i], 0.03)) if away.any() else nan
    best_cost, b_shift = float(per_dy[i]), float(dys[i])
    a = _count_a(profiles[process_line], nominal, profiles[process_line].x_mm - float(dxs[j]), cfg)
    if not a.ok:
        return unsure(f"count from the sacrum failed: {a.reason}", nan, b_shift, best_cost, contrast, a.named)
    if best_cost > cfg.max_cost:
        return unsure(f"the profile fits the phantom nowhere (cost {best_cost:.2f})", a.shift_mm, b_shift, best_cost,
                      contrast, a.named)  # fmt: skip
    if contrast < cfg.min_contrast:
        return unsure(f"the profile fits a level further on almost as well (ratio {contrast:.2f})", a.shift_mm, b_shift,
                      best_cost, contrast, a.named)  # fmt: skip
    if abs(a.shift_mm - b_shift) > cfg.agree_mm:
        return unsure(f"the two counts differ by {abs(a.shift_mm - b_shift):.0f} mm: {a.shift_mm:.0f} from the sacrum, "
                      f"{b_shift:.0f} by shape", a.shift_mm, b_shift, best_cost, contrast, a.named)  # fmt: skip
    processes = {bone_of(r.structure): r.centre_mm for r in a.named[1:]}
    gaps = {}
    for below, above in zip(a.named, a.named[1:], strict=False):
        gaps[disc_name(bone_of(above.structure), bone_of(below.structure))] = 0.5 * (below.high_mm + above.low_mm)
    processes[SACRUM] = a.named[0].high_mm
    shift = (float(dxs[j]), b_shift, float(depth_shift[i, j]))
    return LevelCount(True, "", processes, gaps, shift, a.shift_mm, b_shift, best_cost, contrast, a.named)
