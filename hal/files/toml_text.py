"""Plain data as TOML text: a run's inputs are written in the format that they were read from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(data: Mapping[str, object]) -> str:
    """Write tables, arrays of tables, lists, strings, numbers and booleans; None is left out.

    Raises ``TypeError`` for anything that TOML has no form for.
    """
    return "\n".join(_table(data, "")).strip("\n") + "\n"


def _table(data: Mapping[str, object], path: str) -> list[str]:
    """Plain values first: a line below a heading belongs to that heading."""
    lines, below = [], []
    for key, value in data.items():
        name = f"{path}.{_key(key)}" if path else _key(key)
        if value is None:
            continue
        if isinstance(value, Mapping):
            inner = _table(value, name)
            heading = not inner or inner[0] != ""  # a table of tables alone needs no heading of its own
            below += [*(["", f"[{name}]"] if heading else []), *inner]
        elif isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            for item in value:
                below += ["", f"[[{name}]]", *(f"{_key(k)} = {_value(v)}" for k, v in item.items() if v is not None)]
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    return lines + below


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    """A JSON string is a TOML basic string, but for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return _quoted(str(value))
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inside} }}" if inside else "{}"
    raise TypeError(f"TOML has no form for {type(value).__name__}")
