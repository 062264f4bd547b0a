"""Start-up and trumpet curve of a syringe pump from a balance log, by the method of IEC 60601-2-24.

A log by others needs the same two tables: weighings with their times, and when the pump was started and stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.figures.style import COLOUR, INK, MUTED, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.kinds import weighed
from analysis.qa.kinds.weighed import Rest, value
from analysis.qa.methods.drops import plateaus
from analysis.qa.methods.flow import (
    FIRST_HOUR_MIN,
    START_UP_MIN,
    WINDOWS_MIN,
    StartUp,
    Trumpet,
    flow,
    start_up,
    trumpet,
)
from analysis.qa.methods.weights import SAMPLE_S, weights
from analysis.qa.outcome import Figure, Outcome
from hal.errors import ConfigError
from rig.record import Field

TRUMPET_PERCENT = 15.0
"""Half height of the picture; larger when the curve is."""
NOT_CORRECTED = "evaporation not corrected"
"""As the flow says it; the reason is known here."""
LEAST_READINGS = 5
MOST_PLATEAUS = 3
"""So many are named in the notes."""


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """Start-up, A, and the extremes of every window, each with its uncertainty."""
    log, rate = weighed.weighings_of(tables), value(parameters, "rate_ml_h")
    runs = tables["delivery"]
    begun, ended = runs[runs.running == 1.0], runs[runs.running == 0.0]
    if len(log) < LEAST_READINGS:
        return Outcome((), invalid=f"{len(log)} weighings; a curve needs more")
    if not len(begun):
        return Outcome((), invalid="nobody noted when the pump was started")
    start_s = float(begun.time_s.iloc[0])
    end_s = float(ended.time_s.iloc[-1]) if len(ended) else float(log.time_s.iloc[-1])
    rest = weighed.at_rest(log, start_s, end_s)
    flowing = log[(log.time_s >= start_s - value(parameters, "sample_s")) & (log.time_s <= end_s)]
    try:
        grid = weights(
            flowing.time_s.to_numpy(float), flowing.mass_g.to_numpy(float), start_s=start_s,
            sample_s=value(parameters, "sample_s"),
        )  # fmt: skip
        found = flow(grid, weighed.conversion(parameters), rest.loss, rate)
        first = start_up(found, rate, value(parameters, "until_min"))
        hour = trumpet(
            found, rate, from_min=value(parameters, "from_min"), to_min=value(parameters, "to_min"),
            windows_min=_windows(parameters),
        )  # fmt: skip
        read = np.isfinite(grid.mass_g)
        digit_g = value(parameters, "readability_mg") / 1000.0
        held = plateaus(grid.time_s[read], grid.mass_g[read], rate, digit_g)
    except ConfigError as error:
        return Outcome((), invalid=str(error))
    if not len(first.time_min):
        return Outcome((), invalid="the start-up curve is shorter than one sample")
    remarks = [rest.words if r == NOT_CORRECTED else r for r in found.remarks]
    notes = [*remarks, *_unlike(parameters)]
    notes += [
        f"the balance stood still from minute {p.start_s / 60:.1f} to {p.end_s / 60:.1f}: no flow, or it held its value"
        for p in held[:MOST_PLATEAUS]
    ]
    return Outcome(_figures(first, hour, parameters, rest), tuple(notes), extra=_curves(first, hour))


def _windows(parameters: Parameters) -> tuple[float, ...]:
    windows = parameters["windows_min"]
    assert isinstance(windows, tuple)
    if not windows or not set(windows) <= set(WINDOWS_MIN):
        raise ConfigError(f"windows_min: some of {', '.join(f'{w:g}' for w in WINDOWS_MIN)} min, not {windows}")
    return windows


def _unlike(parameters: Parameters) -> list[str]:
    """What of the settings is not that of the method."""
    given = (value(parameters, "from_min"), value(parameters, "to_min"))
    words = []
    if given != FIRST_HOUR_MIN:
        words.append(f"analysed: minutes {given[0]:g} to {given[1]:g}, instead of 60 to 120")
    if _windows(parameters) != WINDOWS_MIN:
        words.append(f"windows of {', '.join(f'{w:g}' for w in _windows(parameters))} min, instead of 2, 5, 11, 19, 31")
    if value(parameters, "sample_s") != SAMPLE_S:
        words.append(f"sample interval {value(parameters, 'sample_s'):g} s, instead of 30 s")
    return words


def _figures(first: StartUp, hour: Trumpet, parameters: Parameters, rest: Rest) -> tuple[Figure, ...]:
    rate, loss = hour.rate_ml_h, rest.loss
    lasts_min = float(first.time_min[-1])

    def u_percent(minutes: float) -> float:
        return weighed.budget(rate * minutes / 60.0, 60.0 * minutes, parameters, rest).u_percent

    given = {figure.name: figure for figure in hour.figures("a", u_percent(hour.to_min - hour.from_min))}
    rows = [given["a_percent"]]
    for minutes in WINDOWS_MIN:
        for name in _names(minutes):
            figure = given.get(name) or Figure(
                name, _extreme(name), None, "%", why="not among the windows of this test"
            )
            rows.append(replace(figure, u=None if figure.value is None else u_percent(minutes)))
    u_ml = u_percent(lasts_min) / 100.0 * rate * lasts_min / 60.0
    u_start_min = value(parameters, "sample_s") / 60.0 / 12**0.5
    evaporated = None if loss is None else 1000.0 * loss.g_h
    return (
        *rows,
        Figure("start_delay_min", FIGURES["start_delay_min"][1], first.delay_min, "min", u_start_min, 1, first.why),
        Figure("start_deficit_ml", FIGURES["start_deficit_ml"][1], first.deficit_ml, "mL", u_ml, 1, first.why),
        Figure(
            "evaporation_mg_h", FIGURES["evaporation_mg_h"][1], evaporated, "mg/h",
            None if loss is None else 1000.0 * loss.u_g_h, 0, "" if loss else rest.words,
        ),
    )  # fmt: skip


def _names(minutes: float) -> tuple[str, str]:
    return (f"ep_max_{minutes:g}_min_a_percent", f"ep_min_{minutes:g}_min_a_percent")


def _extreme(name: str) -> str:
    kind, minutes = name.split("_")[1:3]
    return f"largest {'over' if kind == 'max' else 'under'}-delivery in windows of {minutes} min"


def _curves(first: StartUp, hour: Trumpet) -> dict[str, object]:
    q = [float(v) if np.isfinite(v) else None for v in first.q_ml_h]
    return {
        "start_up": {"time_min": first.time_min.tolist(), "q_ml_h": q},
        "trumpet": {
            "windows_min": list(hour.windows_min),
            "windows_n": list(hour.windows_n),
            "max_percent": [] if hour.why else hour.max_percent.tolist(),
            "min_percent": [] if hour.why else hour.min_percent.tolist(),
            "mean_percent": hour.mean_percent,
        },
        "rate_ml_h": hour.rate_ml_h,
        "why": hour.why,
    }


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Start-up curve, and trumpet where there is one."""
    plots = [_draw_start_up(outcome, stamp)]
    curve = outcome.extra["trumpet"]
    assert isinstance(curve, dict)
    return [*plots, _draw_trumpet(curve, outcome, stamp)] if curve["max_percent"] else plots


