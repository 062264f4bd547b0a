"""The tables of results: one line per approach, then one per arm."""

from __future__ import annotations

from collections.abc import Callable

from analysis.quantity import Quantity
from analysis.report.view import Table
from analysis.report.wording import (
    DASH,
    at_most,
    counted,
    fraction,
    known,
    number,
    share,
    value,
    with_interval,
    with_unit,
)
from analysis.results import Deviation, Group, Results
from analysis.violations import explained

_Cells = Callable[[Group], tuple[str, ...]]


def _groups(
    results: Results, titles: tuple[str, ...], cells: _Cells, align: str, widths: tuple[float, ...], caption: str
) -> Table:
    rows = [(group.label, *cells(group)) for group in results.approaches]
    pooled = [(f"{group.label}, all", *cells(group)) for group in results.arms]
    return Table(("Approach", *titles), (*rows, *pooled), "l" + align, widths, caption, len(rows))


def criteria(results: Results) -> Table:
    """The verdict on each criterion."""
    rows = tuple(
        (
            c.identity,
            f"{c.text} ({c.select}). Source: {known(c.source)}",
            f"{c.comparison.replace('<=', '≤').replace('>=', '≥')} {c.limit:g} {c.unit}".strip().replace(" ", "\u00a0"),
            with_unit(c.estimate),
            with_unit(c.bound),
            str(c.bound.n),
            c.verdict,
        )
        for c in results.criteria
    )
    titles = ("Id", "Criterion, fixed before the first trial", "Limit", "Estimate", "95 % bound", "n", "Verdict")
    return Table(titles, rows, "lllrrrl", (1.5, 4.4, 1.2, 1.1, 1.1, 0.5, 1.7))


def accuracy(results: Results) -> Table:
    """Systematic and random error, separately."""

    def cells(g: Group) -> tuple[str, ...]:
        sd = " / ".join(value(q) for q in g.sd)
        return (str(g.evaluated_n), *(with_interval(q) for q in g.bias), value(g.bias_length), known(sd), value(g.rms))

    titles = (
        "n", "Bias lateral, mm", "Bias cranial, mm", "Bias deep, mm", "|Bias|, mm", "SD lat / cran / deep, mm",
        "RMS, mm",
    )  # fmt: skip
    caption = (
        "Systematic and random error of the tip, in mm, with 95 % intervals (three axes together by Hotelling's "
        "T² from n = 5, else axis by axis). Lateral is away from the midline on either side. n counts trials with "
        "a measured tip."
    )
    return _groups(results, titles, cells, "rrrrrrr", (2.0, 0.5, 2.1, 2.1, 2.1, 0.8, 2.1, 0.8), caption)


def error(results: Results) -> Table:
    """Radial numbers and success."""

    def cells(g: Group) -> tuple[str, ...]:
        return (
            str(g.evaluated_n),
            with_interval(g.median),
            value(g.p95),
            value(g.largest),
            value(g.tolerance),
            share(g.success),
            fraction(g.placement),
            fraction(g.spread),
        )

    titles = (
        "n", "Median, mm", "95 %, mm", "Largest, mm", "95/95 bound, mm", "Success, share", "Placed", "Spread",
    )  # fmt: skip
    caption = (
        "Distance from tip to aim point: median with its distribution-free interval, 95 % quantile, largest value, "
        "one-sided 95/95 tolerance bound; n counts trials with a measured tip. Success, with exact 95 % interval, of "
        "every closed trial: tip within the acceptance radius (S1: in the channel) at the right level, and none of V1 "
        "to V6 found. Placed: the tip's position alone, within the radius and as near to the nerve's surface as "
        "the technique asks (S1: in the channel), whatever the level and the violations; so a trial may succeed and "
        "not be placed, or be placed and not succeed. Spread: injectate around at least half of the nerve, among the "
        "trials in which it was judged. " + explained("V1 V2 V3 V4 V5 V6")
    )
    return _groups(results, titles, cells, "rrrrrrrr", (1.9, 0.5, 2.0, 0.75, 0.85, 0.95, 2.9, 0.8, 0.8), caption)


