"""Bias-corrected and accelerated (BCa) bootstrap of a difference between arms, clustered by cartridge or by bench.

Trials in one cartridge share its pour, pose and age, so whole cartridges are drawn, with all their trials.
Efron 1987, J Am Stat Assoc 82:171; the acceleration is from the jackknife over cartridges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.intervals import LEVEL, refused
from analysis.quantity import Quantity

DRAWS = 4000
SEED = 20260101
"""Fixed, so that the same run gives the same interval."""
CLUSTERS_MIN = 4
"""With fewer cartridges the bootstrap distribution has too few distinct values for a 95 % interval."""


def _difference(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of arm 0 minus mean of arm 1 from sums and counts, shape (..., 2); NaN where an arm is empty."""
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums / counts
    found: NDArray[np.float64] = means[..., 0] - means[..., 1]
    return found


def clustered_difference(
    first: NDArray[np.float64],
    first_cluster: list[str],
    second: NDArray[np.float64],
    second_cluster: list[str],
    unit: str,
    what: str = "cartridges",
) -> Quantity:
    """Difference of means, first minus second, with its BCa interval.

    Values of shape (n,), and the cluster of each, ``what`` it is. Draws that miss an arm altogether are
    drawn again in effect: they are left out, and more than one in four of them refuses the interval.
    """
    n = len(first) + len(second)
    if len(first) == 0 or len(second) == 0:
        return refused(unit, n, "an arm has no measured trial")
    clusters = sorted({*first_cluster, *second_cluster})
    place = {name: k for k, name in enumerate(clusters)}
    sums, counts = np.zeros((len(clusters), 2)), np.zeros((len(clusters), 2))
    for arm, (values, names) in enumerate(((first, first_cluster), (second, second_cluster))):
        for value, name in zip(values, names, strict=True):
            sums[place[name], arm] += value
            counts[place[name], arm] += 1
    estimate = float(_difference(sums.sum(axis=0), counts.sum(axis=0)))
    if len(clusters) < CLUSTERS_MIN:
        return Quantity(estimate, unit, n, note=f"no interval: {len(clusters)} {what}, {CLUSTERS_MIN} needed")
    rng = np.random.default_rng(SEED)
    chosen = rng.integers(len(clusters), size=(DRAWS, len(clusters)))
    found = _difference(sums[chosen].sum(axis=1), counts[chosen].sum(axis=1))
    found = found[np.isfinite(found)]
    left_out = ~np.eye(len(clusters), dtype=bool)
    jack = _difference(left_out @ sums, left_out @ counts)
    if len(found) < 0.75 * DRAWS or not np.all(np.isfinite(jack)):
        return Quantity(estimate, unit, n, note=f"no interval: an arm rests on too few {what}")
    if np.ptp(found) == 0.0:
        return Quantity(estimate, unit, n, note=f"no interval: no spread between {what}")
    below = (np.sum(found < estimate) + 0.5 * np.sum(found == estimate)) / len(found)
    z0 = stats.norm.ppf(np.clip(below, 1 / len(found), 1 - 1 / len(found)))
    centred = jack.mean() - jack
    scale = float(np.sum(centred**2))
    a = float(np.sum(centred**3)) / (6.0 * scale**1.5) if scale > 0.0 else 0.0
    z = z0 + stats.norm.ppf([0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    lo, hi = np.quantile(found, stats.norm.cdf(z0 + z / (1.0 - a * z)))
    method = f"BCa bootstrap over {len(clusters)} {what}, {DRAWS} draws"
    return Quantity(estimate, unit, n, float(lo), float(hi), LEVEL, method)