def _draw_start_up(outcome: Outcome, stamp: Stamp) -> Plot:
    curve, rate = outcome.extra["start_up"], outcome.extra["rate_ml_h"]
    assert isinstance(curve, dict) and isinstance(rate, float)
    drawing = new_figure(2.5, stamp)
    axes = drawing.subplots()
    q = np.array([np.nan if v is None else v for v in curve["q_ml_h"]])
    axes.axhline(rate, color=MUTED, linewidth=0.8, linestyle="--")
    axes.plot(curve["time_min"], q, color=COLOUR["in_plane"], linewidth=0.9)
    last = (
        max(START_UP_MIN, float(curve["time_min"][-1])) if len(q) * 2 > START_UP_MIN else float(curve["time_min"][-1])
    )
    axes.set(xlabel="time (min)", ylabel="flow (mL/h)", xlim=(0.0, last), ylim=(-0.2 * rate, 2.0 * rate))
    axes.set_xticks(np.arange(0.0, last + 1e-9, 10.0 if last > 30.0 else 5.0))
    axes.annotate("set rate", (last, rate), xytext=(-3, 3), textcoords="offset points", ha="right", color=MUTED)
    caption = "Flow of each sample from the start of the pump; where readings are missing the curve is interrupted."
    return Plot("start_up", "Start-up curve", caption, "Flow against time, rising to the set rate", drawing)


