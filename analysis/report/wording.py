"""Numbers as words of the report: fixed digits, intervals, and a dash where there is no number."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.quantity import Proportion, Quantity

DASH = "–"
MINUS = "−"


def number(value: float | None, digits: int = 2) -> str:
    """Fixed digits with a real minus sign; a dash for None."""
    if value is None:
        return DASH
    text = f"{value:.{digits}f}"
    if float(text) == 0.0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def value(quantity: Quantity, digits: int = 2) -> str:
    """The value alone."""
    return number(quantity.value, digits)


def with_unit(quantity: Quantity, digits: int = 2) -> str:
    """``1.23 mm``, or the value alone where it has no unit."""
    return value(quantity, digits) + (f"\u00a0{quantity.unit}" if quantity.unit and quantity.value is not None else "")


def at_most(proportion: Proportion) -> str:
    """``4/74, at most 0.13``: a share with its one-sided bound."""
    if proportion.n == 0:
        return DASH
    bound = proportion.share.hi
    return fraction(proportion) + (f", at most {number(bound)}" if bound is not None else "")


def with_interval(quantity: Quantity, digits: int = 2) -> str:
    """``1.23 (0.80 to 1.66)``, or the value alone where there is no interval."""
    if quantity.value is None or quantity.lo is None or quantity.hi is None:
        return number(quantity.value, digits)
    return f"{number(quantity.value, digits)} ({number(quantity.lo, digits)} to {number(quantity.hi, digits)})"


def share(proportion: Proportion) -> str:
    """``17/18, 0.94 (0.73 to 1.00)``."""
    if proportion.n == 0:
        return DASH
    return f"{proportion.count}/{proportion.n}, {with_interval(proportion.share)}"


def fraction(proportion: Proportion) -> str:
    """``17/18``."""
    return f"{proportion.count}/{proportion.n}" if proportion.n else DASH


def counted(counts: Mapping[str, int]) -> str:
    """``force 2, pressure 1``; a dash for nothing."""
    return ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in counts.items()) or DASH


def known(text: str) -> str:
    """The text, or a dash for none."""
    return text or DASH


def cell(value: bool | int | float | str | None) -> str:
    """One cell of the trial table."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value, 1 if abs(value) >= 100 else 2)
    return str(value).replace("_", " ")
