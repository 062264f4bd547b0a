"""The two budgets of every approach of a run, their checks, and the comparison with what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis.acceptance import AcceptedRegion
from analysis.budget_and_limits import Predicted, compare, guard
from analysis.criterion import Criterion
from analysis.group import closed
from analysis.results import CriterionResult, Group
from analysis.tables import DataFrame, Series, measured, words
from analysis.uncertainty.budget import Budget, Part, UncertaintyResults, combine, effective_dof, pooled
from analysis.uncertainty.draws import check_lengths, check_region, summed
from analysis.uncertainty.parts import (
    MEASURAND,
    PREDICTED,
    TrialInputs,
    drift_of,
    inputs_of,
    measurement_parts,
    prediction_parts,
    seen_mm,
    shared_roots,
)
from rig.record import Entry, RecordedRun

ALL = "all"


def uncertainty(
    run: RecordedRun,
    trials: DataFrame,
    approaches: Sequence[Group],
    criteria: Sequence[tuple[Criterion, CriterionResult]],
    accepted: Mapping[str, AcceptedRegion],
) -> UncertaintyResults:
    """Compute the whole section on uncertainty; trials without a measured tip take no part in it."""
    events = _events(run)
    found = measured(closed(trials), "tte_mm")
    measurement, prediction, comparisons = [], [], []
    everything: list[Predicted] = []
    rows = {str(row["trial_id"]): row for row in run.rows}
    inputs = Series([inputs_of(rows[name], events.get(name, ())) for name in found["trial_id"]], found.index, object)
    led_by_image = inputs.map(lambda trial: trial.seen is not None).astype(bool)
    for group in approaches:
        chosen = found["technique"] == group.key
        own = list(inputs[chosen])
        if not own:
            continue
        acceptance = accepted.get(group.key)
        budget, parts = _measurement(group, own, acceptance.radius_mm if acceptance else None, run.simulated)
        measurement.append(budget)
        led = chosen & led_by_image
        if led.any():
            by_same = words(found, "guidance").isin(words(found[led], "guidance"))
            predicted, errors = _prediction(group, list(inputs[led]), parts, drift_of(list(inputs[by_same])))
            prediction.append(predicted)
            comparisons.append(compare(group.label, group.plane, errors))
            everything += errors
    if len(comparisons) > 1:
        comparisons.append(compare("all of them", ALL, everything))
    by_key = {budget.key: budget for budget in measurement}
    guards = []
    for criterion, result in criteria:
        techniques = sorted(words(criterion.chosen(found), "technique").unique())
        band = guard(result, [by_key[key] for key in techniques if key in by_key])
        guards += [] if band is None else [band]
    return UncertaintyResults(tuple(measurement), tuple(prediction), tuple(comparisons), tuple(guards))


def _events(run: RecordedRun) -> dict[str, list[Entry]]:
    """Entries that the budgets need, by trial."""
    wanted = ("uncertainty", "reference")
    return {name: [entry for entry in entries if entry.kind in wanted] for name, entries in run.events_by_trial.items()}


def _measurement(
    group: Group, own: Sequence[TrialInputs], radius_mm: float | None, simulated: bool
) -> tuple[Budget, tuple[Part, ...]]:
    parts = pooled([measurement_parts(trial, simulated=simulated) for trial in own])
    budget = combine(parts, key=group.key, label=group.label, plane=group.plane, measurand=MEASURAND, trials_n=len(own))
    places = [("median error", group.median.value), ("acceptance radius", radius_mm)]
    known = [(about, at) for about, at in places if at is not None]
    return replace(budget, lengths=check_lengths(parts, known)), parts


def _prediction(
    group: Group, own: Sequence[TrialInputs], measurement: Sequence[Part], drift: tuple[float | None, float]
) -> tuple[Budget, list[Predicted]]:
    each = [prediction_parts(trial, *drift) for trial in own]
    parts = pooled(each)
    budget = combine(parts, key=group.key, label=group.label, plane=group.plane, measurand=PREDICTED, trials_n=len(own))
    # A coverage factor belongs to one number; the three components have a region.
    starts = np.array([s for s in (seen_mm(trial) for trial in own) if s is not None])
    budget = replace(budget, coverage_factor=None, expanded=None, region=check_region(parts, starts))
    return budget, [
        p for p in (_predicted(t, mine, measurement) for t, mine in zip(own, each, strict=True)) if p is not None
    ]


def _predicted(trial: TrialInputs, own: Sequence[Part], measurement: Sequence[Part]) -> Predicted | None:
    """Predicted errors; the error found includes the error of its measurement too, as far as that is known."""
    found, start = trial.error_mm, seen_mm(trial)
    parts = [p for p in (*own, *measurement) if p.covariance_mm2 is not None]
    if found is None or start is None or any(p.covariance_mm2 is None for p in own):
        return None
    return Predicted(found, start, summed(parts), effective_dof(parts), shared_roots(trial, measurement))
