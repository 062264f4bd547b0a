"""Pressure loss of line and needle in air against the rate: resistance, offset, departure from a straight line.

Laminar flow through a tube loses pressure in proportion to rate and viscosity (Hagen and Poiseuille): a slope that is
too large is a clot, a kink or the wrong needle, one that is too small a leak or the wrong needle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.figures.style import COLOUR, INK, MUTED, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.outcome import Figure, Outcome
from rig.record import Field

LEAST_RATES_N = 3


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """Least-squares line of the plateau pressure on the rate; uncertainties from the scatter about it."""
    points = tables["plateaus"].dropna(subset=["rate_ml_min", "plateau_kpa"])
    rate, kpa = points.rate_ml_min.to_numpy(float), points.plateau_kpa.to_numpy(float)
    rates_n, n = len(np.unique(rate)), len(rate)
    if rates_n < LEAST_RATES_N or n < rates_n + 2:
        return Outcome(
            (), invalid=f"{n} plateaus at {rates_n} rates: at least {LEAST_RATES_N} rates are needed, repeated"
        )
    mean, spread = rate.mean(), float(np.sum((rate - rate.mean()) ** 2))
    slope = float(np.sum((rate - mean) * kpa) / spread)
    offset = float(kpa.mean() - slope * mean)
    residual = kpa - offset - slope * rate
    s = float(np.sqrt(np.sum(residual**2) / (n - 2)))
    u_slope, u_offset = s / spread**0.5, s * (1 / n + mean**2 / spread) ** 0.5
    bend = max(abs(float(np.mean(residual[rate == r]))) for r in np.unique(rate))
    nominal = float(parameters["nominal_kpa_min_ml"])  # type: ignore[arg-type]
    off, u_off = (100 * (slope / nominal - 1), 100 * u_slope / nominal) if nominal > 0 else (None, None)
    why = "" if off is not None else "the acceptance file states no nominal resistance"
    figures = (
        Figure("resistance_kpa_min_ml", "resistance of line and needle", slope, "kPa min/mL", u_slope, n),
        Figure("deviation_percent", "resistance against its nominal value", off, "%", u_off, n, why),
        Figure("offset_kpa", "pressure at rate zero by the line", offset, "kPa", u_offset, n),
        Figure("bend_kpa", "largest mean distance of a rate from the line", bend, "kPa", s * (rates_n / n) ** 0.5, n),
    )
    return Outcome(figures, extra={"slope": slope, "offset": offset})


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Plateau pressures against the rate with their line."""
    points = tables["plateaus"]
    slope, offset = outcome.extra["slope"], outcome.extra["offset"]
    assert isinstance(slope, float) and isinstance(offset, float)
    drawing = new_figure(2.6, stamp, 4.2)
    axes = drawing.subplots()
    ends = np.array([0.0, float(points.rate_ml_min.max()) * 1.05])
    axes.plot(ends, offset + slope * ends, color=MUTED)
    axes.plot(points.rate_ml_min, points.plateau_kpa, "o", color=COLOUR["in_plane"], mec=INK, mew=0.4, markersize=4)
    axes.set(xlabel="rate (mL/min)", ylabel="plateau pressure (kPa)")
    axes.set_xlim(left=0)
    caption = "Plateau of each injection into air, and the least-squares line whose slope is the resistance."
    return (Plot("line_loss", "Pressure loss of the line", caption, "Points along a rising line", drawing),)


LINE_LOSS = Evaluation(
    name="line_loss",
    words="pressure loss of line and needle in air against the rate",
    tables={"plateaus": (Field("rate_ml_min", "mL/min"), Field("plateau_kpa", "kPa"), Field("pumped_ml", "mL"))},
    figures={
        "resistance_kpa_min_ml": ("kPa min/mL", "resistance of line and needle"),
        "deviation_percent": ("%", "resistance against its nominal value"),
        "offset_kpa": ("kPa", "pressure at rate zero by the line"),
        "bend_kpa": ("kPa", "largest mean distance of a rate from the line"),
    },
    evaluate=evaluate,
    parameters={
        "rates_ml_min": ((1.0, 2.0, 3.0, 4.0), "rates, each as often as repeats says"),
        "repeats": (3, "injections per rate"),
        "volume_ml": (0.2, "volume of one injection"),
        "nominal_kpa_min_ml": (0.0, "resistance that is expected; 0: not compared"),
    },
    least={"rates_ml_min": 0.001, "repeats": 1, "volume_ml": 0.001},
    draw=draw,
)
