"""Figures of fixed cases, kept in a file beside their test: a changed sign, unit or number behind them shows.

They say nothing about what is right - the tests of the rules do - but that it is as it was. Whoever changes them on
purpose writes them anew (``KEEP_FIGURES=1 pytest FILE``), reads the difference, and says it in the changelog.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SMALL = 24
"""Arrays up to this size are kept whole; of larger ones the shape, moments and three seeded projections."""


def figures(value: Any) -> Any:
    """Numbers of a value as JSON holds them: objects by field, arrays whole or as what identifies them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: figures(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): figures(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _of_array(value)
    if isinstance(value, list | tuple):
        return [figures(item) for item in value]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, np.generic):
        return figures(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def _of_array(value: np.ndarray[Any, Any]) -> Any:
    if value.dtype.kind not in "fiub":
        return [str(item) for item in value.ravel()[:SMALL]]
    if value.size <= SMALL:
        return [figures(item) for item in value.tolist()]
    finite = np.isfinite(value)
    numbers = np.where(finite, value, 0.0).astype(np.float64).ravel()
    chance = np.random.default_rng(0).standard_normal((3, numbers.size))
    return {
        "shape": list(value.shape),
        "finite": int(finite.sum()),
        "mean": float(numbers.mean()),
        "size": float(np.sqrt(np.mean(numbers**2))),
        "seen": [float(v) for v in chance @ numbers / np.sqrt(numbers.size)],
    }


def kept(test_file: str, name: str, value: Any, rel: float = 1e-6) -> None:
    """Hold ``value`` against the figures that were kept under ``name``; ``rel`` is against the size of each array."""
    path = Path(test_file).with_suffix(".json")
    known = json.loads(path.read_text()) if path.is_file() else {}
    new = json.loads(json.dumps(figures(value)))
    if os.environ.get("KEEP_FIGURES"):
        path.write_text(json.dumps({**known, name: new}, indent=None, sort_keys=True).replace('}, "', '},\n"') + "\n")
        pytest.skip(f"{name}: written anew")
    differ = list(_differences(known[name], new, rel, name))
    assert not differ, "\n".join(differ[:20])


def _differences(was: Any, now: Any, rel: float, where: str) -> Any:
    if isinstance(was, dict) and isinstance(now, dict) and set(was) == set(now):
        size = was["size"] if "seen" in was and isinstance(was.get("size"), float) else None
        for key in was:
            if size is not None and key in ("mean", "size", "seen"):
                if now[key] != pytest.approx(was[key], rel=0.0, abs=10.0 * rel * size + 1e-12):
                    yield f"{where}.{key}: {was[key]} before, {now[key]} now"
            else:
                yield from _differences(was[key], now[key], rel, f"{where}.{key}")
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for k, (a, b) in enumerate(zip(was, now, strict=True)):
            yield from _differences(a, b, rel, f"{where}[{k}]")
    elif isinstance(was, float) and isinstance(now, float | int) and not isinstance(now, bool):
        if now != pytest.approx(was, rel=rel, abs=1e-9):
            yield f"{where}: {was} before, {now} now"
    elif was != now:
        yield f"{where}: {was} before, {now} now"
