"""A number with its unit, its interval and its method; a proportion of trials."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """One number. ``value`` is None when it was not evaluated; ``note`` then says why."""

    value: float | None
    unit: str
    n: int
    """Independent trials behind it."""
    lo: float | None = None
    hi: float | None = None
    level: float | None = None
    """Confidence of ``lo``..``hi``; one-sided when only one of them is given."""
    method: str = ""
    limit: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Proportion:
    """A share of trials with its exact interval."""

    count: int
    n: int
    share: Quantity
