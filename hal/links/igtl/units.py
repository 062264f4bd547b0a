"""The packed unit of SENSOR messages: a prefix (4 bits) and up to six unit-exponent pairs (6 + 4 bits each).

Source: OpenIGTLink ``igtl_unit.h``; the official SENSOR vector carries m s^-2.
"""

from __future__ import annotations

from hal.errors import BadReply, ConfigError

PREFIXES = {
    "": 0x0, "da": 0x1, "h": 0x2, "k": 0x3, "M": 0x4, "G": 0x5, "T": 0x6, "P": 0x7,
    "d": 0x9, "c": 0xA, "m": 0xB, "u": 0xC, "n": 0xD, "p": 0xE, "f": 0xF,
}  # fmt: skip
UNITS = {
    "m": 0x01, "g": 0x02, "s": 0x03, "A": 0x04, "K": 0x05, "mol": 0x06, "cd": 0x07, "rad": 0x08, "sr": 0x09,
    "Hz": 0x0A, "N": 0x0B, "Pa": 0x0C, "J": 0x0D, "W": 0x0E, "C": 0x0F, "V": 0x10, "F": 0x11, "ohm": 0x12,
    "S": 0x13, "Wb": 0x14, "T": 0x15, "H": 0x16, "lm": 0x17, "lx": 0x18, "Bq": 0x19, "Gy": 0x1A, "Sv": 0x1B,
}  # fmt: skip
_PREFIX_NAMES = {code: name for name, code in PREFIXES.items()}
_UNIT_NAMES = {code: name for name, code in UNITS.items()}
KNOWN = {
    "N": ("", (("N", 1),)),
    "kPa": ("k", (("Pa", 1),)),
    "Pa": ("", (("Pa", 1),)),
    "mm": ("m", (("m", 1),)),
    "mm/s": ("m", (("m", 1), ("s", -1))),
    "s": ("", (("s", 1),)),
    "Hz": ("", (("Hz", 1),)),
}
"""Units of the rig that the format can say. Others (mL, mL/min, degC, deg) have no code: they travel as 0, with
their name in the device name and in the metadata."""


def pack_unit(prefix: str, parts: tuple[tuple[str, int], ...]) -> int:
    """The 64-bit code; raises ``ConfigError`` for an unknown unit, more than six or an exponent beyond +-7."""
    if prefix not in PREFIXES or len(parts) > 6:
        raise ConfigError(f"OpenIGTLink cannot say a unit of prefix {prefix!r} and {len(parts)} parts")
    code = PREFIXES[prefix] << 60
    for n, (unit, exponent) in enumerate(parts):
        if unit not in UNITS or not -7 <= exponent <= 7:
            raise ConfigError(f"OpenIGTLink cannot say the unit {unit}^{exponent}")
        code |= (UNITS[unit] << 4 | exponent & 0xF) << (50 - 10 * n)
    return code


def unpack_unit(code: int) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Prefix and parts of a code; raises ``BadReply`` for codes that the standard does not define."""
    prefix = code >> 60 & 0xF
    parts = []
    for n in range(6):
        pair = code >> (50 - 10 * n) & 0x3FF
        unit, exponent = pair >> 4, pair & 0xF
        if unit == 0:
            continue
        if unit not in _UNIT_NAMES:
            raise BadReply(f"SENSOR unit code {unit:#x} is not defined")
        parts.append((_UNIT_NAMES[unit], exponent - 16 if exponent > 7 else exponent))
    if prefix not in _PREFIX_NAMES:
        raise BadReply(f"SENSOR prefix code {prefix:#x} is not defined")
    return _PREFIX_NAMES[prefix], tuple(parts)


def code_of(unit: str) -> int:
    """Code of one of the rig's units; 0 when the format has none."""
    return pack_unit(*KNOWN[unit]) if unit in KNOWN else 0
