"""Canonical bytes of a value: RFC 8785 JSON, so that anybody can repeat a hash of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import rfc8785

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_EXACT_INT = 2**53 - 1
"""Largest integer that RFC 8785 (IEEE 754 numbers) carries exactly; longer ones are written as text."""


def plain(value: object) -> Json:
    """Return ``value`` in JSON types: NaN and infinity become None, NumPy values become Python's.

    Raises ``TypeError`` for what has no JSON form.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value) if abs(int(value)) <= MAX_EXACT_INT else str(int(value))
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    raise TypeError(f"{type(value).__name__} cannot be written to the record")


def canonical_json(value: object) -> bytes:
    """Bytes of ``value`` by RFC 8785: sorted keys, shortest numbers, UTF-8, no spaces."""
    return rfc8785.dumps(plain(value))


def sha256_hex(data: bytes) -> str:
    """SHA-256 of ``data`` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hash a file in blocks, so that a large one does not fill the memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
