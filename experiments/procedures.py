"""The user's own procedures and measures, as a script declares them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from numbers import Real
from pathlib import Path

from experiments.protocol.measure import Declared, Measure
from experiments.session import Body, current
from experiments.source import FOLDER, folder_of_script
from experiments.varied import Changes, Varied, technique
from hal.errors import ConfigError
from hal.files import Document, validated

BEYOND = 1e12
"""No measure comes near it; a limit there would judge nothing."""


def measure(
    name: str,
    unit: str,
    text: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    statistic: str = "median",
) -> Declared:
    """Declare a number that a procedure measures: a column of ``trials.csv``, judged over the trials of its technique.

    ``unit``: mm, mm2, deg, s, mL, mL/min, kPa, kPa min/mL, N, degC, or "1" for a pure number. ``statistic``: as a
    criterion of a study has it. Raises ``ConfigError`` without a unit or without exactly one limit.
    """
    if (at_most is None) == (at_least is None):
        raise ConfigError(f"measure {name}: give it one limit, at_most or at_least, before the first trial")
    limit, comparison = (at_most, "<=") if at_most is not None else (at_least, ">=")
    if not isinstance(limit, Real) or isinstance(limit, bool) or not abs(limit) < BEYOND:
        raise ConfigError(f"measure {name}: its limit must be a finite number, not {limit!r}")
    document = Document(f"measure {name}", "", {"name": name, "unit": unit, "text": text})
    return Declared(validated(document, Measure), comparison, float(limit), statistic)


def procedure(
    base: str | Path = "L4_IP_T", changes: Changes | None = None, *, measures: Iterable[Declared] = ()
) -> Callable[[Body], Varied]:
    """Make a function of a trial the conduct of a technique; the result is a technique for ``study``.

    ``base`` and ``changes``: the technique whose needle, path, limits and acceptance hold. The function stands at the
    top of the script, before its first study. Raises ``ConfigError`` at a prompt, where no source can be kept.
    """
    own = tuple(measures)

    def declared(body: Body) -> Varied:
        where = f"{FOLDER}/{folder_of_script(current(), body.__code__.co_filename)}:{body.__name__}"
        current().procedures[where] = body
        made = technique(base, {**(changes or {}), "procedure": where})
        return replace(made, changes=dict(changes or {}), measures=own)

    return declared
