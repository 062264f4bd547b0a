"""Results of a run folder. The analysis is pure: the same folder gives the same numbers, byte for byte."""

from __future__ import annotations

from collections import Counter

from analysis.acceptance import acceptances
from analysis.assumptions import ASSUMPTIONS
from analysis.budget_of_run import uncertainty
from analysis.contrasts import contrasts
from analysis.criteria import exploratory, judge, overall, shortfall
from analysis.criterion import Criterion
from analysis.group import PLANES, benches, closed, column, counts, faulted, not_evaluated, summarise
from analysis.literature import beside
from analysis.results import Accounting, Deviation, Group, Results
from analysis.tables import DataFrame, Series, concat, plan_table, trials_table, words
from rig.record import RecordedRun, anomalies_of, verify_run
from rig.record.attempts import trial_of


def analyse(run: RecordedRun) -> Results:
    """Compute everything that the report shows. Raises ``ConfigError`` when the folder cannot be used."""
    study = run.study
    head = study.get("study", {})
    trials, plan = trials_table(run.rows, run.columns), plan_table(run.planned)
    faults = verify_run(run.path)
    account = _account(trials, plan)
    short = shortfall(account, run.manifest.reason if run.manifest else "")
    wanted = [Criterion.from_toml(table, run.columns) for table in study.get("criteria", [])]
    level_shift = bool(study.get("design", {}).get("level_shift", False))
    explores = exploratory(study)
    criteria = tuple(
        judge(criterion, trials, simulated=run.simulated, short=short, level_shift=level_shift, explores=explores)
        for criterion in wanted
    )
    approaches = _approaches(trials, plan)
    verdict, reason = overall(criteria, faults, simulated=run.simulated, short=short, explores=explores)
    seed = run.opened.get("seed")
    return Results(
        study_id=str(head.get("id", "")),
        title=str(head.get("title", "")),
        demonstration=bool(head.get("demonstration", False)),
        exploratory=explores,
        seed=seed if isinstance(seed, int) else None,
        simulated=run.simulated,
        verdict=verdict,
        verdict_reason=reason,
        faults=faults,
        anomalies=anomalies_of(run),
        criteria=criteria,
        accounting=account,
        shortfall=short,
        approaches=approaches,
        arms=_arms(trials, plan),
        contrasts=contrasts(trials),
        literature=beside(trials),
        assumptions=ASSUMPTIONS if run.simulated else (),
        deviations=_deviations(trials),
        uncertainty=uncertainty(run, trials, approaches, list(zip(wanted, criteria, strict=True)), acceptances(run)),
    )


def label_of(level: str, plane: str) -> str:
    """Approach without its side, in words: ``L4 in-plane``."""
    return f"{level} {PLANES.get(plane, plane)}"


def _sort_key(level: str, plane: str, technique: str) -> tuple[str, int, str]:
    order = list(PLANES)
    return (level, order.index(plane) if plane in order else len(order), technique)


def _approaches(trials: DataFrame, plan: DataFrame) -> tuple[Group, ...]:
    keys = ["level", "plane", "technique"]
    own = DataFrame({key: words(trials, key) for key in keys})
    seen = concat([plan[keys], own]).drop_duplicates()
    alike = seen.groupby(["level", "plane"]).size()
    groups = []
    for level, plane, technique in sorted(seen.itertuples(index=False, name=None), key=lambda k: _sort_key(*k)):
        label = label_of(level, plane) + (f" ({technique})" if alike[level, plane] > 1 else "")
        planned_n = int((plan["technique"] == technique).sum())
        chosen = trials[own["technique"] == technique]
        groups.append(summarise(technique, label, chosen, planned_n, level=level, plane=plane))
    return tuple(groups)


def _arms(trials: DataFrame, plan: DataFrame) -> tuple[Group, ...]:
    groups = []
    for plane, meaning in PLANES.items():
        own = trials[trials["plane"] == plane]
        planned_n = int((plan["plane"] == plane).sum())
        if len(own) or planned_n:
            groups.append(summarise(plane, meaning, own, planned_n, level="all", plane=plane))
    return tuple(groups)


