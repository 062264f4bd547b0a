"""One acceptance criterion: the study file fixes it beforehand, and the analysis judges by it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from analysis.tables import DataFrame, words
from hal.errors import ConfigError
from hal.files import Document, Id, refusal, validated, within
from rig.record import COLUMNS, LARGEST, Column

_COLUMN = {column.name: column for column in COLUMNS}
_FACTORS = tuple(column.name for column in COLUMNS if column.factor)
ONE_WAY = {
    "success_lower_95": (">=", "it is a lower bound, and a lower bound below a limit shows nothing"),
    "tolerance_95_95": ("<=", "it is an upper bound"),
    "max": ("<=", "the largest value says nothing about a lower limit"),
}
"""Statistics that make sense with one comparison only, and why."""


class Criterion(BaseModel):
    """One acceptance criterion of a study, fixed before the first trial: a ``[[criteria]]`` table."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: Id
    text: str = Field(min_length=1)
    metric: str
    """A column of trials.csv: a yes/no column for `success_lower_95`, a number column for the others."""
    statistic: Literal["tolerance_95_95", "mean", "median", "p95", "success_lower_95", "max"]
    comparison: Literal["<=", ">="]
    """`success_lower_95` takes >= only, `tolerance_95_95` and `max` take <= only."""
    limit: float = within(-86_400.0, 86_400.0)
    """In the unit of the column; a share between 0 and 1 for a yes/no column."""
    unit: str = ""
    """Unit of the column, and taken from it when left out. Any other unit is refused: nothing is converted."""
    select: dict[str, str | tuple[str, ...]] = {}
    """Trials to select: for each column a value, or a list of values of which one must match; all given columns must
    match. Only columns that are fixed before a trial may select, never results."""
    source: str = ""

    @staticmethod
    def from_toml(table: Mapping[str, Any], columns: Iterable[Column] = COLUMNS) -> Criterion:
        """Criterion of a run folder whose trials have ``columns``; raises ``ConfigError`` with all that is wrong with
        it."""
        where = f"study.toml, criterion {table.get('id', '?')}"
        # What only a new study is refused for (limits in another unit, a choice by results) was accepted by earlier
        # versions: their folders are reported, with the known anomalies that apply.
        recorded = {"text": str(table.get("id", "?")), **{key: v for key, v in table.items() if key != "unit"}}
        criterion = validated(Document(where, "", recorded), Criterion)
        known = {column.name: column for column in columns}
        faults = [fault for fault in criterion.metric_faults(known) if fault[0] not in ("unit", "limit")]
        if faults:
            raise ConfigError("\n".join(f"{where}: {key}: {text}" for key, text in faults))
        return criterion.model_copy(update={"unit": known[criterion.metric].unit})

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """``select`` with a list of values for every column."""
        return {name: (value,) if isinstance(value, str) else value for name, value in self.select.items()}

    def chosen(self, trials: DataFrame) -> DataFrame:
        """Trials that the criterion selects."""
        for name, values in self.choices.items():
            trials = trials[words(trials, name).isin(values)]
        return trials

    def meets(self, value: float) -> bool:
        return value <= self.limit if self.comparison == "<=" else value >= self.limit

    @model_validator(mode="after")
    def _can_be_judged(self) -> Criterion:
        faults = self._select_faults()
        if faults:
            raise refusal(*((key, f"criterion {self.id}: {text}") for key, text in faults))
        return self

    def _select_faults(self) -> list[tuple[str, str]]:
        faults = []
        for name, values in self.select.items():
            if name not in _COLUMN:
                faults.append((f"select.{name}", _no_column(name, _COLUMN)))
            elif name in _FACTORS and not values:
                faults.append((f"select.{name}", f"select.{name} is empty: no trial would be chosen"))
        return faults

    def result_faults(self) -> list[tuple[str, str]]:
        """Results by which the criterion selects trials, which a study must not do: key and reason."""
        why = "is a result, and trials must not be chosen by how they ended; a criterion may choose by "
        chosen_by = [name for name in self.select if name in _COLUMN and name not in _FACTORS]
        return [(f"select.{name}", f"{name} {why}{', '.join(_FACTORS)}") for name in chosen_by]

    def metric_faults(self, columns: Mapping[str, Column]) -> list[tuple[str, str]]:
        """Keys that cannot be judged in a study whose trials have these columns, with the reason."""
        column = columns.get(self.metric)
        if column is None:
            return [("metric", _no_column(self.metric, columns))]
        faults = []
        yes_no = self.statistic == "success_lower_95"
        if yes_no != (column.kind == "bool") or column.kind == "text":
            wanted = "a yes/no column" if yes_no else "a number column"
            faults.append(("metric", f"{self.statistic} needs {wanted}, {self.metric} is {column.kind}"))
        only, why = ONE_WAY.get(self.statistic, (self.comparison, ""))
        if self.comparison != only:
            faults.append(("comparison", f"{self.statistic} can only be compared with {only}: {why}"))
        if "unit" in self.model_fields_set and self.unit != column.unit:
            has = repr(column.unit) if column.unit else "none"
            faults.append(("unit", f"the unit of {self.metric} is {has}, and nothing is converted; leave `unit` out"))
        low, high = _limits(column.unit, yes_no)
        if not low <= self.limit <= high:
            faults.append(("limit", f"must lie between {low:g} and {high:g} {column.unit}".rstrip()))
        return faults


def _no_column(name: str, columns: Iterable[str]) -> str:
    hint = difflib.get_close_matches(name, list(columns), n=1)
    return f"trials.csv has no column {name!r}" + (f"; did you mean {hint[0]}?" if hint else "")


def _limits(unit: str, yes_no: bool) -> tuple[float, float]:
    if yes_no:
        return 0.0, 1.0
    largest = LARGEST.get(unit, 86_400.0)
    return -largest, largest
