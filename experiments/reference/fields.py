"""Keys of a data model as rows of a reference table: path, kind, default, bounds and what the source says of it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from hal.files import EACH, number_at

NEEDED = object()
"""Default of a key that must be given."""
SUBTABLES_DEEP = 4
"""Tables in tables that are followed; no file of this project nests deeper."""


@dataclass(frozen=True)
class Key:
    """One key that a file may hold."""

    path: str
    kind: str
    default: str
    """Empty: the key must be given."""
    text: str


def keys_of(model: type[Any], prefix: str = "", depth: int = 0, used: object = None) -> Iterator[Key]:
    """Every key of a pydantic model or dataclass; inner tables are followed with their path.

    ``used`` is the instance that a file gets when it leaves the whole table out; its values are the defaults.
    """
    texts = attribute_texts(model)
    for name, kind, own, bounds in _fields(model):
        value = own if used is None else getattr(used, name)
        path = f"{prefix}.{name}" if prefix else name
        inner, listed = _table(kind)
        text = " ".join(part for part in (bounds, texts.get(name, "")) if part)
        if inner is not None and depth < SUBTABLES_DEEP:
            yield Key(f"[[{path}]]" if listed else f"[{path}]", "tables" if listed else "table", "", text)
            yield from keys_of(inner, path, depth + 1, value if isinstance(value, inner) else None)
        else:
            yield Key(path, kind_text(kind), "" if value is NEEDED else _value(value), text)


def attribute_texts(model: type[Any]) -> dict[str, str]:
    """The string that stands below each attribute in the source, its first paragraph, inherited ones included."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base.__module__.split(".")[0] not in ("rig", "hal", "experiments", "analysis"):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for item, after in zip(body.body, body.body[1:], strict=False):
            if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
                continue
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                text = inspect.cleandoc(str(after.value.value)).split("\n\n")[0]
                found[item.target.id] = " ".join(text.split()).replace("``", "`")
    return found


def kind_text(kind: Any) -> str:
    """A type as a person writes it in a file."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return kind_text(inner[0])
    if origin is Literal:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(kind_text(one) for one in inner if one is not NoneType)
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return f"list of {kind_text(inner[0])}"
    if origin is tuple:
        return f"[{', '.join(kind_text(one) for one in inner)}]"
    if origin is dict:
        return "table"
    plain = {float: "number", int: "whole number", str: "text", bool: "true or false", Path: "path"}
    return plain.get(kind, getattr(kind, "__name__", str(kind)))


def _fields(model: type[Any]) -> Iterator[tuple[str, Any, object, str]]:
    """Name, type, default and bounds of every key."""
    if issubclass(model, BaseModel):
        for name, field in model.model_fields.items():
            if not field.exclude:
                made = (
                    NEEDED if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
                )
                yield name, field.annotation, made, _bounds(model, name)
        return
    hints = get_type_hints(model)
    for entry in dataclasses.fields(model):
        default = entry.default
        if default is dataclasses.MISSING:
            default = NEEDED if entry.default_factory is dataclasses.MISSING else entry.default_factory()
        yield entry.name, hints[entry.name], default, _bounds(model, entry.name)


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + "}"
    return str(value)


def _bounds(model: type[Any], name: str) -> str:
    """Between what a number, or each number of an array, must lie."""
    for path, each in (((name,), ""), ((name, EACH), "each "), ((name, EACH, EACH), "each ")):
        number = number_at(model, path)
        if number is not None and number.signs:
            return f"({each}{number.signs})"
    return ""


def _table(kind: Any) -> tuple[type[Any] | None, bool]:
    """The model of an inner table, and whether it is a list of tables."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _table(inner[0])
    if origin in (Union, UnionType):
        rest = [one for one in inner if one is not NoneType]
        return _table(rest[0]) if len(rest) == 1 else (None, False)
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return _table(inner[0])[0], True
    model = inspect.isclass(kind) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind))
    return (kind, False) if model else (None, False)
