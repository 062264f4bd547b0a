"""Keys that a file's schema knows in each table, and the bounds of each number.

A schema is a pydantic model or a dataclass; tables inside tables, arrays and optional values are followed.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

EACH = "*"
"""Stands in a path for every element of an array."""
NAMED = "<name>"
"""Stands in a path for every key of a table whose keys are names."""


@dataclass(frozen=True)
class NumberField:
    """One number of a schema; ``low`` and ``high`` are infinite where nothing bounds it."""

    path: tuple[str, ...]
    integer: bool
    low: float
    high: float
    low_open: bool = False
    """The bound itself is refused too."""
    high_open: bool = False

    @property
    def bounded(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def words(self) -> str:
        """``must lie between 0 and 5``, for messages."""
        low, high = f"{self.low:.12g}", f"{self.high:.12g}"
        if not self.low_open and not self.high_open:
            return f"must lie between {low} and {high}"
        least, most = "more than" if self.low_open else "at least", "less than" if self.high_open else "at most"
        return f"must be {least} {low} and {most} {high}"

    @property
    def signs(self) -> str:
        """``>= 0, <= 5``, for reference tables; empty for a number without bounds."""
        signs = ((">" if self.low_open else ">=", self.low), ("<" if self.high_open else "<=", self.high))
        return ", ".join(f"{sign} {bound:.12g}" for sign, bound in signs if math.isfinite(bound))


@dataclass(frozen=True)
class _Node:
    """One place of a schema: its type without wrapping, and what was annotated on the way."""

    kind: Any
    notes: tuple[Any, ...]


def _unwrapped(kind: Any, notes: tuple[Any, ...] = ()) -> Iterator[_Node]:
    """The types that a value may have."""
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *more = get_args(kind)
        yield from _unwrapped(inner, (*notes, *more))
    elif origin in (Union, types.UnionType):
        for member in get_args(kind):
            if member is not type(None):
                yield from _unwrapped(member, notes)
    else:
        yield _Node(kind, notes)


@cache
def _members(kind: Any) -> dict[str, tuple[_Node, ...]]:
    """Members of a type: fields by key, elements of an array by ``*``, values of named keys by ``<name>``."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_table(kind):
        return {name: tuple(_unwrapped(inner, notes)) for name, (inner, notes) in _fields(kind).items()}
    if origin in (tuple, list):
        inner = [a for a in dict.fromkeys(arguments) if a is not Ellipsis]
        return {EACH: tuple(node for a in inner for node in _unwrapped(a))}
    if origin in (dict, Mapping) and len(arguments) == 2:
        return {NAMED: tuple(_unwrapped(arguments[1]))}
    return {}


def is_table(kind: Any) -> bool:
    """True for a type that is a table of a file: a model or a dataclass."""
    return inspect.isclass(kind) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind))


def _fields(kind: Any) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    if issubclass(kind, BaseModel):
        return {
            info.alias or name: (info.annotation, tuple(info.metadata))
            for name, info in kind.model_fields.items()
            if not info.exclude
        }
    hints = get_type_hints(kind, include_extras=True)
    return {f.name: (hints[f.name], ()) for f in dataclasses.fields(kind) if f.init}


def known_keys(kind: Any, path: tuple[str | int, ...]) -> tuple[str, ...]:
    """Keys of the table at ``path``; empty where anything goes."""
    return tuple(
        key for node in _nodes_at(kind, path) if is_table(node.kind) for key in _members(node.kind) if key != NAMED
    )


def number_at(kind: Any, path: tuple[str | int, ...]) -> NumberField | None:
    """The number at ``path`` with its bounds; None when no number belongs there."""
    for node in _nodes_at(kind, path):
        if node.kind in (int, float):
            return _number(tuple(str(part) for part in path), node)
    return None


def choices_at(kind: Any, path: tuple[str | int, ...]) -> tuple[str, ...]:
    """Words allowed at ``path``; empty when the schema lists none."""
    return tuple(
        str(word) for node in _nodes_at(kind, path) if get_origin(node.kind) is Literal for word in get_args(node.kind)
    )


def _nodes_at(kind: Any, path: tuple[str | int, ...]) -> tuple[_Node, ...]:
    nodes = tuple(_unwrapped(kind))
    for part in path:
        below = [_members(node.kind) for node in nodes]
        nodes = tuple(
            node for members in below for node in members.get(str(part), members.get(EACH, members.get(NAMED, ())))
        )
    return nodes


def numbers_of(kind: Any, path: tuple[str, ...] = ()) -> Iterator[NumberField]:
    """Every number of a schema, arrays and tables followed."""
    for node in _unwrapped(kind):
        yield from _numbers(node, path, ())


def _numbers(node: _Node, path: tuple[str, ...], above: tuple[Any, ...]) -> Iterator[NumberField]:
    if node.kind in (int, float):
        yield _number(path, node)
    elif node.kind not in above:
        for key, members in _members(node.kind).items():
            for member in members:
                yield from _numbers(member, (*path, key), (*above, node.kind))


def tables_of(kind: Any) -> set[Any]:
    """Every model and dataclass that a schema is made of."""
    found: set[Any] = set()

    def collect(node: _Node) -> None:
        if node.kind in found:
            return
        if is_table(node.kind):
            found.add(node.kind)
        for members in _members(node.kind).values():
            for member in members:
                collect(member)

    for node in _unwrapped(kind):
        collect(node)
    return found


def _number(path: tuple[str, ...], node: _Node) -> NumberField:
    low, high, low_open, high_open = -math.inf, math.inf, False, False
    for note in _flat(node.notes):
        if isinstance(note, annotated_types.Ge | annotated_types.Gt):
            bound = float(getattr(note, "ge", getattr(note, "gt", 0.0)))
            if bound > low:
                low, low_open = bound, isinstance(note, annotated_types.Gt)
        elif isinstance(note, annotated_types.Le | annotated_types.Lt):
            bound = float(getattr(note, "le", getattr(note, "lt", 0.0)))
            if bound < high:
                high, high_open = bound, isinstance(note, annotated_types.Lt)
    return NumberField(path, node.kind is int, low, high, low_open, high_open)


def _flat(notes: tuple[Any, ...]) -> Iterator[Any]:
    for note in notes:
        if isinstance(note, FieldInfo):
            yield from note.metadata
        elif isinstance(note, annotated_types.GroupedMetadata):
            yield from note
        else:
            yield note
