"""Predicted against found, and guard bands: rules that can say no."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.budget_and_limits import Predicted, compare, guard, joint_square
from analysis.quantity import Quantity
from analysis.results import CriterionResult
from analysis.uncertainty.budget import Budget, Part, combine


def _trials(n: int, size: float, seed: int = 1) -> list[Predicted]:
    rng = np.random.default_rng(seed)
    root = np.array([[0.8, 0.0, 0.0], [0.3, 0.5, 0.0], [0.1, -0.2, 0.6]])
    seen = np.array([0.2, -0.1, 0.3])
    return [Predicted(seen + size * root @ rng.normal(size=3), seen, root @ root.T, None) for _ in range(n)]


def test_a_right_prediction_is_rarely_contradicted() -> None:
    against = sum(compare("a", "in_plane", _trials(24, 1.0, seed)).contradicted for seed in range(200))
    assert against <= 24  # two looks at 5 % each, one of them of the share: at most 10 % and its scatter


def test_coverage_of_a_right_prediction_is_95_percent() -> None:
    found = compare("a", "in_plane", _trials(4000, 1.0))
    assert found.inside.share.value == pytest.approx(0.95, abs=0.012)
    assert found.size.value == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(("size", "word"), [(1.8, "too small"), (0.45, "too wide")])
def test_a_wrong_prediction_is_called_so_by_rule(size: float, word: str) -> None:
    found = compare("a", "in_plane", _trials(24, size))
    assert found.contradicted and word in found.finding


def test_two_trials_contradict_nothing_and_the_finding_says_how_little_that_means() -> None:
    found = compare("a", "in_plane", _trials(2, 1.0))
    assert not found.contradicted and "n = 2" in found.finding and "0.16" in found.finding


def test_what_was_seen_of_the_error_is_no_surprise() -> None:
    seen = np.array([2.0, 0.0, 0.0])
    there = Predicted(seen, seen, 0.1 * np.eye(3), None)
    assert there.inside and there.square == pytest.approx(0.0)
    assert not Predicted(np.zeros(3), seen, 0.1 * np.eye(3), None).inside


def _bench(seed: int, n: int = 12, shared: float = 1.0) -> list[Predicted]:
    """Trials whose errors come half from one calibration, which is the same for all of them."""
    rng = np.random.default_rng(seed)
    one = rng.normal(size=3)
    root = {"image": shared * np.eye(3)}
    cov = 2.0 * np.eye(3)
    return [Predicted(one + rng.normal(size=3), np.zeros(3), cov, None, root) for _ in range(n)]


def test_an_error_that_all_trials_share_is_one_draw_and_not_many() -> None:
    known = [compare("a", "in_plane", _bench(seed)) for seed in range(200)]
    ignored = [compare("a", "in_plane", _bench(seed, shared=0.0)) for seed in range(200)]
    outside = [sum(not (c.size.lo or 0.0) <= (c.size.value or 0.0) <= (c.size.hi or 9.0) for c in s)
               for s in (known, ignored)]  # fmt: skip
    assert outside[0] <= 20  # 5 % of 200, and its scatter
    assert outside[1] > 40


def test_the_joint_covariance_is_the_one_that_was_meant() -> None:
    rng = np.random.default_rng(7)
    trials, n = [], 5
    for k in range(n):
        roots = {"image": rng.normal(size=(3, 12)) * 0.2, f"gel C{k % 2}": rng.normal(size=(3, 1)) * 0.1}
        cov = 0.5 * np.eye(3) + sum((r @ r.T for r in roots.values()), np.zeros((3, 3)))
        trials.append(Predicted(rng.normal(size=3), np.zeros(3), cov, None, roots))
    whole = np.zeros((3 * n, 3 * n))
    for i, a in enumerate(trials):
        for j, b in enumerate(trials):
            keys = a.shared.keys() & b.shared.keys()
            block = a.covariance_mm2 if i == j else sum((a.shared[k] @ b.shared[k].T for k in keys), np.zeros((3, 3)))
            whole[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] = block
    away = np.concatenate([t.found_mm for t in trials])
    assert joint_square(trials) == pytest.approx(float(away @ np.linalg.solve(whole, away)))


def test_nothing_is_shared_by_trials_of_different_gels() -> None:
    rng = np.random.default_rng(2)
    trials = [
        Predicted(rng.normal(size=3), np.zeros(3), np.eye(3), None, {f"gel C{k}": 0.9 * np.eye(3)}) for k in range(4)
    ]
    assert joint_square(trials) == pytest.approx(sum(t.square for t in trials))


def _criterion(bound: float | None, verdict: str, *, metric: str = "tte_mm") -> CriterionResult:
    return CriterionResult(
        "IP-TTE", "text", metric, "tolerance_95_95", "<=", 5.0, "mm", "all trials", "",
        Quantity(2.0, "mm", 20), Quantity(bound, "mm", 20), verdict, "",
        estimate_with_faults=Quantity(2.0, "mm", 20), bound_with_faults=Quantity(bound, "mm", 20),
    )  # fmt: skip


def _budget(u: float | None) -> Budget:
    known = None if u is None else u**2
    part = Part("instrument", None, "", u, "mm", "normal", None, known, "rig file", "stated")
    return combine([part], measurand="distance")


@pytest.mark.parametrize(
    ("bound", "verdict", "standing", "changes"),
    [
        (4.0, "WOULD PASS", "meets the limit with its guard band", False),
        (4.8, "WOULD PASS", "meets the limit, but within its guard band", True),
        (5.2, "WOULD BE MARGINAL", "misses the limit, but within its guard band", False),
        (6.0, "WOULD BE MARGINAL", "misses the limit with its guard band", False),
        (None, "NOT EVALUATED", "there is no bound to compare", False),
    ],
)
def test_the_guard_band_has_four_answers(bound: float | None, verdict: str, standing: str, changes: bool) -> None:
    found = guard(_criterion(bound, verdict), [_budget(0.2), _budget(0.3)])
    assert found is not None
    assert found.band_mm == pytest.approx(1.645 * 0.3, abs=1e-3)  # the larger of the two
    assert found.acceptance_limit_mm == pytest.approx(5.0 - 1.645 * 0.3, abs=1e-3)
    assert found.standing == standing and found.changes is changes


def test_a_guard_band_that_is_known_in_part_says_so() -> None:
    part = combine([Part("phantom", None, "", None, "mm", "normal", None, None, "not known", "")], measurand="distance")
    found = guard(_criterion(4.0, "WOULD PASS"), [_budget(0.2), part])
    assert found is not None and not found.complete
    assert found.standing == "meets the limit with its guard band, as far as it is known"


def test_without_a_known_uncertainty_there_is_no_guard_band_and_acceptance_would_not_stand() -> None:
    found = guard(_criterion(1.0, "PASS"), [_budget(None)])
    assert found is not None and found.band_mm is None and found.changes


def test_a_criterion_that_no_instrument_decides_has_no_guard_band() -> None:
    assert guard(_criterion(1.0, "PASS", metric="steer_err_mm"), [_budget(0.3)]) is None
