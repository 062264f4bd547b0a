"""Differences between arms, whatever their sign, per level and over all levels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from analysis.bootstrap import clustered_difference
from analysis.group import PLANES, closed
from analysis.intervals import proportion_difference
from analysis.results import Contrast
from rig.record import Row


def contrasts(rows: Sequence[Row]) -> tuple[Contrast, ...]:
    """Every pair of arms that has trials: first minus second."""
    counted = closed(rows)
    levels = sorted({str(row["level"]) for row in counted})
    found: list[Contrast] = []
    for level in [*levels, *(["all"] if len(levels) > 1 else [])]:
        chosen = [row for row in counted if level in ("all", row["level"])]
        present = [plane for plane in PLANES if any(row["plane"] == plane for row in chosen)]
        for first, second in combinations(present, 2):
            found.append(_contrast(level, chosen, first, second))
    return tuple(found)


def _contrast(level: str, rows: Sequence[Row], first: str, second: str) -> Contrast:
    arms = [[row for row in rows if row["plane"] == plane] for plane in (first, second)]
    errors = [[row for row in arm if isinstance(row["tte_mm"], float)] for arm in arms]
    values = [np.array([float(str(row["tte_mm"])) for row in arm]) for arm in errors]
    clusters = [[str(row["cartridge_id"]) for row in arm] for arm in errors]
    counts = [(sum(row["success"] is True for row in arm), len(arm)) for arm in arms]
    return Contrast(
        level=level,
        first=PLANES[first],
        second=PLANES[second],
        error=clustered_difference(values[0], clusters[0], values[1], clusters[1], "mm"),
        success=proportion_difference(counts[0], counts[1]),
    )
