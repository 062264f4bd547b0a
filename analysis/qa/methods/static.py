"""Static calibration of a sensor against a reference: straight line, hysteresis, repeatability, zero, creep.

After EURAMET cg-17 and ISO 376 as recalled. Percent are of full scale, the highest reference value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from analysis.qa.methods.readings import Readings, checked
from analysis.qa.outcome import Figure
from hal.errors import ConfigError

LineKind = Literal["terminal", "least squares", "minimax", "zero-based"]
LINES: tuple[LineKind, ...] = ("terminal", "least squares", "minimax", "zero-based")
LEAST_POINTS = 3


@dataclass(frozen=True)
class Line:
    """A straight line through the mean curve, and how far the curve is from it."""

    kind: LineKind
    """``terminal``: through the ends; ``zero-based``: least squares through the origin of the reference."""
    offset: float
    slope: float
    linearity_percent: float
    """Largest distance of the mean curve from the line, percent of full scale."""

    @property
    def gain_error_percent(self) -> float:
        return 100.0 * (self.slope - 1.0)


@dataclass(frozen=True)
class StaticFigures:
    """Figures of a static calibration, in the unit of the reference unless named percent (of full scale)."""

    unit: str
    full_scale: float
    reference: Readings
    mean_curve: Readings
    """Mean of the readings up and down at each reference value."""
    lines: tuple[Line, ...]
    hysteresis: Readings
    """Down minus up at each reference value, mean over the cycles; empty when no series came down."""
    repeatability: Readings
    """Largest difference between two series up at each value, each less its own zero; empty with one series up."""
    zero_error: float
    """Largest change of the zero reading between two series."""
    cycles_n: int

    def line(self, kind: LineKind) -> Line:
        """The line of this kind."""
        return next(line for line in self.lines if line.kind == kind)

    def percent(self, values: Readings) -> float | None:
        """Largest absolute value in percent of full scale; None when there is none."""
        return 100.0 * float(np.max(np.abs(values))) / self.full_scale if len(values) else None

    @property
    def hysteresis_percent(self) -> float | None:
        return self.percent(self.hysteresis)

    @property
    def repeatability_percent(self) -> float | None:
        return self.percent(self.repeatability)

    @property
    def zero_error_percent(self) -> float:
        return 100.0 * self.zero_error / self.full_scale

    def figures(self, u_reference: float | None = None, resolution: float = 0.0) -> tuple[Figure, ...]:
        """Every figure for a report; with the reference's standard uncertainty also U of the sensor's readings."""
        n = self.cycles_n
        no_down, one_up = "no series came down", "one series up only"
        rows = [
            Figure(
                f"linearity_{line.kind.replace(' ', '_').replace('-', '_')}_percent",
                f"largest distance from the {line.kind} line, of full scale", line.linearity_percent, "%", None, n,
            )
            for line in self.lines
        ]  # fmt: skip
        best = self.line("least squares")
        rows += [
            Figure("gain_error_percent", "gain error by least squares", best.gain_error_percent, "%", None, n),
            Figure("offset", "reading at reference zero, by least squares", best.offset, self.unit, None, n),
            Figure(
                "hysteresis_percent", "largest difference between down and up, of full scale",
                self.hysteresis_percent, "%", None, n, "" if len(self.hysteresis) else no_down,
            ),
            Figure(
                "repeatability_percent", "largest difference between series up, of full scale",
                self.repeatability_percent, "%", None, n, "" if len(self.repeatability) else one_up,
            ),
            Figure("zero_error_percent", "largest change of the zero, of full scale", self.zero_error_percent, "%"),
        ]  # fmt: skip
        expanded = None if u_reference is None else self.expanded(u_reference, resolution)
        why = "uncertainty of the reference is not stated" if expanded is None else ""
        rows.append(
            Figure("expanded_uncertainty", "expanded uncertainty of a reading", expanded, self.unit, None, n, why)
        )
        return tuple(rows)

    def expanded(self, u_reference: float, resolution: float, k: float = 2.0) -> float:
        """k sqrt(u_ref^2 + r^2/12 + f0^2/12 + b'^2/12 + h^2/12), in the unit of the reference.

        Hysteresis or repeatability that was not measured counts as zero: say so beside the figure.
        """
        spans = (resolution, self.zero_error, _largest(self.repeatability), _largest(self.hysteresis))
        return k * float(np.sqrt(u_reference**2 + sum(span**2 for span in spans) / 12.0))


def static_calibration(
    reference: ArrayLike, up: ArrayLike, down: ArrayLike | None = None, *, unit: str = ""
) -> StaticFigures:
    """Evaluate series of readings at the same reference values.

    Args:
        reference: shape (m,), rising, at least three values.
        up: readings while the reference rose, shape (cycles, m) or (m,).
        down: readings while it fell, in the order of ``reference``; may have fewer cycles than ``up``; None: not taken.
        unit: of reference and readings.

    Raises:
        ConfigError: wrong shapes, missing readings, values that do not rise.
    """
    at = checked(reference, (-1,), "reference values", LEAST_POINTS)
    if np.any(np.diff(at) <= 0.0):
        raise ConfigError("reference values: must rise from the first to the last")
    rising = checked(np.atleast_2d(np.asarray(up, float)), (-1, len(at)), "series up")
    falling = None if down is None else checked(np.atleast_2d(np.asarray(down, float)), (-1, len(at)), "series down")
    if falling is not None and len(falling) > len(rising):
        raise ConfigError(f"{len(falling)} series down for {len(rising)} up: each series down follows one up")
    cycles_n = len(rising) if falling is None else len(falling)
    curve = rising.mean(axis=0) if falling is None else (rising[:cycles_n].mean(axis=0) + falling.mean(axis=0)) / 2.0
    less_zero = rising - rising[:, :1]
    zeros = rising[:, 0] if falling is None else np.concatenate([rising[:, 0], falling[:, 0]])
    return StaticFigures(
        unit=unit,
        full_scale=float(np.max(np.abs(at))),
        reference=at,
        mean_curve=curve,
        lines=tuple(_line(kind, at, curve) for kind in LINES),
        hysteresis=np.empty(0) if falling is None else (falling - rising[:cycles_n]).mean(axis=0),
        repeatability=np.ptp(less_zero, axis=0) if len(rising) > 1 else np.empty(0),
        zero_error=float(np.ptp(zeros)),
        cycles_n=cycles_n,
    )


def _largest(values: Readings) -> float:
    return float(np.max(np.abs(values))) if len(values) else 0.0


def _line(kind: LineKind, at: Readings, curve: Readings) -> Line:
    if kind == "terminal":
        slope = (curve[-1] - curve[0]) / (at[-1] - at[0])
        offset = curve[0] - slope * at[0]
    elif kind == "least squares":
        slope, offset = np.polyfit(at, curve, 1)
    elif kind == "zero-based":
        slope, offset = (at @ curve) / (at @ at), 0.0
    else:
        offset, slope = _minimax(at, curve)
    off = float(np.max(np.abs(curve - offset - slope * at)))
    return Line(kind, float(offset), float(slope), 100.0 * off / float(np.max(np.abs(at))))


def _minimax(at: Readings, curve: Readings) -> tuple[float, float]:
    """Offset and slope of the line whose largest distance is the smallest (Chebyshev), as a linear programme."""
    ones = np.ones_like(at)
    above, below = np.column_stack([ones, at, -ones]), np.column_stack([-ones, -at, -ones])
    free = (None, None)
    found = linprog(
        [0.0, 0.0, 1.0], np.vstack([above, below]), np.concatenate([curve, -curve]), bounds=[free, free, free]
    )
    return float(found.x[0]), float(found.x[1])
