"""Temporal calibration: the lag between two streams that saw the same motion, with a confidence interval.

``lag_s`` is the time to add: the second stream, sampled at ``t_first + lag_s``, shows what the first one shows at
``t_first`` (the sense of PLUS's ``TrackerLagSec`` with the video first). A negative lag means that the stamps of the
first stream are late by ``|lag_s|``. The first stream is ``a + b *`` the second; the sign of b is free unless it is
known, and every lag and either sign compete on the same samples. Two lags that fit alike are refused, not chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_interp_spline, make_lsq_spline
from scipy.signal import find_peaks
from scipy.stats import t as student

from hal.errors import CalibrationRefused
from rig.calibration.time.latency import Latency, latency_of
from rig.calibration.time.signal import MIN_SAMPLES_N, MotionSignal

MIN_SWING = {"mm": 8.0, "px": 30.0}
"""Least motion between the 2nd and 98th percentile; the values of PLUS (fCal)."""
MIN_CORRELATION = 0.9
"""Below it the two signals do not show one motion [A]."""
AMBIGUOUS_T = 4.0
"""A second lag must fit worse by this many standard errors of the paired difference (Vuong 1989, non-nested) [A]."""
OUTSIDE_T = 1.0
ALIKE_TIMES = 1.5
"""A lag outside the range is a rival only when it fits as well: less than one standard error worse, and its squared
residual less than half as large again. That it lies outside speaks against it [A]."""
NEAR_S = 0.02
"""Lags closer than this are the same answer, not a rival [A]."""
KNOT_EVERY = (2, 3, 4, 6, 8, 12, 16, 24)
"""Samples per knot that are tried for the smooth curve through the dense stream."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TemporalCalibration:
    """Result of ``estimate_lag``."""

    first: str
    second: str
    lag_s: float
    standard_uncertainty_s: float
    interval_s: tuple[float, float]
    """95 %."""
    scale: float
    """First per second (px/mm, mm/mm); its sign is the sense of the two axes."""
    correlation: float
    residual_rms: float
    unit: str
    """Unit of the residual: that of the first signal."""
    samples_n: int
    drift_s_per_min: float
    drift_uncertainty_s_per_min: float
    rival_lag_s: float | None
    """The second best lag; None when the range holds no other peak."""
    rival_t: float
    """By how many standard errors the rival fits worse; ``inf`` without one."""
    latency: Latency
    lags_s: Floats = field(repr=False)
    correlations: Floats = field(repr=False)
    """Signed, over ``lags_s``."""
    times_s: Floats = field(repr=False)
    """Times of the first stream's samples, from its first one."""
    observed: Floats = field(repr=False)
    fitted: Floats = field(repr=False)

    @property
    def late_stream(self) -> str:
        return self.first if self.lag_s < 0 else self.second

    @property
    def steady(self) -> bool:
        """No drift beyond three standard uncertainties."""
        return abs(self.drift_s_per_min) <= 3.0 * self.drift_uncertainty_s_per_min

    def as_json(self) -> dict[str, object]:
        return {
            "ok": True,
            "first": self.first,
            "second": self.second,
            "lag_s": self.lag_s,
            "meaning": "sample the second stream at t_first + lag_s",
            "late_stream": self.late_stream,
            "standard_uncertainty_s": self.standard_uncertainty_s,
            "interval_95_s": list(self.interval_s),
            "scale": self.scale,
            "correlation": self.correlation,
            "residual_rms": self.residual_rms,
            "unit": self.unit,
            "samples_n": self.samples_n,
            "drift_s_per_min": self.drift_s_per_min,
            "drift_uncertainty_s_per_min": self.drift_uncertainty_s_per_min,
            "steady": self.steady,
            "rival_lag_s": self.rival_lag_s,
            "rival_t": None if np.isinf(self.rival_t) else self.rival_t,
            "latency": self.latency.as_json(),
        }


def estimate_lag(
    first: MotionSignal,
    second: MotionSignal,
    *,
    max_lag_s: float = 0.5,
    same_sense: bool | None = None,
    min_swing: float | None = None,
) -> TemporalCalibration:
    """Lag between two position signals with time stamps; see the module text for its sense.

    ``same_sense`` True/False fixes the sign of the scale when the two axes are known to run alike / against each other.
    ``min_swing`` (in each signal's unit) replaces ``MIN_SWING``.

    Raises ``CalibrationRefused`` with code ``too little motion``, ``no overlap``, ``no common motion``,
    ``range`` (best lag at the end of the range or outside), ``gaps`` or ``periodic`` (another lag, or the other sign,
    fits as well).
    """
    for signal in (first, second):
        least = MIN_SWING.get(signal.unit, 0.0) if min_swing is None else min_swing
        if signal.swing < least:
            raise CalibrationRefused(
                "too little motion",
                f"{signal.name} moves by {signal.swing:.2f} {signal.unit}, at least {least:g} needed",
                advice="Move up and down over five or more periods of uneven length",
                figures={"swing": signal.swing},
            )
    if second.rate_hz < first.rate_hz:  # interpolate the denser stream, never the sparser
        return _reversed(_estimate(second, first, max_lag_s, same_sense), first, second)
    return _estimate(first, second, max_lag_s, same_sense)


