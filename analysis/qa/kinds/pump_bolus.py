"""Boluses of a bench injection by balance, 25 of each volume at a bench rate, and the diameter that the syringe has.

A test of our own, in the manner of the boluses of IEC 60601-2-24: those are the smallest and the largest setting of an
infusion pump, these are the volumes that a study injects.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.figures.style import COLOUR, INK, MUTED, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.kinds import weighed
from analysis.qa.kinds.weighed import Rest, value
from analysis.qa.methods.bolus import boluses, start_delay_s
from analysis.qa.methods.readings import Readings
from analysis.qa.methods.syringe import inner_diameter_mm
from analysis.qa.outcome import Figure, Outcome
from analysis.tables import DataFrame
from hal.errors import ConfigError
from rig.record import Field

SIZES_ML = (0.1, 0.2, 0.3, 1.0)
LEAST_OF_EACH = 5
DELAY_WINDOW_S = 1.0


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """Mean error and extremes of each size, start delay, and the diameter."""
    rows, log = tables["boluses"], weighed.weighings_of(tables)
    if why := weighed.not_measured(rows, [f.name for f in PUMP_BOLUS.tables["boluses"]]):
        return Outcome((), invalid=f"boluses: {why}")
    if np.any(rows[["set_ml", "rate_ml_min"]] <= 0.0) or np.any(rows.after_s <= rows.before_s):
        return Outcome((), invalid="boluses: volumes and rates must be above 0, and the weight after later than before")
    first_s = float(rows.before_s.min())
    rest = weighed.at_rest(log[log.time_s < first_s], first_s)
    try:
        ml_per_g = weighed.conversion(parameters).ml_per_g
    except ConfigError as error:
        return Outcome((), invalid=str(error))
    took_s = (rows.after_s - rows.before_s).to_numpy(float)
    gained_g = (rows.after_g - rows.before_g).to_numpy(float) + rest.g_s * took_s
    if float(gained_g.max()) <= 0.0:
        return Outcome((), invalid="the vessel gained nothing: the line is closed, or the needle is not in the vessel")
    volumes = gained_g * ml_per_g
    figures, notes = [], [weighed.conversion(parameters).words, rest.words]
    for size in SIZES_ML:
        own = np.isclose(rows.set_ml.to_numpy(float), size)
        figures += _of_size(size, volumes[own], took_s[own], parameters, rest, notes)
    figures += [_delay(log, rows, parameters, ml_per_g), *_line(rows, volumes, took_s, parameters, rest)]
    extra: dict[str, object] = {"set_ml": rows.set_ml.tolist(), "volumes_ml": volumes.tolist()}
    return Outcome(tuple(figures), tuple(notes), extra=extra)


def _of_size(
    size: float, volumes: Readings, took_s: Readings, parameters: Parameters, rest: Rest, notes: list[str]
) -> list[Figure]:
    names = _names(size)
    if len(volumes) < LEAST_OF_EACH:
        why = f"{len(volumes)} boluses of {size:g} mL, {LEAST_OF_EACH} are needed"
        return [Figure(name, FIGURES[name][1], None, "%", why=why) for name in names]
    found = boluses(volumes, size)
    notes += [f"{size:g} mL: {remark}" for remark in found.remarks]
    u_weighing = weighed.budget(size, float(took_s.mean()), parameters, rest, flowing=False).u_percent
    u_mean = float(np.hypot(found.s_percent / found.n**0.5, u_weighing))
    u_s = found.s_percent / (2.0 * (found.n - 1)) ** 0.5
    values = (
        (found.mean_percent, u_mean), (found.max_percent, u_weighing), (found.min_percent, u_weighing),
        (found.s_percent, u_s),
    )  # fmt: skip
    return [
        Figure(name, FIGURES[name][1], v, "%", u, found.n) for name, (v, u) in zip(names, values, strict=True)
    ]  # fmt: skip


def _delay(log: DataFrame, rows: DataFrame, parameters: Parameters, ml_per_g: float) -> Figure:
    """Median over the largest boluses, which are weighed while they flow."""
    largest = rows[np.isclose(rows.set_ml, rows.set_ml.max())]
    delays = []
    for row in largest.itertuples():
        own = log[(log.time_s > row.begin_s) & (log.time_s <= row.begin_s + 60.0 * row.set_ml / row.rate_ml_min)]
        if len(own) < 2 or np.any(np.diff(own.time_s) <= 0.0):
            continue
        volume = (own.mass_g - row.before_g).to_numpy(float) * ml_per_g
        times = np.concatenate([[row.begin_s], own.time_s.to_numpy(float)])
        delay = start_delay_s(times, np.concatenate([[0.0], volume]), row.rate_ml_min, DELAY_WINDOW_S)
        delays += [] if delay is None else [delay]
    why = "" if delays else "no bolus was weighed while it flowed, or none reached 90 % of its rate"
    u = DELAY_WINDOW_S / 12**0.5
    return Figure(
        "start_delay_s",
        FIGURES["start_delay_s"][1],
        float(np.median(delays)) if delays else None,
        "s",
        u,
        len(delays),
        why,
    )


def _line(
    rows: DataFrame, volumes: Readings, took_s: Readings, parameters: Parameters, rest: Rest
) -> tuple[Figure, Figure, Figure]:
    """Delivered against counted volume: what every start loses, and the diameter that makes the slope one.

    The travel is the pump's: an error of its screw and one of the bore cannot be told apart by weighing.
    """
    counted, sizes = rows.counted_ml.to_numpy(float), np.unique(rows.set_ml)
    stated = value(parameters, "diameter_mm")
    names = ("start_loss_ul", "diameter_mm", "diameter_off_mm")
    if len(sizes) < 2 or len(counted) < 2 * LEAST_OF_EACH:
        why = "one volume only: what is lost at each start cannot be told from the diameter"
        return tuple(Figure(n, FIGURES[n][1], None, FIGURES[n][0], why=why) for n in names)  # type: ignore[return-value]
    design = np.column_stack([counted, np.ones(len(counted))])
    scatter = {size: max(float(np.std(volumes[rows.set_ml == size], ddof=1)), 1e-5) for size in sizes}
    weight = np.array([1.0 / scatter[size] for size in rows.set_ml])
    fit, *_ = np.linalg.lstsq(design * weight[:, None], volumes * weight, rcond=None)
    covariance = np.linalg.inv((design * weight[:, None]).T @ (design * weight[:, None]))
    slope, lost_ul = float(fit[0]), -1000.0 * float(fit[1])
    travel_mm = 1000.0 * float(sizes.max()) / (np.pi * stated**2 / 4.0)
    diameter = inner_diameter_mm(slope * float(sizes.max()), travel_mm)
    u_weighing = (
        weighed.budget(float(sizes.max()), float(took_s.max()), parameters, rest, flowing=False).u_percent / 100.0
    )
    u_diameter = 0.5 * diameter * float(np.hypot(covariance[0, 0] ** 0.5 / slope, u_weighing))
    n = len(counted)
    return (
        Figure("start_loss_ul", FIGURES["start_loss_ul"][1], lost_ul, "uL", 1000.0 * float(covariance[1, 1] ** 0.5), n),
        Figure("diameter_mm", FIGURES["diameter_mm"][1], diameter, "mm", u_diameter, n),
        Figure("diameter_off_mm", FIGURES["diameter_off_mm"][1], diameter - stated, "mm", u_diameter, n),
    )


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Error of every bolus, by size."""
    set_ml, volumes = (np.array(outcome.extra[name], float) for name in ("set_ml", "volumes_ml"))
    drawing = new_figure(2.7, stamp)
    axes = drawing.subplots()
    sizes = np.unique(set_ml)
    for place, size in enumerate(sizes):
        error = 100.0 * (volumes[set_ml == size] / size - 1.0)
        across = place + np.linspace(-0.3, 0.3, len(error))
        axes.plot(across, error, "o", color=COLOUR["in_plane"], mec=INK, mew=0.3, markersize=3)
        axes.plot([place - 0.35, place + 0.35], [error.mean()] * 2, color=COLOUR["out_of_plane"], linewidth=1.3)
    axes.axhline(0.0, color=MUTED, linewidth=0.7)
    axes.set_xticks(range(len(sizes)), [f"{size:g} mL" for size in sizes])
    axes.set(xlabel="bolus, each in the order of delivery", ylabel="error (%)")
    caption = "Error of every bolus against its set volume; the lines are the means."
    return (Plot("boluses", "Boluses", caption, "Four groups of points about zero", drawing),)


