"""Numbers on the command line have bounds like those of files: one place where they are checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import typer

from experiments.cli.output import exit_codes
from hal.errors import ConfigError


def number(text: str, low: float, high: float) -> Any:
    """A ``typer.Option`` with help ``text`` whose number, or each of whose numbers, lies between two bounds.

    Beyond them, and for what is not finite, the command ends with one line and exit code 2 before it begins.
    """
    return typer.Option(help=text, callback=_between(low, high))


def _between(low: float, high: float) -> Callable[[typer.CallbackParam, Any], Any]:
    def check(param: typer.CallbackParam, value: Any) -> Any:
        values = value if isinstance(value, tuple | list) else () if value is None else (value,)
        with exit_codes():
            for one in values:
                if not (math.isfinite(one) and low <= one <= high):
                    raise ConfigError(f"{param.opts[0]} must lie between {low:.12g} and {high:.12g}, got {one:.12g}")
        return value

    check.bounds = (low, high)  # type: ignore[attr-defined]  # a test reads them
    return check
