"""A sensor against a reference in steps up and down: line, hysteresis, repeatability, zero.

The reference is set near each step and read: every reading is taken to the step by the difference of the reference,
which is exact for a sensor whose gain is right within a percent and a reference set within a percent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from analysis.figures.style import COLOUR, MUTED, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.methods.readings import Readings
from analysis.qa.methods.static import StaticFigures, static_calibration
from analysis.qa.outcome import Figure, Outcome
from hal.errors import ConfigError
from rig.record import Field

SET_FAR_SHARE = 0.02
"""A reference that stands farther from its step, of full scale, was set to another step [A]."""


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """Figures of a static calibration, in percent of the highest step."""
    points = tables["points"]
    steps = np.unique(points.wanted.to_numpy(float))
    full = float(np.max(np.abs(steps)))
    far = points[(points.reference - points.wanted).abs() > SET_FAR_SHARE * full]
    if len(far):
        one = far.iloc[0]
        return Outcome((), invalid=f"the reference showed {one.reference:g} where {one.wanted:g} was asked for")
    try:
        up, down = _series(tables, steps, 1.0), _series(tables, steps, -1.0)
        found = static_calibration(steps, up, down if len(down) else None, unit=str(parameters["unit"]))
    except ConfigError as error:
        return Outcome((), invalid=str(error))
    u_reference = float(parameters["u_reference"])  # type: ignore[arg-type]
    figures = _figures(found, points.sd.to_numpy(float), points.n.to_numpy(float), u_reference)
    extra = {
        "reference": found.reference.tolist(),
        "mean_curve": found.mean_curve.tolist(),
        "hysteresis": found.hysteresis.tolist(),
        "line": [found.line("least squares").offset, found.line("least squares").slope],
    }
    return Outcome(figures, extra=extra)


def _series(tables: Tables, steps: Readings, direction: float) -> Readings:
    """Readings at the steps, one row per cycle of this direction; raises ``ConfigError`` when a cycle lacks a step."""
    points = tables["points"]
    points = points[points.direction == direction]
    rows = []
    for cycle, own in points.groupby("cycle"):
        at = own.wanted.to_numpy(float)
        order = np.argsort(at)
        if not np.array_equal(at[order], steps):
            raise ConfigError(f"cycle {cycle:g} has {len(at)} of {len(steps)} steps: it did not come to its end")
        reading = own.reading.to_numpy(float) - (own.reference.to_numpy(float) - at)
        rows.append(reading[order])
    return np.array(rows)


def _figures(found: StaticFigures, sd: Readings, n: Readings, u_reference: float) -> tuple[Figure, ...]:
    """With the uncertainty of each: scatter of the mean readings and reference, as percent of full scale."""
    u_point = float(np.sqrt(np.mean(sd**2 / n) + u_reference**2))
    u_percent = 100.0 * u_point / found.full_scale
    spread = {"hysteresis_percent": 2**0.5, "repeatability_percent": 2.0, "zero_error_percent": 2**0.5}
    out = []
    for figure in found.figures(u_reference):
        if figure.unit == "%" and figure.value is not None:
            figure = Figure(
                figure.name,
                figure.words,
                figure.value,
                "%",
                spread.get(figure.name, 1.0) * u_percent,
                figure.n,
                figure.why,
            )
        elif figure.name == "offset":
            figure = Figure(figure.name, figure.words, figure.value, figure.unit, u_point, figure.n)
        out.append(figure)
    return tuple(out)


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Deviation from the reference at every step, up and down."""
    points = tables["points"]
    drawing = new_figure(2.6, stamp)
    axes = drawing.subplots()
    for direction, name, colour in ((1.0, "up", COLOUR["in_plane"]), (-1.0, "down", COLOUR["out_of_plane"])):
        for k, (_, own) in enumerate(points[points.direction == direction].groupby("cycle")):
            own = own.sort_values("wanted")
            label = name if k == 0 else None
            axes.plot(own.wanted, own.reading - own.reference, "o-", color=colour, ms=3, lw=0.8, label=label)
    axes.axhline(0.0, color=MUTED, linewidth=0.6)
    unit = points.attrs.get("units", {}).get("reference", "")
    axes.set(xlabel=f"reference ({unit})", ylabel=f"sensor minus reference ({unit})")
    axes.legend(loc="best")
    caption = "Deviation of the sensor from the reference at each step, cycles up and down."
    return (Plot("deviation", "Deviation from the reference", caption, "Lines of deviations over the range", drawing),)


_LINES = {
    f"linearity_{kind}_percent": ("%", f"largest distance from the {kind.replace('_', ' ')} line, of full scale")
    for kind in ("terminal", "least_squares", "minimax", "zero_based")
}


def static_of(name: str, words: str, unit: str, levels: tuple[float, ...], u_reference: float) -> Evaluation:
    """Static calibration of one kind of sensor."""
    return Evaluation(
        name=name,
        words=words,
        tables={
            "points": (
                Field("cycle", ""), Field("direction", ""), Field("wanted", unit), Field("reference", unit),
                Field("reading", unit), Field("sd", unit), Field("n", ""),
            )
        },
        figures={
            **_LINES,
            "gain_error_percent": ("%", "gain error by least squares"),
            "offset": (unit, "reading at reference zero, by least squares"),
            "hysteresis_percent": ("%", "largest difference between down and up, of full scale"),
            "repeatability_percent": ("%", "largest difference between series up, of full scale"),
            "zero_error_percent": ("%", "largest change of the zero, of full scale"),
            "expanded_uncertainty": (unit, "expanded uncertainty of a reading"),
        },
        evaluate=evaluate,
        parameters={
            "sensor": (name.removesuffix("_static"), "role of the sensor"),
            "unit": (unit, "of reference and sensor"),
            "levels": (levels, "steps, from zero up"),
            "cycles": (3, "series: up, down, up again ..."),
            "hold_s": (5.0, "wait at a step before it is read"),
            "readings": (20, "readings at a step"),
            "u_reference": (u_reference, "standard uncertainty of the reference"),
        },
        least={"levels": -math.inf, "cycles": 1, "readings": 2},
        draw=draw,
    )  # fmt: skip


PRESSURE_STATIC = static_of(
    "pressure_static", "pressure sensor against a reference in steps up and down", "kPa",
    (0.0, 40.0, 80.0, 120.0, 160.0, 200.0), 0.05,
)  # fmt: skip
FORCE_STATIC = static_of(
    "needle_force_static", "force sensor of the needle against weights, up and down", "N",
    (0.0, 1.0, 2.0, 3.0, 4.0), 0.003,
)  # fmt: skip
