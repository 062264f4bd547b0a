"""Units of logs by others, and what turns them into the unit that the name of a quantity ends with."""

from __future__ import annotations

_LENGTH = {"m": 1e3, "cm": 10.0, "mm": 1.0, "um": 1e-3, "in": 25.4}
_MASS = {"kg": 1e3, "g": 1.0, "mg": 1e-3, "ug": 1e-6}
_VOLUME = {"L": 1e3, "mL": 1.0, "uL": 1e-3}
_PRESSURE = {
    "kPa": 1.0, "Pa": 1e-3, "hPa": 0.1, "MPa": 1e3, "mbar": 0.1, "bar": 100.0, "psi": 6.894757, "mmHg": 0.1333224,
}  # fmt: skip
_TIME = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "h": 3600.0}
_FORCE = {"N": 1.0, "mN": 1e-3, "kN": 1e3, "kgf": 9.80665, "gf": 9.80665e-3, "lbf": 4.448222}
_ANGLE = {"deg": 1.0, "rad": 57.29577951308232, "mrad": 0.05729577951308232}
_RATE = {"mL/h": 1.0, "mL/min": 60.0, "uL/min": 0.06, "uL/h": 1e-3, "mL/s": 3600.0}

TARGETS: dict[str, tuple[dict[str, float], str]] = {
    "ml_min": (_RATE, "mL/min"),
    "ml_h": (_RATE, "mL/h"),
    "mm_s": ({"mm/s": 1.0, "m/s": 1e3, "um/s": 1e-3}, "mm/s"),
    "percent": ({"%": 1.0, "percent": 1.0}, "%"),
    "mm": (_LENGTH, "mm"),
    "um": (_LENGTH, "um"),
    "mg": (_MASS, "mg"),
    "g": (_MASS, "g"),
    "ul": (_VOLUME, "uL"),
    "ml": (_VOLUME, "mL"),
    "kpa": (_PRESSURE, "kPa"),
    "mn": (_FORCE, "mN"),
    "n": (_FORCE, "N"),
    "deg": (_ANGLE, "deg"),
    "s": (_TIME, "s"),
    "c": ({"degC": 1.0}, "degC"),
}
"""By the ending of a quantity's name: the units it may be given in, and its own."""
_SPELLINGS = {
    "µm": "um", "μm": "um", "micron": "um", "microns": "um", "µl": "uL", "μl": "uL", "ul": "uL", "ml": "mL", "l": "L",
    "µg": "ug", "μg": "ug", "mcg": "ug", "°c": "degC", "degc": "degC", "c": "degC", "°": "deg", "sec": "s",
    "kpa": "kPa", "hpa": "hPa", "mmhg": "mmHg", "ml/h": "mL/h", "ml/hr": "mL/h", "ml/min": "mL/min", "ml/s": "mL/s",
    "µl/min": "uL/min", "μl/min": "uL/min", "ul/min": "uL/min", "ul/h": "uL/h", "grams": "g", "hours": "h",
    "minutes": "min",
}  # fmt: skip
_KNOWN = frozenset(name for units, _ in TARGETS.values() for name in units)


def spelled(unit: str) -> str:
    """A unit in the spelling of this page (``µm`` is ``um``); an unknown one as it was written.

    ``mN`` and ``MN`` or ``mPa`` and ``MPa`` differ by their letters' size alone, so those are never changed.
    """
    text = unit.strip()
    return text if text in _KNOWN else _SPELLINGS.get(text.lower(), text)


def target(quantity: str) -> tuple[dict[str, float], str] | None:
    """Units that a quantity may be given in and its own, by the ending of its name; None when it ends with no unit."""
    return next((found for ending, found in TARGETS.items() if quantity.endswith(f"_{ending}")), None)


def factor(quantity: str, unit: str) -> float | None:
    """What numbers in ``unit`` are multiplied with; None when the quantity cannot have that unit."""
    found = target(quantity)
    if found is None:
        return 1.0 if unit == "" else None
    units, own = found
    return units[unit] / units[own] if unit in units else None
