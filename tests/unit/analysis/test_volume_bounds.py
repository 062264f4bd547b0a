"""A volume that is known within bounds only is told with both, in the results and in the report."""

from __future__ import annotations

from analysis.analyse import _deviations
from analysis.report.tables import _volume
from analysis.tables import DataFrame, trials_table
from rig.record.rows import normal_row


def _trial(**values: object) -> DataFrame:
    row = {"trial_id": "T001", "outcome": "success", "simulated": True, "n_holds": 0, **values}
    return trials_table([normal_row(row)])


def test_a_counted_volume_is_no_deviation() -> None:
    assert _deviations(_trial(v_inj_ml=0.5, v_inj_min_ml=0.5, v_inj_max_ml=0.5)) == ()


def test_a_volume_within_bounds_is_reported_with_both() -> None:
    (found,) = _deviations(_trial(v_inj_min_ml=0.12, v_inj_max_ml=0.37))
    assert (found.injected_min_ml, found.injected_max_ml) == (0.12, 0.37)
    assert _volume(found) == "; injected: at least 0.12, at most 0.37 mL"


def test_a_row_of_an_older_run_has_no_bounds() -> None:
    (found,) = _deviations(_trial(outcome="aborted"))
    assert found.injected_max_ml is None and _volume(found) == ""
