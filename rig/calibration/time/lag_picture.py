"""Picture of a lag: the two signals on each other, the match over all lags, the lag of single samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rig.calibration.figures import BAD, GOOD, GREY, panels, save
from rig.calibration.time.lag import TemporalCalibration


def draw_temporal(path: Path, result: TemporalCalibration, note: str = "") -> Path:
    """Plot the two signals on each other, the match over all lags, and the lag of single samples; ``note`` on top."""
    figure, axes = panels(3, 16.0)
    axes[0].plot(
        result.times_s, result.fitted, "-", color=GREY, lw=2, label=f"{_short(result.second)}, shifted and scaled"
    )
    axes[0].plot(result.times_s, result.observed, ".", color=GOOD, label=_short(result.first))
    axes[0].set_xlabel("time, s")
    axes[0].set_ylabel(f"position, {result.unit}")
    axes[0].set_xlim(result.times_s[0], result.times_s[0] + min(10.0, float(np.ptp(result.times_s))))
    axes[0].legend(loc="upper right", fontsize=8)
    axes[0].margins(y=0.25)
    axes[0].set_title(f"residual {result.residual_rms:.3g} {result.unit} rms")
    axes[1].plot(1e3 * result.lags_s, result.correlations, color=GOOD)
    axes[1].axvspan(1e3 * result.interval_s[0], 1e3 * result.interval_s[1], color=BAD, alpha=0.25)
    axes[1].axvline(
        1e3 * result.lag_s,
        color=BAD,
        label=f"{1e3 * result.lag_s:+.1f} ms (95 %: {1e3 * result.interval_s[0]:+.1f} "
        f"to {1e3 * result.interval_s[1]:+.1f})",
    )
    if result.rival_lag_s is not None:
        axes[1].axvline(
            1e3 * result.rival_lag_s,
            color=GREY,
            ls=":",
            label=f"next best {1e3 * result.rival_lag_s:+.0f} ms, {result.rival_t:.1f} standard errors worse",
        )
    axes[1].set_xlabel("lag, ms")
    axes[1].set_ylabel("correlation (negative: axes run against each other)")
    axes[1].legend(loc="lower left", fontsize=8)
    samples = 1e3 * result.latency.samples_s
    if len(samples):
        low, high = np.percentile(samples, [0.5, 99.5])
        axes[2].hist(np.clip(samples, low, high), bins=30, color=GOOD)
    axes[2].axvline(1e3 * result.lag_s, color=BAD)
    cost = result.latency.cost(10.0)
    axes[2].set_title(f"at 10 mm/s: {cost.uncorrected_mm:.2f} mm uncorrected; jitter {cost.jitter_mm:.2f} mm")
    axes[2].set_xlabel("apparent lag of single fast samples, ms")
    late = f"{_short(result.late_stream)} is late by {1e3 * abs(result.lag_s):.1f} ms"
    figure.suptitle(f"{note}: {late}" if note else late)
    return save(figure, path)


def _short(name: str) -> str:
    return name if len(name) < 40 else "..." + name[-36:]
