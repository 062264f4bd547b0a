"""Record of a run as tidy tables: the one place where the record becomes pandas.

Every table has its units in ``attrs["units"]`` (name of the column to unit, columns without one left out) and in the
names of its columns, and a column ``simulated`` that goes along wherever a table is taken. Data types follow the
column's definition (``rig.record.COLUMNS``): a number is ``float64`` or ``Int64``, yes or no is ``boolean``, a factor
of the design is a category in the order of all tables, text is text. What was not measured is missing (``NaN``,
``<NA>``), never zero. Times are seconds of the rig's clock, which counts anew in each cartridge and after a
resumption: events, samples and frames of one trial lie on one axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series

from hal.errors import RecordError
from rig.record import COLUMNS, Column, Entry, FrameReader, RecordedPlan, Row, Stream

__all__ = [
    "DataFrame",
    "Series",
    "concat",
    "events_table",
    "frames_table",
    "measured",
    "plan_table",
    "stream_table",
    "trials_table",
    "words",
]

concat = pd.concat
NS_PER_S = 1e9
_DTYPES = {"text": "str", "float": "float64", "int": "Int64", "bool": "boolean"}
_NUMBERS = frozenset(_DTYPES[kind].lower() for kind in ("float", "int"))
_PLAN = tuple(f.name for f in fields(RecordedPlan))


def trials_table(rows: Sequence[Row], columns: Sequence[Column] = COLUMNS) -> DataFrame:
    """One row per trial in the order of ``rows``, all columns of ``trials.csv`` in their order."""
    table = DataFrame({c.name: _column([row.get(c.name) for row in rows], c) for c in columns})
    return with_units(table, {c.name: c.unit for c in columns})


def _column(cells: Sequence[object], column: Column) -> Series:
    if column.kind == "text" and (column.factor or column.values):
        others = sorted({str(cell) for cell in cells if cell is not None} - set(column.values))
        found = [word for word in column.values if word in cells]
        return Series(pd.Categorical(cells, categories=[*found, *others]))
    return Series(cells, dtype=_DTYPES[column.kind])


def plan_table(planned: Sequence[RecordedPlan]) -> DataFrame:
    """One row per planned trial, in randomised order."""
    return DataFrame([asdict(trial) for trial in planned], columns=list(_PLAN))


def events_table(journals: Sequence[tuple[str, Sequence[tuple[str, Entry]]]], simulated: bool) -> DataFrame:
    """One row per journal entry; ``journals`` are cartridge (empty: the run's own) and its entries with the trial, or
    attempt, that each is of (empty: of none). ``data`` holds the content, one dictionary per entry."""
    found = [
        (trial or None, cartridge or None, e.seq, e.time_ns / NS_PER_S, e.actor, e.kind, dict(e.data))
        for cartridge, entries in journals
        for trial, e in entries
    ]
    table = DataFrame(found, columns=["trial_id", "cartridge_id", "seq", "time_s", "actor", "kind", "data"])
    table = table.astype({"seq": "int64", "time_s": "float64", "data": "object"})
    for name in ("trial_id", "cartridge_id", "actor", "kind"):
        table[name] = table[name].astype("category")
    table["simulated"] = simulated
    return with_units(table, {"time_s": "s"})


def stream_table(streams: Sequence[tuple[str, Stream]], simulated: bool) -> DataFrame:
    """One row per sample of one stream in some trials: trial, time and the stream's fields.

    A field that a trial did not record is missing there. Raises ``RecordError`` when two trials give one field in
    different units.
    """
    units: dict[str, str] = {"time_s": "s"}
    parts = []
    for trial_id, stream in streams:
        for field, unit in stream.units.items():
            if units.setdefault(field, unit) != unit:
                raise RecordError(f"stream {stream.name}: {field} is in {units[field]} and, in {trial_id}, in {unit}")
        values = {field: np.asarray(v, dtype=np.float64) for field, v in stream.values.items()}
        parts.append(DataFrame({"time_s": stream.time_ns / NS_PER_S, **values}))
    table = pd.concat(parts, ignore_index=True) if parts else DataFrame({"time_s": np.zeros(0)})
    names = [trial_id for trial_id, _ in streams]
    codes = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    table.insert(0, "trial_id", pd.Categorical.from_codes(codes, categories=names))
    table["simulated"] = simulated
    return with_units(table, units)


def frames_table(frames: FrameReader, simulated: bool) -> DataFrame:
    """One row per frame that guidance used; the index is the number of the frame.

    ``x_mm y_mm z_mm`` is the place of the probe's origin in the Rig frame. ``ImageToProbe`` (pixels to mm) and
    ``ProbeToRig`` hold (4, 4) arrays, ``detections`` what guidance found; ``kept``: the pixels were kept.
    """
    heads = frames.heads
    place: NDArray[np.float64] = np.array([h.ProbeToRig[:3, 3] for h in heads], dtype=np.float64).reshape(-1, 3)
    table = DataFrame(
        {
            "time_s": np.array([h.time_ns for h in heads], dtype=np.int64) / NS_PER_S,
            "sequence_n": np.array([h.sequence_n for h in heads], dtype=np.int64),
            "dropped_n": np.array([h.dropped_n for h in heads], dtype=np.int64),
            "label": Series([h.label for h in heads], dtype="str"),
            "kept": np.array([frames.kept(n) for n in range(len(heads))], dtype=bool),
            "x_mm": place[:, 0],
            "y_mm": place[:, 1],
            "z_mm": place[:, 2],
            "ImageToProbe": Series([h.ImageToProbe for h in heads], dtype="object"),
            "ProbeToRig": Series([h.ProbeToRig for h in heads], dtype="object"),
            "detections": Series([h.detections for h in heads], dtype="object"),
        }
    )
    table["simulated"] = simulated
    table.index.name = "frame"
    return with_units(table, {"time_s": "s", "x_mm": "mm", "y_mm": "mm", "z_mm": "mm"})


def with_units(table: DataFrame, units: dict[str, str]) -> DataFrame:
    """The table with the units of those columns that have one."""
    table.attrs["units"] = {name: unit for name, unit in units.items() if unit}
    return table


def words(table: DataFrame, name: str, missing: str = "unknown") -> Series:
    """A column as plain text, with a given word for empty cells."""
    found = table[name].astype(object)
    return found.where(found.notna(), missing).astype(str)


def measured(trials: DataFrame, name: str) -> DataFrame:
    """Trials that have a number in a column; none where the column holds no numbers."""
    return trials[trials[name].notna()] if str(trials[name].dtype).lower() in _NUMBERS else trials.iloc[:0]
