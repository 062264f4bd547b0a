from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_run

from analysis.analyse import _account as _account_of
from analysis.analyse import _deviations, analyse
from analysis.assumptions import ASSUMPTIONS
from analysis.contrasts import contrasts
from analysis.criteria import judge, overall, shortfall
from analysis.criterion import Criterion
from analysis.group import error_vectors, far_confirmations, not_evaluated, outward, summarise
from analysis.results import Accounting, CriterionResult, rounded
from analysis.tables import plan_table, trials_table
from experiments.trial.reference import READINGS_N
from hal.errors import ConfigError
from hal.sim.world import REFERENCE_NOISE_MM
from rig.record import RunFolder
from rig.record.rows import Row, normal_row


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_run.make(tmp_path_factory.mktemp("run"), frames=False)


def _rows(errors: list[float], **cells: object) -> list[Row]:
    """Trials that differ in their error only."""
    return [
        normal_row(
            {
                "trial_id": f"T{k:03}",
                "cartridge_id": f"C{k % 6:02}",
                "outcome": "success" if e <= 5 else "miss",
                "success": e <= 5,
                "tte_mm": e,
                "level": "L4",
                "plane": "in_plane",
                **cells,
            }
        )
        for k, e in enumerate(errors)
    ]


def judged(criterion: Criterion, rows: list[Row], *, simulated: bool) -> CriterionResult:
    return judge(criterion, trials_table(rows), simulated=simulated)


def _criterion(statistic: str, limit: float, comparison: str = "<=", metric: str = "tte_mm") -> Criterion:
    return Criterion.from_toml(
        {"id": "X", "text": "t", "metric": metric, "statistic": statistic, "comparison": comparison, "limit": limit}
    )


def test_the_same_folder_gives_the_same_bytes_and_an_equal_run_the_same_results(run_path: Path, tmp_path: Path) -> None:
    first = analyse(RunFolder.open(run_path)).as_bytes()
    assert analyse(RunFolder.open(run_path)).as_bytes() == first
    again = synthetic_run.make(tmp_path, frames=False)
    assert analyse(RunFolder.open(again)).as_bytes() == first
    other = synthetic_run.make(tmp_path, frames=False, seed=4)
    assert analyse(RunFolder.open(other)).as_bytes() != first


def test_results_hold_no_wall_time_host_or_path(run_path: Path) -> None:
    run = RunFolder.open(run_path)
    assert run.manifest is not None
    text = analyse(run).as_bytes().decode()
    for volatile in (run.manifest.started_utc, run.manifest.host, run.manifest.run_id, str(run_path)):
        assert volatile not in text


def test_a_simulated_run_is_judged_in_the_conditional_only(run_path: Path) -> None:
    results = analyse(RunFolder.open(run_path))
    verdicts = {c.verdict for c in results.criteria} | {results.verdict}
    assert results.simulated and results.assumptions
    assert verdicts <= {"WOULD PASS", "WOULD BE MARGINAL", "WOULD FAIL", "NOT EVALUATED"}


def test_nine_approaches_and_three_arms_account_for_every_trial(run_path: Path) -> None:
    results = analyse(RunFolder.open(run_path))
    assert [g.label for g in results.approaches[:3]] == ["L4 in-plane", "L4 out-of-plane", "L4 landmark"]
    assert len(results.approaches) == 9 and [g.planned_n for g in results.approaches] == [3] * 9
    assert sum(g.closed_n for g in results.arms) == results.accounting.closed_n == 27
    assert results.accounting.truth_missing_n == 1 and results.accounting.evaluated_n == 24
    assert {d.trial_id for d in results.deviations} >= {"T005", "T011", "T014"}


def test_edited_data_take_the_verdict_away(run_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_path, copy)
    row = copy / "trials/T001/row.json"
    data = json.loads(row.read_bytes())
    data["tte_mm"] = 0.1
    row.write_text(json.dumps(data))
    results = analyse(RunFolder.open(copy))
    assert results.verdict == "NOT EVALUATED" and results.verdict_reason == "the record is not intact"
    assert any("T001/row.json" in fault for fault in results.faults)


