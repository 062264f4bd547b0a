"""Average run length of control charts: how many points until the first signal, healthy or after a shift.

Points are independent and normal with known limits, the shift (in standard deviations) is there from the first point,
and the chart begins empty. Markov chains are exact for the rules of zones (Champ & Woodall 1987, Technometrics 29:393)
and converge for EWMA (Lucas & Saccucci 1990) and CUSUM (Brook & Evans 1972); everything else is simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, eye_array
from scipy.sparse.linalg import spsolve
from scipy.stats import norm

from analysis.qa.methods.charts import CUSUM_H, CUSUM_K, EWMA_L, EWMA_LAMBDA
from analysis.qa.methods.rules import AWAY_8, BEYOND_3S, FOUR_OF_5, QUIET_15, RUN_OF_8, RUN_OF_9, TWO_OF_3, Rule
from hal.errors import ConfigError

OF_ZONES = frozenset(rule.name for rule in (BEYOND_3S, TWO_OF_3, FOUR_OF_5, RUN_OF_8, RUN_OF_9, QUIET_15, AWAY_8))
"""Rules that ask only in which zone a point lies."""
EDGES = np.array([-np.inf, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, np.inf])
CELLS_N = 400
LONGEST = 200_000
"""A simulated chart that is silent for so many points is stopped, and refused."""


@dataclass(frozen=True)
class RunLength:
    """A simulated average run length."""

    mean: float
    error: float
    """Standard error: a run length scatters about as much as its mean."""
    p5: float
    p95: float
    n: int


@dataclass(frozen=True)
class Scheme:
    """Charts that run together on one figure; the first signal of any of them counts."""

    rules: tuple[Rule, ...] = (BEYOND_3S,)
    width: float = 3.0
    """Of the limits of individuals; the rules of zones belong to 3."""
    ewma: tuple[float, float] | None = None
    """Weight and width."""
    steady: bool = True
    cusum: tuple[float, float] | None = None
    """k and h."""


COMBINED = Scheme(ewma=(EWMA_LAMBDA, EWMA_L), cusum=(CUSUM_K, CUSUM_H))
"""Limits at 3 s with EWMA and CUSUM: healthy a signal every 200 points."""
MONTHLY = Scheme(width=3.5, ewma=(EWMA_LAMBDA, 3.2), cusum=(CUSUM_K, 5.5))
"""Wider, for figures taken once a month: healthy a signal every 516 points [A]."""


def rules_arl(rules: Sequence[Rule], shift: float = 0.0) -> float:
    """Average run length of a chart of individuals by a Markov chain over the zones of its newest points.

    Raises ``ConfigError`` for rules that compare neighbours (trends, alternation): simulate those.
    """
    others = [rule.name for rule in rules if rule.name not in OF_ZONES]
    if others or not rules:
        raise ConfigError(f"no Markov chain of zones for {', '.join(others) or 'no rule'}: simulate it")
    chance = np.diff(norm.cdf(EDGES - shift))
    memory = _Memory(rules)
    start = memory.start
    number, pending = {start: 0}, [start]
    rows, columns, weights = [], [], []
    while pending:
        state = pending.pop()
        for zone, p in enumerate(chance):
            following = memory.after(state, zone)
            if following is None:
                continue
            if following not in number:
                number[following] = len(number)
                pending.append(following)
            rows.append(number[state])
            columns.append(number[following])
            weights.append(p)
    n = len(number)
    chain = coo_array((weights, (rows, columns)), shape=(n, n)).tocsc()
    return float(spsolve((eye_array(n) - chain).tocsc(), np.ones(n))[0])


State = tuple[tuple[int, ...], ...]


class _Memory:
    """What the rules remember of the points so far: counts of runs, and which of the newest were beyond a bound."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        names = {rule.name for rule in rules}
        self.limit = BEYOND_3S.name in names
        self.run = min((r.points_n for r in rules if r.name in (RUN_OF_8.name, RUN_OF_9.name)), default=0)
        self.quiet = QUIET_15.points_n if QUIET_15.name in names else 0
        self.away = AWAY_8.points_n if AWAY_8.name in names else 0
        self.of = [(1, 4, 5)] * (FOUR_OF_5.name in names) + [(2, 2, 3)] * (TWO_OF_3.name in names)
        """Bound in standard deviations, how many points beyond it fire, of how many."""
        self.start: State = ((0, 0, 0, 0), *((0,) * (window - 1) for _, _, window in self.of for _ in "+-"))

    def after(self, state: State, zone: int) -> State | None:
        """State after a point in a zone (0: below -3 s .. 7: above 3 s), or None when a rule fires."""
        up, down, quiet, away = state[0]
        above = zone >= 4
        distance = zone - 4 if above else 3 - zone
        if self.limit and distance == 3:
            return None
        up, down = (up + 1, 0) if above else (0, down + 1)
        quiet, away = (quiet + 1, 0) if distance == 0 else (0, away + 1)
        if (
            (self.run and max(up, down) >= self.run)
            or (self.quiet and quiet >= self.quiet)
            or (self.away and away >= self.away)
        ):
            return None
        newest = [
            (up if self.run else 0, down if self.run else 0, quiet if self.quiet else 0, away if self.away else 0)
        ]
        sides = iter(state[1:])
        parts: list[tuple[int, ...]] = []
        for bound, least, _ in self.of:
            for side in (above, not above):
                before = next(sides)
                beyond = int(side and distance >= bound)
                if beyond and sum(before) + 1 >= least:
                    return None
                parts.append((*before[1:], beyond))
        return (*newest, *parts)


