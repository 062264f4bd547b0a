"""Check of a balance: a check weight put on and taken off several times, and an hour empty.

The indication error is that of the span; what all loadings share (eccentric loading, the weight itself) is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.figures.style import COLOUR, INK, MUTED, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.kinds.weighed import WEIGHINGS, not_measured, value, weighings_of
from analysis.qa.methods.drift import slope
from analysis.qa.outcome import Figure, Outcome
from hal.errors import ConfigError
from rig.record import Field

LEAST_LOADINGS = 5
LEAST_DRIFT_MIN = 15.0
PER_H = 3600.0
FLAG_WINDOW = 5
"""Readings that were called stable, one after the other, whose spread is compared with the repeatability [A]."""


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """Error and repeatability at the check weight, drift of the empty balance."""
    loads, log = tables["loadings"], weighings_of(tables)
    if why := not_measured(loads, ("nominal_g", "before_g", "loaded_g", "after_g")):
        return Outcome((), invalid=f"loadings: {why}")
    if not len(log):
        return Outcome((), invalid="the balance was not watched without a change of load")
    if len(loads) < LEAST_LOADINGS:
        return Outcome((), invalid=f"{len(loads)} loadings; {LEAST_LOADINGS} are needed")
    nominal = np.unique(loads.nominal_g.to_numpy(float))
    if len(nominal) != 1 or nominal[0] <= 0.0:
        return Outcome((), invalid=f"weights of {', '.join(f'{w:g}' for w in nominal)} g: one nominal value is needed")
    # The zero of the moment: half before, half after, so that an even drift cancels.
    gained_mg = 1000.0 * (loads.loaded_g - (loads.before_g + loads.after_g) / 2.0).to_numpy(float)
    off_mg = gained_mg - 1000.0 * (nominal[0] + value(parameters, "correction_mg") / 1000.0)
    n = len(off_mg)
    # Of a difference from the mean of two zeros: 1.5 times the variance of one reading.
    s_mg = float(off_mg.std(ddof=1)) / 1.5**0.5
    floor_mg = value(parameters, "digit_mg") / 6**0.5
    u_weight_mg = value(parameters, "weight_u_mg")
    try:
        drift = slope((log.time_s - log.time_s.iloc[0]) / PER_H, 1000.0 * log.mass_g)
    except ConfigError as error:
        return Outcome((), invalid=f"drift: {error}")
    minutes = 60.0 * drift.span
    why = (
        ""
        if minutes >= LEAST_DRIFT_MIN
        else f"the empty balance was watched {minutes:.0f} min, {LEAST_DRIFT_MIN:g} are needed"
    )
    error_mg, u_error_mg = float(off_mg.mean()), float(np.hypot(1.5**0.5 * max(s_mg, floor_mg) / n**0.5, u_weight_mg))
    stable = log[log.stable == 1.0]
    residual = 1000.0 * stable.mass_g - drift.at_mean - drift.value * (
        (stable.time_s - stable.time_s.iloc[0]) / PER_H - (stable.time_s - stable.time_s.iloc[0]).mean() / PER_H
    ) if len(stable) >= FLAG_WINDOW else np.zeros(0)  # fmt: skip
    wander = float(np.std(residual, ddof=2)) if len(residual) > 2 else None
    notes = [f"repeatability below {floor_mg:.2g} mg cannot be told: one digit"] if s_mg < floor_mg else []
    if drift.value == 0.0 and float(np.ptp(log.mass_g)) == 0.0:
        notes.append("the empty balance did not move by a digit: its zero tracking may be on")
    figures = (
        Figure("error_mg", f"error at {nominal[0]:g} g", error_mg, "mg", u_error_mg, n),
        Figure("error_ppm", f"error at {nominal[0]:g} g, of the weight", 1000.0 * error_mg / nominal[0], "ppm",
               1000.0 * u_error_mg / nominal[0], n),
        Figure("repeatability_mg", "standard deviation of one weighing", max(s_mg, floor_mg), "mg",
               max(s_mg, floor_mg) / (2.0 * (n - 1)) ** 0.5, n),
        Figure("drift_mg_h", "drift of the empty balance", None if why else drift.value, "mg/h", drift.u, drift.n, why),
        Figure("stable_spread_mg", "standard deviation of the readings that it called stable", wander, "mg",
               None if wander is None else wander / (2.0 * max(1, len(residual) - 2)) ** 0.5, len(residual),
               "" if wander is not None else "too few readings were called stable"),
        Figure("minimum_weight_g", "smallest net weight with 0.10 % (2000 times the repeatability)",
               2.0 * max(s_mg, floor_mg), "g", 2.0 * max(s_mg, floor_mg) / (2.0 * (n - 1)) ** 0.5, n),
    )  # fmt: skip
    return Outcome(figures, tuple(notes), extra={"off_mg": off_mg.tolist(), "drift_at_mean_mg": drift.at_mean})


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Every loading, and the empty balance over time."""
    off_mg, log = outcome.extra["off_mg"], weighings_of(tables)
    assert isinstance(off_mg, list)
    drawing = new_figure(2.5, stamp)
    left, right = drawing.subplots(1, 2)
    left.axhline(0.0, color=MUTED, linewidth=0.6)
    left.plot(np.arange(1, len(off_mg) + 1), off_mg, "o", color=COLOUR["in_plane"], mec=INK, mew=0.4, markersize=4)
    left.set(xlabel="loading", ylabel="weighed minus nominal (mg)")
    minutes = (log.time_s - log.time_s.iloc[0]) / 60.0
    right.plot(minutes, 1000.0 * (log.mass_g - log.mass_g.iloc[0]), color=COLOUR["in_plane"], linewidth=0.8)
    right.set(xlabel="time (min)", ylabel="empty balance (mg)")
    caption = "Left: error of each loading of the check weight. Right: the balance without a change of load."
    return (Plot("check", "Check weight and drift", caption, "Points near zero, and a line over time", drawing),)


BALANCE_CHECK = Evaluation(
    name="balance_check",
    words="balance with a check weight: error, repeatability, drift",
    tables={
        "loadings": (Field("nominal_g", "g"), Field("before_g", "g"), Field("loaded_g", "g"), Field("after_g", "g")),
        "weighings": WEIGHINGS,
    },
    figures={
        "error_mg": ("mg", "error at the check weight"),
        "error_ppm": ("ppm", "error at the check weight, of the weight"),
        "repeatability_mg": ("mg", "standard deviation of one weighing"),
        "drift_mg_h": ("mg/h", "drift of the empty balance"),
        "stable_spread_mg": ("mg", "standard deviation of the readings that it called stable"),
        "minimum_weight_g": ("g", "smallest net weight with 0.10 %"),
    },
    evaluate=evaluate,
    parameters={
        "weight_g": (50.0, "check weight, nominal"),
        "correction_mg": (0.0, "its conventional mass less its nominal value, by the certificate"),
        "weight_u_mg": (0.05, "standard uncertainty of it"),
        "loadings": (10, "on and off again, so often"),
        "drift_min": (60.0, "without a change of load"),
        "period_s": (30.0, "between two readings of the drift"),
        "digit_mg": (0.1, "one digit of the balance"),
    },
    timed=True,
    untimed=frozenset({"loadings"}),
    least={"weight_g": 0.001, "loadings": 1, "period_s": 1.0, "digit_mg": 1e-6, "correction_mg": -1000.0},
    draw=draw,
)