def _names(size: float) -> tuple[str, str, str, str]:
    ul = f"{1000 * size:g}_ul"
    return (f"mean_{ul}_percent", f"max_{ul}_percent", f"min_{ul}_percent", f"s_{ul}_percent")


_WORDS = ("mean error", "largest error", "smallest error", "standard deviation")
FIGURES: dict[str, tuple[str, str]] = {
    **{
        name: ("%", f"{words} of boluses of {size:g} mL")
        for size in SIZES_ML
        for name, words in zip(_names(size), _WORDS, strict=True)
    },
    "start_delay_s": ("s", "from the command to 90 % of the rate, largest bolus"),
    "start_loss_ul": ("uL", "volume that every start loses"),
    "diameter_mm": ("mm", "diameter of the syringe by weighing"),
    "diameter_off_mm": ("mm", "diameter by weighing less the one that the pump is set to"),
}
PUMP_BOLUS = Evaluation(
    name="pump_bolus",
    words="boluses of bench injections by balance: error, extremes, start; diameter of the syringe by weighing",
    tables={
        "boluses": (
            Field("set_ml", "mL"), Field("rate_ml_min", "mL/min"), Field("counted_ml", "mL"), Field("before_s", "s"),
            Field("before_g", "g"), Field("begin_s", "s"), Field("after_s", "s"), Field("after_g", "g"),
        ),
        "weighings": weighed.WEIGHINGS,
    },
    figures=FIGURES,
    evaluate=evaluate,
    parameters={
        "sizes_ml": (SIZES_ML, "volumes, of 0.1, 0.2, 0.3 and 1 mL"),
        "repeats": (25, "boluses of each"),
        "rate_ml_min": (3.0, "bench rate"),
        "diameter_mm": (19.13, "to which the pump is set"),
        "usable_ml": (15.0, "a person refills the syringe after so much"),
        "priming_ml": (0.5, "delivered before, and after every refill"),
        **weighed.PARAMETERS,
    },
    timed=True,
    untimed=frozenset({"boluses"}),
    least={
        **weighed.LEAST, "sizes_ml": 0.001, "repeats": 1, "rate_ml_min": 0.001, "diameter_mm": 0.1, "usable_ml": 0.1,
    },
    draw=draw,
)  # fmt: skip
