"""Bounds of the limits."""

from __future__ import annotations

from pydantic import Field

STRICT = {"extra": "forbid"}
"""pydantic reads this when it builds a limit from a file: unknown keys are errors."""


def between(low: float, high: float) -> object:
    """Number field with its bounds, both included: beyond them it would protect nobody, or nothing could move."""
    return Field(ge=low, le=high, allow_inf_nan=False)
