"""A manipulator against a reference at five poses of a cube: pose and distance accuracy after ISO 9283.

Readings are in the manipulator's base frame, or in a frame of the reference that is fitted to it: with
``fit_to_commanded`` the rigid motion that takes the barycentres nearest to the commanded positions is taken off, which
hides what a displaced or turned base would add to AP.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.figures.style import COLOUR, INK, MUTED, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.methods.pose import LEAST_FOR_INTERVAL, directions, distance, pose, rp_interval
from analysis.qa.methods.readings import Readings, checked
from analysis.qa.outcome import Figure, Outcome
from analysis.tables import DataFrame
from hal.errors import ConfigError
from rig.geometry.registration import fit_rigid
from rig.record import Field

POSES_N = 5
CYCLES_N = 30
COMMANDED, ATTAINED = ["cx_mm", "cy_mm", "cz_mm"], ["x_mm", "y_mm", "z_mm"]
FIGURES = {
    "ap_max_mm": "largest pose accuracy AP of the poses",
    "rp_max_mm": "largest pose repeatability RP of the poses",
    **{f"ap_p{n}_mm": f"pose accuracy AP at p{n}" for n in range(1, POSES_N + 1)},
    **{f"rp_p{n}_mm": f"pose repeatability RP at p{n}" for n in range(1, POSES_N + 1)},
    "vap_mm": "multi-directional variation vAP",
    "ad_mm": "distance accuracy AD",
    "rd_mm": "distance repeatability RD",
}


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """AP and RP of every pose, never averaged over poses; vAP and AD, RD where they were recorded."""
    table = tables["poses"].copy()
    try:
        twice = table[table.duplicated(["pose", "cycle", "direction"])]
        if len(twice):
            row = twice.iloc[0]
            raise ConfigError(f"pose {row.pose:g} has cycle {row.cycle:g} more than once")
        notes = _fitted(table) if parameters["fit_to_commanded"] else ()
        straight = table[table.direction == 0]
        found = {int(n): _pose(own) for n, own in straight.groupby("pose")}
        if not found:
            raise ConfigError("no cycles of the poses were recorded (direction 0)")
        figures = [figure for n, pair in found.items() for figure in _named(n, pair)]
        ap, rp = (max((pair[k] for pair in found.values()), key=lambda f: f.value or 0.0) for k in (0, 1))
        most = [
            Figure("ap_max_mm", FIGURES["ap_max_mm"], ap.value, "mm", ap.u, ap.n),
            Figure("rp_max_mm", FIGURES["rp_max_mm"], rp.value, "mm", rp.u, rp.n),
        ]
        rest = [*_directions(table), *_distance(straight)]
    except ConfigError as error:
        return Outcome((), invalid=str(error))
    cycles = {pair[0].n for pair in found.values()}
    if cycles != {CYCLES_N}:
        notes += (f"{'/'.join(map(str, sorted(cycles)))} cycles instead of {CYCLES_N}",)
    absent = [n for n in range(1, POSES_N + 1) if n not in found]
    figures += [
        Figure(f"{what}_p{n}_mm", FIGURES[f"{what}_p{n}_mm"], None, "mm", why="not recorded")
        for n in absent
        for what in ("ap", "rp")
    ]
    return Outcome((*most, *figures, *rest), notes)


def _fitted(table: DataFrame) -> tuple[str, ...]:
    """Take off the rigid motion between the frames, in place, by the barycentres of the poses."""
    means = table[table.direction == 0].groupby("pose")[COMMANDED + ATTAINED].mean()
    if len(means) < 3:
        raise ConfigError(f"{len(means)} poses: at least 3 are needed to fit the frames")
    checked(means.to_numpy(float), (-1, 6), "barycentres of the poses")
    fitted = fit_rigid(means[ATTAINED].to_numpy(float), means[COMMANDED].to_numpy(float))
    if not fitted.ok:
        raise ConfigError(f"the frames cannot be fitted: {fitted.reason}")
    ReferenceToBase = fitted.AToB
    at = table[ATTAINED].to_numpy(float) @ ReferenceToBase[:3, :3].T + ReferenceToBase[:3, 3]
    table[ATTAINED] = at
    return ("the reference's frame was fitted to the commanded poses: AP does not hold a displaced or turned base",)


def _pose(own: DataFrame) -> tuple[Figure, Figure]:
    """AP and RP of one pose."""
    at, wanted = own[ATTAINED].to_numpy(float), own[COMMANDED].to_numpy(float)
    if np.ptp(wanted, axis=0).max() > 0.0:
        raise ConfigError(f"pose {own.pose.iloc[0]:g} was commanded to different places")
    found = pose(at, wanted[0])
    u_rp = rp_interval(at)[2] if len(at) >= LEAST_FOR_INTERVAL and np.ptp(at) > 0.0 else None
    ap, rp, *_ = found.figures("p", u_rp)
    return ap, rp


def _named(n: int, pair: tuple[Figure, Figure]) -> list[Figure]:
    return [
        Figure(name, FIGURES[name], of.value, "mm", of.u, of.n)
        for name, of in zip((f"ap_p{n}_mm", f"rp_p{n}_mm"), pair, strict=True)
        if name in FIGURES
    ]


def _directions(table: DataFrame) -> list[Figure]:
    """Largest vAP of the poses that were reached from several directions (direction 1, 2, 3)."""
    turned = table[table.direction > 0]
    found = []
    for _, own in turned.groupby("pose"):
        groups = [part[ATTAINED].to_numpy(float) for _, part in own.groupby("direction")]
        if len(groups) < 2:
            continue
        u = float(np.sqrt(sum(np.sum(g.var(axis=0, ddof=1)) / (3 * len(g)) for g in groups)))
        found.append((directions([g.mean(axis=0) for g in groups]).vap_mm, u, min(len(g) for g in groups)))
    words = FIGURES["vap_mm"]
    if not found:
        return [Figure("vap_mm", words, None, "mm", why="approached from one direction only")]
    vap, u, n = max(found)
    return [Figure("vap_mm", words, vap, "mm", u, n)]


def _distance(straight: DataFrame) -> list[Figure]:
    """AD and RD between P2 and P4, cycle by cycle."""
    two, four = (straight[straight.pose == n].sort_values("cycle") for n in (2, 4))
    if len(two) < 2 or len(two) != len(four):
        why = "P2 and P4 were not both recorded in every cycle"
        return [Figure(name, FIGURES[name], None, "mm", why=why) for name in ("ad_mm", "rd_mm")]
    wanted: Readings = np.array([two[COMMANDED].to_numpy(float)[0], four[COMMANDED].to_numpy(float)[0]])
    found = distance(two[ATTAINED].to_numpy(float), four[ATTAINED].to_numpy(float), wanted)
    return list(found.figures())


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Attained positions of every pose about their barycentre, two views."""
    table = tables["poses"]
    straight = table[table.direction == 0]
    drawing = new_figure(2.8, stamp)
    panels = drawing.subplots(1, 2)
    colours = [*COLOUR.values(), "#CC79A7", "#E69F00"]
    for axes, (i, j) in zip(panels, ((0, 1), (0, 2)), strict=True):
        for colour, (n, own) in zip(colours, straight.groupby("pose"), strict=False):
            at = own[ATTAINED].to_numpy(float)
            away = at - at.mean(axis=0)
            label = f"P{n:g}" if axes is panels[0] else None
            axes.plot(away[:, i], away[:, j], "o", ms=3, color=colour, mec=INK, mew=0.3, label=label)
        axes.axhline(0.0, color=MUTED, linewidth=0.5)
        axes.axvline(0.0, color=MUTED, linewidth=0.5)
        axes.set(xlabel=f"{'xyz'[i]} about the barycentre (mm)", ylabel=f"{'xyz'[j]} (mm)")
        axes.set_aspect("equal", adjustable="datalim")
    panels[0].legend(ncols=3, loc="upper left", handletextpad=0.1, columnspacing=0.8)
    caption = "Attained positions of each pose about their barycentre, all cycles: the scatter that RP measures."
    return (Plot("scatter", "Scatter of the poses", caption, "Points about zero in two views", drawing),)


HOLDER_POSE = Evaluation(
    name="holder_pose",
    words="pose accuracy and repeatability, variation over directions, distance accuracy of a manipulator",
    tables={
        "poses": (
            Field("pose", ""), Field("cycle", ""), Field("direction", ""),
            *(Field(name, "mm") for name in (*COMMANDED, *ATTAINED)),
        )
    },
    figures={name: ("mm", words) for name, words in FIGURES.items()},
    evaluate=evaluate,
    parameters={
        "tool": ("ProbeToTracker", "tracked body on the manipulator's flange or probe"),
        "cube_mm": (50.0, "edge of the cube about the middle of the workspace"),
        "cycles": (30, "cycles of the five poses"),
        "direction_cycles": (30, "cycles per direction for vAP; 0: not tested"),
        "speed_mm_s": (20.0, "speed between the poses"),
        "dwell_s": (0.5, "rest before a reading"),
        "readings": (10, "looks of the reference at each stop"),
        "fit_to_commanded": (True, "fit the reference's frame to the commanded positions"),
    },
    least={"cube_mm": 1.0, "cycles": 1, "speed_mm_s": 0.01, "readings": 1},
    draw=draw,
)  # fmt: skip
