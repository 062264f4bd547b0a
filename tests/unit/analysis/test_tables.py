"""From the record to tidy tables: units, data types, categories, and nothing that was not recorded."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.criterion import Criterion
from analysis.group import column, holds_true
from analysis.tables import DataFrame, events_table, measured, plan_table, stream_table, trials_table, words
from hal.errors import RecordError
from rig.record import COLUMNS, NAMES, Entry, Stream
from rig.record.rows import normal_row

KINDS = {"float": "float64", "int": "Int64", "bool": "boolean"}


def _trials(*cells: dict[str, object]) -> DataFrame:
    return trials_table([normal_row({"trial_id": f"T{k}", **own}) for k, own in enumerate(cells, 1)])


def _stream(unit: str = "kPa", **values: list[float]) -> Stream:
    n = len(next(iter(values.values())))
    arrays = {name: np.array(v) for name, v in values.items()}
    return Stream("pressure", np.arange(n) * 500_000_000, arrays, dict.fromkeys(values, unit))


def test_every_column_has_the_type_of_its_definition() -> None:
    trials = _trials({"plane": "landmark"}, {})
    assert tuple(trials.columns) == NAMES
    for c in COLUMNS:
        categories = c.kind == "text" and (c.factor or c.values)
        assert str(trials[c.name].dtype) == ("category" if categories else KINDS.get(c.kind, "str")), c.name


def test_a_run_without_a_trial_has_the_same_columns_and_types() -> None:
    assert [str(t) for t in trials_table([]).dtypes] == [str(t) for t in _trials({"plane": "landmark"}).dtypes]


def test_units_are_those_of_the_columns() -> None:
    assert trials_table([]).attrs["units"] == {c.name: c.unit for c in COLUMNS if c.unit}


def test_what_was_not_measured_is_missing_and_not_zero() -> None:
    trials = _trials({"tte_mm": 0.0, "n_holds": 0, "success": False}, {})
    for name in ("tte_mm", "n_holds", "success", "level"):
        assert trials[name].isna().tolist() == [name == "level", True]


def test_planes_come_in_the_order_of_all_tables_and_unknown_words_after_them() -> None:
    planes = ("landmark", "by_ear", "in_plane", "landmark")
    trials = _trials(*({"plane": p, "tte_mm": 1.0} for p in planes))
    assert trials.groupby("plane")["tte_mm"].count().to_dict() == {"in_plane": 1, "landmark": 2, "by_ear": 1}
    assert list(trials["plane"].cat.categories) == ["in_plane", "landmark", "by_ear"]


def test_a_column_without_numbers_has_no_measured_value() -> None:
    trials = _trials({"success": True, "end_reason": "1.5", "tte_mm": 2.0})
    assert column(trials, "tte_mm").tolist() == [2.0]
    assert len(column(trials, "success")) == len(measured(trials, "end_reason")) == 0


def test_yes_is_what_says_yes_and_nothing_else() -> None:
    trials = _trials({"success": True, "tte_mm": 1.0}, {"success": False, "tte_mm": 1.0}, {})
    assert holds_true(trials, "success").tolist() == [True, False, False]
    assert not holds_true(trials, "tte_mm").any(), "1.0 mm is no yes"


def test_a_criterion_chooses_by_words_as_the_study_file_writes_them() -> None:
    trials = _trials({"level": "L4", "side": "left"}, {"level": "L5", "side": "left"}, {"side": "right"})

    def chosen(**select: object) -> list[str]:
        table = {
            "id": "X",
            "text": "t",
            "metric": "tte_mm",
            "statistic": "max",
            "comparison": "<=",
            "limit": 1.0,
            "select": select,
        }
        return list(Criterion.from_toml(table).chosen(trials)["trial_id"])

    assert chosen(side="left") == ["T1", "T2"] and chosen(side=["left", "right"]) == ["T1", "T2", "T3"]
    assert chosen(level=["L4", "L5"]) == ["T1", "T2"] and chosen(level="L4", side="right") == []


def test_a_missing_word_has_the_word_that_is_asked_for() -> None:
    assert words(_trials({"level": "L4"}, {}), "level", missing="none").tolist() == ["L4", "none"]


def test_a_plan_of_nothing_is_a_plan_with_its_columns() -> None:
    assert len(plan_table(())) == 0 and {"trial_id", "level", "plane"} <= set(plan_table(()).columns)


def test_samples_of_all_trials_stand_under_each_other_with_what_each_recorded() -> None:
    old, new = _stream(pressure_kpa=[1.0, 2.0], tip_kpa=[3.0, 4.0]), _stream(pressure_kpa=[5.0])
    table = stream_table([("T1", old), ("T2", new)], simulated=True)
    assert list(table.columns) == ["trial_id", "time_s", "pressure_kpa", "tip_kpa", "simulated"]
    assert table["trial_id"].tolist() == ["T1", "T1", "T2"] and table["time_s"].tolist() == [0.0, 0.5, 0.0]
    assert table["pressure_kpa"].tolist() == [1.0, 2.0, 5.0] and table["tip_kpa"].isna().tolist() == [
        False,
        False,
        True,
    ]
    assert table.attrs["units"] == {"time_s": "s", "pressure_kpa": "kPa", "tip_kpa": "kPa"}
    assert table["simulated"].all()


def test_one_field_in_two_units_is_no_table() -> None:
    with pytest.raises(RecordError, match="in kPa and, in T2, in bar"):
        stream_table([("T1", _stream(p=[1.0])), ("T2", _stream("bar", p=[1.0]))], simulated=True)


def test_a_stream_that_nobody_recorded_is_empty_and_an_entry_of_no_trial_says_so() -> None:
    assert list(stream_table([], simulated=False)["trial_id"]) == []
    entry = Entry(0, 2_500_000_000, "phantomrig", "run.opened", {"seed": 3}, "")
    (event,) = events_table([("", [("", entry)])], simulated=False).itertuples()
    assert (event.time_s, event.kind, event.data, event.simulated) == (2.5, "run.opened", {"seed": 3}, False)
