"""Cells of a table by others as text, column by column: delimited text or a spreadsheet."""

from __future__ import annotations

import csv
import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from hal.errors import ConfigError
from rig.formats.log_columns import LogColumn, LogFile

SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
LARGEST_BYTES = 1 << 30
SEPARATORS = {"tab": "\t", ",": ",", ";": ";"}


class NoSuchColumn(ConfigError):
    """The header does not have a column of this name."""


@dataclass(frozen=True)
class LogCells:
    """Cells of a file below its header."""

    path: Path
    names: tuple[str, ...]
    """Of the columns; their numbers, counted from 1, where there is no header."""
    columns: tuple[pa.StringArray, ...]
    rows: NDArray[np.int64]
    """Row in the file of each, counted from 1."""

    def index(self, column: LogColumn) -> int:
        """Place of a column, counted from 0; raises ``ConfigError`` when there is none or more than one."""
        wanted, number = column.column, column.number
        if number is not None:
            if number > len(self.names):
                raise ConfigError(f"{self.path}: column {number} is wanted, the file has {len(self.names)}")
            return number - 1
        found = [k for k, name in enumerate(self.names) if name == wanted]
        if len(found) > 1:
            raise ConfigError(f"{self.path}: {len(found)} columns are named {wanted!r}: give its number instead")
        if not found:
            near = difflib.get_close_matches(wanted, self.names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(map(repr, self.names))}"
            raise NoSuchColumn(f"{self.path}: no column is named {wanted!r}{hint}")
        return found[0]


def read_cells(path: Path, how: LogFile) -> LogCells:
    """Read all cells of a table. Raises ``ConfigError`` for a file that is no table, with the row that is wrong."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if size > LARGEST_BYTES:
        raise ConfigError(f"{path}: {size >> 20} MiB; logs of at most {LARGEST_BYTES >> 20} MiB are read")
    found = _spreadsheet(path, how) if path.suffix.lower() in SPREADSHEETS else _delimited(path, how)
    if not len(found.rows):
        raise ConfigError(f"{path}: holds no readings")
    return found


def _delimited(path: Path, how: LogFile) -> LogCells:
    try:
        text = path.read_bytes().decode("utf-8-sig" if how.encoding == "utf-8" else how.encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as {how.encoding}: {error}") from None
    lines = text.splitlines()
    first = max(0, how.header_row - 1)
    if first >= len(lines) or not lines[first].strip():
        raise ConfigError(f"{path}: row {first + 1} is empty, the column names are wanted there")
    sign = SEPARATORS.get(how.separator) or _separator(lines[first])
    head = next(csv.reader([lines[first]], delimiter=sign))
    filled = [k for k in range(how.header_row, len(lines)) if lines[k].strip()]
    names = [name.strip() for name in head] if how.header_row else [str(k + 1) for k in range(len(head))]
    return _parsed(path, names, [lines[k] for k in filled], np.array(filled, np.int64) + 1, sign)


def _separator(header: str) -> str:
    often = Counter({sign: header.count(sign) for sign in ("\t", ";", ",")})
    sign, n = often.most_common(1)[0]
    return sign if n else ","


def _parsed(path: Path, names: list[str], lines: list[str], rows: NDArray[np.int64], sign: str) -> LogCells:
    if not lines:
        return LogCells(path, tuple(names), (), rows)
    keys = [str(k) for k in range(len(names))]
    bad: list[pa.csv.InvalidRow] = []

    def note(row: pa.csv.InvalidRow) -> str:
        bad.append(row)
        return "skip"

    table = pa.csv.read_csv(
        pa.BufferReader("\n".join(lines).encode()),
        read_options=pa.csv.ReadOptions(column_names=keys, use_threads=False),
        parse_options=pa.csv.ParseOptions(delimiter=sign, invalid_row_handler=note),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(keys, pa.string()), strings_can_be_null=False, quoted_strings_can_be_null=False
        ),
    )
    if bad:
        number = bad[0].number
        where = f"row {rows[number - 1]}" if number is not None and number <= len(rows) else "a row"
        raise ConfigError(
            f"{path}: {where} has {bad[0].actual_columns} cells, the header has {bad[0].expected_columns}"
            + (f" (and {len(bad) - 1} more rows)" if len(bad) > 1 else "")
        )
    if table.num_rows != len(rows):
        raise ConfigError(f"{path}: a cell in quotes holds a line break, which no log is read with")
    columns = tuple(table.column(key).combine_chunks() for key in keys)
    return LogCells(path, tuple(names), columns, rows)


def _spreadsheet(path: Path, how: LogFile) -> LogCells:
    try:
        from python_calamine import CalamineError, load_workbook
    except ImportError:
        raise ConfigError(
            f"{path}: a spreadsheet needs the package python-calamine; save it as CSV, or add it"
        ) from None
    try:
        book = load_workbook(path)
        if how.sheet and how.sheet not in book.sheet_names:
            raise ConfigError(f"{path}: no sheet is named {how.sheet!r}; there are {', '.join(book.sheet_names)}")
        sheet = book.get_sheet_by_name(how.sheet or book.sheet_names[0])
        rows = sheet.to_python(skip_empty_area=False)
    except (CalamineError, OSError, IndexError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a spreadsheet: {error}") from None
    first = max(0, how.header_row - 1)
    if first >= len(rows):
        raise ConfigError(f"{path}: row {first + 1} is empty, the column names are wanted there")
    width = len(rows[first])
    names = [_word(cell).strip() for cell in rows[first]] if how.header_row else [str(k + 1) for k in range(width)]
    filled = [k for k in range(how.header_row, len(rows)) if any(cell != "" for cell in rows[k])]
    columns = tuple(_words([rows[k][c] for k in filled], how.decimal) for c in range(width))
    return LogCells(path, tuple(names), columns, np.array(filled, np.int64) + 1)


def _words(cells: Sequence[object], decimal: str) -> pa.StringArray:
    words = [_word(cell) for cell in cells]
    if decimal == ",":
        # Numbers of a spreadsheet have no decimal sign of their own; text cells keep theirs.
        words = [w.replace(".", ",") if isinstance(c, float) else w for w, c in zip(words, cells, strict=True)]
    return pa.array(words, pa.string())


def _word(cell: object) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float):
        return repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell)
    return str(cell)
