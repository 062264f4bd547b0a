"""Differences between arms, whatever their sign, per level and over all levels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from analysis.bootstrap import clustered_difference
from analysis.group import PLANES, benches, closed, column, holds_true
from analysis.intervals import proportion_difference
from analysis.quantity import Quantity
from analysis.results import Contrast
from analysis.tables import DataFrame, measured, words


def contrasts(trials: DataFrame) -> tuple[Contrast, ...]:
    """Every pair of arms that has trials: first minus second."""
    counted = closed(trials)
    levels = sorted(words(counted, "level").unique())
    found: list[Contrast] = []
    for level in [*levels, *(["all"] if len(levels) > 1 else [])]:
        chosen = counted if level == "all" else counted[words(counted, "level") == level]
        present = [plane for plane in PLANES if (chosen["plane"] == plane).any()]
        for first, second in combinations(present, 2):
            found.append(_contrast(level, chosen, first, second))
    return tuple(found)


def _contrast(level: str, trials: DataFrame, first: str, second: str) -> Contrast:
    arms = [trials[trials["plane"] == plane] for plane in (first, second)]
    errors = [measured(arm, "tte_mm") for arm in arms]
    values = [column(arm, "tte_mm") for arm in errors]
    hits = [holds_true(arm, "success") for arm in arms]
    if len(set(benches(trials))) > 1:
        of = [benches(arm) for arm in errors]
        error = clustered_difference(values[0], of[0], values[1], of[1], "mm", what="benches")
        return Contrast(level, PLANES[first], PLANES[second], error, _success_over_benches(arms, hits))
    clusters = [list(words(arm, "cartridge_id")) for arm in errors]
    counts = [(int(hit.sum()), len(hit)) for hit in hits]
    return Contrast(
        level=level,
        first=PLANES[first],
        second=PLANES[second],
        error=clustered_difference(values[0], clusters[0], values[1], clusters[1], "mm"),
        success=proportion_difference(counts[0], counts[1]),
    )


def _success_over_benches(arms: Sequence[DataFrame], hits: Sequence[NDArray[np.bool_]]) -> Quantity:
    """Difference of shares, with whole benches resampled."""
    shares, of = [hit.astype(np.float64) for hit in hits], [benches(arm) for arm in arms]
    return clustered_difference(shares[0], of[0], shares[1], of[1], "", what="benches")
