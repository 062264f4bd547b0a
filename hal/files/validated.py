"""Check of a file against its schema: gives the value, or every fault of the file at once."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from hal.errors import ConfigError
from hal.files.bounds import REFUSED
from hal.files.document import Document, dotted
from hal.files.schema import choices_at, known_keys, number_at

LONGEST = 60
"""Longest text of a value shown in a message."""
T = TypeVar("T")
Place = tuple[str | int, ...]

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")
_SPANS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")
_ID = "must be 1 to 64 of the characters A-Z a-z 0-9 _ . - and not begin with a dot"


def validated(document: Document, schema: type[T], at: Place = ()) -> T:
    """Validate the file, or its table ``at``, against ``schema``; raises one ``ConfigError`` with a line per fault."""
    value, faults = faults_of(document, schema, at)
    if value is None or faults:
        raise ConfigError("\n".join(faults))
    return value


def faults_of(document: Document, schema: type[T], at: Place = ()) -> tuple[T | None, list[str]]:
    """Value (None when the schema refuses it) and all faults, each with file, line, key and value.

    Types are strict: no text for a number, no 1 for true.
    """
    spoilt = {path: text for path, text in document.unfit() if path[: len(at)] == at}
    kind: Any = schema
    value: T | None = None
    found: list[tuple[Place, str]] = []
    try:
        value = _adapter(kind).validate_json(json.dumps(_plain(document.at(at)), ensure_ascii=False), strict=True)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            found += _faults(document, schema, at, item)
    refused = {path for path, _ in found}
    found += [(path, text) for path, text in spoilt.items() if path not in refused]
    lines = [_line(document, path, text) for path, text in dict.fromkeys(found)]
    return value, lines


@cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    return TypeAdapter(schema)


def _plain(value: Any) -> Any:
    """Data in the form of JSON: dates, numbers that are not finite or of more than 64 bits become words."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    whole = isinstance(value, int) and abs(value) < 2**63
    if whole or isinstance(value, bool | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def _faults(document: Document, schema: Any, at: Place, item: ErrorDetails) -> Iterable[tuple[Place, str]]:
    path = _place(document, at, item["loc"])
    inner = path[len(at) :]
    kind = item["type"]
    if kind == REFUSED:
        return [((*path, *_steps(key)), text) for key, text in item["ctx"]["faults"]]
    if kind in _UNKNOWN:
        key = str(item["loc"][-1])
        return [((*path, key) if path[-1:] != (key,) else path, f"unknown key{near(key, _known(schema, inner, key))}")]
    if kind in _MISSING:
        return [((*path, str(item["loc"][-1])), "this key is missing")]
    number = number_at(schema, inner)
    if number is not None and number.bounded:
        if kind in _SPANS and _is_finite(document, path):
            return [(path, number.words)]
        what = "a whole number" if number.integer else "a finite number"
        return [(path, f"must be {what} and {number.words.removeprefix('must ')}")]
    if kind == "literal_error":
        choices = choices_at(schema, inner)
        hint = near(str(item.get("input")), choices) if isinstance(item.get("input"), str) else ""
        return [(path, f"must be {' or '.join(repr(c) for c in choices)}{hint if 'did you mean' in hint else ''}")]
    if kind == "string_pattern_mismatch" and "{0,63}" in str(item["ctx"]["pattern"]):
        return [(path, _ID)]
    return [(path, _reworded(item["msg"]))]


def _known(schema: Any, inner: Place, key: str) -> tuple[str, ...]:
    return known_keys(schema, inner[:-1] if inner[-1:] == (key,) else inner)


def _is_finite(document: Document, path: Place) -> bool:
    value = document.at(path)
    return isinstance(value, int | float) and math.isfinite(value)


def _reworded(text: str) -> str:
    """Message of pydantic, reworded like the other messages."""
    return text.removeprefix("Value error, ").replace("Input should be", "must be").replace("Input should", "should")


def _steps(key: str) -> Place:
    return tuple(int(part) if part.isdigit() else part for part in key.split(".")) if key else ()


def _place(document: Document, at: Place, loc: tuple[int | str, ...]) -> Place:
    """The part of a fault's place that exists in the file: pydantic also names the types that it tried."""
    path = at
    value = document.at(at)
    for part in loc:
        inside = isinstance(part, int) and isinstance(value, list) and 0 <= part < len(value)
        if inside or (isinstance(value, Mapping) and part in value):
            value = value[part]
            path = (*path, part)
    return path


def _line(document: Document, path: Place, text: str) -> str:
    try:
        value = document.at(path)
    except (KeyError, IndexError, TypeError):
        return f"{document.place(path)}: {text}"
    shown = _shown(value)
    return f"{document.place(path)}{shown}: {text}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return f" = {str(value).lower()}"
    if isinstance(value, int | float):
        return f" = {_short(repr(value))}"
    if isinstance(value, str):
        return f" = {_short(value)!r}"
    if isinstance(value, list) and len(value) <= 6 and not any(isinstance(v, list | Mapping) for v in value):
        return f" = {value!r}"
    return ""


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def near(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?``, or the known names, or nothing."""
    known = sorted(set(known))
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else f"; known: {', '.join(known)}" if known else ""


__all__ = ["dotted", "faults_of", "near", "validated"]