def _estimate(
    sparse: MotionSignal, dense: MotionSignal, max_lag_s: float, same_sense: bool | None
) -> TemporalCalibration:
    zero = int(sparse.times_ns[0])
    t = (sparse.times_ns - zero) / 1e9
    td = (dense.times_ns - zero) / 1e9
    inside = (t - max_lag_s >= td[0]) & (t + max_lag_s <= td[-1])
    if int(inside.sum()) < MIN_SAMPLES_N:
        raise CalibrationRefused(
            "no overlap",
            f"only {int(inside.sum())} samples of {sparse.name} lie within {dense.name} for all lags "
            f"up to {max_lag_s:g} s (overlap {min(t[-1], td[-1]) - max(t[0], td[0]):.1f} s)",
            advice="Record both streams over the same time, longer than the largest lag at both ends",
        )
    t, y = t[inside], sparse.values[inside]
    spline = _smooth(td, dense.values)
    lags = np.arange(-max_lag_s, max_lag_s + 1e-9, min(0.005, 0.25 * float(np.median(np.diff(td)))))
    r = _correlations(y, spline(t[None, :] + lags[:, None]))
    score = np.abs(r) if same_sense is None else np.clip(r if same_sense else -r, 0.0, None)
    best = int(np.argmax(score))
    if score[best] < MIN_CORRELATION:
        raise CalibrationRefused(
            "no common motion",
            f"{sparse.name} and {dense.name} do not show one motion: best correlation {score[best]:.2f} within "
            f"+-{max_lag_s:g} s, at least {MIN_CORRELATION} needed",
            figures={"correlation": float(score[best]), "lag_s": float(lags[best])},
        )
    if best in (0, len(lags) - 1):
        raise CalibrationRefused(
            "range",
            f"the best lag lies at the end of the range searched ({lags[best]:+.3f} s): the true one is likely beyond",
            advice="Search a wider range, or check that both streams share one clock",
            figures={"lag_s": float(lags[best]), "correlation": float(score[best])},
        )
    _look_beyond(sparse, spline, td, zero, lags, float(score[best]), float(lags[best]), same_sense)
    sound = ~_in_gap(td, t + lags[best])
    if int(sound.sum()) < MIN_SAMPLES_N:
        raise CalibrationRefused("gaps", f"{dense.name} has gaps where {int((~sound).sum())} of {len(t)} samples fall")
    t, y = t[sound], y[sound]
    lag, a, b, e, slope = _refine(t, y, spline, float(lags[best]))
    rival, rival_t = _rival(t, y, spline, lags, score, lag, e)
    if rival is not None and rival_t < AMBIGUOUS_T:
        raise CalibrationRefused(
            "periodic",
            f"the motion repeats itself: lags {lag:+.3f} s and {rival:+.3f} s fit alike "
            f"(difference {rival_t:.1f} standard errors, {AMBIGUOUS_T:g} needed)",
            advice="Move with uneven strokes and pauses, or narrow max_lag_s, or give the sense of the axes",
            figures={"lag_s": lag, "rival_lag_s": rival, "rival_t": rival_t},
        )
    u, freedom, parts_t, parts = _uncertainty(t, e, slope)
    k = float(student.ppf(0.975, freedom))
    drift, drift_u = _drift(parts_t, parts)
    return TemporalCalibration(
        sparse.name,
        dense.name,
        lag,
        u,
        (lag - k * u, lag + k * u),
        b,
        float(r[best]),
        float(np.sqrt(np.mean(e**2))),
        sparse.unit,
        len(t),
        drift,
        drift_u,
        rival,
        rival_t,
        latency_of(lag, u, e, slope),
        lags,
        r,
        t,
        y,
        a + b * spline(t + lag),
    )


