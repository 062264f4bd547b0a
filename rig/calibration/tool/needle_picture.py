"""Picture of a needle-tip calibration: remaining error at every pose, by axis, and against feed and bevel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rig.calibration.tool.needle_accepted import NeedleTipResult
from rig.geometry.transforms import from_needle_pose

COLOURS = ("#1f6fb2", "#c0392b", "#2e8b57")


def draw_needle_tip(path: Path, result: NeedleTipResult, note: str = "") -> Path:
    """By pose: a bad pose. Against the feed: a bent needle. Against the bevel: play in the hub."""
    figure = Figure(figsize=(16.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3, sharey=True)
    n = np.arange(1, len(result.seen) + 1)
    held = np.array([result.held(k) for k in range(len(result.seen))])
    turn = result.calibration.CarrierToReference.matrix[:3, :3]
    local = np.array(
        [
            (turn @ from_needle_pose(one.pose)[:3, :3]).T @ error
            for one, error in zip(result.seen, result.errors_mm, strict=True)
        ]
    )
    feed = np.array([one.pose.feed_mm for one in result.seen])
    bevel = np.array([one.pose.bevel_deg for one in result.seen])
    panels = (
        (axes[0], n, result.errors_mm, "pose (hollow: held out)", "tracker"),
        (axes[1], feed, local, "feed, mm", "needle"),
        (axes[2], bevel, local, "bevel, deg", "needle"),
    )
    for ax, across, errors, label, frame in panels:
        for i, colour in enumerate(COLOURS):
            ax.plot(across[~held], errors[~held, i], "o", color=colour, label=f"{'xyz'[i]} of the {frame}")
            ax.plot(across[held], errors[held, i], "o", color=colour, fillstyle="none")
        ax.axhline(0.0, color="black", lw=0.8)
        for side in (-1.0, 1.0):
            ax.axhline(side * 2.0 * result.tip_sd_mm, color="black", ls="--", lw=0.8)
        ax.set_xlabel(label)
        ax.legend(loc="upper right", fontsize=8)
    axes[0].set_ylabel("seen minus calibrated tip, mm")
    axes[1].set_title(f"dashed: 2 u of the tracker's tip ({result.tip_sd_mm:g} mm)")
    h = result.held_out
    text = f"held-out poses {h.rms_mm:.2f} mm rms ({h.expected_mm:.2f} expected), {h.max_mm:.2f} mm max"
    figure.suptitle(f"{note}: {text}" if note else text)
    figure.savefig(path, dpi=110)
    return path
