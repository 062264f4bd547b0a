"""Speed of sound in the bath or gel, and its effect on depths read from the image.

A scanner turns time into depth with a fixed speed, mostly 1540 m/s: a depth shown is the true depth times assumed over
true speed (Goldstein 2000). Only depths along the beams of a linear array are scaled so; columns are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from hal.errors import CalibrationRefused, ConfigError

ASSUMED_M_S = 1540.0
"""Speed of sound that scanners assume for every tissue."""
_MARCZAK = (1.402385e3, 5.038813, -5.799136e-2, 3.287156e-4, -1.398845e-6, 2.787860e-9)
"""Speed in pure water by powers of temperature in degC (Marczak, J. Acoust. Soc. Am. 102, 2776, 1997)."""
_MARCZAK_U_M_S = 0.02
WATER_GEL_SLOPE_M_S_C = 2.5
"""Gelatine and agar gels, +2 to +3 m/s per degC."""
WATER_GEL_SLOPE_U_M_S_C = 0.3
"""Half width 0.5 taken as a rectangular distribution."""
_WORST_U_M_S = 100.0
"""A standard uncertainty beyond it does not even tell oil from water [A]."""
_PLAUSIBLE_M_S = (1300.0, 1800.0)
"""Oil gels and urethane 1400-1460, water gels 1480-1560, muscle to 1600."""


@dataclass(frozen=True)
class SoundSpeed:
    """Speed ``c_m_s`` with its standard uncertainty at ``temperature_c``, and its change with temperature."""

    c_m_s: float
    u_m_s: float
    temperature_c: float
    slope_m_s_c: float
    u_slope_m_s_c: float
    method: str

    def __post_init__(self) -> None:
        low, high = _PLAUSIBLE_M_S
        if not low <= self.c_m_s <= high:
            raise CalibrationRefused(
                "speed",
                f"a speed of sound of {self.c_m_s:.0f} m/s lies outside {low:.0f} to {high:.0f} m/s, what gels and "
                "water can have",
                advice="Check the known depth, the spacing of the wires and the depth setting of the scanner",
                figures={"c_m_s": self.c_m_s},
            )
        if not (self.u_m_s >= 0.0 and self.u_slope_m_s_c >= 0.0 and math.isfinite(self.temperature_c)):
            raise ConfigError("a speed of sound needs uncertainties >= 0 and a temperature")

    def at(self, temperature_c: float, u_temperature_c: float = 0.0) -> SoundSpeed:
        """Speed at another temperature, by the linear slope (good to about 10 degC around the measured one)."""
        step = temperature_c - self.temperature_c
        u = math.hypot(self.u_m_s, step * self.u_slope_m_s_c, self.slope_m_s_c * u_temperature_c)
        return SoundSpeed(
            self.c_m_s + self.slope_m_s_c * step, u, temperature_c, self.slope_m_s_c, self.u_slope_m_s_c, self.method
        )

    def correction(self, assumed_m_s: float = ASSUMED_M_S) -> DepthCorrection:
        """Depth correction for images of a scanner that assumes ``assumed_m_s``."""
        return DepthCorrection(self.c_m_s / assumed_m_s, self.u_m_s / assumed_m_s, assumed_m_s)

    def as_json(self) -> dict[str, object]:
        return {"ok": True, "kind": "sound_speed", **asdict(self)}


@dataclass(frozen=True)
class DepthCorrection:
    """True depth = ``factor`` times depth shown, measured from the transducer's face along the beam."""

    factor: float
    u_factor: float
    assumed_m_s: float

    def true_mm(self, shown_mm: float) -> float:
        return shown_mm * self.factor

    def shown_mm(self, true_mm: float) -> float:
        """Depth at which the image shows a true depth."""
        return true_mm / self.factor

    def error_mm(self, true_mm: float) -> float:
        """Amount by which an uncorrected image shows it too deep (positive)."""
        return true_mm / self.factor - true_mm

    def u_true_mm(self, shown_mm: float, u_shown_mm: float = 0.0) -> float:
        """Standard uncertainty of the true depth from those of the speed and of the reading."""
        return math.hypot(shown_mm * self.u_factor, self.factor * u_shown_mm)

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def water(temperature_c: float, u_temperature_c: float = 0.2) -> SoundSpeed:
    """Speed of sound of pure water at atmospheric pressure, 0 to 95 degC; raises ``ConfigError`` outside."""
    if not 0.0 <= temperature_c <= 95.0:
        raise ConfigError(f"water at {temperature_c:g} degC: the speed of sound is known from 0 to 95 degC")
    c = sum(a * temperature_c**k for k, a in enumerate(_MARCZAK))
    slope = sum(k * a * temperature_c ** (k - 1) for k, a in enumerate(_MARCZAK) if k)
    u = math.hypot(_MARCZAK_U_M_S, slope * u_temperature_c)
    return SoundSpeed(c, u, temperature_c, slope, 0.0, "water, Marczak 1997")


