"""A trial that was interrupted and run again by a resumed run is not missing any more."""

from __future__ import annotations

from analysis.analyse import _account
from analysis.criteria import shortfall
from analysis.tables import plan_table, trials_table
from rig.record import RecordedPlan
from rig.record.rows import Row, normal_row

PLAN = plan_table([RecordedPlan(name, "C01", "L4_LM", "L4", "L4", "left", "landmark") for name in ("T001", "T002")])


def _row(name: str, outcome: str) -> Row:
    return normal_row({"trial_id": name, "outcome": outcome, "simulated": True, "plane": "landmark"})


def test_an_interrupted_trial_without_a_repeat_is_missing() -> None:
    account = _account(trials_table([_row("T001", "success"), _row("T002", "interrupted")]), PLAN)
    assert "1 of 2 planned trials are missing" in shortfall(account, "")


def test_an_interrupted_attempt_whose_trial_was_run_again_is_reported_and_not_missing() -> None:
    rows = [_row("T001", "success"), _row("T002", "miss"), _row("T002.interrupted1", "interrupted")]
    account = _account(trials_table(rows), PLAN)
    assert (account.interrupted_n, account.interrupted_repeated_n, account.closed_n) == (1, 1, 2)
    assert account.unplanned == () and shortfall(account, "") == ""


def test_an_attempt_that_was_set_aside_and_not_run_again_yet_is_missing() -> None:
    account = _account(trials_table([_row("T001", "success"), _row("T002.interrupted1", "interrupted")]), PLAN)
    assert account.interrupted_repeated_n == 0 and "1 of 2" in shortfall(account, "")
