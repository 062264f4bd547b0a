"""A fault put into a loaded function: much faster than loading everything anew around a changed file."""

from __future__ import annotations

import sys
from types import CodeType, FunctionType

from tests.mutants.sites import Site


def can_break_live(site: Site, source: bytes) -> bool:
    """True when ``break_live`` can: not at module or class level, in compiled kernels or modules that are not
    loaded."""
    return _found(site, source) is not None


def break_live(site: Site, source: bytes) -> None:
    """Give the loaded function of the site the code of the broken source."""
    found = _found(site, source)
    assert found is not None
    function, code = found
    function.__code__ = code


def _found(site: Site, source: bytes) -> tuple[FunctionType, CodeType] | None:
    module = sys.modules.get(site.file.removesuffix(".py").replace("/", "."))
    if module is None or not site.outer:
        return None
    holder: object = module
    for name in site.outer:
        holder = vars(holder).get(name)  # not getattr: a static method or a property is wanted as it stands there
        if holder is None:
            return None
    function = _plain(holder)
    code = _code_of(compile(site.applied(source), module.__file__ or site.file, "exec"), site.outer)
    if function is None or code is None or code.co_freevars != function.__code__.co_freevars:
        return None
    return function, code


def _plain(holder: object) -> FunctionType | None:
    """The function inside a method's, a property's, a cache's or a context manager's wrapping."""
    for _ in range(5):
        if isinstance(holder, FunctionType):
            inner = getattr(holder, "__wrapped__", None)
            if inner is None:
                return holder
            holder = inner
            continue
        for name in ("__wrapped__", "__func__", "fget", "func"):
            inner = getattr(holder, name, None)
            if inner is not None:
                holder = inner
                break
        else:
            return None
    return None


def _code_of(module: CodeType, names: tuple[str, ...]) -> CodeType | None:
    wanted = ".".join(names)
    waiting = [module]
    while waiting:
        code = waiting.pop()
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                if constant.co_qualname == wanted:
                    return constant
                waiting.append(constant)
    return None
