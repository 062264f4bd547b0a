"""Positioning of a linear axis after ISO 230-2: accuracy, repeatability, reversal and systematic error.

Deviations are attained minus target, one row per target, one column per run, in micrometres. An axis that was recorded
in one direction gives the figures of that direction; those of both together are withheld.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.qa.methods.readings import Readings, checked
from analysis.qa.outcome import Figure
from hal.errors import ConfigError

RUNS = 5
LEAST_TARGETS = 5
TARGETS_PER_M = 5
LEAST_RUNS = 2
ONE_DIRECTION = "one direction was recorded: figures of both directions are withheld"


@dataclass(frozen=True)
class OneWay:
    """Figures of one direction, in micrometres."""

    mean_um: Readings
    """Mean deviation at each target."""
    s_um: Readings
    """Standard deviation at each target, n - 1."""

    @property
    def a_um(self) -> float:
        """Accuracy A: highest mean + 2 s less lowest mean - 2 s."""
        return float(np.max(self.mean_um + 2 * self.s_um) - np.min(self.mean_um - 2 * self.s_um))

    @property
    def r_um(self) -> float:
        """Repeatability R: four times the largest standard deviation."""
        return float(4.0 * np.max(self.s_um))

    @property
    def e_um(self) -> float:
        """Systematic deviation E: range of the means."""
        return float(np.ptp(self.mean_um))


@dataclass(frozen=True)
class TwoWay:
    """Figures of both directions together, in micrometres."""

    a_um: float
    r_um: float
    e_um: float
    m_um: float
    """Range of the mean of both directions."""
    b_um: float
    """Largest absolute reversal value."""
    mean_b_um: float
    reversal_um: Readings
    """Up minus down at each target, signed."""


@dataclass(frozen=True)
class AxisFigures:
    """Everything that was found of an axis."""

    target_mm: Readings
    runs_n: int
    up: OneWay | None
    down: OneWay | None
    both: TwoWay | None
    """None: withheld, since one direction was recorded."""
    slope_um_per_m: float
    """Of the mean deviation over the targets by least squares: error of lead or scale, our own figure beside E."""
    remarks: tuple[str, ...]
    """Departures from the standard cycle that the data show."""

    def figures(self, budget: AxisBudget | None = None) -> tuple[Figure, ...]:
        """All figures of the report, those of both directions first; with a budget each has its uncertainty."""
        n, both = self.runs_n, self.both
        travel = float(np.ptp(self.target_mm))
        rows = []
        for name, words in _WORDS.items():
            value = None if both is None else float(getattr(both, f"{name}_um"))
            u = None if budget is None or value is None else budget.u_um(name, travel, n)
            rows.append(Figure(f"{name}_um", words, value, "um", u, n, "" if both else ONE_DIRECTION))
        for label, way in (("up", self.up), ("down", self.down)):
            for name in "are":
                value = None if way is None else float(getattr(way, f"{name}_um"))
                u = None if budget is None or value is None else budget.u_um(name, travel, n)
                words = f"{_WORDS[name].removesuffix(', both directions')}, {label}"
                why = "" if way else f"not recorded {label}"
                rows.append(Figure(f"{name}_{label}_um", words, value, "um", u, n, why))
        return tuple(rows)


_WORDS = {
    "a": "accuracy A, both directions",
    "r": "repeatability R, both directions",
    "e": "systematic deviation E, both directions",
    "m": "mean systematic deviation M, both directions",
    "b": "reversal value B",
    "mean_b": "mean reversal value",
}


def axis(target_mm: ArrayLike, up_um: ArrayLike | None, down_um: ArrayLike | None) -> AxisFigures:
    """Evaluate the deviations of one axis.

    Args:
        target_mm: shape (m,), rising; unequal steps, so that periodic errors are met at several phases.
        up_um, down_um: shape (m, n), n runs in each direction; None: not recorded.

    Raises:
        ConfigError: no direction recorded, fewer than five targets or two runs, other shapes, missing readings.
    """
    at = checked(target_mm, (-1,), "target positions", LEAST_TARGETS)
    if np.any(np.diff(at) <= 0.0):
        raise ConfigError("targets: must rise from the first to the last")
    if up_um is None and down_um is None:
        raise ConfigError("an axis needs deviations of one direction at least")
    rising, falling = _runs(up_um, len(at), "up"), _runs(down_um, len(at), "down")
    if rising is not None and falling is not None and rising.shape != falling.shape:
        raise ConfigError(
            f"{rising.shape[1]} runs up and {falling.shape[1]} down: both directions need the same number"
        )
    up, down = _one_way(rising), _one_way(falling)
    runs_n = (rising if rising is not None else falling).shape[1]  # type: ignore[union-attr]
    means = [way.mean_um for way in (up, down) if way is not None]
    return AxisFigures(
        target_mm=at,
        runs_n=runs_n,
        up=up,
        down=down,
        both=None if up is None or down is None else _two_way(up, down),
        slope_um_per_m=1e3 * float(np.polyfit(at, np.mean(means, axis=0), 1)[0]),
        remarks=_remarks(at, runs_n, up is None or down is None),
    )


def _runs(values: ArrayLike | None, targets_n: int, way: str) -> Readings | None:
    if values is None:
        return None
    found = checked(values, (targets_n, -1), f"deviations {way}")
    if found.shape[1] < LEAST_RUNS:
        raise ConfigError(f"deviations {way}: {found.shape[1]} run, at least {LEAST_RUNS} are needed")
    return found


def _one_way(runs: Readings | None) -> OneWay | None:
    return None if runs is None else OneWay(runs.mean(axis=1), runs.std(axis=1, ddof=1))


def _two_way(up: OneWay, down: OneWay) -> TwoWay:
    means, s = np.stack([up.mean_um, down.mean_um]), np.stack([up.s_um, down.s_um])
    reversal = up.mean_um - down.mean_um
    r = np.maximum(2 * s.sum(axis=0) + np.abs(reversal), 4 * s.max(axis=0))
    return TwoWay(
        a_um=float(np.max(means + 2 * s) - np.min(means - 2 * s)),
        r_um=float(r.max()),
        e_um=float(np.ptp(means)),
        m_um=float(np.ptp(means.mean(axis=0))),
        b_um=float(np.max(np.abs(reversal))),
        mean_b_um=float(reversal.mean()),
        reversal_um=reversal,
    )


def _remarks(at: Readings, runs_n: int, one_way: bool) -> tuple[str, ...]:
    found = [ONE_DIRECTION] if one_way else []
    if runs_n != RUNS:
        found.append(f"{runs_n} runs in each direction instead of {RUNS}")
    travel_m = float(np.ptp(at)) / 1e3
    if len(at) < TARGETS_PER_M * travel_m:
        found.append(f"{len(at)} targets over {travel_m:g} m: fewer than {TARGETS_PER_M} per metre")
    steps = np.diff(at)
    if np.ptp(steps) < 0.01 * steps.mean():
        found.append("targets at equal steps: a periodic error of that step is not seen")
    return tuple(found)


def targets(travel_mm: float, n: int, period_mm: float, rng: np.random.Generator) -> Readings:
    """Targets for a travel: equal steps, each moved at random within a period of screw or scale, three tenths of the
    step at most; the first stays at 0 or above and the last within the travel."""
    step = travel_mm / (n - 1)
    reach = min(period_mm, 0.3 * step)
    found: Readings = np.clip(np.arange(n) * step + rng.uniform(-reach, reach, n), 0.0, travel_mm)
    return found


@dataclass(frozen=True)
class AxisBudget:
    """Uncertainty of the figures of an axis, after annex A as recalled (not compared with the text).

    Lengths in mm, temperatures in kelvin, expansion in micrometres per metre and kelvin.
    """

    device_um_per_m: float = 0.0
    """Standard uncertainty of the measuring device that grows with length."""
    device_um: float = 0.0
    """Standard uncertainty of the device that does not."""
    misalignment_mrad: float = 0.0
    expansion_um_m_k: float = 11.5
    u_temperature_k: float = 0.0
    drift_um: float = 0.0
    """Change of a reading at rest over the test: environmental variation error."""

    verified = False

    def parts_um(self, travel_mm: float) -> dict[str, float]:
        """Standard uncertainties over a travel: device, misalignment, temperature, environment."""
        length_m = travel_mm / 1e3
        return {
            "device": float(np.hypot(self.device_um_per_m * length_m, self.device_um)),
            "misalignment": 0.5e-3 * travel_mm * self.misalignment_mrad**2,
            "temperature": self.expansion_um_m_k * length_m * self.u_temperature_k,
            "environment": self.drift_um / 12**0.5,
        }

    def u_um(self, figure: str, travel_mm: float, runs_n: int) -> float:
        """Standard uncertainty of a figure: ``a r e m b mean_b``.

        What belongs to a length cancels in repeatability and reversal; the environment averages out in means and acts
        on every standard deviation, twice for R = 4 s.
        """
        parts = self.parts_um(travel_mm)
        environment = parts.pop("environment")
        length = sum(part**2 for part in parts.values())
        mean, scatter = environment**2 / runs_n, (2.0 * environment) ** 2
        squares = {
            "r": scatter,
            "b": 2.0 * mean,
            "mean_b": 2.0 * mean,
            "e": length + mean,
            "m": length + mean,
            "a": length + mean + scatter,
        }
        return float(squares[figure] ** 0.5)