def test_literature_stands_beside_freehand_arms_only(run_path: Path, tmp_path: Path) -> None:
    assert analyse(RunFolder.open(run_path)).literature == ()
    freehand = synthetic_run.make(tmp_path, frames=False, guidance={"in_plane": "freehand"})
    assert [f.plane for f in analyse(RunFolder.open(freehand)).literature] == ["in_plane"]


def test_a_killed_run_can_be_analysed_but_gets_no_verdict(tmp_path: Path) -> None:
    results = analyse(RunFolder.open(synthetic_run.make(tmp_path, frames=False, seal=False)))
    assert results.verdict == "NOT EVALUATED" and results.accounting.closed_n == 27


@pytest.mark.parametrize(
    ("errors", "limit", "verdict"),
    [
        ([1.0, 1.2, 1.1, 0.9, 1.05], 1.5, "PASS"),
        ([1.0, 2.0, 0.5, 1.8, 1.2], 1.5, "MARGINAL"),
        ([3.0, 3.5], 1.5, "FAIL"),
    ],
)
def test_a_mean_passes_only_when_its_bound_meets_the_limit(errors: list[float], limit: float, verdict: str) -> None:
    assert judged(_criterion("mean", limit), _rows(errors), simulated=False).verdict == verdict


def test_success_of_three_in_three_is_marginal_for_eighty_percent_and_thirty_in_thirty_passes() -> None:
    criterion = _criterion("success_lower_95", 0.8, ">=", "success")
    assert judged(criterion, _rows([1.0] * 3), simulated=False).verdict == "MARGINAL"
    assert judged(criterion, _rows([1.0] * 30), simulated=False).verdict == "PASS"
    assert judged(criterion, _rows([1.0] * 30), simulated=True).verdict == "WOULD PASS"
    assert judged(criterion, _rows([9.0] * 30), simulated=True).verdict == "WOULD FAIL"


def test_a_trial_whose_tip_was_not_measured_is_a_failure_and_is_named() -> None:
    rows = _rows([1.0] * 29) + _rows([1.0], tte_mm=None, success=None, outcome="truth_missing")
    found = judged(_criterion("success_lower_95", 0.9, ">=", "success"), rows, simulated=False)
    assert found.estimate.value == pytest.approx(29 / 30)


@pytest.mark.parametrize("statistic", ["max", "mean", "median", "tolerance_95_95"])
def test_what_the_measured_trials_show_is_no_pass_while_another_has_no_number(statistic: str) -> None:
    whole = _rows([1.0, 1.2, 1.1, 0.9, 1.05, 1.15, 0.95, 1.08])
    criterion = _criterion(statistic, 5.0)
    assert judged(criterion, whole, simulated=False).verdict == "PASS"
    short = judged(criterion, whole + _rows([9.0], tte_mm=None, outcome="stopped"), simulated=False)
    assert short.verdict == "NOT EVALUATED" and "1 of 9 trials have no tte_mm" in short.reason
    assert short.estimate.value == judged(criterion, whole, simulated=False).estimate.value


def test_trials_without_a_number_do_not_save_a_criterion_that_the_others_fail() -> None:
    rows = _rows([7.0, 8.0, 7.5, 7.2, 7.7, 7.9]) + _rows([1.0], tte_mm=None, outcome="stopped")
    found = judged(_criterion("mean", 5.0), rows, simulated=True)
    assert found.verdict == "WOULD FAIL" and "1 of 7 trials have no tte_mm" in found.reason


def test_a_largest_value_passes_without_a_bound_and_says_what_it_is() -> None:
    found = judged(_criterion("max", 5.0), _rows([1.0, 4.0]), simulated=False)
    assert found.verdict == "PASS" and found.bound.value is None and found.bound.n == 2
    assert "largest value seen" in found.reason and "bound" not in found.reason
    assert judged(_criterion("max", 3.0), _rows([1.0, 4.0]), simulated=False).verdict == "FAIL"


