"""Interface of a QA test to the analysis: the tables it needs, the figures it gives, their computation and pictures.

An evaluation is pure: it sees tables and parameters, never a device, so that readings of the rig, logs by others and
old run folders go through the same lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure as Drawing

from analysis.figures.style import Stamp
from analysis.qa.outcome import Outcome
from analysis.tables import DataFrame
from hal.errors import ConfigError
from rig.record import Field

Tables = Mapping[str, DataFrame]
"""By name of the stream; a column ``time_s`` and the fields of the stream."""
Value = float | int | str | bool | tuple[float, ...]
Parameters = Mapping[str, Value]


@dataclass(frozen=True)
class Plot:
    """A figure of the report, not saved yet."""

    name: str
    title: str
    caption: str
    alt: str
    drawing: Drawing


@dataclass(frozen=True)
class Evaluation:
    """One kind of test."""

    name: str
    words: str
    """What it finds out, one line for ``qa list``."""
    tables: Mapping[str, tuple[Field, ...]]
    """What must have been recorded."""
    figures: Mapping[str, tuple[str, str]]
    """Name of each figure, its unit and what it is."""
    evaluate: Callable[[Tables, Parameters], Outcome]
    parameters: Mapping[str, tuple[Value, str]] = field(default_factory=dict)
    """Defaults and meanings; an acceptance file may set these and no others."""
    timed: bool = False
    """Whether figures rest on the times of the readings: a log without times is refused then."""
    untimed: frozenset[str] = frozenset()
    """Tables of a timed test whose rows need none."""
    least: Mapping[str, float] = field(default_factory=dict)
    """Smallest value of a parameter that may not be 0; no number may be negative."""
    draw: Callable[[Tables, Outcome, Stamp], Sequence[Plot]] | None = None
    optional: frozenset[str] = frozenset()
    """Tables that may be empty: then their figures are not evaluated."""

    def settings(self, given: Parameters) -> dict[str, Value]:
        """Defaults with what the acceptance file says; raises ``ConfigError`` for a name or a kind that is unknown."""
        found: dict[str, Value] = {name: default for name, (default, _) in self.parameters.items()}
        for name, value in given.items():
            if name not in found:
                known = ", ".join(found) or "none"
                raise ConfigError(f"parameters: {self.name} has no parameter {name!r}; it has {known}")
            default = found[name]
            if isinstance(default, float) and type(value) is int:
                value = float(value)
            if type(value) is not type(default):
                wanted = "a list of numbers" if isinstance(default, tuple) else f"a {type(default).__name__}"
                raise ConfigError(f"parameters: {name} must be {wanted}, as {default!r}, not {value!r}")
            found[name] = value
            _bounded(name, value, self.least.get(name, 0.0))
        return found


def _bounded(name: str, value: Value, least: float) -> None:
    """Raises ``ConfigError`` for a number below its bound, and for a list that is empty or holds one."""
    if isinstance(value, bool | str):
        return
    numbers = value if isinstance(value, tuple) else (value,)
    if not numbers or not all(math.isfinite(number) and number >= least for number in numbers):
        raise ConfigError(f"parameters: {name} must be at least {least:g}, not {value!r}")


def missing(evaluation: Evaluation, tables: Tables) -> str:
    """Inputs of the evaluation that were not recorded, in words; empty when everything is there."""
    lacking = []
    for name, fields in evaluation.tables.items():
        if name not in tables or not len(tables[name]):
            if name in evaluation.optional:
                continue
            lacking.append(f"no {name} were recorded")
            continue
        columns = [f.name for f in fields if f.name not in tables[name].columns]
        if columns:
            lacking.append(f"{name} lack {', '.join(columns)}")
    return "; ".join(lacking)
