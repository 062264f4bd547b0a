"""Ultrasound frames of the best, median and worst trial per approach, with the tip found and the true tip."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.figures.style import Stamp, new_figure, say_empty
from analysis.results import Group
from analysis.tables import DataFrame, Series, concat, measured, words
from hal.errors import RecordError
from rig.record import FrameReader, RecordedRun

CAPTION = (
    "Frame in which guidance read the final tip, for the trials with the smallest, median and largest tip error of "
    "each approach (above each frame: distance by the reference instrument, or the outcome of a trial without one). "
    "Orange circle: tip as guidance found it. Cyan cross: true tip projected into the image plane, with its "
    "distance from that plane - simulated truth, never seen by guidance. Bar: 10 mm."
)
FOUND, TRUE = "#E69F00", "#56E8F9"


def picks(trials: DataFrame) -> list[tuple[str, Series]]:
    """Best, median and worst trial by tip error; with fewer than three, trials without a measured tip fill up."""
    own = measured(trials, "tte_mm").sort_values(["tte_mm", "trial_id"])
    others = trials[trials["tte_mm"].isna()]
    if len(own) >= 3:
        return [("best", own.iloc[0]), ("median", own.iloc[(len(own) - 1) // 2]), ("worst", own.iloc[-1])]
    names = [*("best", "worst")[: len(own)], *words(others, "outcome", "not measured").str.replace("_", " ")]
    return [(name, trial) for name, (_, trial) in zip(names, concat([own, others]).iterrows(), strict=True)][:3]


def key_frame(frames: FrameReader) -> int | None:
    """The frame labelled ``at_injection``; else the last with a tip; else the last that kept its pixels."""
    kept = [n for n in reversed(range(len(frames))) if frames.kept(n)]
    labelled = [n for n in kept if frames.heads[n].label == "at_injection"]
    with_tip = [n for n in kept if _point(frames.heads[n].detections.get("tip_px")) is not None]
    return next(iter([*labelled, *with_tip, *kept]), None)


def true_tip(truth: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """True tip at injection start in the Rig frame (mm), shape (3,), where the truth gives it and the placement."""
    moments = truth.get("moments", {})
    at_injection = moments.get("at_injection", {}) if isinstance(moments, Mapping) else {}
    tip = at_injection.get("tip_mm") if isinstance(at_injection, Mapping) else None
    if tip is None:
        named = truth.get("tip_true_mm", {})
        tip = named.get("at_injection") if isinstance(named, Mapping) else None
    placement = truth.get("PhantomToRig")
    if tip is None or placement is None:
        return None
    found: NDArray[np.float64] = (np.asarray(placement, dtype=float) @ np.r_[np.asarray(tip, dtype=float), 1.0])[:3]
    return found


def in_image(point_mm: NDArray[np.float64], ImageToRig: NDArray[np.float64]) -> tuple[float, float, float]:
    """Column and row (pixels) of a point's foot in the image plane, and its signed distance from that plane (mm)."""
    edges = ImageToRig[:3, :2]
    normal = np.cross(edges[:, 0], edges[:, 1])
    normal /= np.linalg.norm(normal)
    relative = point_mm - ImageToRig[:3, 3]
    (column, row), *_ = np.linalg.lstsq(edges, relative, rcond=None)
    return float(column), float(row), float(relative @ normal)


def draw(run: RecordedRun, trials: DataFrame, groups: Sequence[Group], stamp: Stamp) -> Figure | None:
    """One line of up to three frames per approach; None when no frame was kept."""
    lines: list[tuple[Group, list[tuple[str, Series, FrameReader, int]]]] = []
    for group in groups:
        found: list[tuple[str, Series, FrameReader, int]] = []
        for name, trial in picks(trials[trials["technique"] == group.key]):
            frames = run.trial(trial["trial_id"]).frames()
            at = key_frame(frames)
            if at is not None:
                found.append((name, trial, frames, at))
        if found:
            lines.append((group, found))
    if not lines:
        return None
    figure = new_figure(2.3 * len(lines) + 0.2, stamp)
    panels = figure.subplots(len(lines), 3, squeeze=False)
    for axes_line, (group, found) in zip(panels, lines, strict=True):
        for axes in axes_line:
            axes.set_axis_off()
        axes_line[0].text(
            -0.04, 0.5, group.label, transform=axes_line[0].transAxes, rotation=90, ha="right", va="center",
            fontsize=8.5, fontweight="bold",
        )  # fmt: skip
        for axes, (name, trial, frames, at) in zip(axes_line, found, strict=False):
            _panel(axes, frames, at, true_tip(run.truths.get(trial["trial_id"], {})))
            title = name if math.isnan(trial["tte_mm"]) else f"{name}: {trial['tte_mm']:.1f} mm"
            axes.set_title(f"{title}  ({trial['trial_id']})", fontsize=7.5, fontweight="normal")
    return figure


def _point(value: object) -> tuple[float, float] | None:
    if isinstance(value, list | tuple) and len(value) >= 2 and all(isinstance(v, int | float) for v in value[:2]):
        return float(value[0]), float(value[1])
    return None


def _panel(axes: Axes, frames: FrameReader, at: int, tip_rig_mm: NDArray[np.float64] | None) -> None:
    head = frames.heads[at]
    try:
        pixels = frames.pixels(at)
    except RecordError:
        say_empty(axes, "frame does not match its hash")
        return
    if pixels is None:
        say_empty(axes, "pixels were not kept")
        return
    rows, columns = pixels.shape
    pitch = np.linalg.norm(head.ImageToProbe[:3, :2], axis=0)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, aspect=float(pitch[1] / pitch[0]), interpolation="nearest")
    bar = 10.0 / float(pitch[0])
    axes.plot([0.04 * columns, 0.04 * columns + bar], [0.96 * rows] * 2, color="white", lw=2, solid_capstyle="butt")
    found = _point(head.detections.get("tip_px"))
    if found is not None:
        axes.plot(*found, marker="o", ms=9, mfc="none", mec=FOUND, mew=1.2)
    if tip_rig_mm is not None:
        column, row, off_mm = in_image(tip_rig_mm, head.ProbeToRig @ head.ImageToProbe)
        axes.plot(column, row, marker="+", ms=9, color=TRUE, mew=1.2)
        axes.text(0.98 * columns, 0.98 * rows, f"{off_mm:+.1f} mm", color=TRUE, fontsize=6.5, ha="right", va="bottom")
    axes.set(xlim=(0, columns), ylim=(rows, 0))
