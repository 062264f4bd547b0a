"""The section "Uncertainty budget" of the report, and the annex with every row."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.budget_and_limits import PARTLY
from analysis.figures import SavedFigure
from analysis.report.view import Block, Paragraph, Picture, Table
from analysis.report.wording import DASH, known, number, share, with_interval
from analysis.results import Results
from analysis.uncertainty.budget import Budget, BudgetRow, Comparison, Guard, UncertaintyResults
from analysis.uncertainty.parts import MEASURAND

FIGURE = "budget"
MANY_DOF = 1000.0
"""Degrees of freedom above which Student's factor is the normal one to two digits."""
INFINITE = "∞"
_ABOUT = (
    "There are two budgets per approach (GUM, JCGM 100), given in full in annex C. The first concerns the measured "
    "distance from tip to aim point, as uncertain as reference instrument and aim point make it; the guard bands are "
    "based on it. The second concerns the error itself, as image, registration and stated calibrations predict it "
    "before anybody measures the tip; it is compared with the errors found."
)
_SHARED = (
    "Aim point and tip are seen in the same image. Errors that all its points share (calibration of the image, speed "
    "of sound, the places of holder and phantom) move both, and only the remainder counts. It is not divided by the "
    "number of points or looks. Shift of the tip alone, and remainder: {words}."
)


def section(results: Results, figures: Sequence[SavedFigure]) -> tuple[Block, ...]:
    """Summary: measurement, guard bands, prediction against what was found."""
    budgets = results.uncertainty
    if not budgets.measurement:
        return (Paragraph("No tip was measured, so there is no uncertainty to state."),)
    blocks: list[Block] = [Paragraph(_ABOUT), _measurements(budgets)]
    missing = sorted({name for b in budgets.measurement for name in b.missing})
    if missing:
        text = (
            f"The budget of the measurement is incomplete. Nobody stated: {'; '.join(missing)}. The figures include "
            "only the other rows: the true uncertainty is larger."
        )
        blocks.append(Paragraph(text, "warning"))
    blocks.append(Paragraph(_linear(budgets), "note"))
    if budgets.guards:
        blocks.append(_guards(budgets.guards))
        changed = [g.identity for g in budgets.guards if g.changes]
        if changed:
            text = f"{', '.join(changed)}: accepted by the study's rule, which has no guard band; with a guard band it "
            blocks.append(Paragraph(text + "would not be accepted. The verdict follows the fixed rule.", "warning"))
    if not budgets.prediction:
        blocks.append(Paragraph("No error was predicted, because the image guided no needle of this run."))
        return tuple(blocks)
    blocks += [_contributions(budgets.prediction), Paragraph(_shared(budgets.prediction), "note")]
    blocks += [Picture(figure) for figure in figures if figure.name == FIGURE]
    blocks.append(_comparisons(budgets.comparisons))
    against = [c for c in budgets.comparisons if c.contradicted]
    if against:
        words = " ".join(f"{c.label}: {c.finding}" for c in against)
        blocks.append(Paragraph(f"The errors found contradict the prediction. {words}", "warning"))
    without = [b.label for b in budgets.measurement if b.key not in {p.key for p in budgets.prediction}]
    if without:
        blocks.append(Paragraph(f"Not predicted, because no image guided the needle: {', '.join(without)}.", "note"))
    return tuple(blocks)


def annex(results: Results) -> tuple[Block, ...]:
    """Every row of every budget."""
    budgets = results.uncertainty
    blocks: list[Block] = []
    for budget in (*budgets.measurement, *budgets.prediction):
        blocks.append(_full(budget))
    return tuple(blocks) or (Paragraph("No budget: no tip was measured."),)


def guard_words(guard: Guard) -> str:
    """One sentence for the cover; empty where there is nothing to compare."""
    if guard.compared_mm is None:
        return ""
    if guard.band_mm is None or guard.acceptance_limit_mm is None:
        return f"Guard band: {guard.standing}."
    least = "" if guard.complete else "at least "
    words = _ON_COVER[guard.standing.removesuffix(PARTLY)]
    return f"With its guard band ({least}{number(guard.band_mm)} mm) it {words}."


_ON_COVER = {
    "meets the limit with its guard band": "still does",
    "meets the limit, but within its guard band": "would not",
    "misses the limit, but within its guard band": "does not either",
    "misses the limit with its guard band": "does not either",
}
"""After "the 95 % bound meets the limit" or "does not meet it"."""


