"""Where a source file can be broken, and how: one site is one small change of one expression."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"}
UNITS = frozenset({1e-9, 1e-6, 1e-3, 10.0, 60.0, 100.0, 1e3, 1e6, 1e9})
"""Numbers that convert units; the kind ``units`` changes only these, and only where they multiply, divide or are raised
to a power: a number that is compared or added is a limit or a rounding."""
WRONG_UNIT = 10.0
"""A unit or limit is wrong by this factor: the usual slip of a decimal point."""


@dataclass(frozen=True)
class Site:
    """One small fault in one file."""

    file: str
    """Path from the root of the tree."""
    function: str
    """Qualified name of the function or class that holds it; empty at module level."""
    line: int
    was: str
    becomes: str
    start: int
    """Offsets in the UTF-8 source: what is replaced."""
    end: int
    called_at: int = 0
    """Line of the innermost ``def`` that holds it, the first decorator's where there is one; 0 = none."""
    outer: tuple[str, ...] = ()
    """Names that lead from the module to the outermost ``def`` that holds it; empty = none."""

    def applied(self, source: bytes) -> bytes:
        """The source with this fault in it."""
        return source[: self.start] + f"({self.becomes})".encode() + source[self.end :]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function or 'module'}: {self.was}  ->  {self.becomes}"


def sites_of(file: str, source: bytes, kinds: frozenset[str]) -> tuple[Site, ...]:
    """Every fault of these kinds (``rules``, ``signs``, ``units``) that the source can carry, in order of place."""
    offsets = [0]
    for line in source.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    found: list[Site] = []
    tree = ast.parse(source)
    factors = {
        id(side)
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.Pow)
        for side in (node.left, node.right)
    }
    for node, names, called_at, outer in _walk(tree, (), 0, ()):
        for changed in _changes(node, kinds, id(node) in factors):
            was, becomes = ast.unparse(node), ast.unparse(changed)
            if was == becomes:
                continue
            start = offsets[node.lineno - 1] + node.col_offset
            end = offsets[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
            found.append(Site(file, ".".join(names), node.lineno, was, becomes, start, end, called_at, outer))
    return tuple(sorted(found, key=lambda s: (s.start, s.end, s.becomes)))


Names = tuple[str, ...]


def _walk(node: ast.AST, names: Names, called_at: int, outer: Names) -> Iterator[tuple[ast.expr, Names, int, Names]]:
    """Expressions that run, with the name of their function: no annotations, no texts, no indices."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "type_comment", "slice", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            if isinstance(child, ast.keyword) and child.arg == "repr":  # how a value is printed is no rule
                continue
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                at, within = min([child.lineno, *(d.lineno for d in child.decorator_list)]), (*names, child.name)
                if isinstance(child, ast.ClassDef):
                    yield from _walk(child, within, called_at, outer)
                else:
                    yield from _walk(child.args, within, called_at, outer)  # defaults are made where the def stands
                    yield from _walk(ast.Module(child.body, []), within, at, outer or within)
                continue
            if isinstance(child, ast.expr):
                yield child, names, called_at, outer
            yield from _walk(child, names, called_at, outer)


def _changes(node: ast.expr, kinds: frozenset[str], factor: bool) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and type(node.op) in COMPUTED and not _text(node) and kinds & {"rules", "signs"}:
        yield _with(node, op=COMPUTED[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and kinds & {"rules", "signs"}:
        yield node.operand
    elif (
        isinstance(node, ast.Constant)
        and type(node.value) in (int, float)
        and ("rules" in kinds or ("units" in kinds and factor and float(node.value) in UNITS))
    ):
        yield _number(node.value)
    if "rules" not in kinds:
        return
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for op in COMPARED[type(node.ops[0])]:
            yield _with(node, ops=[op()])
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in CALLED:
            func = copy.deepcopy(node.func)
            setattr(func, "attr" if isinstance(func, ast.Attribute) else "id", CALLED[name])
            yield _with(node, func=func)


def _with(node: ast.expr, **changed: object) -> ast.expr:
    other = copy.copy(node)
    for name, value in changed.items():
        setattr(other, name, value)
    return other


def _number(value: float) -> ast.Constant:
    if isinstance(value, int) and abs(value) < 10:
        return ast.Constant(value + 1)
    return ast.Constant(value * int(WRONG_UNIT) if isinstance(value, int) else (value * WRONG_UNIT or 1.0))


def _text(node: ast.BinOp) -> bool:
    """A text put together with ``+`` is no arithmetic."""
    sides = (node.left, node.right)
    return any(
        isinstance(s, ast.JoinedStr) or (isinstance(s, ast.Constant) and isinstance(s.value, str)) for s in sides
    )
