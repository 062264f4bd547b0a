"""Lowest and highest values that quantities can have on a bench: beyond them a value was mistyped, is in another unit
or comes from a broken sensor. They tell sense from nonsense and are no limits of safety, which the rig file sets.
"""

from __future__ import annotations

from hal.types import ImagingSettings

Within = tuple[float, float]
PRESSURE_KPA: Within = (-100.0, 2000.0)
"""From vacuum to the most that a manometer on an injection line shows [A]."""
FORCE_N: Within = (-500.0, 500.0)
"""Less than a person who leans on it with all his weight [A]."""
GEL_C: Within = (0.0, 60.0)
"""Gels of gelatine and agar freeze below and melt above; an unplugged thermometer shows -127 or 85 degC [A]."""
VOLUME_ML: Within = (0.0, 60.0)
"""The largest syringe on whose barrel a tenth of a millilitre can be read [A]."""
MASS_G: Within = (-5000.0, 5000.0)
"""A vessel and what a bench injects into it; the negative end is a vessel that was tared and taken off [A]."""
ARM_MM: Within = (-2000.0, 2000.0)
ARM_DEG: Within = (-360.0, 360.0)
"""Scales of an arm on the bench [A]."""
TIP_MM: Within = (-1000.0, 1000.0)
"""A tip in the frame of the body on the phantom: callipers and coordinate machines on one bench [A]."""

IMAGING: dict[str, Within] = {
    "depth_mm": (1.0, 500.0),
    "frequency_mhz": (0.1, 100.0),
    "gain_db": (-200.0, 200.0),
    "dynamic_range_db": (1.0, 300.0),
    "sound_speed_m_s": (1000.0, 2000.0),
}
"""Possible settings of a scanner, by field of ``ImagingSettings``: depths as of images of people; silicone 1000 m/s and
tendon 1750 m/s are the extremes that a speed of sound is set for [A]."""


def why_no_imaging(settings: ImagingSettings) -> str:
    """Fault of settings that a scanner reports or a rig file states; '' for possible ones.

    Depth and assumed speed scale every picture: a 0 or a value in other units would move all that is seen in it.
    """
    for name, (low, high) in IMAGING.items():
        value = float(getattr(settings, name))
        if not low <= value <= high:
            return f"{name} = {value:g} is not possible ({low:g} to {high:g})"
    return ""


def possible_imaging(settings: ImagingSettings) -> ImagingSettings:
    """Validate imaging settings of a driver; raises ``ValueError``."""
    why = why_no_imaging(settings)
    if why:
        raise ValueError(why)
    return settings


def within(value: float, limits: Within) -> bool:
    """True when a value lies within both limits; NaN does not."""
    return limits[0] <= value <= limits[1]