def components(results: Results) -> Table:
    """Mean and SD of the error components."""

    def both(mean: Quantity, sd: Quantity) -> str:
        return f"{value(mean)} ± {value(sd)}" if mean.value is not None else DASH

    def cells(g: Group) -> tuple[str, ...]:
        return tuple(both(g.components[name], g.component_sd[name]) for name in g.components)

    caption = (
        "Components of the tip error, mean ± SD in mm: across the planned needle axis (lateral, a distance), along it "
        "(axial, + = too deep), and along the axes of the image: in-plane + = away from the midline on either "
        "side, elevational + = cranial, depth + = deep."
    )
    titles = ("Lateral, mm", "Axial, mm", "In-plane, mm", "Elevational, mm", "Depth, mm")
    return _groups(results, titles, cells, "rrrrr", (2, 1.5, 1.5, 1.5, 1.5, 1.5), caption)


def conduct(results: Results) -> Table:
    """Times and the conduct of the trials: passes, redirections, peak pressure and force."""

    def cells(g: Group) -> tuple[str, ...]:
        return (
            str(g.closed_n),
            *(value(g.times[name], 0) for name in ("scan", "needle", "total")),
            value(g.passes),
            value(g.punctures),
            value(g.redirections),
            fraction(g.first_pass),
            fraction(g.level_correct),
            value(g.peak_pressure, 0),
            value(g.peak_force, 1),
        )

    titles = (
        "n", "Scan, s", "Needle, s", "Total, s", "Passes", "Skin", "Redirect.", "First pass", "Level ok", "Peak, kPa",
        "Peak, N",
    )  # fmt: skip
    caption = (
        "Median times; mean number per trial of passes, skin punctures and redirections; trials that succeeded with "
        "the first pass; trials at the right level; median of the peak pressure at the tip and of the peak needle "
        "force."
    )
    return _groups(results, titles, cells, "r" * 11, (1.9, *([0.9] * 11)), caption)


def confirmation(results: Results) -> Table:
    """Tip confirmations, stops, violations and errors of the reference instrument and the image."""

    def cells(g: Group) -> tuple[str, ...]:
        ways = "/".join(str(g.confirmations[name]) for name in ("direct", "motion", "fluid"))
        return (
            ways,
            value(g.tip_confirmed),
            value(g.holds),
            counted(g.hold_reasons),
            counted(g.violations),
            value(g.reference_error),
            value(g.image_tip_error),
            str(g.truth_missing_n),
        )

    titles = (
        "Direct/motion/fluid", "Confirmed, share", "Stops, per trial", "Reasons", "Violations", "Ref., mm", "Image, mm",
        "No tip",
    )  # fmt: skip
    caption = (
        "Tip confirmations by direct view, commanded motion and test injection; share of advance steps that were "
        "confirmed; stop rules that fired per trial, with reasons; violations found (those that could not be "
        "evaluated are named below the tables); RMS error of the reference instrument against the simulated truth and "
        "of the tip in the image against the reference instrument; trials whose tip was not measured. "
        + explained(*(code for g in (*results.approaches, *results.arms) for code in g.violations))
    )
    return _groups(results, titles, cells, "crrllrrr", (1.8, 1.6, 1.0, 0.7, 1.7, 1.2, 0.8, 0.9, 0.7), caption)


def sources(results: Results) -> Table:
    """Parts of the tip error by their source."""

    def cells(g: Group) -> tuple[str, ...]:
        return (
            value(g.rms),
            value(g.aim_error),
            value(g.steer_error),
            value(g.image_tip_error),
            value(g.reference_error),
        )

    titles = ("Tip RMS, mm", "Aim point, mm", "Steering, mm", "Reading, mm", "Reference, mm")
    caption = (
        "RMS of the tip error and of its parts, mm. Aim point: registered in the image against true (registration, "
        "build error of the phantom, speed of sound); steering: tip as seen against aim point as registered (bending, "
        "steps); reading: tip as seen against the reference instrument (calibration of image and carrier, detection); "
        "reference: the reference instrument against the simulated truth. Aim point and reading are empty where the "
        "positions of the phantom's parts are known only by design. The parts are vectors: their lengths do not add up."
    )
    return _groups(results, titles, cells, "rrrrr", (2.2, 1.2, 1.2, 1.2, 1.2, 1.2), caption)


