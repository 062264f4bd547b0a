"""The section "Uncertainty budget": what is not known is said, a wrong prediction is called so, numbers are kept."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.analyse import analyse
from analysis.budget_and_limits import Predicted, compare, guard
from analysis.figures.budget import draw
from analysis.figures.style import Stamp, styled
from analysis.report.uncertainty import annex, section
from analysis.report.view import Block, Paragraph, Table
from analysis.results import Results
from analysis.uncertainty.budget import UncertaintyResults, combine
from analysis.uncertainty.draws import check_lengths, check_region
from analysis.uncertainty.parts import measurement_parts, prediction_parts
from rig.record import RecordedRun
from tests.analysis.synthetic_run import make
from tests.unit.analysis.test_uncertainty_parts import recorded, trial


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return analyse(RecordedRun.open(make(tmp_path_factory.mktemp("run"), repeats=1, frames=False)))


def _text(blocks: tuple[Block, ...]) -> str:
    return " ".join(b.text for b in blocks if isinstance(b, Paragraph))


def _filled(results: Results, size: float) -> Results:
    """The same results with two approaches whose errors are ``size`` times as large as their budget."""
    rng = np.random.default_rng(5)
    about = trial(recorded())
    measured, parts = measurement_parts(about, simulated=True), prediction_parts(about, 0.1, 9.0)
    cov = sum((p.covariance_mm2 for p in parts if p.covariance_mm2 is not None), np.zeros((3, 3)))
    root = np.linalg.cholesky(cov)
    budgets, predictions, comparisons = [], [], []
    for key in ("L4_IP", "L5_IP"):
        head = {"key": key, "label": key, "plane": "in_plane", "trials_n": 12}
        one = combine(measured, measurand="distance", **head)  # type: ignore[arg-type]
        budgets.append(replace(one, lengths=check_lengths(measured, [("median error", 1.2)], n=20_000)))
        two = combine(parts, measurand="error", **head)  # type: ignore[arg-type]
        predictions.append(replace(two, region=check_region(parts, np.zeros((1, 3)), n=20_000)))
        trials = [Predicted(size * root @ rng.normal(size=3), np.zeros(3), cov, None) for _ in range(12)]
        comparisons.append(compare(key, "in_plane", trials))
    guards = [g for g in (guard(c, budgets) for c in results.criteria) if g is not None]
    return replace(
        results, uncertainty=UncertaintyResults(tuple(budgets), tuple(predictions), tuple(comparisons), tuple(guards))
    )


def test_a_record_that_states_nothing_gives_an_incomplete_budget_and_no_prediction(results: Results) -> None:
    budgets_ = results.uncertainty
    assert budgets_.measurement and not any(b.complete for b in budgets_.measurement)
    assert budgets_.prediction == () and budgets_.comparisons == ()
    text = _text(section(results, ()))
    assert "incomplete" in text and "No error was predicted" in text


def test_a_right_prediction_is_shown_without_a_warning(results: Results) -> None:
    blocks = section(_filled(results, 1.0), ())
    assert not [b for b in blocks if isinstance(b, Paragraph) and b.kind == "warning"]


@pytest.mark.parametrize("size", [0.3, 2.5])
def test_a_wrong_prediction_is_called_so(results: Results, size: float) -> None:
    text = _text(section(_filled(results, size), ()))
    assert "The errors found contradict the prediction" in text


def test_every_number_of_the_tables_is_in_results_json(results: Results) -> None:
    filled = _filled(results, 1.0)
    kept: list[float] = []

    def gather(value: object) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                gather(inner)
        elif isinstance(value, list):
            for inner in value:
                gather(inner)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            kept.append(float(value))

    gather(json.loads(filled.as_bytes())["uncertainty"])
    shown = {f"{abs(v):.{d}f}" for v in kept for d in (0, 1, 2, 3, 4)} | {f"{100 * v:.1f}" for v in kept}
    cells = [
        cell
        for block in (*section(filled, ()), *annex(filled))
        if isinstance(block, Table)
        for row in block.rows
        for cell in row
    ]
    numbers = {n for cell in cells if not re.search("[a-z]{4}", cell) for n in re.findall(r"\d+\.\d+", cell)}
    assert len(numbers) > 40
    assert numbers <= shown, sorted(numbers - shown)


def test_the_figure_is_stamped_and_has_a_bar_per_approach(results: Results, tmp_path: Path) -> None:
    filled = _filled(results, 1.0).uncertainty
    with styled():
        figure = draw(filled.prediction, filled.comparisons, Stamp(True, False))
    assert figure is not None
    words = [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text"))]
    assert "SIMULATED DATA" in words
    assert {"L4_IP", "L5_IP"} <= set(words) and "image calibration, at the tip" in words
    assert draw((), (), Stamp(True, False)) is None
