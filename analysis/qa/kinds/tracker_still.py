"""A tracker that looks at something that does not move: jitter, drift, gaps.

Source: practice of tracker assessments (jitter as RMS distance from the mean, drift over an hour); no standard sets a
limit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.figures.style import COLOUR, MUTED, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.outcome import Figure, Outcome, share_of
from analysis.tables import DataFrame
from rig.record import Field

LEAST_N = 50
AXES = ("x_mm", "y_mm", "z_mm")


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """Jitter about the mean, drift of the position over the record, share of looks without the tool."""
    looks = tables["poses"]
    seen = _seen(looks)
    if len(seen) < LEAST_N:
        return Outcome((), invalid=f"the tool was seen {len(seen)} times, at least {LEAST_N} are needed")
    at, time_s = seen[list(AXES)].to_numpy(float), seen.time_s.to_numpy(float)
    repeated = int(np.sum(np.all(at[1:] == at[:-1], axis=1)))
    if repeated > len(at) // 2:
        return Outcome((), invalid=f"{repeated} of {len(at)} poses repeat the one before to the last digit: frozen")
    steps = np.diff(time_s)
    if np.any(steps < 0.0) or not np.any(steps > 0.0):
        return Outcome((), invalid="the times of the looks do not rise")
    slope, intercept, u_slope = _line(time_s, at)
    residual = at - (intercept + slope * (time_s - time_s.mean())[:, None])
    n = len(at)
    jitter = float(np.sqrt(np.sum(residual**2) / (n - 2)))
    span_s = float(time_s[-1] - time_s[0])
    drift = float(np.linalg.norm(slope) * span_s)
    # The length of a noisy vector is never negative: what pure noise would give is subtracted in quadrature.
    u_drift = float(np.sqrt(np.sum(u_slope**2)) * span_s)
    period = float(np.median(steps[steps > 0.0]))
    ends = [float(looks.time_s.iloc[0]), *time_s.tolist(), float(looks.time_s.iloc[-1])]
    gap = float(np.diff(ends).max())  # also before the first and after the last
    figures = (
        Figure(
            "jitter_mm", "jitter: RMS distance from the mean, drift removed", jitter, "mm", jitter / (6 * n) ** 0.5, n
        ),
        Figure("drift_mm", f"drift of the position in {span_s:.0f} s", drift, "mm", u_drift, n),
        share_of("unseen_share", "looks in which the tool was not seen", len(looks) - n, len(looks)),
        Figure("rate_hz", "rate of new poses", 1.0 / period, "Hz", None, n),
        Figure("largest_gap_s", "longest time without a new pose", gap, "s", None, n),
    )
    notes = (f"{repeated} poses repeat the one before to the last digit",) if repeated else ()
    return Outcome(figures, notes)


def _seen(looks: DataFrame) -> DataFrame:
    """Looks that gave a position; one without all of its coordinates did not see the tool."""
    return looks[looks.seen > 0.5].dropna(subset=["time_s", *AXES])


def _line(time_s: NDArray[np.float64], at: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Slope per second, value at the mean time and standard uncertainty of the slope, each per axis."""
    t = time_s - time_s.mean()
    slope = (t @ at) / (t @ t)
    residual = at - at.mean(axis=0) - np.outer(t, slope)
    s = np.sqrt(np.sum(residual**2, axis=0) / (len(t) - 2))
    return slope, at.mean(axis=0), s / np.sqrt(t @ t)


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Position about its mean against time, one line per axis."""
    looks = tables["poses"]
    seen = _seen(looks)
    drawing = new_figure(2.4, stamp)
    axes = drawing.subplots()
    for name, colour in zip(AXES, COLOUR.values(), strict=True):
        axes.plot(seen.time_s, seen[name] - seen[name].mean(), color=colour, linewidth=0.6, label=name[0])
    axes.axhline(0.0, color=MUTED, linewidth=0.6)
    axes.set(xlabel="time (s)", ylabel="position about the mean (mm)")
    axes.legend(ncols=3, loc="upper right")
    caption = "Position of the tool about its mean while nothing moved."
    return (Plot("position", "Position at rest", caption, "Three lines about zero over time", drawing),)


TRACKER_STILL = Evaluation(
    name="tracker_still",
    words="jitter, drift and gaps of a tracker that looks at something that does not move",
    tables={
        "poses": (
            Field("x_mm", "mm"), Field("y_mm", "mm"), Field("z_mm", "mm"), Field("seen", ""),
        )
    },
    figures={
        "jitter_mm": ("mm", "RMS distance from the mean, drift removed"),
        "drift_mm": ("mm", "drift of the position over the record"),
        "unseen_share": ("", "looks in which the tool was not seen"),
        "rate_hz": ("Hz", "rate of new poses"),
        "largest_gap_s": ("s", "longest time without a new pose"),
    },
    evaluate=evaluate,
    timed=True,
    parameters={
        "tool": ("PhantomToTracker", "tracked tool that rests"),
        "warm_up_s": (0.0, "time before the record begins"),
        "seconds": (60.0, "length of the record"),
        "looks_per_s": (10.0, "looks per second"),
    },
    least={"seconds": 1.0, "looks_per_s": 0.01},
    draw=draw,
)  # fmt: skip
