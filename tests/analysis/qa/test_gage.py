"""Gage R&R on the set of the AIAG manual (10 parts, 3 operators, 3 repeats), and on studies made with known spread."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from analysis.qa.methods.gage import gage_figures, gage_figures_of_table
from analysis.tables import DataFrame
from hal.errors import ConfigError

OPERATORS = {
    "A": (
        (0.29, -0.56, 1.34, 0.47, -0.80, 0.02, 0.59, -0.31, 2.26, -1.36),
        (0.41, -0.68, 1.17, 0.50, -0.92, -0.11, 0.75, -0.20, 1.99, -1.25),
        (0.64, -0.58, 1.27, 0.64, -0.84, -0.21, 0.66, -0.17, 2.01, -1.31),
    ),
    "B": (
        (0.08, -0.47, 1.19, 0.01, -0.56, -0.20, 0.47, -0.63, 1.80, -1.68),
        (0.25, -1.22, 0.94, 1.03, -1.20, 0.22, 0.55, 0.08, 2.12, -1.62),
        (0.07, -0.68, 1.34, 0.20, -1.28, 0.06, 0.83, -0.34, 2.19, -1.50),
    ),
    "C": (
        (0.04, -1.38, 0.88, 0.14, -1.46, -0.29, 0.02, -0.46, 1.77, -1.49),
        (-0.11, -1.13, 1.09, 0.20, -1.07, -0.67, 0.01, -0.56, 1.45, -1.77),
        (-0.15, -0.96, 0.67, 0.11, -1.45, -0.49, 0.21, -0.49, 1.87, -2.16),
    ),
}
AIAG = np.array(list(OPERATORS.values())).transpose(2, 0, 1)
TABLE = DataFrame(
    [(part, name, AIAG[part, k, n]) for n in range(3) for k, name in enumerate("ABC") for part in range(10)],
    columns=["part", "operator", "mm"],
)


def test_the_figures_of_the_manual():
    found = gage_figures(AIAG)
    assert found.pooled and found.interaction == 0.0
    assert found.repeatability == pytest.approx(0.199933, abs=5e-7)
    assert found.reproducibility == pytest.approx(0.226838, abs=5e-7)
    assert found.grr == pytest.approx(0.302373, abs=2e-6)
    assert found.parts == pytest.approx(1.042327, abs=5e-7)
    assert found.total == pytest.approx(1.085301, abs=5e-5)
    assert found.grr_percent == pytest.approx(27.86, abs=5e-3)
    assert found.categories_n == 4 and found.words == "marginal"


def test_the_analysis_of_variance_of_the_manual_and_of_a_library():
    found = {row.source: row for row in gage_figures(AIAG).rows}
    manual = {"part": 88.3619, "operator": 3.1673, "part x operator": 0.3590, "repeatability": 2.7589}
    assert {name: round(row.sum_squares, 4) for name, row in found.items()} == manual
    table = anova_lm(smf.ols("mm ~ C(part) * C(operator)", TABLE).fit())
    for ours, theirs in (("part", "C(part)"), ("operator", "C(operator)"), ("part x operator", "C(part):C(operator)")):
        assert found[ours].sum_squares == pytest.approx(table.loc[theirs, "sum_sq"])
        assert found[ours].degrees == table.loc[theirs, "df"]
    assert found["part x operator"].p == pytest.approx(table.loc["C(part):C(operator)", "PR(>F)"])


def test_a_table_gives_the_same_whatever_its_order():
    shuffled = TABLE.sample(frac=1.0, random_state=1)
    found = gage_figures_of_table(shuffled, part="part", operator="operator", value="mm")
    assert found.grr == pytest.approx(gage_figures(AIAG).grr)
    with pytest.raises(ConfigError, match="2 to 3"):
        gage_figures_of_table(TABLE.iloc[1:], part="part", operator="operator", value="mm")


def test_known_spread_comes_back():
    rng = np.random.default_rng(2)
    shape = (200, 40, 4)
    parts, operators = rng.normal(0, 1.0, shape[0]), rng.normal(0, 0.3, shape[1])
    cross, noise = rng.normal(0, 0.4, shape[:2]), rng.normal(0, 0.2, shape)
    found = gage_figures(parts[:, None, None] + operators[None, :, None] + cross[:, :, None] + noise)
    assert not found.pooled
    assert found.repeatability == pytest.approx(0.2, rel=0.02)
    assert found.interaction == pytest.approx(0.4, rel=0.03)
    assert found.reproducibility == pytest.approx(0.5, rel=0.15)
    assert found.parts == pytest.approx(1.0, rel=0.15)
    assert found.tolerance_percent(6.0) == pytest.approx(100 * found.grr)


def test_studies_that_say_nothing_are_refused():
    with pytest.raises(ConfigError, match="two operators"):
        gage_figures(np.random.default_rng(1).normal(size=(5, 1, 3)))
    with pytest.raises(ConfigError, match="do not differ"):
        gage_figures(np.tile(np.arange(5.0)[:, None, None], (1, 2, 3)))
