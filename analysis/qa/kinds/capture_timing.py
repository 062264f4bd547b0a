"""A stream of pictures: rate, dropped and repeated frames, age and steadiness of their stamps.

A step longer than one and a half frame times counts as dropped frames, equal pixels in a row as a repeated frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.figures.style import COLOUR, LIMIT, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.outcome import Figure, Outcome, share_of
from analysis.tables import DataFrame
from rig.record import Field

LEAST_N = 30
STILL_SHARE = 0.9
"""So many equal pictures tell nothing of repeats [A]."""
LONG_STEP = 1.5
"""A step of more frame times has a frame missing."""


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """Rate by the median step, drops, repeats, and the age of a picture when it arrives."""
    frames = tables["frames"]
    if len(frames) < LEAST_N:
        return Outcome((), invalid=f"{len(frames)} frames came, at least {LEAST_N} are needed")
    stamp_s, arrived_s = frames.time_s.to_numpy(float), frames.arrived_s.to_numpy(float)
    steps = np.diff(stamp_s)
    backwards = int(np.sum(steps < 0.0))
    if backwards:
        return Outcome((), invalid=f"{backwards} stamps are older than the one before: no rate can be said")
    period = float(np.median(steps[steps > 0.0])) if np.any(steps > 0.0) else 0.0
    if period <= 0.0:
        return Outcome((), invalid="all frames bear the same stamp")
    missing = int(np.sum(np.round(steps[steps > LONG_STEP * period] / period) - 1))
    n = len(frames)
    repeats = _repeats(frames, stamp_s)
    age_ms = 1e3 * (arrived_s - stamp_s)
    age_ms = age_ms[np.isfinite(age_ms)]
    usual = steps[(steps > 0.0) & (steps <= LONG_STEP * period)]
    jitter = float(np.std(1e3 * usual, ddof=1)) if len(usual) > 1 else 0.0
    figures = (
        Figure("rate_hz", "frame rate, by the median step of the stamps", 1.0 / period, "Hz", None, n),
        share_of("dropped_share", "frames that are missing between two stamps", missing, n + missing),
        repeats,
        *_ages(age_ms),
        Figure("step_jitter_ms", "standard deviation of the usual steps", jitter, "ms", jitter / (2 * n) ** 0.5, n),
    )
    return Outcome(figures, ("a stamp made by this computer says nothing of the scanner's own delay",))


def _ages(age_ms: NDArray[np.float64]) -> tuple[Figure, ...]:
    """Median and 95 % of the ages; withheld where frames seem to arrive before they were taken."""
    why = "" if len(age_ms) else "no frame has a time of arrival"
    if len(age_ms) and np.median(age_ms) < 0.0:
        why = "frames arrived before their stamps: stamps and arrivals are of two clocks"
    return tuple(
        Figure(
            name, f"age of a frame on arrival, {words}", None if why else float(np.percentile(age_ms, share)), "ms",
            None, len(age_ms), why,
        )
        for name, words, share in (("age_median_ms", "median", 50), ("age_p95_ms", "95 %", 95))
    )  # fmt: skip


def _repeats(frames: DataFrame, stamp_s: NDArray[np.float64]) -> Figure:
    """Frames with the stamp of the one before, or with its pixels although the probe had moved."""
    digest, moved = frames.digest.to_numpy(float), frames.moved.to_numpy(float) > 0.5
    words = "frames equal to the one before"
    same_stamp, same_pixels = stamp_s[1:] == stamp_s[:-1], digest[1:] == digest[:-1]
    new = moved[1:] | same_stamp
    if not moved.any() and np.mean(same_pixels) >= STILL_SHARE:
        why = "nearly all pictures are equal: a scene at rest without noise, or a frozen scanner; move something in it"
        return Figure("repeated_share", words, None, why=why)
    if not moved.any():
        new = np.ones(len(same_pixels), bool)
    return share_of("repeated_share", words, int(np.sum((same_pixels | same_stamp) & new)), int(np.sum(new)))


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Steps between stamps, and the age of each frame."""
    frames = tables["frames"]
    steps_ms = 1e3 * np.diff(frames.time_s.to_numpy(float))
    drawing = new_figure(2.4, stamp)
    left, right = drawing.subplots(1, 2)
    left.plot(frames.time_s[1:], steps_ms, ".", color=COLOUR["in_plane"], markersize=2.5)
    left.axhline(LONG_STEP * float(np.median(steps_ms)), color=LIMIT, linewidth=0.8, linestyle="--")
    left.set(xlabel="stamp (s)", ylabel="step to the one before (ms)")
    left.set_ylim(bottom=0)
    age_ms = 1e3 * (frames.arrived_s - frames.time_s).dropna().to_numpy(float)
    if len(age_ms):  # bins of at least a microsecond: ages may be alike to the last digit
        low, high = float(age_ms.min()), float(age_ms.max())
        right.hist(age_ms, bins=np.linspace(low, max(high, low + 0.04), 41), color=COLOUR["out_of_plane"])
    right.set(xlabel="age on arrival (ms)", ylabel="frames")
    caption = (
        "Left: steps of the stamps; above the dashed line a frame is missing. Right: age of each frame on arrival."
    )
    return (Plot("steps", "Stamps of the frames", caption, "Steps over time and a histogram of ages", drawing),)


CAPTURE_TIMING = Evaluation(
    name="capture_timing",
    words="frame rate, dropped and repeated frames, age and steadiness of the stamps",
    tables={"frames": (Field("arrived_s", "s"), Field("digest", ""), Field("moved", ""))},
    figures={
        "rate_hz": ("Hz", "frame rate, by the median step of the stamps"),
        "dropped_share": ("", "frames that are missing between two stamps"),
        "repeated_share": ("", "frames equal to the one before"),
        "age_median_ms": ("ms", "age of a frame on arrival, median"),
        "age_p95_ms": ("ms", "age of a frame on arrival, 95 %"),
        "step_jitter_ms": ("ms", "standard deviation of the usual steps"),
    },
    evaluate=evaluate,
    timed=True,
    parameters={
        "seconds": (10.0, "length of the record"),
        "sway_mm": (1.0, "how far the probe sways to either side, so that no two frames are alike; 0: it rests"),
    },
    least={"seconds": 1.0},
    draw=draw,
)