def _draw_trumpet(curve: dict[str, object], outcome: Outcome, stamp: Stamp) -> Plot:
    windows, high, low = (np.array(curve[name], float) for name in ("windows_min", "max_percent", "min_percent"))
    mean = curve["mean_percent"]
    assert isinstance(mean, float)
    drawing = new_figure(3.0, stamp)
    axes = drawing.subplots()
    for values, words in ((high, "largest over-delivery, $E_p$(max)"), (low, "largest under-delivery, $E_p$(min)")):
        axes.plot(windows, values, "o-", color=COLOUR["in_plane"], mec=INK, mew=0.4, markersize=4)
        above = values is high
        axes.annotate(
            words,
            (windows[-1] / 3.0, 0.0),
            xytext=(0, 22 if above else -30),
            textcoords="offset points",
            color=COLOUR["in_plane"],
        )
    axes.axhline(0.0, color=INK, linewidth=0.7)
    axes.axhline(mean, color=COLOUR["out_of_plane"], linewidth=0.9, linestyle="--")
    half = max(TRUMPET_PERCENT, 1.1 * float(np.max(np.abs(np.concatenate([high, low])))))
    axes.annotate(
        f"A = {mean:+.2f} %", (windows[-1], mean), xytext=(0, 8 if mean >= 0 else -14),
        textcoords="offset points", ha="right", color=COLOUR["out_of_plane"],
    )  # fmt: skip
    axes.set(xlabel="observation window (min)", ylabel="error of the flow (%)", ylim=(-half, half))
    axes.set_xlim(0.0, max(31.0, float(windows[-1])) * 1.02)
    axes.set_xticks(windows)
    rate = outcome.extra["rate_ml_h"]
    caption = (
        f"Trumpet curve at {rate:g} mL/h: extremes of the mean error in every window of the analysis period, and A."
    )
    return Plot("trumpet", "Trumpet curve", caption, "Two curves that close towards long windows", drawing)


FIGURES: dict[str, tuple[str, str]] = {
    "a_percent": ("%", "mean flow error A"),
    **{name: ("%", _extreme(name)) for minutes in WINDOWS_MIN for name in _names(minutes)},
    "start_delay_min": ("min", "from the start of the pump to 90 % of the rate"),
    "start_deficit_ml": ("mL", "volume that is missing at the end of the start-up curve"),
    "evaporation_mg_h": ("mg/h", "loss of the vessel without flow"),
}
PUMP_TRUMPET = Evaluation(
    name="pump_trumpet",
    words="start-up and trumpet curve of the syringe pump, by balance",
    tables={"weighings": weighed.WEIGHINGS, "delivery": (Field("running", ""), Field("counted_ml", "mL"))},
    figures=FIGURES,
    evaluate=evaluate,
    parameters={
        "rate_ml_h": (5.0, "set rate; 5 mL/h is the intermediate one of syringe pumps, at least 1"),
        "syringe_ml": (20.0, "nominal size: one that does not last is refused"),
        "priming_ml": (0.5, "delivered before, so that line and slack are taken up"),
        "sample_s": (SAMPLE_S, "sample interval S"),
        "windows_min": (WINDOWS_MIN, "observation windows P"),
        "from_min": (FIRST_HOUR_MIN[0], "begin of the analysis period"),
        "to_min": (FIRST_HOUR_MIN[1], "its end, and that of the test"),
        "until_min": (START_UP_MIN, "end of the start-up curve"),
        **weighed.PARAMETERS,
    },
    timed=True,
    least={
        **weighed.LEAST,
        "rate_ml_h": 0.001,
        "sample_s": 1.0,
        "windows_min": 0.1,
        "to_min": 1.0,
        "until_min": 1.0,
    },
    draw=draw,
)