def test_a_criterion_may_choose_trials_by_a_list_of_values() -> None:
    both = {"plane": ["in_plane", "out_of_plane"], "level": "L4"}
    table = {
        "id": "X", "text": "t", "metric": "tte_mm", "statistic": "max", "comparison": "<=", "limit": 5.0, "select": both
    }  # fmt: skip
    criterion = Criterion.from_toml(table)
    rows = [*_rows([1.0]), *_rows([2.0], plane="out_of_plane"), *_rows([9.0], plane="landmark")]
    found = judged(criterion, [*rows, *_rows([8.0], level="L5")], simulated=False)
    assert found.bound.n == 2 and found.estimate.value == 2.0
    assert found.select == "level = L4, plane = in_plane or out_of_plane"


def test_a_success_that_nothing_could_have_spoken_against_says_so() -> None:
    criterion = _criterion("success_lower_95", 0.8, ">=", "success")
    seen = _rows([1.0] * 3, violations_evaluable="V1;V2;V3;V5;V6;V7;V8")
    blind = _rows([1.0] * 2, violations_evaluable="V1 (tip);V6;V7;V8") + _rows([9.0], violations_evaluable="")
    assert "not looked for" not in judged(criterion, seen, simulated=False).reason
    reason = judged(criterion, [*seen, *blind], simulated=False).reason
    assert reason.endswith("not looked for in 2 of 5 successes: V1 (way), V2, V3, V5")


# ---- a study that did not go to its planned end --------------------------------------------------------------


def _account(**change: object) -> Accounting:
    whole = Accounting(
        planned_n=4, closed_n=4, interrupted_n=0, interrupted_repeated_n=0, device_faults={}, device_fault_arms={},
        not_repeated=(), never_closed=(), unplanned=(), outcomes={}, evaluated_n=4, truth_missing_n=0, cartridges_n=1,
        benches_n=1, aim_sources={}, violations_not_evaluated={},
    )  # fmt: skip
    return replace(whole, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"never_closed": ("T003", "T004")}, "2 of 4 planned trials are missing"),
        ({"closed_n": 3, "interrupted_n": 1}, "1 interrupted and not repeated); the run ended: finished"),
        ({"planned_n": 0}, "no plan"),
        ({"unplanned": ("T099",)}, "1 trials are not in the plan"),
        ({"not_repeated": ("T002",)}, "1 ended by a device fault and not repeated"),
        ({"device_fault_arms": {"in_plane": (2, 30)}}, "device faults ended more than 5% of an arm: 2 of 30 in-plane"),
    ],
)
def test_a_study_is_short_when_planned_trials_are_missing_or_others_were_added(
    change: dict[str, object], words: str
) -> None:
    found = shortfall(_account(**change), "ended early: finished")
    assert words in found and bool(found) == bool(change)


@pytest.mark.parametrize("how", ["never_run", "interrupted"])
def test_a_study_that_was_stopped_early_gives_no_verdict_whatever_its_numbers(
    run_path: Path, tmp_path: Path, how: str
) -> None:
    assert {c.verdict for c in analyse(RunFolder.open(run_path)).criteria} & {"WOULD PASS", "WOULD BE MARGINAL"}
    reason = "stopped by the operator"
    lost = {how: ("T026", "T027")}
    results = analyse(RunFolder.open(synthetic_run.make(tmp_path, frames=False, reason=reason, **lost)))  # type: ignore[arg-type]
    assert results.faults == ()
    assert {c.verdict for c in results.criteria} | {results.verdict} == {"NOT EVALUATED"}
    assert "2 of 27 planned trials are missing" in results.verdict_reason and reason in results.verdict_reason
    assert all("not carried out as planned" in c.reason for c in results.criteria)
    assert any(c.estimate.value is not None for c in results.criteria)
    assert results.accounting.closed_n == 25


def test_a_study_that_was_stopped_after_its_last_trial_is_judged(run_path: Path, tmp_path: Path) -> None:
    stopped = analyse(RunFolder.open(synthetic_run.make(tmp_path, frames=False, reason="stopped by the operator")))
    assert stopped.as_bytes() == analyse(RunFolder.open(run_path)).as_bytes()


def test_interrupted_trials_do_not_count() -> None:
    rows = _rows([1.0] * 5) + _rows([50.0], outcome="interrupted", success=False)
    assert judged(_criterion("max", 5.0), rows, simulated=False).verdict == "PASS"
    group = summarise("k", "k", trials_table(rows), 5, level="L4", plane="in_plane")
    assert (group.closed_n, group.interrupted_n, group.success.n) == (5, 1, 5)