def _measurements(budgets: UncertaintyResults) -> Table:
    rows = tuple(
        (
            b.label,
            str(b.trials_n),
            *(_contribution(row) for row in b.rows),
            number(b.combined),
            _dof(b.dof),
            number(b.coverage_factor),
            number(b.expanded),
        )
        for b in budgets.measurement
    )
    names = tuple(_short(row.quantity) for row in budgets.measurement[0].rows)
    titles = ("Approach", "n", *names, "u", "ν", "k", "U 95 %")
    caption = (
        "Uncertainty of the measured distance from tip to aim point: contribution of each source and combined "
        "standard uncertainty u along the error, mm; effective degrees of freedom ν (Welch-Satterthwaite), coverage "
        f"factor k and expanded uncertainty U = k u. {DASH}: nobody stated this source."
    )
    widths = (2.0, 0.4, *([1.15] * len(names)), 0.7, 0.7, 0.6, 0.8)
    return Table(titles, rows, "l" + "r" * (len(titles) - 1), widths, caption)


def _linear(budgets: UncertaintyResults) -> str:
    """Result of the Monte Carlo check of the linear form."""
    checks = [c for b in budgets.measurement for c in b.lengths]
    if not checks:
        return "No Monte Carlo: no source of the measurement is known."
    words = []
    for about in dict.fromkeys(c.about for c in checks):
        own = [c for c in checks if c.about == about]
        off = max(abs(a - b) for c in own for a, b in zip(c.linear_mm, c.symmetric_mm, strict=True))
        agree = sum(c.agrees for c in own)
        words.append(f"at the {about} {agree} of {len(own)} agree, largest difference of an end {number(off, 3)} mm")
    return (
        f"Monte Carlo (JCGM 101, {checks[0].draws_n:,} draws, fixed seed) against the linear form, 95 % intervals: "
        f"{'; '.join(words)}. They agree when both ends lie within half a unit of the second digit of u "
        f"({checks[0].tolerance_mm:g} mm). A length is never negative: near zero the transverse error lengthens it, "
        "which the linear form does not know; results.json has the sampled intervals."
    )


def _guards(guards: Sequence[Guard]) -> Table:
    rows = tuple(
        (
            g.identity,
            ("" if g.complete or g.u_mm is None else "≥ ") + number(g.u_mm),
            ("" if g.complete or g.band_mm is None else "≥ ") + number(g.band_mm),
            number(g.acceptance_limit_mm),
            number(g.compared_mm),
            g.standing,
        )
        for g in guards
    )
    caption = (
        "Guard bands of the criteria on a measured error (ILAC-G8:09/2019): band = one-sided 95 % factor times u, mm. "
        "They are stated beside the verdict and are not part of its rule (decision 9). The bound of a criterion "
        "already includes what varies from trial to trial, including the scatter of the measurement; the band covers "
        "the errors that all trials may share."
    )
    titles = ("Criterion", "u", "Band", "Acceptance limit", "Compared", "Standing")
    return Table(titles, rows, "lrrrrl", (1.3, 0.7, 0.7, 1.1, 0.9, 4.0), caption)


def _contributions(budgets: Sequence[Budget]) -> Table:
    """Sources as rows, approaches as columns; sources that drop out everywhere are left to the annex."""
    rows = []
    for k, row in enumerate(budgets[0].rows):
        own = [b.rows[k] for b in budgets]
        if any(r.contribution is None or r.contribution > 0.0 for r in own):
            rows.append((row.quantity, row.kind, *(_contribution(r) for r in own)))
    rows.append(("Combined", "", *(number(b.combined) for b in budgets)))
    rows.append(("Median / 95 % of the predicted length", "", *(_lengths(b) for b in budgets)))
    caption = (
        "Predicted error of the tip: contribution of each source, mm, its three components combined (root of the sum "
        "of their variances), and the origin of its figure. The lengths are sampled (Monte Carlo) and include the part "
        "of the error that was seen once the needle was at rest. Sources that drop out are in annex C."
    )
    titles = ("Source", "From", *(b.label for b in budgets))
    widths = (2.6, 1.2, *([1.0] * len(budgets)))
    return Table(titles, tuple(rows), "ll" + "r" * len(budgets), widths, caption, len(rows) - 2)


def _lengths(budget: Budget) -> str:
    return DASH if budget.region is None else f"{number(budget.region.median_mm)} / {number(budget.region.p95_mm)}"


def _shared(budgets: Sequence[Budget]) -> str:
    words = []
    for k, row in enumerate(budgets[0].rows):
        own = [b.rows[k] for b in budgets]
        if all(r.alone is not None for r in own):
            name = row.quantity.partition(",")[0]
            words.append(f"{name} {_range([r.alone for r in own])} mm, left {_range([r.contribution for r in own])} mm")
    return _SHARED.format(words="; ".join(words) or DASH)


