"""Numbers, units and lines of the Harvard "Ultra" command set, as the pump reads and writes them."""

from __future__ import annotations

import re

ML_PER_UNIT = {"m": 1.0, "u": 1e-3, "n": 1e-6, "p": 1e-9}
MIN_PER_UNIT = {"s": 1.0 / 60.0, "m": 1.0, "h": 60.0}
_VOLUME = re.compile(r"([\d.]+) ?([munp])l?")
_RATE = re.compile(r"([\d.]+) ?([munp])l?/(s|sec|m|min|h|hr|hour)")


class Refused(Exception):
    """The command is answered with these lines."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines


def argument_error(argument: str, why: str = "") -> Refused:
    """Error in the form of the Pump 33 manual: what is wrong, and below it, indented, why."""
    return Refused(f"Argument error: {argument}", *([f"   {why}"] if why else []))


def number(text: str, argument: str) -> float:
    """A decimal number; ``argument`` is what the refusal repeats."""
    try:
        return float(text)
    except ValueError:
        raise argument_error(argument) from None


def volume_ml(argument: str) -> float:
    """``50 ul`` or ``50 u``."""
    match = _VOLUME.fullmatch(argument)
    if match is None:
        raise argument_error(argument)
    return number(match.group(1), argument) * ML_PER_UNIT[match.group(2)]


def rate_ml_min(argument: str) -> float:
    """``3 ml/min``, ``3 m/m``."""
    match = _RATE.fullmatch(argument)
    if match is None:
        raise argument_error(argument)
    return number(match.group(1), argument) * ML_PER_UNIT[match.group(2)] / MIN_PER_UNIT[match.group(3)[0]]


def whole(argument: str, low: int, high: int) -> int:
    """An integer within limits."""
    if not (argument.isascii() and argument.isdigit()):
        raise argument_error(argument)
    if not low <= int(argument) <= high:
        raise argument_error(argument, f"Out of range of {low} to {high}")
    return int(argument)


def shown_volume(value_ml: float) -> str:
    """Six digits in the largest unit that leaves at least one: ``50 ul``, ``1.25 ml``."""
    return _shown(value_ml, "l")


def shown_rate(value_ml_min: float) -> str:
    """As ``shown_volume``, per minute."""
    return _shown(value_ml_min, "l/min")


def _shown(value: float, unit: str) -> str:
    letter = next((u for u in "munp" if abs(value) >= 0.9999995 * ML_PER_UNIT[u]), "u" if value == 0.0 else "p")
    return f"{value / ML_PER_UNIT[letter]:.6g} {letter}{unit}"


def reply(lines: tuple[str, ...], head: str, *, polled: bool) -> bytes:
    """An answer on the wire; ``head``: address (or nothing) and prompt."""
    prefix = f"{head} " if head[:2].isdigit() else ""
    text = "".join(f"\n{prefix}{line}\r" for line in lines) + f"\n{head}"
    return text.encode("ascii") + (b"\x11" if polled else b"")
