"""Monte Carlo as the check of the linear form: JCGM 101 for a length, JCGM 102 for a vector. Seeded: same bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.uncertainty.budget import LEVEL, LengthCheck, Part, RegionCheck, coverage, effective_dof

SEED = 20260801
LENGTH_DRAWS_N = 1_000_000
"""JCGM 101, 7.2.3."""
REGION_DRAWS_N = 200_000
"""10^4 / (1 - p), the least that JCGM 101, 7.2.2 asks for."""
REGION_TOLERANCE = 0.01
"""Share of the draws by which the ellipsoid may miss its 95 % [A]."""
Draws = NDArray[np.float64]


def draws(parts: Sequence[Part], n: int, rng: np.random.Generator) -> Draws:
    """Sum of one draw per part, (n, 3) mm; parts without a covariance add nothing."""
    total = np.zeros((n, 3))
    for part in parts:
        if part.covariance_mm2 is not None and part.variance:
            total += _standard(part, n, rng) @ _root(part.covariance_mm2).T
    return total


def _standard(part: Part, n: int, rng: np.random.Generator) -> Draws:
    """Three independent draws each, scaled to unit standard uncertainty (JCGM 101, 6.4)."""
    if part.distribution == "rectangular":
        return np.asarray(rng.uniform(-math.sqrt(3.0), math.sqrt(3.0), (n, 3)))
    if part.dof is not None:
        return np.asarray(rng.standard_t(part.dof, (n, 3)))
    return rng.standard_normal((n, 3))


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) R with R R' = covariance; its columns are the principal axes, so that a part in one direction is drawn
    in that direction alone."""
    values, axes = np.linalg.eigh(covariance)
    return np.asarray(axes * np.sqrt(np.clip(values, 0.0, None)))


def digit_tolerance(u: float) -> float:
    """Half a unit of the second significant digit of ``u`` (JCGM 101, 7.9.2 with two digits)."""
    digits = math.floor(math.log10(u)) - 1
    if round(u / 10.0**digits) >= 100:  # 0.0999 is 0.10 to two digits
        digits += 1
    return 0.5 * 10.0**digits


def check_lengths(
    parts: Sequence[Part], places: Sequence[tuple[str, float]], n: int = LENGTH_DRAWS_N, seed: int = SEED
) -> tuple[LengthCheck, ...]:
    """Measured lengths in 3-D whose ends err as the parts say, each at a true length (name, mm); none when nothing is
    known.

    The linear form takes the length as value and the error along it as its uncertainty; the error across adds to a
    short length, which only the draws show.
    """
    known = [p for p in parts if p.covariance_mm2 is not None and p.variance is not None]
    if sum(p.variance or 0.0 for p in known) <= 0.0:
        return ()
    half = coverage(effective_dof(known)) * math.sqrt(sum(p.variance or 0.0 for p in known))
    off = draws(known, n, np.random.default_rng([seed, 1]))
    aside = off[:, 0] ** 2 + off[:, 1] ** 2
    return tuple(_length(about, at_mm, np.sqrt(aside + (at_mm + off[:, 2]) ** 2), half) for about, at_mm in places)


def _length(about: str, at_mm: float, lengths: NDArray[np.float64], half_mm: float) -> LengthCheck:
    """Intervals of the sampled lengths (n,), against ``at_mm`` plus and minus ``half_mm``."""
    n = len(lengths)
    mean, u = float(lengths.mean()), float(lengths.std(ddof=1))
    lengths.sort()
    inside_n = round(LEVEL * n)
    low = (n - inside_n) // 2
    symmetric = (float(lengths[low]), float(lengths[low + inside_n - 1]))
    start = int(np.argmin(lengths[inside_n - 1 :] - lengths[: n - inside_n + 1]))
    shortest = (float(lengths[start]), float(lengths[start + inside_n - 1]))
    linear = (at_mm - half_mm, at_mm + half_mm)
    tolerance = digit_tolerance(u)
    agrees = all(abs(a - b) <= tolerance for a, b in zip(linear, symmetric, strict=True))
    return LengthCheck(about, at_mm, n, mean, u, symmetric, shortest, linear, tolerance, agrees)


def summed(parts: Sequence[Part]) -> NDArray[np.float64]:
    """Sum of the covariances of independent parts, (3, 3); those without a covariance add nothing."""
    found = [p.covariance_mm2 for p in parts if p.covariance_mm2 is not None]
    return np.asarray(sum(found, np.zeros((3, 3))), dtype=np.float64)


def region_limit(dof: float | None, level: float = LEVEL) -> float:
    """Squared radius of the region that holds ``level`` of three-component errors, in units of their covariance.

    Chi-squared for known covariances, Hotelling's T2 where they rest on ``dof`` degrees of freedom.
    """
    if dof is None:
        return float(stats.chi2.ppf(level, 3))
    nu = max(4.0, math.floor(dof))
    return float(3.0 * nu / (nu - 2.0) * stats.f.ppf(level, 3, nu - 2.0))


def check_region(
    parts: Sequence[Part], seen_mm: Draws, n: int = REGION_DRAWS_N, seed: int = SEED
) -> RegionCheck | None:
    """Check that the ellipsoid of the summed covariances holds 95 % of draws from the parts' own distributions.

    ``seen_mm`` (trials, 3): what of the error was seen when the needle stood; the lengths start from these in turn.
    """
    known = [p for p in parts if p.covariance_mm2 is not None]
    if not known or len(known) < len(parts) or not len(seen_mm):
        return None
    whole = summed(known)
    off = draws(known, n, np.random.default_rng([seed, 2]))
    square = np.einsum("ij,jk,ik->i", off, np.linalg.inv(whole), off)
    inside = float(np.mean(square <= region_limit(effective_dof(known))))
    lengths = np.linalg.norm(off + seen_mm[np.arange(n) % len(seen_mm)], axis=1)
    agrees = abs(inside - LEVEL) <= REGION_TOLERANCE
    middle, high = (float(v) for v in np.quantile(lengths, [0.5, LEVEL]))
    return RegionCheck(n, inside, REGION_TOLERANCE, agrees, middle, high)