def _range(values: Sequence[float | None]) -> str:
    known_mm = [v for v in values if v is not None]
    if not known_mm:
        return DASH
    low, high = number(min(known_mm)), number(max(known_mm))
    return low if low == high else f"{low} to {high}"


def _comparisons(comparisons: Sequence[Comparison]) -> Table:
    rows = tuple(
        (
            c.label,
            number(c.predicted_rms_mm),
            number(c.found_rms_mm),
            share(c.inside),
            with_interval(c.size),
            c.finding,
        )
        for c in comparisons
    )
    caption = (
        "Predicted and found errors. RMS of the error in mm (the prediction includes the error of measurement); trials "
        "inside their own predicted 95 % region, with the exact interval, which treats trials as independent; size of "
        "the errors in units of the predicted ones, with the range that contains it in 95 % of runs if the prediction "
        "holds. The size allows for what trials share (probe calibration, instrument, gel of a cartridge): such an "
        "error is one draw for all of them. The prediction is contradicted when 95 % lies outside the interval of "
        "the share, or the size outside its range."
    )
    titles = ("Approach", "Predicted", "Found", "Inside the 95 % region", "Size", "Finding, by rule")
    strong = len(rows) - 1 if len(rows) > 1 else -1
    return Table(titles, rows, "lrrrrl", (1.7, 0.9, 0.8, 2.0, 1.9, 3.4), caption, strong)


def _full(budget: Budget) -> Table:
    rows = tuple(
        (
            row.quantity,
            _value(row.value, row.value_unit),
            _value(row.standard_uncertainty, row.unit),
            row.distribution if row.standard_uncertainty is not None else DASH,
            _dof(row.dof) if row.standard_uncertainty is not None else DASH,
            _figures(row.sensitivity),
            _contribution(row),
            number(None if row.share is None else 100.0 * row.share, 1),
            f"{row.kind}: {row.source}",
        )
        for row in budget.rows
    )
    whole = "" if budget.complete else f"; incomplete, not known: {', '.join(budget.missing)}"
    expanded = (
        "" if budget.expanded is None else f", U = {number(budget.expanded)} mm (k = {number(budget.coverage_factor)})"
    )
    monte_carlo = ""
    if budget.region is not None:
        agree = "agrees" if budget.region.agrees else "does not agree"
        monte_carlo = (
            f". Monte Carlo ({budget.region.draws_n:,} draws): {100.0 * budget.region.inside:.1f} % inside the 95 % "
            f"ellipsoid, which {agree} with the linear form within {100.0 * budget.region.tolerance:.0f} %"
        )
    axes = "" if budget.measurand == MEASURAND else ", √3 = 1.73 for three axes together"
    caption = (
        f"{budget.label}: {budget.measurand}, n = {budget.trials_n}. u = {number(budget.combined)} mm, "
        f"ν = {_dof(budget.dof)}{expanded}{whole}{monte_carlo}. Sensitivity: mm per unit of the uncertainty{axes}."
    )
    # The first title names the budget: it is repeated where a table goes on over the page.
    first = f"{budget.label}, {'measured' if budget.measurand == MEASURAND else 'predicted'}"
    titles = (first, "Value", "u", "Distribution", "ν", "Sens.", "mm", "%", "Source")
    return Table(titles, rows, "lrrlrrrrl", (2.9, 1.1, 1.2, 1.2, 0.6, 0.8, 0.6, 0.6, 3.3), caption)


_SHORT = {
    "reference instrument, one reading": "Instrument",
    "repeated readings, mean of": "Readings",
    "phantom in the instrument's frame": "Phantom",
    "aim point in the cartridge": "Aim point",
    "needle bend, not seen": "Bend",
}


def _short(name: str) -> str:
    return _SHORT.get(name, name)


def _contribution(row: BudgetRow) -> str:
    return number(row.contribution)


def _value(value: float | None, unit: str) -> str:
    return known("") if value is None else f"{_figures(value)} {unit}".strip()


def _figures(value: float | None) -> str:
    """Three significant digits; small numbers do not become zero."""
    if value is None:
        return DASH
    if value == 0.0:
        return "0"
    digits = 0 if abs(value) >= 100 or value == int(value) else 2 if abs(value) >= 0.1 else 4
    return number(value, digits)


def _dof(dof: float | None) -> str:
    return INFINITE if dof is None or dof > MANY_DOF else number(dof, 0)
