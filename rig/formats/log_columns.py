"""Column map of a log by others: which column of the file is which quantity, and in which unit; a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hal.files import Id, read, refusal, validated, within
from rig.formats.log_units import factor, spelled, target

CLOCK, TEXT = "clock", "text"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LogFile(_Data):
    """How the file is written: the ``[file]`` table."""

    separator: Literal["", ",", ";", "tab"] = ""
    """Of a text file; left out: the one that the header has most of."""
    decimal: Literal[".", ","] = "."
    """Decimal sign of the numbers."""
    header_row: int = within(0, 10_000, 1)
    """Row of the column names, counted from 1; 0: there is none, and columns are named by number, counted from 1."""
    encoding: Literal["utf-8", "utf-16", "cp1252"] = "utf-8"
    """Of a text file."""
    sheet: str = ""
    """Of a spreadsheet; left out: the first."""
    missing: tuple[str, ...] = ("", "-", "---", "NaN", "nan", "N/A", "n/a")
    """Cells that hold no reading."""


class LogColumn(_Data):
    """One quantity: a ``[columns.NAME]`` table; the name ends with the unit of the rig (``mass_g``, ``time_s``)."""

    column: str = ""
    """Its name in the header."""
    number: int | None = within(1, 10_000, None)
    """Its number, counted from 1, instead of a name."""
    unit: str = ""
    """Of the numbers in the file; ``clock`` for times of day or dates, ``text`` for words. A cell that brings a unit of
    its own must bring this one."""
    format: str = ""
    """Of a clock (``%d.%m.%Y %H:%M:%S``); left out: ISO 8601, ``2026-03-01 14:05:00.25``."""
    required: bool = False
    """Whether a missing cell refuses the file; otherwise it is a missing reading."""


class ColumnMap(_Data):
    """A column map."""

    file: LogFile = LogFile()
    columns: dict[Id, LogColumn] = Field(min_length=1)
    gap_s: float | None = within(0.001, 86_400.0, None)
    """Longest time between two readings that is no gap; left out: five times the usual step."""

    @model_validator(mode="after")
    def _units(self) -> ColumnMap:
        faults = []
        for name, column in self.columns.items():
            at = f"columns.{name}.unit"
            if (column.number is None) == (not column.column):
                faults.append((f"columns.{name}", "needs either column, its name in the header, or its number"))
            if column.unit == TEXT:
                continue
            if column.unit == CLOCK:
                if name != "time_s":
                    faults.append((at, "only time_s can be a clock"))
            elif factor(name, spelled(column.unit)) is None:
                found = target(name)
                if found is None:
                    faults.append((at, f"{name} does not end with a unit (as mass_g does), so it has none"))
                else:
                    faults.append((at, f"{name} can be given in {', '.join(found[0])}"))
            if column.format and column.unit != CLOCK:
                faults.append((f"columns.{name}.format", "only a clock has a format"))
        if faults:
            raise refusal(*faults)
        return self


def read_column_map(path: Path) -> ColumnMap:
    """Read and check a column map; raises ``ConfigError``."""
    return validated(read(path), ColumnMap)
