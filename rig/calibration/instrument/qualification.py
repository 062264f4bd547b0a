"""Qualification of a reference instrument in gel at the target's depth: bias, spread, and whether it sees bending.

A needle is held at known tips (jig, coordinate measurement, CT) in gel at the depth of the targets, straight and bent
by a known amount; the instrument reads each. An instrument at the hub that reckons the tip from a straight needle
misses exactly the deflection: its error grows with slope -1. One that sees the tip has slope 0. Anything in between is
named as it is. What it declares is checked against what it did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2
from scipy.stats import f as fisher
from scipy.stats import t as student

from hal.errors import CalibrationRefused
from hal.types import Vector
from rig.calibration.instrument.decide import Decision, can_decide

MIN_READINGS_N = 10
MIN_BENT_N = 6
MIN_SPREAD_MM = 1e-4
"""Scatter below which errors count as equal: far below the last digit of any table [A]."""
MIN_DEFLECTION_SDS = 4.0
"""The bend applied must be this many standard deviations of a reading, or slope 0 and -1 look alike [A]."""


UNSEEN = "bending not seen"
"""The part of the uncertainty that a study's own targets decide."""


@dataclass(frozen=True)
class TipReading:
    """One tip, known and read, mm, in one frame."""

    true_mm: Vector
    read_mm: Vector
    depth_mm: float
    deflection_mm: Vector
    """(3,) true tip minus the tip of the same needle if it were straight; zero when straight."""
    in_gel: bool = True


@dataclass(frozen=True)
class InstrumentQualification:
    """Result of ``qualify_instrument``; components along the frame of the readings."""

    name: str
    declared_sees_bending: bool
    sees_bending: bool | None
    """None: the readings do not tell."""
    bending_slope: float
    """Error per mm of deflection, along it: 0 sees it, -1 is blind; NaN without bent readings."""
    bending_interval: tuple[float, float]
    bias_mm: Vector
    bias_p_value: float
    """Hotelling: chance of such a bias if there were none."""
    covariance: NDArray[np.float64] = field(repr=False)
    """(3, 3) of one reading, straight needle."""
    truth_sd_mm: float
    depth_range_mm: tuple[float, float]
    straight_n: int
    bent_n: int
    expected_deflection_mm: float
    standard_uncertainty_mm: float
    """Per axis, for a reading without any correction, bending at the target included when it is not seen."""
    parts_mm: Mapping[str, float]
    """Components of that figure, standard, per axis."""
    errors_mm: NDArray[np.float64] = field(repr=False)
    deflections_mm: NDArray[np.float64] = field(repr=False)
    depths_mm: NDArray[np.float64] = field(repr=False)

    @property
    def tip_uncertainty_mm(self) -> float:
        """Like ``standard_uncertainty_mm`` without the bending: each study adds the bending at its own targets."""
        return float(np.sqrt(sum(v**2 for name, v in self.parts_mm.items() if name != UNSEEN)))

    @property
    def tip_uncertainty_interval_mm(self) -> tuple[float, float]:
        """95 % of ``tip_uncertainty_mm``, from the number of straight readings (chi-square, three axes)."""
        n = 3 * (self.straight_n - 1)
        low, high = (float(np.sqrt(n / chi2.ppf(p, n))) for p in (0.975, 0.025))
        return low * self.tip_uncertainty_mm, high * self.tip_uncertainty_mm

    def decides(self, criteria_mm: Mapping[str, float]) -> dict[str, Decision]:
        """Per criterion (name -> limit, mm) whether this instrument can decide it; a single False blocks the study."""
        return {name: can_decide(limit, self.standard_uncertainty_mm) for name, limit in criteria_mm.items()}

    def as_json(self) -> dict[str, object]:
        return {
            "ok": True,
            "name": self.name,
            "declared_sees_bending": self.declared_sees_bending,
            "sees_bending": self.sees_bending,
            "bending_slope": None if np.isnan(self.bending_slope) else self.bending_slope,
            "bending_interval_95": None if np.isnan(self.bending_slope) else list(self.bending_interval),
            "bias_mm": self.bias_mm.tolist(),
            "bias_p_value": self.bias_p_value,
            "covariance_mm2": self.covariance.tolist(),
            "spread_sd_mm": np.sqrt(np.diag(self.covariance)).tolist(),
            "depth_range_mm": list(self.depth_range_mm),
            "straight_n": self.straight_n,
            "bent_n": self.bent_n,
            "expected_deflection_mm": self.expected_deflection_mm,
            "standard_uncertainty_mm": self.standard_uncertainty_mm,
            "parts_mm": dict(self.parts_mm),
            "tip_uncertainty_mm": self.tip_uncertainty_mm,
            "tip_uncertainty_interval_95_mm": list(self.tip_uncertainty_interval_mm),
            "u_tip_uncertainty_mm": self.tip_uncertainty_mm / float(np.sqrt(2.0 * 3 * (self.straight_n - 1))),
        }


