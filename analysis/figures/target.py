"""Target plot: positions of the tips in the plane across the depth axis, relative to the aim point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from analysis.acceptance import AcceptedRegion, spheres
from analysis.figures.style import INK, LIMIT, MARKER, MUTED, Stamp, colour_of, name_levels, new_figure, say_empty
from analysis.group import PLANES, closed, outward
from analysis.results import Group
from analysis.tables import DataFrame, words

IMAGE_AXES = ("err_inplane_mm", "err_elevational_mm")
BODY_AXES = ("err_x_mm", "err_y_mm")
CAPTION = (
    "Tip position by the reference instrument relative to the aim point (centre), one panel per arm. With "
    "ultrasound the axes are those of the image; without it (landmark) those of the phantom. Right sides are "
    "mirrored: + is away from the midline on either side, and cranial. Filled marker: left side, open: right. Cross: "
    "mean with its 95 % interval per axis. Dashed circles: radius in mm, from the technique files; red: acceptance "
    "radius, grey: the strict one. A technique that is judged by a channel (S1) has no circle. Scales differ between "
    "panels."
)


def draw(trials: DataFrame, arms: Sequence[Group], accepted: Mapping[str, AcceptedRegion], stamp: Stamp) -> Figure:
    """One panel per arm; ``accepted`` by technique."""
    figure = new_figure(2.6, stamp)
    panels = figure.subplots(1, max(1, len(arms)), squeeze=False)[0]
    for axes, arm in zip(panels, arms, strict=False):
        own = closed(trials[trials["plane"] == arm.plane])
        _panel(axes, own, arm.plane, spheres(accepted, own["technique"]))
    name_levels(figure)
    return figure


def points(trials: DataFrame, names: tuple[str, str]) -> tuple[NDArray[np.float64], DataFrame]:
    """Positions of shape (n, 2) on two axes whose signs mean the same on either side, and their trials."""
    found = trials.dropna(subset=list(names))
    return np.stack([outward(found, name) for name in names], axis=1), found


def _panel(axes: Axes, trials: DataFrame, plane: str, accepted: Sequence[AcceptedRegion]) -> None:
    names = IMAGE_AXES
    tips, found = points(trials, names)
    if not len(tips):
        names = BODY_AXES
        tips, found = points(trials, names)
    title = f"{PLANES.get(plane, plane)}, n = {len(tips)} of {len(trials)}"
    axes.set_title(title, loc="left")
    if not len(tips):
        say_empty(axes, "no tip position measured")
        return
    circles = {a.strict_mm: MUTED for a in accepted} | {a.radius_mm: LIMIT for a in accepted}
    reach = max([1.25 * radius for radius in circles] + [float(np.abs(tips).max()) * 1.15, 1.0])
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    for radius, colour in circles.items():
        axes.add_patch(Circle((0, 0), radius, fill=False, ls="--", lw=0.9, ec=colour))
        axes.annotate(
            f"{radius:g}", (radius * 0.7071, -radius * 0.7071), fontsize=6.5, color=colour, xytext=(1, -7),
            textcoords="offset points",
        )  # fmt: skip
    axes.axhline(0, lw=0.5, color=MUTED, zorder=0)
    axes.axvline(0, lw=0.5, color=MUTED, zorder=0)
    colour = colour_of(plane)
    for (x, y), side, level in zip(tips, words(found, "side"), words(found, "level"), strict=True):
        face = colour if side == "left" else "white"
        axes.plot(x, y, marker=MARKER.get(level, "D"), ms=4.5, mfc=face, mec=colour, mew=1.0, ls="", alpha=0.9)
    _cross(axes, tips)
    meaning = {
        "err_inplane_mm": "in-plane, + = lateral (mm)",
        "err_elevational_mm": "elevational, + = cranial (mm)",
        "err_x_mm": "across, + = lateral (mm)",
        "err_y_mm": "along, + = cranial (mm)",
    }
    axes.set(xlabel=meaning[names[0]], ylabel=meaning[names[1]])


def _cross(axes: Axes, points: NDArray[np.float64]) -> None:
    from analysis.intervals import mean

    x, y = mean(points[:, 0], "mm"), mean(points[:, 1], "mm")
    if x.value is None or y.value is None:
        return
    if x.lo is not None and x.hi is not None and y.lo is not None and y.hi is not None:
        axes.plot([x.lo, x.hi], [y.value, y.value], color=INK, lw=1.4)
        axes.plot([x.value, x.value], [y.lo, y.hi], color=INK, lw=1.4)
    axes.plot(x.value, y.value, marker="+", ms=8, color=INK, mew=1.6)