def elsewhere(results: Results) -> Table:
    """Confirmations with the true tip more than 2 mm away."""

    def cells(g: Group) -> tuple[str, ...]:
        return tuple(at_most(g.far_confirmations[name]) for name in ("direct", "motion", "fluid"))

    caption = (
        "Confirmations by guidance with the true tip more than 2 mm away, among all confirmations by "
        "that method (simulated truth), with the one-sided 95 % upper bound of the share. Confirmations of one trial "
        "share its errors, so the bound is computed by trial; it is not given for fewer than five trials."
    )
    titles = ("Direct view, share", "Small motion, share", "Test injection, share")
    return _groups(results, titles, cells, "rrr", (2.2, 2, 2, 2), caption)


def contrasts(results: Results) -> Table:
    """Differences between arms."""
    rows = tuple(
        (
            "all levels" if c.level == "all" else c.level,
            f"{c.first} {DASH} {c.second}",
            str(c.error.n),
            with_interval(c.error),
            with_interval(c.success),
            known(c.error.note),
        )
        for c in results.contrasts
    )
    titles = ("Level", "First – second", "n", "Tip error, mm", "Success share", "Remark")
    over_benches = results.accounting.benches_n > 1
    success = (
        "likewise"
        if over_benches
        else "Newcombe, which treats trials as independent and is too narrow where cartridges differ"
    )
    caption = (
        "First arm minus second arm, with 95 % intervals. Tip error: difference of means, BCa bootstrap over "
        f"{'benches' if over_benches else 'cartridges'} with a fixed seed. Success: {success}. Intervals are not "
        "adjusted for multiple comparisons."
    )
    return Table(titles, rows, "llrrrl", (0.9, 2.2, 0.4, 1.9, 1.9, 2.4), caption)


def faults(results: Results) -> Table:
    """The criteria without and with the trials that device faults ended."""
    rows = tuple(
        (
            c.identity,
            str(c.estimate.n), with_unit(c.estimate), with_unit(c.bound),
            str(c.estimate_with_faults.n), with_unit(c.estimate_with_faults), with_unit(c.bound_with_faults),
        )
        for c in results.criteria
    )  # fmt: skip
    titles = ("Criterion", "n without", "Estimate", "95 % bound", "n with", "Estimate", "95 % bound")
    caption = (
        "Criteria without and with the trials that device faults ended. When included, such a trial counts as it is: "
        "as a failure where success is judged, and with its measured error, if there is one. The verdicts are those "
        "without."
    )
    return Table(titles, rows, "lrrrrrr", (2, 1, 1.3, 1.3, 1, 1.3, 1.3), caption)


def deviations(results: Results) -> Table:
    """Trials that were held, or did not end with their checkout."""
    rows = tuple(
        (
            d.trial_id,
            d.approach,
            d.outcome.replace("_", " "),
            str(d.holds_n),
            known(d.reasons.replace("_", " ")),
            known(d.violations.replace(";", "; ")),
            known(d.end_reason) + _volume(d),
        )
        for d in results.deviations
    )
    titles = ("Trial", "Approach", "Outcome", "Stops", "Reasons", "Violations", "End")
    caption = explained(*(d.violations for d in results.deviations))
    return Table(titles, rows, "lllrlll", (0.6, 1.7, 1.1, 0.6, 1.3, 0.9, 3.2), caption)


def _volume(d: Deviation) -> str:
    """The injected volume where it is known within bounds only."""
    if d.injected_min_ml is None or d.injected_max_ml is None:
        return ""
    return f"; injected: at least {number(d.injected_min_ml, 2)}, at most {number(d.injected_max_ml, 2)} mL"


def anomalies(results: Results) -> Table:
    """Known anomalies of the version that made the record, where this run may be affected."""
    rows = tuple((a.id, a.title, a.effect, a.look, ", ".join(a.trials) or "the run", a.mended_in)
                 for a in results.anomalies)  # fmt: skip
    titles = ("Anomaly", "What was wrong", "Effect", "How to see it", "Where", "Fixed in")
    return Table(titles, rows, "llllll", (1.2, 2.0, 2.6, 2.6, 0.9, 0.6))


def literature(results: Results) -> Table:
    """Published figures, where the study has a freehand arm."""
    rows = tuple((f.text, f"{number(f.mean_mm, 1)} ± {number(f.sd_mm, 1)} mm", f.source) for f in results.literature)
    return Table(("Published figure", "Mean ± SD", "Source"), rows, "lrl", (2, 1, 3))
