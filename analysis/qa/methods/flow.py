"""Flow of a syringe pump from weighings: start-up curve and trumpet curve after IEC 60601-2-24.

Q_i is the mean flow of the sample that ends at ``time_min``. Nothing is computed across a gap or a step backwards: a
window that holds one does not exist, and an hour that holds one has no trumpet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.qa.methods.drops import whole_drops_g
from analysis.qa.methods.evaporation import Evaporation
from analysis.qa.methods.gravimetric import Conversion
from analysis.qa.methods.readings import Readings
from analysis.qa.methods.weights import WeightLog
from analysis.qa.outcome import Figure
from hal.errors import ConfigError

WINDOWS_MIN = (2.0, 5.0, 11.0, 19.0, 31.0)
START_UP_MIN = 120.0
FIRST_HOUR_MIN = (60.0, 120.0)
"""The second hour, whose mean error is called A; that of the last hour of the change interval is called B."""
RISEN_SHARE = 0.9
RISEN_SAMPLES = 3
GRID_SLACK = 1e-6


@dataclass(frozen=True)
class Flow:
    """Flow of each sample."""

    sample_s: float
    time_min: Readings
    """End of each sample, from the start of the flow."""
    q_ml_h: Readings
    """NaN where no flow can be given."""
    remarks: tuple[str, ...]
    """Gaps, steps backwards, corrections: printed with every figure."""


@dataclass(frozen=True)
class StartUp:
    """The first two hours."""

    time_min: Readings
    q_ml_h: Readings
    """NaN in gaps: draw it with the gap."""
    delay_min: float | None
    """Begin of the first of three samples in a row at or above 90 % of the rate."""
    deficit_ml: float | None
    """Volume that is missing at the end, against the rate from the first moment."""
    why: str = ""


@dataclass(frozen=True)
class Trumpet:
    """Extremes of the mean error in windows of one hour, percent of the set rate."""

    rate_ml_h: float
    from_min: float
    to_min: float
    windows_min: tuple[float, ...]
    windows_n: tuple[int, ...]
    """Windows of each length: m."""
    max_percent: Readings
    min_percent: Readings
    mean_percent: float | None
    """A or B, by the hour; None: withheld."""
    why: str = ""
    """Why there is no trumpet; empty when there is one."""

    def figures(self, letter: str = "a", u_percent: float | None = None) -> tuple[Figure, ...]:
        """Mean error under the name of its letter, and both extremes of every window."""
        hour = f"minutes {self.from_min:g} to {self.to_min:g}"
        rows = [
            Figure(
                f"{letter}_percent", f"mean flow error {letter.upper()}, {hour}", self.mean_percent, "%", u_percent,
                0 if self.mean_percent is None else self.windows_n[0] if self.windows_n else 0, self.why,
            )
        ]  # fmt: skip
        for k, p in enumerate(self.windows_min):
            n = 0 if self.why else self.windows_n[k]
            for name, values in (("max", self.max_percent), ("min", self.min_percent)):
                value = None if self.why else float(values[k])
                words = f"largest {'over' if name == 'max' else 'under'}-delivery in windows of {p:g} min, {hour}"
                rows.append(Figure(f"ep_{name}_{p:g}_min_{letter}_percent", words, value, "%", None, n, self.why))
        return tuple(rows)


def flow(log: WeightLog, conversion: Conversion, loss: Evaporation | None = None, rate_ml_h: float = 0.0) -> Flow:
    """Q_i of every sample.

    Args:
        log: weighings on the grid.
        conversion: grams to millilitres.
        loss: evaporation to correct for; the set rate is then needed, against which the correction is judged.
        rate_ml_h: set rate.

    Raises:
        ConfigError: the correction is larger than may be corrected.
    """
    g_h = 0.0
    remarks = [*log.remarks, conversion.words]
    if loss is None:
        remarks.append("evaporation not corrected")
    else:
        if rate_ml_h <= 0.0:
            raise ConfigError("evaporation can be corrected only against a set rate above 0")
        if why := loss.refusal(rate_ml_h):
            raise ConfigError(why)
        g_h = loss.g_h
        remarks.append(f"corrected for {loss.words}")
    hours = log.sample_s / 3600.0
    q = (np.diff(log.mass_g) / hours + g_h) * conversion.ml_per_g
    ends = log.time_s[1:]
    for fall in log.falls:
        q[(ends >= fall.time_s - GRID_SLACK) & (ends - log.sample_s < fall.time_s)] = np.nan
    return Flow(log.sample_s, ends / 60.0, q, tuple(remarks))


def start_up(of: Flow, rate_ml_h: float, until_min: float = START_UP_MIN) -> StartUp:
    """The curve from the start, when it reaches 90 % of the rate, and the volume that it lacks."""
    chosen = of.time_min <= until_min + GRID_SLACK
    time, q = of.time_min[chosen], of.q_ml_h[chosen]
    risen = q >= RISEN_SHARE * rate_ml_h
    runs = np.lib.stride_tricks.sliding_window_view(risen, RISEN_SAMPLES).all(axis=1) if len(q) >= RISEN_SAMPLES else ()
    first = int(np.argmax(runs)) if np.any(runs) else None
    missing = int(np.sum(~np.isfinite(q)))
    if missing:
        before = first is not None and bool(np.all(np.isfinite(q[:first])))
        delay = float(time[first]) - of.sample_s / 60.0 if before and first is not None else None
        return StartUp(time, q, delay, None, f"{missing} samples are missing")
    why = "" if first is not None else f"the flow never stayed at {100 * RISEN_SHARE:.0f} % of the rate"
    deficit = float(np.sum(rate_ml_h - q)) * of.sample_s / 3600.0
    delay = None if first is None else float(time[first]) - of.sample_s / 60.0
    return StartUp(time, q, delay, deficit, why)


def trumpet(
    of: Flow,
    rate_ml_h: float,
    *,
    from_min: float = FIRST_HOUR_MIN[0],
    to_min: float = FIRST_HOUR_MIN[1],
    windows_min: Sequence[float] = WINDOWS_MIN,
) -> Trumpet:
    """E_p(max), E_p(min) and the mean error of one analysis period.

    A period that is not complete, or whose flow comes in whole drops, is withheld with the reason. Raises
    ``ConfigError`` for windows that are no multiple of the sample interval or longer than the period.
    """
    if rate_ml_h <= 0.0:
        raise ConfigError(f"set rate: must be above 0, got {rate_ml_h:g} mL/h")
    sample_min = of.sample_s / 60.0
    wanted = round((to_min - from_min) / sample_min)
    lengths = [round(p / sample_min) for p in windows_min]
    for p, k in zip(windows_min, lengths, strict=True):
        if abs(k * sample_min - p) > GRID_SLACK or not 1 <= k <= wanted:
            raise ConfigError(f"a window of {p:g} min does not fit samples of {sample_min:g} min in this period")
    inside = (of.time_min > from_min + GRID_SLACK) & (of.time_min <= to_min + GRID_SLACK)
    q = of.q_ml_h[inside]
    counts = tuple(wanted - k + 1 for k in lengths)
    windows = tuple(float(p) for p in windows_min)
    if why := _withheld(q, wanted, of):
        none = np.full(len(windows), np.nan)
        return Trumpet(rate_ml_h, from_min, to_min, windows, counts, none, none, None, why)
    errors = [window_errors_percent(q, rate_ml_h, k) for k in lengths]
    return Trumpet(
        rate_ml_h=rate_ml_h,
        from_min=from_min,
        to_min=to_min,
        windows_min=windows,
        windows_n=counts,
        max_percent=np.array([e.max() for e in errors]),
        min_percent=np.array([e.min() for e in errors]),
        mean_percent=100.0 * float(q.mean() / rate_ml_h - 1.0),
    )


def window_errors_percent(q_ml_h: Readings, rate_ml_h: float, k: int) -> Readings:
    """Mean error of every window of ``k`` samples, percent of the rate."""
    total = np.concatenate([[0.0], np.cumsum(q_ml_h / rate_ml_h - 1.0)])
    found: Readings = 100.0 * (total[k:] - total[:-k]) / k
    return found


def _withheld(q: Readings, wanted: int, of: Flow) -> str:
    if len(q) < wanted:
        return (
            f"the record ends after {len(q) * of.sample_s / 60:.1f} min of the {wanted * of.sample_s / 60:g} min needed"
        )
    missing = int(np.sum(~np.isfinite(q)))
    if missing:
        return f"{missing} of {wanted} samples are missing and are not bridged"
    drop = whole_drops_g(q * of.sample_s / 3600.0)
    if drop is not None:
        return f"the flow comes in whole drops of about {1000 * drop:.1f} uL: the outlet is not under the surface"
    return ""
