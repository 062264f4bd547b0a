"""The one strict parser for JSON from outside.

``json.loads`` alone takes NaN and Infinity, which JSON has not, numbers that no float can hold (``1e999`` becomes
infinite) and a key that stands twice (the last one wins), and ends in ``RecursionError`` on what is nested without end.
"""

from __future__ import annotations

import json
import math
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Parse ``text`` (UTF-8). Raises ``ValueError`` for everything that is not sound JSON."""
    try:
        return json.loads(text, parse_constant=_constant, parse_float=_finite, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("it is nested without end") from None


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is no finite number")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice")
    return found
