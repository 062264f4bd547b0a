from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from hal.errors import RecordError
from rig.record.columns import NAMES
from rig.record.rows import cell_text, csv_bytes, normal_row, write_tables


def test_a_row_has_every_column_and_missing_values_are_none() -> None:
    row = normal_row({"trial_id": "T001", "tte_mm": np.float64("nan"), "n_passes": np.int64(2), "success": np.True_})
    assert tuple(row) == NAMES
    assert (row["tte_mm"], row["n_passes"], row["success"], row["level"]) == (None, 2, True, None)


def test_numbers_have_one_fixed_format() -> None:
    row = normal_row({"tte_mm": 1.23456789, "t_scan_s": 40.0, "err_x_mm": -1e-9, "v_inj_ml": 12345.5})
    texts = [cell_text(row[name]) for name in ("tte_mm", "t_scan_s", "err_x_mm", "v_inj_ml")]
    assert texts == ["1.234568", "40", "0", "12345.5"]
    assert [cell_text(value) for value in (None, True, False, 3, "a;b")] == ["", "true", "false", "3", "a;b"]


@pytest.mark.parametrize(
    "values", [{"tte": 1.0}, {"tte_mm": "one"}, {"n_passes": 1.5}, {"success": 1}, {"level": 4}, {"tte_mm": True}]
)
def test_an_unknown_column_or_a_wrong_kind_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(RecordError):
        normal_row(values)


def test_csv_and_parquet_hold_the_same_table(tmp_path: Path) -> None:
    rows = [
        normal_row({"trial_id": "T001", "tte_mm": 1.5, "success": True, "end_reason": 'stopped, "nerve"'}),
        normal_row({"trial_id": "T002", "n_passes": 3}),
    ]
    write_tables(tmp_path, rows)
    read = list(csv.DictReader(io.StringIO((tmp_path / "trials.csv").read_text())))
    assert [r["trial_id"] for r in read] == ["T001", "T002"]
    assert read[0]["end_reason"] == 'stopped, "nerve"' and read[1]["tte_mm"] == ""
    assert (tmp_path / "trials.csv").read_bytes() == csv_bytes(rows)
    table = pyarrow.parquet.read_table(tmp_path / "trials.parquet")
    assert table.to_pylist() == rows
    assert table.schema.field("tte_mm").metadata[b"unit"] == b"mm"