def test_a_device_fault_in_twenty_trials_takes_no_verdict_away() -> None:
    assert shortfall(_account(device_fault_arms={"in_plane": (1, 20), "landmark": (1, 40)}), "") == ""


def test_a_device_fault_counts_as_no_failure_and_the_figures_with_it_stand_beside() -> None:
    rows = _rows([1.0] * 30) + _rows([50.0], outcome="device_fault", success=False, tte_mm=None)
    found = judged(_criterion("success_lower_95", 0.9, ">=", "success"), rows, simulated=False)
    assert found.verdict == "PASS" and found.estimate.value == 1.0
    assert found.estimate_with_faults.value == pytest.approx(30 / 31)
    assert found.bound_with_faults.value is not None and found.bound.value is not None
    assert found.bound_with_faults.value < found.bound.value
    assert "; with the 1 trials that device faults ended: MARGINAL" in found.reason
    group = summarise("k", "k", trials_table(rows), 30, level="L4", plane="in_plane")
    assert (group.closed_n, group.device_fault_n, group.interrupted_n, group.success.n) == (30, 1, 0, 30)


def test_a_trial_that_is_repeated_stands_for_the_one_that_a_device_fault_ended(tmp_path: Path) -> None:
    repeated = analyse(RunFolder.open(synthetic_run.make(tmp_path, frames=False, device_fault=("T004",))))
    account = repeated.accounting
    assert account.device_faults == {"pressure: frozen": 1}
    assert (account.not_repeated, account.unplanned, account.never_closed) == ((), (), ())
    assert account.closed_n == account.planned_n == 27
    assert "device faults ended more than 5% of an arm: 1 of 10 in-plane trials" in repeated.shortfall


def test_trials_on_several_benches_are_bounded_by_the_bench() -> None:
    rows = [{**row, "bench": f"B{k // 5:02}"} for k, row in enumerate(_rows([1.0] * 40))]
    found = judged(_criterion("success_lower_95", 0.6, ">=", "success"), rows, simulated=False)
    assert "over 8 benches" in found.bound.method and found.bound.value == pytest.approx(0.6877, abs=1e-3)
    alike = judged(_criterion("success_lower_95", 0.6, ">=", "success"), _rows([1.0] * 40), simulated=False)
    assert "Clopper-Pearson" in alike.bound.method


def test_confirmed_tips_that_were_elsewhere_are_reported_per_method_with_a_bound_over_trials() -> None:
    rows = [
        row for k in range(10)
        for row in _rows([1.0], n_confirm_direct=20, n_confirm_motion=1, n_confirm_fluid=0,
                         n_confirm_far_direct=4 if k == 0 else 0, n_confirm_far_motion=0, n_confirm_far_fluid=0)
    ]  # fmt: skip
    found = far_confirmations(trials_table(rows))
    assert (found["direct"].count, found["direct"].n) == (4, 200)
    assert found["direct"].share.hi is not None and found["direct"].share.hi > 0.05, (
        "four in one trial are no four trials"
    )
    assert found["motion"].share.hi == pytest.approx(0.2589, abs=1e-3), "none in ten trials"
    assert found["fluid"].n == 0


def test_too_few_trials_for_a_bound_are_not_evaluated_with_the_reason() -> None:
    found = judged(_criterion("tolerance_95_95", 5.0), _rows([1.0, 1.1, 1.2]), simulated=True)
    assert found.verdict == "NOT EVALUATED" and "needs at least 5" in found.reason
    verdict, reason = overall([found], (), simulated=True)
    assert verdict == "NOT EVALUATED" and "X" in reason


