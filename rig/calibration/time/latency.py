"""Latency of a stream as a distribution, and its cost in millimetres at a speed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FAST_SHARE = 0.5
"""A single sample shows its own lag only while the motion is faster than this share of its 95th percentile [A]."""


@dataclass(frozen=True)
class LatencyCost:
    """Position error along the motion at one speed, mm."""

    speed_mm_s: float
    uncorrected_mm: float
    """When the lag is ignored."""
    bias_mm: float
    """Standard uncertainty that stays when the lag is corrected: speed times its standard uncertainty."""
    jitter_mm: float
    """Standard deviation from sample to sample that no constant correction removes."""
    p95_mm: float
    """95 % of single samples are nearer than this after the correction; upper bound, position noise included."""

    def as_json(self) -> dict[str, float]:
        return {
            "speed_mm_s": self.speed_mm_s,
            "uncorrected_mm": self.uncorrected_mm,
            "bias_mm": self.bias_mm,
            "jitter_mm": self.jitter_mm,
            "p95_mm": self.p95_mm,
        }


@dataclass(frozen=True)
class Latency:
    """Lag of single samples about the common one.

    ``jitter_sd_s`` is free of position noise: the part of the squared residual that grows with the squared speed.
    The samples hold the position noise too and are an upper bound.
    """

    lag_s: float
    standard_uncertainty_s: float
    jitter_sd_s: float
    jitter_upper_s: float
    """One-sided 95 % bound of ``jitter_sd_s``."""
    samples_s: Floats = field(repr=False)
    """Apparent lag of each fast sample (n,)."""

    def percentile_s(self, percent: float) -> float:
        """Percentile of the apparent lags; NaN when no sample was fast enough."""
        return float(np.percentile(self.samples_s, percent)) if len(self.samples_s) else float("nan")

    def cost(self, speed_mm_s: float) -> LatencyCost:
        """Cost of this latency at a speed (mm/s, >= 0)."""
        away = np.abs(self.samples_s - self.lag_s)
        p95 = float(np.percentile(away, 95.0)) if len(away) else float("nan")
        return LatencyCost(
            speed_mm_s,
            speed_mm_s * abs(self.lag_s),
            speed_mm_s * self.standard_uncertainty_s,
            speed_mm_s * self.jitter_sd_s,
            speed_mm_s * p95,
        )

    def reversed(self) -> Latency:
        """Latency of the pair named the other way round."""
        return replace(self, lag_s=-self.lag_s, samples_s=-self.samples_s)

    def as_json(self) -> dict[str, object]:
        return {
            "lag_s": self.lag_s,
            "jitter_sd_s": self.jitter_sd_s,
            "jitter_upper_95_s": self.jitter_upper_s,
            "apparent_s": {f"p{p}": self.percentile_s(p) for p in (5, 25, 50, 75, 95)} if len(self.samples_s) else {},
            "apparent_note": "single fast samples; position noise included",
            "samples_n": len(self.samples_s),
            "cost": [self.cost(v).as_json() for v in (1.0, 5.0, 10.0)],
        }


def latency_of(lag_s: float, uncertainty_s: float, residual: Floats, slope: Floats) -> Latency:
    """Latency from the residuals of the fit (n,) and the slope of the model against the lag (n,), unit per s."""
    square = slope**2
    jitter, upper = 0.0, float("nan")
    if np.ptp(square) > 0 and len(square) > 8:
        growth, error = _growth(square, residual**2)
        jitter = float(np.sqrt(max(growth, 0.0)))
        upper = float(np.sqrt(max(growth, 0.0) + 1.645 * error))
    fast = np.abs(slope) > FAST_SHARE * np.percentile(np.abs(slope), 95.0)
    return Latency(lag_s, uncertainty_s, jitter, upper, np.asarray(lag_s + residual[fast] / slope[fast]))


def _growth(square: Floats, power: Floats) -> tuple[float, float]:
    """Slope of the squared residual against the squared speed, and its standard error.

    A squared normal value scatters as much as it is large, so the line is weighted by its own last estimate.
    """
    design = np.column_stack([np.ones_like(square), square / square.max()])
    weight = np.ones_like(square)
    line, covariance = np.zeros(2), np.zeros((2, 2))
    for _ in range(6):
        normal = (design.T * weight) @ design
        line = np.linalg.solve(normal, (design.T * weight) @ power)
        covariance = np.linalg.inv(normal)
        model = np.maximum(design @ np.clip(line, 0.0, None), 0.05 * float(power.mean()) + 1e-300)
        weight = 1.0 / (2.0 * model**2)
    return float(line[1] / square.max()), float(np.sqrt(covariance[1, 1]) / square.max())