def from_depths(
    true_mm: Sequence[float],
    shown_mm: Sequence[float],
    *,
    u_mm: float,
    temperature_c: float,
    assumed_m_s: float = ASSUMED_M_S,
    slope_m_s_c: float = WATER_GEL_SLOPE_M_S_C,
    u_slope_m_s_c: float = WATER_GEL_SLOPE_U_M_S_C,
) -> SoundSpeed:
    """Speed of sound from reflectors at known depths below the face.

    One depth is taken as it is. Of two or more the slope is fitted with a free offset, so that the delay of lens and
    membrane does not count. ``u_mm``: standard uncertainty of one true-minus-shown difference; with three or more
    depths the larger of it and the scatter counts. Raises ``ConfigError`` and ``CalibrationRefused``.
    """
    x, y = np.asarray(shown_mm, dtype=float), np.asarray(true_mm, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or not len(x):
        raise ConfigError(f"{len(y)} true depths and {len(x)} depths shown do not pair")
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or x.min() <= 0.0 or y.min() <= 0.0:
        raise ConfigError("depths must be positive numbers of mm")
    if u_mm <= 0.0:
        raise ConfigError("the uncertainty of a depth must be positive")
    if len(x) == 1:
        factor, u_factor, method = float(y[0] / x[0]), float(u_mm / x[0]), "one known depth"
    else:
        spread = float(np.sum((x - x.mean()) ** 2))
        if np.ptp(x) < 5.0:
            raise CalibrationRefused(
                "spread", f"the known depths lie within {np.ptp(x):.1f} mm",
                advice="Use depths at least 5 mm apart, better 20 mm",
            )  # fmt: skip
        factor = float(np.sum((x - x.mean()) * (y - y.mean())) / spread)
        residual = y - y.mean() - factor * (x - x.mean())
        scatter = math.sqrt(float(residual @ residual) / (len(x) - 2)) if len(x) > 2 else 0.0
        if len(x) > 2 and scatter > 4.0 * u_mm:
            worst = int(np.argmax(np.abs(residual)))
            raise CalibrationRefused(
                "scatter",
                f"the depths do not lie on a line: {scatter:.2f} mm scatter for an uncertainty of {u_mm:g} mm, worst "
                f"at {y[worst]:g} mm",
                advice="Check which echo belongs to which reflector",
                figures={"scatter_mm": scatter},
            )
        u_factor = max(scatter, u_mm) / math.sqrt(spread)
        method = f"{len(x)} known depths, slope"
    if assumed_m_s * u_factor > _WORST_U_M_S:
        raise CalibrationRefused(
            "uncertain",
            f"depths of {x.min():g} to {x.max():g} mm known to {u_mm:g} mm give the speed to "
            f"+-{assumed_m_s * u_factor:.0f} m/s only (limit {_WORST_U_M_S:g})",
            advice="Use deeper reflectors, farther apart; lengths are in mm",
            figures={"u_m_s": assumed_m_s * u_factor},
        )
    return SoundSpeed(assumed_m_s * factor, assumed_m_s * u_factor, temperature_c, slope_m_s_c, u_slope_m_s_c, method)


def from_row_pitch(
    pitch_mm: float,
    u_pitch_mm: float,
    nominal_pitch_mm: float,
    *,
    temperature_c: float,
    assumed_m_s: float = ASSUMED_M_S,
    u_phantom: float = 0.003,
    slope_m_s_c: float = WATER_GEL_SLOPE_M_S_C,
    u_slope_m_s_c: float = WATER_GEL_SLOPE_U_M_S_C,
) -> SoundSpeed:
    """Speed of sound from the row pitch of a wire phantom (``NWireCalibration.pitch_mm[1]``) and the scanner's own.

    ``u_phantom``: relative standard uncertainty of the wires' depths (0.1 mm over 30 mm). Linear arrays only.
    """
    if min(pitch_mm, nominal_pitch_mm) <= 0.0 or u_pitch_mm < 0.0:
        raise ConfigError("row pitches must be positive")
    factor = pitch_mm / nominal_pitch_mm
    u = assumed_m_s * factor * math.hypot(u_pitch_mm / pitch_mm, u_phantom)
    return SoundSpeed(assumed_m_s * factor, u, temperature_c, slope_m_s_c, u_slope_m_s_c, "wires, row pitch")
