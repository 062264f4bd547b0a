"""Speed of sound, from numbers that a person typed."""

from __future__ import annotations

from collections.abc import Sequence

from hal.errors import ConfigError
from hal.phantom.sound_speed import SoundSpeed, from_depths, from_row_pitch, water
from rig.calibration import results
from rig.calibration.origins import from_files
from rig.calibration.result import Result


def sound_speed_from(
    temperature_c: float,
    depths: Sequence[str] = (),
    *,
    u_mm: float = 0.2,
    row_pitch_mm: float | None = None,
    u_row_pitch_mm: float = 0.0,
    nominal_row_pitch_mm: float | None = None,
    assumed_m_s: float = 1540.0,
) -> Result:
    """From ``true:shown`` depths in mm, or a row pitch and its nominal value, or (neither) of water.

    Raises ``ConfigError`` or ``CalibrationRefused``.
    """
    speed = _speed(temperature_c, depths, u_mm, row_pitch_mm, u_row_pitch_mm, nominal_row_pitch_mm, assumed_m_s)
    return results.sound_speed(speed, speed.correction(assumed_m_s), from_files(simulated=False))


def _speed(
    temperature_c: float,
    depths: Sequence[str],
    u_mm: float,
    pitch_mm: float | None,
    u_pitch_mm: float,
    nominal_pitch_mm: float | None,
    assumed_m_s: float,
) -> SoundSpeed:
    if depths and pitch_mm is not None:
        raise ConfigError("give known depths or a row pitch, not both")
    if depths:
        try:
            pairs = [[float(word) for word in item.split(":")] for item in depths]
            true, shown = zip(*((one, other) for one, other in pairs), strict=True)
        except ValueError:
            raise ConfigError(f"a known depth is TRUE:SHOWN in mm, as 40:41.6; got {', '.join(depths)}") from None
        return from_depths(true, shown, u_mm=u_mm, temperature_c=temperature_c, assumed_m_s=assumed_m_s)
    if pitch_mm is not None:
        if nominal_pitch_mm is None:
            raise ConfigError("a row pitch needs the scanner's own (--nominal-row-pitch)")
        return from_row_pitch(
            pitch_mm, u_pitch_mm, nominal_pitch_mm, temperature_c=temperature_c, assumed_m_s=assumed_m_s
        )
    return water(temperature_c)
