"""The trial table: one normalised row per trial, and its files (CSV, Parquet, data dictionary)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from hal.errors import RecordError
from rig.record.appendfile import write_whole
from rig.record.canonical import plain
from rig.record.columns import COLUMNS, NAMES, Column

Cell = None | bool | int | float | str
Row = Mapping[str, Cell]

DECIMALS = 6
"""Digits after the point of every number of the table (1 nm, 1 us): fixed, so that equal runs give equal bytes."""


def normal_row(values: Mapping[str, object], columns: Sequence[Column] = COLUMNS) -> dict[str, Cell]:
    """Return the row with every one of ``columns``, in order: NaN and absent become None, floats are rounded.

    Raises ``RecordError`` for an unknown column or a value of the wrong kind.
    """
    unknown = sorted(set(values) - {column.name for column in columns})
    if unknown:
        raise RecordError(f"trial row {values.get('trial_id')}: unknown column {', '.join(unknown)}")
    return {column.name: _cell(column, values.get(column.name)) for column in columns}


def _cell(column: Column, value: object) -> Cell:
    found = plain(value)
    if found is None or (found == "" and column.kind != "text"):
        return None
    if column.kind == "text" and isinstance(found, str):
        return found
    if column.kind == "bool" and isinstance(found, bool):
        return found
    if column.kind in ("int", "float") and isinstance(found, int | float) and not isinstance(found, bool):
        if column.kind == "float":
            return round(float(found), DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0
        if float(found).is_integer():
            return int(found)
    raise RecordError(f"trial row: {column.name} is a {column.kind}, got {found!r}")


def cell_text(value: Cell) -> str:
    """Text of one cell: fixed number format, ``true``/``false``, empty for not measured."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return str(value)


def csv_bytes(rows: Sequence[Row], names: Sequence[str] = NAMES) -> bytes:
    """``trials.csv``: UTF-8, comma, one line feed per row, columns in the order of ``COLUMNS`` (or of ``names``)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([cell_text(row.get(name)) for name in names] for row in rows)
    return text.getvalue().encode()


def dictionary_bytes(columns: Sequence[Column] = COLUMNS) -> bytes:
    """``trials.dictionary.json``: name, kind, unit and meaning of every column."""
    entries = [{"name": c.name, "kind": c.kind, "unit": c.unit, "text": c.text} for c in columns]
    note = f"numbers have at most {DECIMALS} decimals; an empty cell was not measured"
    return (json.dumps({"columns": entries, "note": note, "schema": 1}, indent=1) + "\n").encode()


_ARROW = {"text": pa.string(), "float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}


def write_tables(folder: Path, rows: Sequence[Row], columns: Sequence[Column] = COLUMNS) -> None:
    """Write the three files of the table; raises ``RecordError``."""
    write_whole(folder / "trials.csv", csv_bytes(rows, [c.name for c in columns]))
    write_whole(folder / "trials.dictionary.json", dictionary_bytes(columns))
    fields = [pa.field(c.name, _ARROW[c.kind], metadata={"unit": c.unit, "text": c.text}) for c in columns]
    data = [pa.array([row.get(c.name) for row in rows], type=_ARROW[c.kind]) for c in columns]
    buffer = pa.BufferOutputStream()
    pyarrow.parquet.write_table(pa.Table.from_arrays(data, schema=pa.schema(fields)), buffer)
    write_whole(folder / "trials.parquet", buffer.getvalue().to_pybytes())