@pytest.mark.parametrize(
    "change",
    [
        {"statistic": "average"},
        {"comparison": "<"},
        {"metric": "tte"},
        {"select": {"arm": "a"}},
        {"limit": "x"},
        {"statistic": "success_lower_95", "metric": "success"},
        {"statistic": "tolerance_95_95", "comparison": ">="},
        {"statistic": "max", "comparison": ">="},
    ],
)
def test_a_criterion_with_a_mistake_is_a_config_error(change: dict[str, object]) -> None:
    good = {"id": "X", "text": "t", "metric": "tte_mm", "statistic": "mean", "comparison": "<=", "limit": 1.0}
    assert Criterion.from_toml(good).unit == "mm"
    with pytest.raises(ConfigError, match="criterion X"):
        Criterion.from_toml({**good, **change})


@pytest.mark.parametrize("change", [{"select": {"outcome": "success"}}, {"unit": "cm"}, {"limit": 900.0}, {"unit": ""}])
def test_a_criterion_that_an_earlier_version_accepted_is_read(
    change: dict[str, object],
) -> None:
    old = {"id": "X", "metric": "tte_mm", "statistic": "mean", "comparison": "<=", "limit": 1.0}
    criterion = Criterion.from_toml({**old, **change})
    assert (criterion.unit, criterion.text) == ("mm", "X")


def test_the_sign_of_a_contrast_is_first_minus_second() -> None:
    rng = np.random.default_rng(2)
    near = _rows((1.0 + 0.1 * rng.random(12)).tolist())
    far = _rows((4.0 + 0.1 * rng.random(12)).tolist(), plane="landmark")
    (contrast,) = contrasts(trials_table([*near, *far]))
    assert (contrast.first, contrast.second, contrast.level) == ("in-plane", "landmark", "L4")
    assert contrast.error.value == pytest.approx(-3.0, abs=0.1)
    assert contrast.error.hi is not None and contrast.error.hi < 0.0


def test_errors_of_both_sides_share_the_lateral_sign() -> None:
    cells = {"err_x_mm": 2.0, "err_y_mm": 0.5, "err_z_mm": -1.0}
    left, right = _rows([1.0], side="left", **cells), _rows([1.0], side="right", **{**cells, "err_x_mm": -2.0})
    assert np.array_equal(error_vectors(trials_table(left)), error_vectors(trials_table(right)))


def test_only_the_body_axis_still_has_to_be_mirrored() -> None:
    cells = {"err_x_mm": 2.0, "err_inplane_mm": -2.0, "err_y_mm": 0.5}
    one = trials_table(_rows([1.0], side="right", **cells))
    assert [outward(one, name).tolist() for name in cells] == [[-2.0], [-2.0], [0.5]]


def test_codes_that_a_trial_could_not_show_are_counted_and_a_code_judged_at_rest_is_named_so() -> None:
    rows = [*_rows([1.0], violations_evaluable="V1;V2;V3;V5;V6;V7;V8;V9;V10")]
    rows += _rows([1.0], violations_evaluable="V1 (tip);V6;V7;V8;V10")
    assert not_evaluated(trials_table(rows)) == {"V1 (way)": 1, "V2": 1, "V3": 1, "V4": 2, "V5": 1, "V9": 1}
    assert not_evaluated(trials_table(_rows([1.0])))["V1"] == 1


def test_the_assumption_on_the_reference_instrument_has_the_numbers_of_the_simulation() -> None:
    (text,) = (a for a in ASSUMPTIONS if "reference instrument" in a)
    assert f"{REFERENCE_NOISE_MM:g} mm per axis" in text and f"{READINGS_N} readings" in text


def test_rounding_leaves_no_minus_zero_and_no_nan() -> None:
    assert json.dumps(rounded({"a": -0.0, "b": float("nan"), "c": 1 / 3})) == '{"a": 0.0, "b": null, "c": 0.333333333}'


def test_why_a_tip_was_not_measured_is_counted_and_stands_beside_truth_missing() -> None:
    frozen = {"tte_mm": None, "success": None, "outcome": "truth_missing", "reference": "frozen"}
    rows = _rows([1.0] * 2, reference="measured") + _rows([1.0] * 2, **frozen, reference_reason="it repeats itself")
    trials = trials_table(rows)
    account = _account_of(trials, plan_table(()))
    assert account.tip_unmeasured == {"frozen": 2} and account.truth_missing_n == 2
    assert [d.end_reason for d in _deviations(trials)] == ["tip not measured: it repeats itself"] * 2