def _smooth(t: Floats, values: Floats) -> BSpline:
    """The dense stream between its samples: a least-squares cubic spline with a knot at every m-th sample.

    A curve through every sample would take noise and uneven stamps for speed: the lag would lock onto them and its
    uncertainty come out too small. ``m`` is chosen by generalised cross-validation (Craven & Wahba 1979).
    """
    n = len(t)
    best: tuple[float, int, BSpline] | None = None
    for m in KNOT_EVERY:
        inner = t[2:-2][m // 2 :: m]
        free_n = len(inner) + 4
        if best is not None and free_n < 8:
            break
        spline = make_lsq_spline(t, values, np.concatenate([[t[0]] * 4, inner, [t[-1]] * 4]))
        rest = values - spline(t)
        score = float(rest @ rest) / n / (1.0 - free_n / n) ** 2
        if best is None or score < best[0]:
            best = (score, m, spline)
    assert best is not None
    if best[1] == KNOT_EVERY[0]:  # averaging loses more than it gains: positions without noise, with corners
        return make_interp_spline(t, values, k=3)
    return best[2]


def _look_beyond(
    sparse: MotionSignal,
    spline: BSpline,
    td: Floats,
    zero: int,
    lags: Floats,
    score: float,
    inside: float,
    same_sense: bool | None,
) -> None:
    """Refuse when a lag outside the range fits far better than the best one inside (each on the samples it has), or
    when it fits alike on the samples of both: a motion that repeats itself leaves the lag open."""
    t = (sparse.times_ns - zero) / 1e9
    end = float(lags[-1])
    far = np.arange(end + NEAR_S, 3.0 * end, float(lags[1] - lags[0]))
    outside = np.concatenate([-far[::-1], far])
    best, at = 0.0, 0.0
    for lag in outside:
        held = (t + lag >= td[0]) & (t + lag <= td[-1])
        if held.sum() < max(MIN_SAMPLES_N, 0.5 * len(t)):
            continue
        r = float(_correlations(sparse.values[held], spline(t[held] + lag)[None])[0])
        value = abs(r) if same_sense is None else (r if same_sense else -r)
        if value > best:
            best, at = value, float(lag)
    if 1.0 - best**2 < 0.5 * (1.0 - score**2):
        raise CalibrationRefused(
            "range",
            f"a lag near {at:+.2f} s, outside the range of +-{end:g} s, fits better (correlation {best:.3f}) than the "
            f"best one inside ({score:.3f})",
            advice="Search a wider range, or check that both streams share one clock",
            figures={"lag_s": at, "correlation": best},
        )
    if best < MIN_CORRELATION:
        return
    both = (t + min(at, inside) >= td[0]) & (t + max(at, inside) <= td[-1])
    both &= ~(_in_gap(td, t + at) | _in_gap(td, t + inside))
    if both.sum() < MIN_SAMPLES_N:
        return
    y = sparse.values[both]
    rest = []
    for lag in (at, inside):
        m = spline(t[both] + lag)
        b, a = np.polyfit(m, y, 1)
        rest.append((y - a - b * m) ** 2)
    worse = rest[0] - rest[1]
    error = _mean_error(worse)
    ratio = float(worse.mean() / error) if error > 0 else 0.0
    if ratio < OUTSIDE_T and float(rest[0].mean()) < ALIKE_TIMES * float(rest[1].mean()):
        raise CalibrationRefused(
            "periodic",
            f"the motion repeats itself: the lag {inside:+.3f} s and {at:+.3f} s, outside the range of +-{end:g} s, "
            f"fit alike (difference {ratio:.1f} standard errors, {OUTSIDE_T:g} needed)",
            advice="Move with uneven strokes and pauses, or narrow the range to what the lag can be",
            figures={"lag_s": inside, "rival_lag_s": at, "rival_t": ratio},
        )


def _in_gap(td: Floats, at: Floats) -> NDArray[np.bool_]:
    """True for times in pauses of the dense stream of over five periods: it is not interpolated there."""
    steps = np.diff(td)
    before = np.clip(np.searchsorted(td, at) - 1, 0, len(steps) - 1)
    return np.asarray(steps[before] > 5.0 * np.median(steps))


def _correlations(y: Floats, shifted: Floats) -> Floats:
    yc = y - y.mean()
    sc = shifted - shifted.mean(axis=1, keepdims=True)
    size = np.sqrt((sc**2).sum(axis=1) * (yc @ yc))
    return np.asarray(np.divide(sc @ yc, size, out=np.zeros(len(sc)), where=size > 0))


def _refine(t: Floats, y: Floats, spline: BSpline, lag: float) -> tuple[float, float, float, Floats, Floats]:
    """Robust least squares of (a, b, lag); returns them, the residuals and the slope dy/dlag of every sample."""
    a = b = 0.0
    weight = np.ones(len(t))
    for _ in range(30):
        m = spline(t + lag)
        root = np.sqrt(weight)
        b, a = np.polyfit(m, y, 1, w=root)
        slope = b * spline(t + lag, 1)
        e = y - a - b * m
        jac = np.column_stack([slope, m, np.ones_like(m)])
        step = np.linalg.lstsq(jac * root[:, None], e * root, rcond=None)[0][0]
        lag += float(np.clip(step, -0.02, 0.02))
        scale = max(1.4826 * float(np.median(np.abs(e))), 1e-12)
        weight = np.minimum(1.0, 2.5 * scale / np.maximum(np.abs(e), 1e-12))  # Huber
        if abs(step) < 1e-7:
            break
    m = spline(t + lag)
    return lag, float(a), float(b), y - a - b * m, b * spline(t + lag, 1)


def _rival(
    t: Floats, y: Floats, spline: BSpline, lags: Floats, score: Floats, lag: float, e: Floats
) -> tuple[float | None, float]:
    """Best other peak, and the number of standard errors by which it fits worse."""
    peaks, _ = find_peaks(np.concatenate([[-1.0], score, [-1.0]]))
    peaks = peaks - 1
    peaks = peaks[np.abs(lags[peaks] - lag) > NEAR_S]
    peaks = peaks[score[peaks] > 0.5]
    best: tuple[float | None, float] = (None, float("inf"))
    for k in peaks:
        m = spline(t + lags[k])
        b, a = np.polyfit(m, y, 1)
        worse = (y - a - b * m) ** 2 - e**2
        error = _mean_error(worse)
        ratio = float(worse.mean() / error) if error > 0 else 0.0
        if ratio < best[1]:
            best = (float(lags[k]), ratio)
    return best


def _mean_error(x: Floats) -> float:
    """Standard error of the mean of a correlated series (Bartlett window, Newey & West 1987)."""
    n = len(x)
    c = x - x.mean()
    span = max(1, int(np.ceil(4.0 * (n / 100.0) ** (2.0 / 9.0))))
    total = float(c @ c)
    for k in range(1, min(span, n - 1) + 1):
        total += 2.0 * (1.0 - k / (span + 1.0)) * float(c[k:] @ c[:-k])
    return float(np.sqrt(max(total, 0.05 * float(c @ c))) / n)


def _uncertainty(t: Floats, e: Floats, slope: Floats) -> tuple[float, int, Floats, Floats]:
    """Standard uncertainty of the lag, its degrees of freedom, and the lag of each stroke about the common one.

    The larger of the correlation-corrected error of the fit and the scatter of the strokes.
    """
    power = float(slope @ slope)
    fit = _mean_error(slope * e) * len(e) / power
    cuts = np.flatnonzero(np.diff(np.sign(slope)) != 0) + 1
    strokes = [s for s in np.split(np.arange(len(t)), cuts) if len(s) and float(slope[s] @ slope[s]) > 0.01 * power]
    if len(strokes) < 4:
        strokes = [s for s in np.array_split(np.arange(len(t)), 4) if float(slope[s] @ slope[s]) > 0]
    w = np.array([float(slope[s] @ slope[s]) for s in strokes])
    parts = np.array([float(slope[s] @ e[s]) for s in strokes]) / w
    where = np.array([float(t[s].mean()) for s in strokes])
    n = len(strokes)
    mean = float(w @ parts / w.sum())
    scatter = np.sqrt(float((w**2) @ (parts - mean) ** 2) / w.sum() ** 2 * n / max(n - 1, 1))
    return max(fit, float(scatter)), max(n - 1, 2), where, parts


def _drift(t: Floats, parts: Floats) -> tuple[float, float]:
    """Change of the lag per minute and its standard uncertainty."""
    c = t - t.mean()
    power = float(c @ c)
    if len(t) < 4 or power <= 0:
        return 0.0, float("inf")
    slope = float(c @ parts) / power
    rest = parts - parts.mean() - slope * c
    return 60.0 * slope, 60.0 * float(np.sqrt(rest @ rest / (len(t) - 2) / power))


def _reversed(c: TemporalCalibration, first: MotionSignal, second: MotionSignal) -> TemporalCalibration:
    """The same answer with the streams named the other way round."""
    return replace(
        c,
        first=first.name,
        second=second.name,
        lag_s=-c.lag_s,
        interval_s=(-c.interval_s[1], -c.interval_s[0]),
        scale=1.0 / c.scale,
        drift_s_per_min=-c.drift_s_per_min,
        rival_lag_s=None if c.rival_lag_s is None else -c.rival_lag_s,
        latency=c.latency.reversed(),
        lags_s=-c.lags_s[::-1],
        correlations=c.correlations[::-1],
    )
