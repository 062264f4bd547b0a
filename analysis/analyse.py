"""From a run folder to its results: pure, the same folder gives the same numbers, byte for byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from analysis.acceptance import acceptances
from analysis.assumptions import ASSUMPTIONS
from analysis.contrasts import contrasts
from analysis.criteria import Criterion, exploratory, judge, overall, shortfall
from analysis.group import PLANES, benches, closed, column, faulted, not_evaluated, summarise
from analysis.literature import beside
from analysis.results import Accounting, Deviation, Group, Results
from analysis.uncertainty_budget_run import uncertainty
from rig.record import PlannedTrial, RecordedRun, Row, anomalies_of, verify_run
from rig.record.attempts import trial_of


def analyse(run: RecordedRun) -> Results:
    """Compute everything that the report shows. Raises ``ConfigError`` when the folder cannot be used."""
    study = run.study
    head = study.get("study", {})
    rows, planned = run.rows, run.planned
    faults = verify_run(run.path)
    account = _account(rows, planned)
    short = shortfall(account, run.manifest.reason if run.manifest else "")
    wanted = [Criterion.from_toml(table) for table in study.get("criteria", [])]
    level_drawn = bool(study.get("design", {}).get("level_shift", False))
    explores = exploratory(study)
    criteria = tuple(
        judge(criterion, rows, simulated=run.simulated, short=short, level_drawn=level_drawn, explores=explores)
        for criterion in wanted
    )
    approaches = _approaches(rows, planned)
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
        arms=_arms(rows, planned),
        contrasts=contrasts(rows),
        literature=beside(rows),
        assumptions=ASSUMPTIONS if run.simulated else (),
        deviations=_deviations(rows),
        uncertainty=uncertainty(run, approaches, list(zip(wanted, criteria, strict=True)), acceptances(run)),
    )


def label_of(level: str, plane: str) -> str:
    """Approach without its side, in words: ``L4 in-plane``."""
    return f"{level} {PLANES.get(plane, plane)}"


def _sort_key(level: str, plane: str, technique: str) -> tuple[str, int, str]:
    order = list(PLANES)
    return (level, order.index(plane) if plane in order else len(order), technique)


def _approaches(rows: Sequence[Row], planned: Sequence[PlannedTrial]) -> tuple[Group, ...]:
    seen = {(t.level, t.plane, t.technique) for t in planned}
    seen |= {(str(r["level"]), str(r["plane"]), str(r["technique"])) for r in rows}
    names = Counter((level, plane) for level, plane, _ in seen)
    groups = []
    for level, plane, technique in sorted(seen, key=lambda k: _sort_key(*k)):
        own = [row for row in rows if row["technique"] == technique]
        label = label_of(level, plane) + (f" ({technique})" if names[(level, plane)] > 1 else "")
        planned_n = sum(trial.technique == technique for trial in planned)
        groups.append(summarise(technique, label, own, planned_n, level=level, plane=plane))
    return tuple(groups)


def _arms(rows: Sequence[Row], planned: Sequence[PlannedTrial]) -> tuple[Group, ...]:
    groups = []
    for plane, words in PLANES.items():
        own = [row for row in rows if row["plane"] == plane]
        planned_n = sum(trial.plane == plane for trial in planned)
        if own or planned_n:
            groups.append(summarise(plane, words, own, planned_n, level="all", plane=plane))
    return tuple(groups)


def _account(rows: Sequence[Row], planned: Sequence[PlannedTrial]) -> Accounting:
    counted = closed(rows)
    wanted = [trial.trial_id for trial in planned]
    present = {trial_of(str(row["trial_id"])) for row in rows}
    repeated = {str(row["repeats"]) for row in counted if row["repeats"]}
    done = {_first(row) for row in (*counted, *faulted(rows))}
    interrupted = [row for row in rows if row["outcome"] == "interrupted"]
    broken = faulted(rows)
    arms = {
        str(plane): (sum(r["plane"] == plane for r in broken), sum(r["plane"] == plane for r in (*counted, *broken)))
        for plane in PLANES
        if any(r["plane"] == plane for r in broken)
    }
    return Accounting(
        planned_n=len(planned),
        closed_n=len(counted),
        interrupted_n=len(interrupted),
        interrupted_repeated_n=sum(_first(row) in done for row in interrupted),
        device_faults=dict(sorted(Counter(str(row["device_fault"] or "unknown") for row in broken).items())),
        device_fault_arms=arms,
        not_repeated=tuple(str(row["repeats"] or row["trial_id"]) for row in broken if _first(row) not in repeated),
        never_closed=tuple(name for name in wanted if name not in present),
        unplanned=tuple(str(r["trial_id"]) for r in rows if planned and _first(r) not in wanted),
        outcomes=dict(sorted(Counter(str(row["outcome"]) for row in rows).items())),
        evaluated_n=len(column(counted, "tte_mm")),
        truth_missing_n=sum(row["outcome"] == "truth_missing" for row in counted),
        tip_unmeasured=dict(sorted(Counter(_unmeasured(row) for row in counted if _unmeasured(row)).items())),
        cartridges_n=len({row["cartridge_id"] for row in rows}),
        benches_n=len(set(benches(rows)) - {""}),
        aim_sources=dict(sorted(Counter(str(row["target_source"] or "unknown") for row in counted).items())),
        violations_not_evaluated=not_evaluated(counted),
    )


def _unmeasured(row: Row) -> str:
    """Why the tip of record was not measured; empty where it was, or where the trial did not come so far."""
    said = str(row["reference"] or "")
    return "" if said == "measured" else said


def _first(row: Row) -> str:
    """The planned trial that a row stands for: itself, the one it repeats, or the one it was an attempt at."""
    return str(row["repeats"] or trial_of(str(row["trial_id"])))


def _deviations(rows: Sequence[Row]) -> tuple[Deviation, ...]:
    found = []
    for row in rows:
        holds = row["n_holds"] if isinstance(row["n_holds"], int) else 0
        lo, hi = _bounds(row)
        if holds or row["violations"] or row["outcome"] not in ("success", "miss") or hi is not None:
            found.append(
                Deviation(
                    str(row["trial_id"]),
                    label_of(str(row["level"]), str(row["plane"])) + f", {row['side']}",
                    str(row["outcome"] or "unknown"),
                    holds,
                    _counted(str(row["hold_reasons"] or "")),
                    str(row["violations"] or ""),
                    _end_of(row),
                    lo,
                    hi,
                )
            )
    return tuple(found)


def _bounds(row: Row) -> tuple[float | None, float | None]:
    """Bounds of the injected volume (mL) where it was not counted; None and None where it was."""
    lo, hi = row["v_inj_min_ml"], row["v_inj_max_ml"]
    if row["v_inj_ml"] is not None or not isinstance(lo, float) or not isinstance(hi, float):
        return None, None
    return lo, hi


def _end_of(row: Row) -> str:
    """How it ended; of a trial that was finished and has no tip, why it has none."""
    if row["outcome"] == "truth_missing" and row["reference_reason"]:
        return f"tip not measured: {row['reference_reason']}"
    return str(row["end_reason"] or "")


def _counted(reasons: str) -> str:
    """``force; force; pressure`` as ``force x 2; pressure``."""
    counts = Counter(part.strip() for part in reasons.split(";") if part.strip())
    return "; ".join(f"{name} x {n}" if n > 1 else name for name, n in counts.items())
