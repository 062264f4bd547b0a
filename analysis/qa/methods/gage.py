"""Gage repeatability and reproducibility by analysis of variance (AIAG): spread of the measurement itself.

A crossed study: every operator measures every part equally often. Shares are of standard deviations and do not add to
100 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.qa.methods.readings import Readings, checked
from analysis.qa.outcome import Figure
from analysis.tables import DataFrame
from hal.errors import ConfigError

POOL_ABOVE = 0.05
"""An interaction with a larger p is pooled with the repeatability."""
GOOD_PERCENT, MARGINAL_PERCENT = 10.0, 30.0
CATEGORIES = 1.41


@dataclass(frozen=True)
class VarianceRow:
    """One line of the analysis of variance."""

    source: str
    degrees: int
    sum_squares: float
    mean_square: float
    f: float | None
    p: float | None


@dataclass(frozen=True)
class GageFigures:
    """Standard deviations of a gage study, in the unit of the readings."""

    parts_n: int
    operators_n: int
    repeats_n: int
    repeatability: float
    """EV: the same operator again."""
    reproducibility: float
    """AV: operators against each other, with their interaction with the parts."""
    interaction: float
    """Part of the reproducibility; 0 when pooled."""
    grr: float
    parts: float
    """PV."""
    total: float
    pooled: bool
    """Whether the interaction was pooled with the repeatability."""
    rows: tuple[VarianceRow, ...]

    @property
    def grr_percent(self) -> float:
        """Of the total spread."""
        return 100.0 * self.grr / self.total

    @property
    def categories_n(self) -> int:
        """ndc: how many groups of parts the gage can tell apart, rounded down."""
        return math.floor(CATEGORIES * self.parts / self.grr) if self.grr > 0.0 else 2**31

    @property
    def words(self) -> str:
        """What the share means by the usual bounds of 10 and 30 %."""
        if self.grr_percent < GOOD_PERCENT:
            return "good"
        return "marginal" if self.grr_percent <= MARGINAL_PERCENT else "not usable"

    def tolerance_percent(self, tolerance: float) -> float:
        """Six standard deviations of the gage as a share of a tolerance width."""
        if tolerance <= 0.0:
            raise ConfigError(f"tolerance: must be above 0, got {tolerance:g}")
        return 600.0 * self.grr / tolerance

    def figures(self, unit: str) -> tuple[Figure, ...]:
        """Figures of the report."""
        n = self.parts_n * self.operators_n * self.repeats_n
        return (
            Figure("grr_percent", "gage R&R, share of the total spread", self.grr_percent, "%", None, n),
            Figure("grr", "gage R&R, standard deviation", self.grr, unit, None, n),
            Figure("repeatability", "repeatability EV, standard deviation", self.repeatability, unit, None, n),
            Figure("reproducibility", "reproducibility AV, standard deviation", self.reproducibility, unit, None, n),
            Figure("part_variation", "parts PV, standard deviation", self.parts, unit, None, n),
            Figure("categories_n", "distinct categories", float(self.categories_n), "", None, n),
        )


def gage_figures(values: ArrayLike) -> GageFigures:
    """Evaluate readings of shape (parts, operators, repeats), each at least two.

    Raises ``ConfigError`` for other shapes, missing readings, or readings that do not differ.
    """
    x = checked(values, (-1, -1, -1), "readings of the gage study", 2)
    p, o, r = x.shape
    if min(o, r) < 2:
        raise ConfigError(f"a gage study needs two operators and two repeats at least, this one has {o} and {r}")
    mean = x.mean()
    by_part, by_operator, by_cell = x.mean(axis=(1, 2)), x.mean(axis=(0, 2)), x.mean(axis=2)
    squares = {
        "part": o * r * _squares(by_part - mean),
        "operator": p * r * _squares(by_operator - mean),
        "part x operator": r * _squares(by_cell - by_part[:, None] - by_operator[None, :] + mean),
        "repeatability": _squares(x - by_cell[:, :, None]),
    }
    degrees = {"part": p - 1, "operator": o - 1, "part x operator": (p - 1) * (o - 1), "repeatability": p * o * (r - 1)}
    ms = {name: squares[name] / degrees[name] for name in squares}
    if ms["repeatability"] <= 0.0:
        raise ConfigError("readings of the gage study: repeats do not differ; the resolution hides the repeatability")
    f_cross = ms["part x operator"] / ms["repeatability"]
    p_cross = float(stats.f.sf(f_cross, degrees["part x operator"], degrees["repeatability"]))
    pooled = p_cross > POOL_ABOVE
    if pooled:
        both = degrees["part x operator"] + degrees["repeatability"]
        error = base = (squares["part x operator"] + squares["repeatability"]) / both
        base_degrees, cross = both, 0.0
    else:
        error, base = ms["repeatability"], ms["part x operator"]
        base_degrees, cross = degrees["part x operator"], max(0.0, (base - error) / r)
    operator = max(0.0, (ms["operator"] - base) / (p * r))
    part = max(0.0, (ms["part"] - base) / (o * r))
    rows = []
    for name in squares:
        f, chance = None, None
        if name in ("part", "operator"):
            f = ms[name] / base
            chance = float(stats.f.sf(f, degrees[name], base_degrees))
        elif name == "part x operator":
            f, chance = f_cross, p_cross
        rows.append(VarianceRow(name, degrees[name], squares[name], ms[name], f, chance))
    grr = error + operator + cross
    return GageFigures(
        parts_n=p,
        operators_n=o,
        repeats_n=r,
        repeatability=error**0.5,
        reproducibility=(operator + cross) ** 0.5,
        interaction=cross**0.5,
        grr=grr**0.5,
        parts=part**0.5,
        total=(grr + part) ** 0.5,
        pooled=pooled,
        rows=tuple(rows),
    )


def gage_figures_of_table(table: DataFrame, *, part: str, operator: str, value: str) -> GageFigures:
    """The same from a table with one reading per row. Raises ``ConfigError`` for a study that is not balanced."""
    counts = table.groupby([part, operator], observed=True)[value].count().unstack(fill_value=0)
    repeats = sorted({int(n) for n in counts.to_numpy().ravel()})
    if len(repeats) != 1:
        raise ConfigError(
            f"a gage study needs as many readings of every part by every operator, this one has {repeats[0]} to "
            f"{repeats[-1]}"
        )
    ordered = table.dropna(subset=[value]).sort_values([part, operator], kind="stable")
    return gage_figures(ordered[value].to_numpy(float).reshape(*counts.shape, repeats[0]))


def _squares(values: Readings) -> float:
    return float(np.sum(values**2))
