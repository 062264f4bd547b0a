"""Published freehand figures. They are shown beside freehand arms only, never beside a robot's, and never pooled."""

from __future__ import annotations

from analysis.results import Literature
from analysis.tables import DataFrame

_SOURCE = "35 anaesthetists, porcine phantom, mixed 18/22 G needles, conventional guidance (PMC5318157)"
FREEHAND = (
    Literature("in_plane", "freehand in-plane, tip to target", 2.6, 2.8, _SOURCE),
    Literature("out_of_plane", "freehand out-of-plane, tip to target", 4.4, 4.3, _SOURCE),
)


def beside(trials: DataFrame) -> tuple[Literature, ...]:
    """Published figures for the planes in which a person placed the needle freehand."""
    planes = set(trials.loc[trials["guidance"] == "freehand", "plane"])
    return tuple(figure for figure in FREEHAND if figure.plane in planes)
