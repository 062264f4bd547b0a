"""A user's own measure: a number that a procedure declares, fixed with its limit before the first trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hal.files import refusal
from rig.record import COLUMNS, Column, unit_of

Unit = Literal["mm", "mm2", "deg", "s", "mL", "mL/min", "kPa", "kPa min/mL", "N", "degC", "1"]
"""``1``: a pure number, a share or a count."""


class Measure(BaseModel):
    """One column that a study adds to ``trials.csv``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,47}$")
    unit: Unit
    text: str = Field(min_length=1)
    """Description of the measure, in words."""

    @model_validator(mode="after")
    def _is_new(self) -> Measure:
        if self.name in {column.name for column in COLUMNS}:
            raise refusal(("name", f"trials.csv has a column {self.name} already, which the rig fills in itself"))
        return self

    @property
    def column(self) -> Column:
        """Column of the trial table."""
        return Column(self.name, unit_of(self.unit), "float", self.text)


@dataclass(frozen=True)
class Declared:
    """A measure with the limit by which it is judged."""

    measure: Measure
    comparison: str
    limit: float
    statistic: str

    def criterion(self, technique_id: str) -> dict[str, object]:
        """Criterion in the form of a study file."""
        return {
            "id": self.measure.name, "text": self.measure.text, "metric": self.measure.name,
            "statistic": self.statistic, "comparison": self.comparison, "limit": self.limit,
            "select": {"technique": technique_id},
        }  # fmt: skip