def _account(trials: DataFrame, plan: DataFrame) -> Accounting:
    counted, broken = closed(trials), faulted(trials)
    interrupted = trials["outcome"] == "interrupted"
    repeats = words(trials, "repeats", missing="")
    # The planned trial that each stands for: itself, the one it repeats, or the one it was an attempt at.
    named = trials["trial_id"].map(trial_of)
    first = repeats.where(repeats != "", named)
    done = set(first[~interrupted])
    repeated = set(repeats[counted.index]) - {""}
    lost = broken[~first[broken.index].isin(repeated)]
    unmeasured = words(counted, "reference", missing="")
    return Accounting(
        planned_n=len(plan),
        closed_n=len(counted),
        interrupted_n=int(interrupted.sum()),
        interrupted_repeated_n=int(first[interrupted].isin(done).sum()),
        device_faults=counts(_known_text(broken, "device_fault")),
        device_fault_arms={
            plane: (int((broken["plane"] == plane).sum()), int((trials.loc[~interrupted, "plane"] == plane).sum()))
            for plane in PLANES
            if (broken["plane"] == plane).any()
        },
        not_repeated=tuple(repeats.where(repeats != "", trials["trial_id"])[lost.index]),
        never_closed=tuple(plan.loc[~plan["trial_id"].isin(named), "trial_id"]),
        unplanned=tuple(trials.loc[~first.isin(plan["trial_id"]), "trial_id"]) if len(plan) else (),
        outcomes=counts(words(trials, "outcome")),
        evaluated_n=len(column(counted, "tte_mm")),
        truth_missing_n=int((counted["outcome"] == "truth_missing").sum()),
        # Why the tip of record was not measured; empty where the trial did not come so far.
        tip_unmeasured=counts(unmeasured[~unmeasured.isin(("", "measured"))]),
        cartridges_n=words(trials, "cartridge_id").nunique(),
        benches_n=len(set(benches(trials)) - {""}),
        aim_sources=counts(_known_text(counted, "target_source")),
        violations_not_evaluated=not_evaluated(counted),
    )


def _known_text(trials: DataFrame, name: str) -> Series:
    """Text column, with ``unknown`` for empty cells."""
    return words(trials, name).replace("", "unknown")


def _deviations(trials: DataFrame) -> tuple[Deviation, ...]:
    holds = trials["n_holds"].fillna(0)
    bounded = trials["v_inj_ml"].isna() & trials["v_inj_min_ml"].notna() & trials["v_inj_max_ml"].notna()
    violations = words(trials, "violations", missing="")
    deviates = (holds > 0) | (violations != "") | ~trials["outcome"].isin(("success", "miss")) | bounded
    table = DataFrame(
        {
            "trial_id": trials["trial_id"],
            "level": words(trials, "level"),
            "plane": words(trials, "plane"),
            "side": words(trials, "side"),
            "outcome": _known_text(trials, "outcome"),
            "holds_n": holds.astype(int),
            "reasons": words(trials, "hold_reasons", missing="").map(_counted),
            "violations": violations,
            "end": _ends(trials),
            "bounded": bounded,
            "min_ml": trials["v_inj_min_ml"],
            "max_ml": trials["v_inj_max_ml"],
        }
    )
    return tuple(
        Deviation(
            t.trial_id, f"{label_of(t.level, t.plane)}, {t.side}", t.outcome, int(t.holds_n), t.reasons, t.violations,
            t.end, float(t.min_ml) if t.bounded else None, float(t.max_ml) if t.bounded else None,
        )
        for t in table[deviates].itertuples()
    )  # fmt: skip


def _ends(trials: DataFrame) -> Series:
    """End reason of each trial; for a finished trial without a tip, the reason why it has none."""
    why = words(trials, "reference_reason", missing="")
    without = (trials["outcome"] == "truth_missing") & (why != "")
    return words(trials, "end_reason", missing="").where(~without, "tip not measured: " + why)


def _counted(reasons: str) -> str:
    """``force; force; pressure`` as ``force x 2; pressure``."""
    found = Counter(part.strip() for part in reasons.split(";") if part.strip())
    return "; ".join(f"{name} x {n}" if n > 1 else name for name, n in found.items())
