"""Results of one run: every number that the report shows, with unit, interval, limit and n.

``results.json`` is these classes in sorted keys and fixed rounding. It holds no wall time, host or path,
so equal runs give equal bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, ClassVar

from analysis.quantity import Proportion, Quantity
from rig.record.anomalies import Finding

if TYPE_CHECKING:
    from analysis.uncertainty.budget import UncertaintyResults

SIGNIFICANT = 9
"""Significant digits of every number in ``results.json``."""


@dataclass(frozen=True)
class Group:
    """The trials of one approach or one arm, summarised."""

    key: str
    label: str
    level: str
    """L4, L5, S1, or ``all`` for a pooled arm."""
    plane: str
    guidance: str
    planned_n: int
    closed_n: int
    """Trials that ended and were recorded, interrupted ones apart."""
    interrupted_n: int
    device_fault_n: int
    """Trials that a device fault ended; each is repeated."""
    evaluated_n: int
    """Trials with a tip position by the reference instrument."""
    truth_missing_n: int
    outcomes: Mapping[str, int]
    bias: tuple[Quantity, Quantity, Quantity]
    """Mean error: away from the midline, cranial, deep; mm."""
    bias_length: Quantity
    bias_test: Quantity
    """p value of Hotelling's T2 against zero bias."""
    sd: tuple[Quantity, Quantity, Quantity]
    """Standard deviation on the same axes."""
    mean: Quantity
    rms: Quantity
    median: Quantity
    p95: Quantity
    largest: Quantity
    tolerance: Quantity
    """One-sided 95/95 tolerance bound of the tip error."""
    components: Mapping[str, Quantity]
    """Mean of each error component: lateral, axial, in-plane, elevational, depth."""
    component_sd: Mapping[str, Quantity]
    success: Proportion
    placement: Proportion
    spread: Proportion
    first_pass: Proportion
    level_correct: Proportion
    times: Mapping[str, Quantity]
    """Median scan, needle and total time."""
    passes: Quantity
    redirections: Quantity
    punctures: Quantity
    holds: Quantity
    hold_reasons: Mapping[str, int]
    violations: Mapping[str, int]
    tip_confirmed: Quantity
    tip_visible: Quantity
    confirmations: Mapping[str, int]
    far_confirmations: Mapping[str, Proportion]
    """By method: confirmed tips that truly were more than 2 mm away (simulated truth), with the upper bound."""
    reference_error: Quantity
    image_tip_error: Quantity
    aim_error: Quantity
    """RMS of the aim point as registered against the true one (simulated truth)."""
    steer_error: Quantity
    """RMS of the tip as seen against the aim point as registered."""
    peak_pressure: Quantity
    peak_force: Quantity


@dataclass(frozen=True)
class CriterionResult:
    """One criterion of the study file, judged."""

    identity: str
    text: str
    metric: str
    statistic: str
    comparison: str
    limit: float
    unit: str
    select: str
    source: str
    estimate: Quantity
    bound: Quantity
    """Value compared with the limit (a largest value has no bound and is compared itself)."""
    verdict: str
    reason: str
    estimate_with_faults: Quantity
    bound_with_faults: Quantity
    """The same with the trials that a device fault ended counted as they stand: as failures, where success counts."""


@dataclass(frozen=True)
class Contrast:
    """First arm minus second arm."""

    level: str
    first: str
    second: str
    error: Quantity
    """Difference of mean tip error, mm."""
    success: Quantity
    """Difference of success proportions."""


@dataclass(frozen=True)
class Literature:
    """A published figure that may stand beside a freehand arm."""

    plane: str
    text: str
    mean_mm: float
    sd_mm: float
    source: str


@dataclass(frozen=True)
class Accounting:
    """Account of every planned trial."""

    planned_n: int
    closed_n: int
    interrupted_n: int
    interrupted_repeated_n: int
    """Number of these whose trial was run again as a new one."""
    device_faults: Mapping[str, int]
    """Trials that a device fault ended, by device and kind."""
    device_fault_arms: Mapping[str, tuple[int, int]]
    """Per arm that has any: trials that a device fault ended, and all that ended."""
    not_repeated: tuple[str, ...]
    """Trials that a device fault ended and that nothing repeats."""
    never_closed: tuple[str, ...]
    unplanned: tuple[str, ...]
    """Trials that were not in the plan."""
    outcomes: Mapping[str, int]
    evaluated_n: int
    truth_missing_n: int
    cartridges_n: int
    benches_n: int
    aim_sources: Mapping[str, int]
    """Closed trials by where their aim point comes from: as_built or nominal."""
    violations_not_evaluated: Mapping[str, int]
    """Violation codes by the number of closed trials that could not have shown them."""
    tip_unmeasured: Mapping[str, int] = field(default_factory=dict)
    """Closed trials without a tip of record by why it was not measured; trials that ended before are not among them."""


@dataclass(frozen=True)
class Deviation:
    """A trial that was held, or did not end with its checkout."""

    trial_id: str
    approach: str
    outcome: str
    holds_n: int
    reasons: str
    violations: str
    end_reason: str
    injected_min_ml: float | None = None
    """Where the injected volume is known within bounds only."""
    injected_max_ml: float | None = None


@dataclass(frozen=True)
class Results:
    """Everything computed from one run folder."""

    SCHEMA: ClassVar[int] = 3

    study_id: str
    title: str
    demonstration: bool
    exploratory: str
    """Why the study can judge nothing; empty when its criteria were fixed before the first trial."""
    seed: int | None
    simulated: bool
    verdict: str
    verdict_reason: str
    faults: tuple[str, ...]
    """Faults of the record; empty when it is intact."""
    anomalies: tuple[Finding, ...]
    """Known faults of the version that made the record, as far as this run may have them."""
    criteria: tuple[CriterionResult, ...]
    accounting: Accounting
    shortfall: str
    """Why the plan was not carried out as written; then there is no verdict. Empty when it was."""
    approaches: tuple[Group, ...]
    arms: tuple[Group, ...]
    contrasts: tuple[Contrast, ...]
    literature: tuple[Literature, ...]
    assumptions: tuple[str, ...]
    deviations: tuple[Deviation, ...]
    uncertainty: UncertaintyResults
    """Budgets of the measured and of the predicted error, and what they say of the verdicts."""

    def as_bytes(self) -> bytes:
        """``results.json``."""
        content = {"schema": self.SCHEMA, **asdict(self)}
        return (json.dumps(rounded(content), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def rounded(value: object) -> object:
    """Round every float to ``SIGNIFICANT`` digits; NaN and infinity become None."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return float(f"{value:.{SIGNIFICANT}g}") + 0.0
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value
