"""Differences between arms, whatever their sign, per level and over all levels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from analysis.bootstrap import clustered_difference
from analysis.group import PLANES, benches, closed
from analysis.intervals import proportion_difference
from analysis.results import Contrast, Quantity
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
    if len(set(benches(rows))) > 1:
        return Contrast(level, PLANES[first], PLANES[second], _over_benches(errors, "tte_mm", "mm"),
                        _over_benches(arms, "success", ""))  # fmt: skip
    clusters = [[str(row["cartridge_id"]) for row in arm] for arm in errors]
    counts = [(sum(row["success"] is True for row in arm), len(arm)) for arm in arms]
    return Contrast(
        level=level,
        first=PLANES[first],
        second=PLANES[second],
        error=clustered_difference(values[0], clusters[0], values[1], clusters[1], "mm"),
        success=proportion_difference(counts[0], counts[1]),
    )


def _over_benches(arms: Sequence[Sequence[Row]], name: str, unit: str) -> Quantity:
    """Difference of means (of shares, where the column is yes or no) with whole benches drawn again."""
    values = [np.array([float(row[name] is True) if unit == "" else float(str(row[name])) for row in a]) for a in arms]
    return clustered_difference(values[0], benches(arms[0]), values[1], benches(arms[1]), unit, what="benches")
