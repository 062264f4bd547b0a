"""A linear axis against a length reference, target by target, up and down: positioning after ISO 230-2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.figures.style import COLOUR, MUTED, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.methods.axis import AxisBudget, axis
from analysis.qa.methods.readings import Readings
from analysis.qa.outcome import Figure, Outcome
from analysis.tables import DataFrame
from hal.errors import ConfigError
from rig.record import Field

FIGURES = {
    "a_um": "accuracy A, both directions",
    "r_um": "repeatability R, both directions",
    "e_um": "systematic deviation E, both directions",
    "m_um": "mean systematic deviation M, both directions",
    "b_um": "reversal value B",
    "mean_b_um": "mean reversal value",
    **{
        f"{name}_{way}_um": f"{words}, {way}"
        for way in ("up", "down")
        for name, words in (("a", "accuracy A"), ("r", "repeatability R"), ("e", "systematic deviation E"))
    },
    "slope_um_per_m": "error of scale: slope of the mean deviation",
}


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """All figures of the axis; with one direction those of both are withheld."""
    table = tables["targets"]
    other = sorted(set(table.direction.to_numpy(float)) - {1.0, -1.0})
    if other:
        return Outcome((), invalid=f"direction is 1 (up) or -1 (down), not {other[0]:g}")
    try:
        at, up = _runs(table, 1.0)
        at_down, down = _runs(table, -1.0)
        if up is not None and down is not None and not np.array_equal(at, at_down):
            raise ConfigError("the targets of both directions differ")
        found = axis(at if up is not None else at_down, up, down)
    except ConfigError as error:
        return Outcome((), invalid=str(error))
    budget = AxisBudget(
        device_um=1e3 * float(parameters["u_reference_mm"]),  # type: ignore[arg-type]
        u_temperature_k=float(parameters["u_temperature_k"]),  # type: ignore[arg-type]
        misalignment_mrad=float(parameters["misalignment_mrad"]),  # type: ignore[arg-type]
    )
    span_m = float(np.ptp(found.target_mm)) / 1e3
    u_slope = budget.device_um / span_m * (12.0 / len(found.target_mm)) ** 0.5
    slope = Figure("slope_um_per_m", FIGURES["slope_um_per_m"], found.slope_um_per_m, "um/m", u_slope, found.runs_n)
    return Outcome((*found.figures(budget), slope), found.remarks)


def _runs(table: DataFrame, direction: float) -> tuple[Readings, Readings | None]:
    """Targets, and deviations in micrometres, shape (targets, runs); None when the direction was not recorded.

    Raises ``ConfigError`` when a target was not reached once in every run.
    """
    own = table[table.direction == direction]
    targets = np.unique(own.target_mm.to_numpy(float))
    if not len(own):
        return targets, None
    columns = []
    for run, part in own.groupby("run"):
        at = part.sort_values("target_mm")
        if not np.array_equal(at.target_mm.to_numpy(float), targets):
            raise ConfigError(f"run {run:g} has {len(at)} readings for {len(targets)} targets: each is needed once")
        columns.append(1e3 * (at.reading_mm - at.target_mm).to_numpy(float))
    return targets, np.array(columns).T


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Deviation at every target and run, up and down, with the means."""
    table = tables["targets"]
    drawing = new_figure(2.8, stamp)
    axes = drawing.subplots()
    for direction, name, colour in ((1.0, "up", COLOUR["in_plane"]), (-1.0, "down", COLOUR["out_of_plane"])):
        own = table[table.direction == direction]
        if not len(own):
            continue
        deviation = 1e3 * (own.reading_mm - own.target_mm)
        axes.plot(own.target_mm, deviation, ".", color=colour, markersize=3)
        mean = deviation.groupby(own.target_mm).mean()
        axes.plot(mean.index, mean, color=colour, linewidth=1.0, label=name)
    axes.axhline(0.0, color=MUTED, linewidth=0.6)
    axes.set(xlabel="target (mm)", ylabel="deviation (um)")
    axes.legend(loc="best")
    caption = "Attained less target at every target and run; the lines are the means of each direction."
    return (Plot("deviations", "Positioning of the axis", caption, "Deviations along the travel", drawing),)


FEED_AXIS = Evaluation(
    name="feed_axis",
    words="positioning of the needle's feed: accuracy, repeatability, reversal",
    tables={
        "targets": (
            Field("run", ""), Field("direction", ""), Field("target_mm", "mm"), Field("reading_mm", "mm"),
        )
    },
    figures={name: ("um/m" if "slope" in name else "um", words) for name, words in FIGURES.items()},
    evaluate=evaluate,
    parameters={
        "travel_mm": (30.0, "length that is tested"),
        "targets": (7, "targets along it, at unequal steps"),
        "runs": (5, "runs in each direction"),
        "dwell_s": (1.0, "rest before a reading"),
        "readings": (30, "looks of the reference at each target"),
        "u_reference_mm": (0.005, "standard uncertainty of one reading of the reference"),
        "u_temperature_k": (0.5, "standard uncertainty of the difference in temperature of axis and reference"),
        "misalignment_mrad": (1.0, "reference against the axis"),
    },
    least={"travel_mm": 1.0, "targets": 2, "runs": 1, "readings": 1},
    draw=draw,
)  # fmt: skip
