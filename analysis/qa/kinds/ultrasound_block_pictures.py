"""Figures of the report on a QA block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.figures.style import COLOUR, LIMIT, Stamp, new_figure
from analysis.qa.evaluation import Plot, Tables
from analysis.qa.outcome import Outcome
from hal.phantom.qa_block import KINDS


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Places of the wires, widths by depth, level along the face and with depth."""
    return (_wires(tables, stamp), _widths(tables, stamp), _levels(outcome.extra, stamp))


def _wires(tables: Tables, stamp: Stamp) -> Plot:
    """Shown against true places, once the best rigid motion of each picture is taken away, ten times enlarged."""
    wires = tables["wires"]
    lined = wires[(wires.found > 0.5) & wires.kind.isin([KINDS.index("column"), KINDS.index("row")])]
    drawing = new_figure(3.6, stamp)
    axes = drawing.subplots()
    for _, picture in lined.groupby("picture"):
        true, shown = picture[["true_x_mm", "true_z_mm"]].to_numpy(), picture[["x_mm", "z_mm"]].to_numpy()
        if len(true) < 4:
            continue
        a, b = true - true.mean(axis=0), shown - shown.mean(axis=0)
        u, _, v = np.linalg.svd(b.T @ a)
        turn = (u @ np.diag([1.0, np.sign(np.linalg.det(u @ v))]) @ v).T
        off = b @ turn.T - a
        axes.quiver(
            true[:, 0], true[:, 1], off[:, 0], off[:, 1], angles="xy", scale_units="xy", scale=0.1, width=0.003,
            color=COLOUR["in_plane"], alpha=0.5,
        )  # fmt: skip
    missed = wires[wires.found < 0.5]
    axes.plot(lined.true_x_mm, lined.true_z_mm, ".", color=COLOUR["out_of_plane"], markersize=3)
    axes.plot(missed.true_x_mm, missed.true_z_mm, "x", color=LIMIT, markersize=5)
    axes.set(xlabel="along the window (mm)", ylabel="below the window (mm)", aspect="equal")
    axes.invert_yaxis()
    caption = (
        "Wires as drawn (dots), and how far off each picture shows them after shift and turn are taken away (arrows, "
        "ten times enlarged). Crosses: wires that were not found."
    )
    return Plot("wires", "Wires", caption, "Map of the wires with arrows of their displacement", drawing)


def _widths(tables: Tables, stamp: Stamp) -> Plot:
    wires = tables["wires"]
    alone = wires[(wires.found > 0.5) & (wires.isolated > 0.5)]
    drawing = new_figure(2.4, stamp)
    axes = drawing.subplots()
    axes.plot(alone.range_mm, alone.lateral_mm, ".", color=COLOUR["in_plane"], markersize=3, label="lateral")
    axes.plot(alone.range_mm, alone.axial_mm, ".", color=COLOUR["out_of_plane"], markersize=3, label="axial")
    axes.set(xlabel="depth below the face (mm)", ylabel="width at -6 dB (mm)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    caption = "Width of each wire that stands alone, in each picture."
    return Plot("widths", "Axial and lateral resolution", caption, "Widths of wires over depth", drawing)


def _levels(extra: dict[str, Any], stamp: Stamp) -> Plot:
    drawing = new_figure(2.4, stamp)
    left, right = drawing.subplots(1, 2)
    across, depths = extra["across"], extra["depths"]
    if across:
        left.plot(across["at_mm"], across["level_db"], color=COLOUR["in_plane"])
    left.set(xlabel="along the face (mm)", ylabel="level of plain gel (dB)")
    right.plot(depths["at_mm"], depths["gel_db"], color=COLOUR["in_plane"], label="gel")
    if "air_db" in depths:
        right.plot(depths["air_at_mm"], depths["air_db"], color=LIMIT, linestyle="--", label="in air")
    right.set(xlabel="depth below the face (mm)", ylabel="level (dB)")
    right.legend(frameon=False)
    caption = (
        "Left: level near the face, where single elements count; a dead one is a dip. Right: level with depth, and "
        "that of a picture in air, which shows the noise below the probe's own ringing. Towards the ends of a curved "
        "face beams pass water first, which weakens them less than gel."
    )
    return Plot("levels", "Uniformity and penetration", caption, "Levels along the face and with depth", drawing)
