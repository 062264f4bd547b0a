"""Lowest and highest values that quantities can have on a bench: beyond them a value was mistyped, is in another unit
or comes from a broken sensor. They tell sense from nonsense and are no limits of safety, which the rig file sets.
"""

from __future__ import annotations

Within = tuple[float, float]
PRESSURE_KPA: Within = (-100.0, 2000.0)
"""From vacuum to the most that a manometer on an injection line shows [A]."""
FORCE_N: Within = (-500.0, 500.0)
"""Less than a person who leans on it with all his weight [A]."""
GEL_C: Within = (0.0, 60.0)
"""Gels of gelatine and agar freeze below and melt above; an unplugged thermometer shows -127 or 85 degC [A]."""
VOLUME_ML: Within = (0.0, 60.0)
"""The largest syringe on whose barrel a tenth of a millilitre can be read [A]."""
ARM_MM: Within = (-2000.0, 2000.0)
ARM_DEG: Within = (-360.0, 360.0)
"""Scales of an arm on the bench [A]."""
TIP_MM: Within = (-1000.0, 1000.0)
"""A tip in the frame of the body on the phantom: callipers and coordinate machines on one bench [A]."""


def within(value: float, limits: Within) -> bool:
    """Whether a value lies within both limits; NaN does not."""
    return limits[0] <= value <= limits[1]