def qualify_instrument(
    name: str,
    readings: Sequence[TipReading],
    *,
    target_depth_mm: tuple[float, float],
    truth_sd_mm: float,
    expected_deflection_mm: float,
    declares_bending: bool,
) -> InstrumentQualification:
    """Bias, spread and sight of bending from readings in gel at the targets' depth.

    ``truth_sd_mm``: standard uncertainty of a known tip, per axis. ``expected_deflection_mm``: rms tip deflection to be
    expected in a study (per lateral axis), charged in full to an instrument that does not see bending, or that was not
    shown to.

    Raises ``CalibrationRefused`` with code ``not in gel``, ``wrong depth``, ``too few``, ``no bent needle``, ``no
    scatter`` or ``declaration`` (it declares to see bending, and does not).
    """
    outside = [r for r in readings if not r.in_gel]
    if outside:
        raise CalibrationRefused(
            "not in gel",
            f"{name}: {len(outside)} of {len(readings)} readings were not in gel: light, "
            "metal and sound behave otherwise there",
        )
    low, high = target_depth_mm
    usable = [r for r in readings if low <= r.depth_mm <= high]
    straight = [r for r in usable if np.linalg.norm(r.deflection_mm) < 0.2]
    bent = [r for r in usable if np.linalg.norm(r.deflection_mm) >= 0.2]
    if len(usable) < len(readings) / 2:
        raise CalibrationRefused(
            "wrong depth",
            f"{name}: {len(readings) - len(usable)} of {len(readings)} readings lie outside "
            f"the targets' depth of {low:g} to {high:g} mm",
        )
    if len(straight) < MIN_READINGS_N:
        raise CalibrationRefused(
            "too few",
            f"{name}: {len(straight)} readings of a straight needle at depth, at least {MIN_READINGS_N} needed",
        )
    if declares_bending and len(bent) < MIN_BENT_N:
        raise CalibrationRefused(
            "no bent needle",
            f"{name} declares to see bending, and only {len(bent)} readings of a bent "
            f"needle are there: {MIN_BENT_N} needed to believe it",
        )
    errors = np.array([r.read_mm - r.true_mm for r in straight])
    bias = errors.mean(axis=0)
    covariance = np.cov(errors.T)
    if float(np.linalg.eigvalsh(covariance)[0]) < MIN_SPREAD_MM**2:
        raise CalibrationRefused(
            "no scatter",
            f"{name}: the errors of {len(straight)} readings are one and the same along some direction: no instrument "
            "repeats itself to the last digit",
            advice="Were the readings copied, rounded, or worked out from the known tips? Read again, to 0.01 mm",
        )
    n = len(errors)
    hotelling = n * bias @ np.linalg.solve(covariance, bias) * (n - 3) / (3.0 * (n - 1))
    slope, interval = _bending(bent, bias, float(np.sqrt(np.trace(covariance) / 3.0)))
    sees = None if np.isnan(slope) else _verdict(interval)
    if declares_bending and sees is False:
        raise CalibrationRefused(
            "declaration",
            f"{name} declares to see bending and misses {-100 * slope:.0f} % of it (95 %: "
            f"{-100 * interval[1]:.0f} to {-100 * interval[0]:.0f} %)",
            advice="Declare sees_bending = false",
            figures={"slope": slope, "interval": list(interval)},
        )
    missed = 0.0 if sees else (abs(slope) if sees is False and not np.isnan(slope) else 1.0)
    parts = {
        "bias, not corrected": float(np.sqrt(bias @ bias / 3.0)),
        "spread of one reading": float(np.sqrt(np.trace(covariance) / 3.0)),
        "uncertainty of the known tips": truth_sd_mm,
        UNSEEN: missed * expected_deflection_mm,
    }
    total = float(np.sqrt(sum(v**2 for v in parts.values())))
    return InstrumentQualification(
        name,
        declares_bending,
        sees,
        slope,
        interval,
        bias,
        float(fisher.sf(hotelling, 3, n - 3)),
        covariance,
        truth_sd_mm,
        (min(r.depth_mm for r in usable), max(r.depth_mm for r in usable)),
        n,
        len(bent),
        expected_deflection_mm,
        total,
        parts,
        np.array([r.read_mm - r.true_mm for r in usable]),
        np.array([r.deflection_mm for r in usable]),
        np.array([r.depth_mm for r in usable]),
    )


def _bending(bent: Sequence[TipReading], bias: Vector, sd: float) -> tuple[float, tuple[float, float]]:
    """Slope through zero of the bias-free error along the deflection, with its 95 % interval; NaN: undecided."""
    nothing = (float("nan"), (float("nan"), float("nan")))
    if len(bent) < MIN_BENT_N:
        return nothing
    size = np.array([np.linalg.norm(r.deflection_mm) for r in bent])
    if np.sqrt(np.mean(size**2)) < MIN_DEFLECTION_SDS * sd:
        return nothing
    along = np.array([(r.read_mm - r.true_mm - bias) @ r.deflection_mm / d for r, d in zip(bent, size, strict=True)])
    slope = float(size @ along / (size @ size))
    rest = along - slope * size
    u = float(np.sqrt(rest @ rest / (len(bent) - 1) / (size @ size)))
    k = float(student.ppf(0.975, len(bent) - 1))
    return slope, (slope - k * u, slope + k * u)


def _verdict(interval: tuple[float, float]) -> bool | None:
    """Sees bending: misses less than a fifth for certain; does not: more than a fifth for certain."""
    if interval[0] > -0.2 and interval[1] < 0.2:
        return True
    if interval[1] < -0.2 or interval[0] > 0.2:
        return False
    return None