def ewma_arl(weight: float, width: float, shift: float = 0.0, cells_n: int = CELLS_N) -> float:
    """Average run length of an EWMA with steady limits, by a Markov chain over cells of the average."""
    half = width * (weight / (2.0 - weight)) ** 0.5
    cells = cells_n | 1  # odd: the chart begins in the middle of a cell
    size = 2.0 * half / cells
    centres = -half + size * (np.arange(cells) + 0.5)
    edge = (centres[None, :] - (1.0 - weight) * centres[:, None]) / weight
    reach = size / 2.0 / weight
    return _solved(norm.cdf(edge + reach - shift) - norm.cdf(edge - reach - shift), cells // 2)


def cusum_arl(k: float, h: float, shift: float = 0.0, cells_n: int = CELLS_N, *, one_sided: bool = False) -> float:
    """Average run length of a two-sided CUSUM from those of its sides: 1/ARL = 1/ARL+ + 1/ARL-."""
    high = _side(k, h, shift, cells_n)
    if one_sided:
        return high
    return 1.0 / (1.0 / high + 1.0 / _side(k, h, -shift, cells_n))


def _side(k: float, h: float, shift: float, cells_n: int) -> float:
    size = 2.0 * h / (2.0 * cells_n - 1.0)
    centres = size * np.arange(cells_n)
    moved = centres[None, :] - centres[:, None] + k - shift
    chain = norm.cdf(moved + size / 2.0) - norm.cdf(moved - size / 2.0)
    chain[:, 0] = norm.cdf(moved[:, 0] + size / 2.0)
    return _solved(chain, 0)


def _solved(chain: NDArray[np.float64], start: int) -> float:
    return float(np.linalg.solve(np.eye(len(chain)) - chain, np.ones(len(chain)))[start])


def simulated(scheme: Scheme, shift: float = 0.0, *, n: int = 6400, seed: int = 1, ramp_n: int = 0) -> RunLength:
    """Average run length of charts that run together, from ``n`` simulated series.

    Args:
        scheme: the charts.
        shift: in standard deviations, from the first point; with ``ramp_n`` it grows evenly from 0 over
            so many points.
        n: run lengths; 6400 give a standard error of about 1.25 %.
        seed: the same seed gives the same figure.

    Raises:
        ConfigError: rules of zones beside limits that are not at 3 s, or a chart that stays silent for 200,000 points.
    """
    if scheme.width != 3.0 and scheme.rules not in ((BEYOND_3S,), ()):
        raise ConfigError("rules of zones belong to limits at 3 s")
    rng = np.random.default_rng(seed)
    length = np.zeros(n, np.int64)
    alive = np.arange(n)
    memory = max((rule.points_n for rule in scheme.rules), default=1)
    window = np.full((n, memory), np.nan)
    average, high, low = np.zeros(n), np.zeros(n), np.zeros(n)
    for step in range(1, LONGEST + 1):
        mean = shift if not ramp_n else shift * min(1.0, (step - 1) / ramp_n)
        z = rng.normal(mean, 1.0, len(alive))
        fired = np.zeros(len(alive), np.bool_)
        window[:, :-1] = window[:, 1:]
        window[:, -1] = z * 3.0 / scheme.width
        for rule in scheme.rules:
            fired |= rule.fires(window[:, memory - rule.points_n :])
        if scheme.ewma is not None:
            weight, width = scheme.ewma
            average = weight * z + (1.0 - weight) * average
            grown = 1.0 if scheme.steady else 1.0 - (1.0 - weight) ** (2 * step)
            fired |= np.abs(average) > width * (weight / (2.0 - weight) * grown) ** 0.5
        if scheme.cusum is not None:
            k, h = scheme.cusum
            high, low = np.maximum(0.0, high + z - k), np.maximum(0.0, low - z - k)
            fired |= np.maximum(high, low) > h
        if fired.any():
            length[alive[fired]] = step
            left = ~fired
            alive, window = alive[left], window[left]
            average, high, low = average[left], high[left], low[left]
            if not len(alive):
                break
    if len(alive):
        raise ConfigError(f"{len(alive)} of {n} simulated charts gave no signal in {LONGEST} points")
    p5, p95 = (float(v) for v in np.percentile(length, [5, 95]))
    return RunLength(float(length.mean()), float(length.std(ddof=1) / n**0.5), p5, p95, n)
