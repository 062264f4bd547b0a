"""Flow of a syringe pump over its bench rates by balance: steady rate, short windows, and the pump's own count.

A test of our own. The steady rate is the slope of the weighings once the flow has come up; a volume by weighings at
rest is held against what the pump counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.figures.style import COLOUR, INK, MUTED, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.kinds import weighed
from analysis.qa.kinds.weighed import Rest, value
from analysis.qa.methods.bolus import ShortWindow, short_windows
from analysis.qa.outcome import Figure, Outcome
from analysis.tables import DataFrame
from hal.errors import ConfigError
from rig.record import Field

WINDOWS_S = (2.0, 5.0, 10.0, 30.0)
LEAST_RATES = 3
LEAST_READINGS = 10


@dataclass(frozen=True)
class _Run:
    """One rate."""

    rate_ml_min: float
    steady_percent: float
    u_percent: float
    """Standard uncertainty of it, by the weighing budget of the steady part."""
    count_percent: float
    """Pump's count less what came by weighing, of the latter."""
    u_count_percent: float
    windows: tuple[ShortWindow, ...]


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """Errors of every rate; the figures are the worst of them."""
    rows, log = tables["runs"], weighed.weighings_of(tables)
    if len(np.unique(rows.rate_ml_min)) < LEAST_RATES:
        return Outcome((), invalid=f"{len(np.unique(rows.rate_ml_min))} rates; at least {LEAST_RATES} are needed")
    if why := weighed.not_measured(rows, [f.name for f in PUMP_RATE.tables["runs"]]):
        return Outcome((), invalid=f"runs: {why}")
    if np.any(rows.rate_ml_min <= 0.0) or np.any(rows.after_s <= rows.before_s):
        return Outcome((), invalid="runs: rates must be above 0, and the weight after later than the one before")
    first_s = float(rows.before_s.min())
    rest = weighed.at_rest(log[log.time_s < first_s], first_s)
    try:
        runs = [_run(row, log, parameters, rest) for row in rows.to_dict("records")]
    except ConfigError as error:
        return Outcome((), invalid=str(error))
    notes = [weighed.conversion(parameters).words, rest.words]
    notes += [f"{run.rate_ml_min:g} mL/min: {run.steady_percent:+.2f} %" for run in runs]
    extra: dict[str, object] = {
        "rate_ml_min": [run.rate_ml_min for run in runs],
        "steady_percent": [run.steady_percent for run in runs],
        "u_percent": [run.u_percent for run in runs],
        "windows": [
            {"rate_ml_min": run.rate_ml_min, "window_s": w.window_s, "n": w.n, "median_percent": w.median_percent,
             "p5_percent": w.p5_percent, "p95_percent": w.p95_percent, "worst_percent": w.worst_percent}
            for run in runs for w in run.windows
        ],
    }  # fmt: skip
    return Outcome((*_steady(runs), *_windows(runs, parameters)), tuple(notes), extra=extra)


def _run(row: dict[str, float], log: DataFrame, parameters: Parameters, rest: Rest) -> _Run:
    """Raises ``ConfigError`` for a run that was not weighed while it flowed."""
    ml_per_g, rate = weighed.conversion(parameters).ml_per_g, row["rate_ml_min"]
    steady = log[(log.time_s >= row["begin_s"] + value(parameters, "settle_s")) & (log.time_s <= row["end_s"])]
    if len(steady) < LEAST_READINGS:
        raise ConfigError(f"{rate:g} mL/min: {len(steady)} weighings of the steady flow, {LEAST_READINGS} are needed")
    t = steady.time_s.to_numpy(float) - float(steady.time_s.iloc[0])
    ml = (steady.mass_g.to_numpy(float) - float(steady.mass_g.iloc[0]) + rest.g_s * t) * ml_per_g
    if float(np.ptp(ml)) <= 0.0:
        raise ConfigError(f"{rate:g} mL/min: the vessel gained nothing")
    found = 60.0 * float(np.polyfit(t, ml, 1)[0])
    took_s = row["after_s"] - row["before_s"]
    gained_ml = (row["after_g"] - row["before_g"] + rest.g_s * took_s) * ml_per_g
    if gained_ml <= 0.0:
        raise ConfigError(f"{rate:g} mL/min: the vessel gained nothing between two weights at rest")
    return _Run(
        rate,
        100.0 * (found / rate - 1.0),
        weighed.budget(found * float(t[-1]) / 60.0, float(t[-1]), parameters, rest).u_percent,
        100.0 * (row["counted_ml"] / gained_ml - 1.0),
        weighed.budget(gained_ml, took_s, parameters, rest, flowing=False).u_percent,
        short_windows(t, ml, rate, WINDOWS_S),
    )


