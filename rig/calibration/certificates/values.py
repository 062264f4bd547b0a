"""Values that a certificate changes in a rig file, apart from frames: gel, needle in its carrier, reference
instrument."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from hal.errors import ConfigError
from rig.calibration.certificates.certificate import Certificate
from rig.config import Gel, Needle, RigConfig

GEL = "sound_speed"
"""Kind of the certificate whose values ``sound_speed_m_s`` and ``temperature_c`` replace those of ``[gel]``."""
NEEDLE_TIP = "needle_tip"
"""Kind of the certificate whose values ``tip_offset_x_mm`` ... ``run_out_y_mm`` replace those of ``[needle]``."""
INSTRUMENT = "reference_instrument"
"""Kind of the certificate that replaces what the rig file declares of its ``tracker``."""
OFFSETS = ("tip_offset_x_mm", "tip_offset_y_mm", "tip_offset_z_mm")
RUN_OUTS = ("run_out_x_mm", "run_out_y_mm")


def gel_of(c: Certificate) -> Gel:
    """``[gel]`` as measured."""
    speed, at = c.values.get("sound_speed_m_s"), c.values.get("temperature_c")
    if speed is None or at is None:
        raise ConfigError(f"{c.identity}: a {GEL} certificate needs the values sound_speed_m_s and temperature_c")
    return Gel(sound_speed_m_s=speed.value, u_sound_speed_m_s=speed.standard_uncertainty, temperature_c=at.value)


def needle_of(c: Certificate, needle: Needle) -> Needle:
    """``[needle]`` with its tip as calibrated; raises ``ConfigError`` for another needle than the rig holds."""
    held = c.result.get("needle", needle.name)
    if held != needle.name:
        raise ConfigError(f"{c.identity} calibrated the tip of {held}, the rig holds {needle.name}: calibrate again")
    try:
        offset = tuple(c.values[name].value for name in OFFSETS)
        run_out = tuple(c.values[name].value if name in c.values else 0.0 for name in RUN_OUTS)
        return Needle.model_validate({"name": needle.name, "tip_offset_mm": offset, "run_out_mm": run_out})
    except KeyError as missing:
        raise ConfigError(f"{c.identity}: a {NEEDLE_TIP} certificate needs the value {missing}") from None
    except ValidationError as error:
        raise ConfigError(f"{c.identity}: needle.{error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}") from None


def tracker_of(c: Certificate, config: RigConfig) -> dict[str, Any]:
    """``[devices.tracker]`` as qualified.

    Raises ``ConfigError`` when the rig file declares what the qualification contradicts: that it sees the needle bend
    and it was not shown to, or an uncertainty below the 95 % interval of the one that was found.
    """
    if "tracker" not in config.devices:
        raise ConfigError(f"{c.identity} qualifies the tracker, and this rig ({config.rig.name}) has none")
    table, where = config.devices["tracker"], f"{config.path or 'rig file'}: devices.tracker"
    value, sees = c.values.get("tip_uncertainty_mm"), c.result.get("sees_bending")
    interval = c.result.get("tip_uncertainty_interval_95_mm")
    if value is None or not isinstance(interval, list | tuple) or len(interval) != 2:
        raise ConfigError(f"{c.identity}: is no result of phantomrig calibrate instrument; qualify the tracker again")
    if table.get("sees_bending") is True and sees is not True:
        found = f"missed {-100.0 * slope:.0f} % of it" if (slope := _slope(c)) is not None else "was not shown to"
        raise ConfigError(
            f"{where}.sees_bending = true: {c.identity} contradicts it, the instrument {found}; state false"
        )
    settings = config.driver_settings("tracker")
    fields = type(settings).model_fields if settings is not None else {}
    key = next((name for name in ("tip_uncertainty_mm", "uncertainty_mm") if name in fields), None)
    if key is None or "sees_bending" not in fields:
        raise ConfigError(f"{where}.driver: {table.get('driver')!r} takes no qualification of a reference instrument")
    declared = table.get(key)
    if declared is not None and float(declared) < float(interval[0]):
        raise ConfigError(
            f"{where}.{key} = {float(declared):g}: {c.identity} contradicts it, it found {value.value:.2f} mm "
            f"(95 %: {interval[0]:.2f} to {interval[1]:.2f}); state that, or leave the key out"
        )
    return {**table, key: value.value, "sees_bending": sees is True}


def words_of(c: Certificate) -> list[str]:
    """Numbers of a certificate in the wording of the record."""
    words = [f"{name} {v.value:.4g} {v.unit}, u = {v.standard_uncertainty:.2g}" for name, v in c.values.items()]
    if c.kind == INSTRUMENT:
        words.append(f"{'sees' if c.result.get('sees_bending') is True else 'does not see'} the needle bend")
    return words


def _slope(c: Certificate) -> float | None:
    slope = c.result.get("bending_slope")
    return float(slope) if isinstance(slope, int | float) else None
