"""Picture of a qualified reference instrument: its error against the needle's deflection and against depth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rig.calibration.instrument.decide import Decision
from rig.calibration.instrument.qualification import InstrumentQualification

COLOURS = ("#1f6fb2", "#c0392b", "#2e8b57")
GREY = "#7f8c8d"


def draw_instrument(
    path: Path, result: InstrumentQualification, decisions: Mapping[str, Decision], note: str = ""
) -> Path:
    """Slope 0: it sees the bend; slope -1: it misses all of it. Against depth: what a target's depth does to it."""
    figure = Figure(figsize=(17.0, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    bend, depth, verdict = figure.subplots(1, 3)
    size = np.linalg.norm(result.deflections_mm, axis=1)
    bent = size >= 0.2
    if bent.any():
        unit = result.deflections_mm[bent] / size[bent, None]
        along = np.einsum("ij,ij->i", result.errors_mm[bent] - result.bias_mm, unit)
        bend.plot(size[bent], along, "o", color=COLOURS[0], label="bent needle")
        reach = np.array([0.0, 1.05 * float(size.max())])
        bend.plot(reach, -reach, ":", color=GREY, label="misses all of it")
        bend.plot(reach, 0.0 * reach, "--", color=GREY, label="sees all of it")
        if np.isfinite(result.bending_slope):
            low, high = result.bending_interval
            bend.plot(reach, result.bending_slope * reach, "-", color=COLOURS[1])
            bend.fill_between(reach, low * reach, high * reach, color=COLOURS[1], alpha=0.2)
        bend.legend(loc="lower left", fontsize=8)
    sees = {True: "sees bending", False: "does not see bending", None: "sight of bending not shown"}[
        result.sees_bending
    ]
    bend.set_title(sees)
    bend.set_xlabel("deflection of the needle's tip, mm")
    bend.set_ylabel("error along the deflection, bias removed, mm")
    for i, colour in enumerate(COLOURS):
        depth.plot(result.depths_mm[~bent], result.errors_mm[~bent, i], "o", color=colour, label=f"{'xyz'[i]}")
        depth.axhline(result.bias_mm[i], color=colour, lw=0.8)
    depth.legend(loc="best", fontsize=8)
    depth.set_title(f"straight needle; lines: bias (p = {result.bias_p_value:.2g})")
    depth.set_xlabel("depth below the skin, mm")
    depth.set_ylabel("read minus known tip, mm")
    names = list(result.parts_mm)
    values = [result.parts_mm[name] for name in names]
    labels = [name.replace(" of ", "\nof ").replace(", ", ",\n") for name in names]
    verdict.barh(
        [*labels, "together"], [*values, result.standard_uncertainty_mm], color=[GREY] * len(names) + ["black"]
    )
    for name, decision in decisions.items():
        colour = COLOURS[2] if decision.can_decide else COLOURS[1]
        word = "decides" if decision.can_decide else "cannot decide"
        verdict.axvline(
            decision.largest_uncertainty, color=colour, ls="--", label=f"{word} {name} <= {decision.limit:g} mm"
        )
    if decisions:
        verdict.legend(loc="best", fontsize=8)
    verdict.invert_yaxis()
    verdict.set_xlabel("standard uncertainty per axis, mm")
    verdict.set_title("dashed: largest that decides")
    title = f"{result.name}: {result.straight_n} straight and {result.bent_n} bent readings"
    figure.suptitle(f"{note}: {title}" if note else title)
    figure.savefig(path, dpi=110)
    return path