def _steady(runs: Sequence[_Run]) -> tuple[Figure, ...]:
    worst = max(runs, key=lambda run: abs(run.steady_percent))
    high, low = max(runs, key=lambda run: run.steady_percent), min(runs, key=lambda run: run.steady_percent)
    counted = max(runs, key=lambda run: abs(run.count_percent))
    u_mean = float(np.sqrt(np.sum([run.u_percent**2 for run in runs]))) / len(runs)
    values = {
        "rate_mean_percent": (float(np.mean([run.steady_percent for run in runs])), u_mean),
        "rate_worst_percent": (worst.steady_percent, worst.u_percent),
        "rate_spread_percent": (
            high.steady_percent - low.steady_percent, float(np.hypot(high.u_percent, low.u_percent))
        ),
        "count_worst_percent": (counted.count_percent, counted.u_count_percent),
    }  # fmt: skip
    return tuple(Figure(n, FIGURES[n][1], v, "%", u, len(runs)) for n, (v, u) in values.items())


def _windows(runs: Sequence[_Run], parameters: Parameters) -> tuple[Figure, ...]:
    figures = []
    for window in WINDOWS_S:
        name = f"window_{window:g}_s_percent"
        found = [(run, w) for run in runs for w in run.windows if w.window_s == window]
        if not found:
            figures.append(Figure(name, FIGURES[name][1], None, "%", why="no run lasted so long"))
            continue
        run, worst = max(found, key=lambda one: abs(one[1].worst_percent))
        mass_mg = 1000.0 * run.rate_ml_min * window / 60.0
        noise_mg = value(parameters, "repeatability_mg") * 2**0.5
        u = 100.0 * float(np.hypot(noise_mg, value(parameters, "stamp_ms") * mass_mg / window / 1000.0)) / mass_mg
        figures.append(Figure(name, FIGURES[name][1], worst.worst_percent, "%", u, worst.n))
    return tuple(figures)


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Error of every rate with its uncertainty; 5 to 95 % of the short windows."""
    rates, errors, u = (np.array(outcome.extra[n], float) for n in ("rate_ml_min", "steady_percent", "u_percent"))
    windows = outcome.extra["windows"]
    assert isinstance(windows, list)
    drawing = new_figure(2.7, stamp)
    left, right = drawing.subplots(1, 2)
    left.axhline(0.0, color=MUTED, linewidth=0.7)
    left.errorbar(
        rates, errors, yerr=2.0 * u, fmt="o", color=COLOUR["in_plane"], mec=INK, mew=0.4, markersize=4, capsize=2
    )
    left.set(xlabel="set rate (mL/min)", ylabel="error of the steady rate (%)")
    left.set_xlim(left=0.0)
    right.axhline(0.0, color=MUTED, linewidth=0.7)
    for k, rate in enumerate(rates):
        own = [w for w in windows if w["rate_ml_min"] == rate]
        shade = 0.35 + 0.65 * k / max(1, len(rates) - 1)
        for edge in ("p5_percent", "p95_percent"):
            label = f"{rate:g} mL/min" if edge == "p5_percent" else None
            right.plot(
                [w["window_s"] for w in own], [w[edge] for w in own], "o-", color=COLOUR["in_plane"], alpha=shade,
                markersize=3, linewidth=0.9, label=label,
            )  # fmt: skip
    right.set_xscale("log")
    right.set_xticks(WINDOWS_S, [f"{w:g}" for w in WINDOWS_S])
    right.minorticks_off()
    right.set(xlabel="window (s)", ylabel="5 and 95 % of the errors (%)")
    right.legend(loc="best", fontsize=6.5)
    caption = "Left: error of the steady rate, bars k = 2. Right: errors of the mean rate in short windows."
    return (Plot("rates", "Flow over the rate range", caption, "Points near zero, and lines that close", drawing),)


FIGURES: dict[str, tuple[str, str]] = {
    "rate_mean_percent": ("%", "mean error of the steady rate over all rates"),
    "rate_worst_percent": ("%", "largest error of the steady rate"),
    "rate_spread_percent": ("%", "largest difference between the errors of two rates"),
    "count_worst_percent": ("%", "largest difference of the pump's count from the balance"),
    **{f"window_{w:g}_s_percent": ("%", f"largest error in windows of {w:g} s, all rates") for w in WINDOWS_S},
}
PUMP_RATE = Evaluation(
    name="pump_rate",
    words="flow over the bench rates by balance: steady rate, short windows, the pump's count",
    tables={
        "runs": (
            Field("rate_ml_min", "mL/min"), Field("set_ml", "mL"), Field("counted_ml", "mL"), Field("before_s", "s"),
            Field("before_g", "g"), Field("begin_s", "s"), Field("end_s", "s"), Field("after_s", "s"),
            Field("after_g", "g"),
        ),
        "weighings": weighed.WEIGHINGS,
    },
    figures=FIGURES,
    evaluate=evaluate,
    parameters={
        "rates_ml_min": ((0.5, 1.0, 2.0, 3.0, 4.0), "set rates"),
        "seconds": (60.0, "flow at each rate"),
        "settle_s": (5.0, "after the start, not counted to the steady flow"),
        "stamp_ms": (20.0, "standard uncertainty of the time of a weighing"),
        "usable_ml": (15.0, "a person refills the syringe after so much"),
        "priming_ml": (0.5, "delivered before, and after every refill"),
        **weighed.PARAMETERS,
    },
    timed=True,
    untimed=frozenset({"runs"}),
    least={**weighed.LEAST, "rates_ml_min": 0.001, "seconds": 1.0, "usable_ml": 0.1},
    draw=draw,
)  # fmt: skip
