"""View of the report, composed from the results: its sections, their order and their wording."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.criteria import TOO_FAULTY
from analysis.figures import SavedFigure
from analysis.group import APART, PLANES, column
from analysis.report import certificates, device_tests, tables, uncertainty, varied
from analysis.report.view import Block, Bullets, Facts, Paragraph, Picture, Section, Table, View
from analysis.report.wording import DASH, cell, counted, known, number
from analysis.results import Results
from analysis.tables import DataFrame, trials_table, words
from analysis.violations import VIOLATIONS, explained
from rig.record import Column, RecordedRun
from rig.record.anomalies import versions_of
from rig.record.canonical import sha256_file

BANNER = "SIMULATED DATA"
BANNER_NOTE = "No real device and no real phantom took part. Verdicts are in the conditional."
EXPLORATORY = "EXPLORATORY"
EXPLORATORY_NOTE = "Nothing is judged: the criteria were not fixed before the first trial."
ON_COVER = ("target",)
"""Figures that stand on the first page."""
TRIALS_LISTED_MAX = 120
"""More trials than this are left to trials.csv."""


def compose(run: RecordedRun, results: Results, figures: Sequence[SavedFigure]) -> View:
    """Compose the view of a report. Raises ``ConfigError`` when the folder cannot be used."""
    manifest = run.manifest
    demonstration = "Demonstration: the sample is not powered for any claim." if results.demonstration else ""
    sections = (
        Section("Item, place and environment", _item(run)),
        Section("Objective and claims", _objective(run, results)),
        Section("Method", _method(run, results)),
        Section("Traceability", _traceability(run)),
        Section("Accounting of trials", _accounting(results)),
        Section("Results", _results(results)),
        Section("Figures", _pictures(figures), new_page=True),
        Section("Uncertainty budget", uncertainty.section(results, figures)),
        Section("Differences between arms", _differences(results, figures)),
        Section("Deviations", _deviations(results)),
        Section("Limitations", _limitations(results)),
        Section("Known anomalies of the software", _anomalies(run, results)),
        Section("Integrity of the record", _integrity(run, results)),
        Section("Annex A: trials", _trials(run)),
        Section("Annex B: data dictionary", _dictionary(run.columns)),
        Section("Annex C: uncertainty budgets in full", uncertainty.annex(results), new_page=True),
    )
    return View(
        title=results.title or results.study_id or "Run",
        report_id=run.path.name,
        date=manifest.ended_utc[:10] if manifest else "",
        banner=" - ".join(filter(None, (BANNER * results.simulated, EXPLORATORY * bool(results.exploratory)))),
        note=_banner_note(results),
        watermark=BANNER.split()[0] if results.simulated else EXPLORATORY * bool(results.exploratory),
        subject="Bench evidence from a lumbar gel phantom",
        verdict=results.verdict,
        verdict_reason=results.verdict_reason,
        verdict_class=_verdict_class(results.verdict),
        criteria=tables.criteria(results),
        cover=tuple(
            block
            for block in (
                Paragraph(demonstration, "warning") if demonstration else None,
                Paragraph(f"Exploratory: {results.exploratory}.", "warning") if results.exploratory else None,
                _fault_block(results),
                device_tests.deviation(run),
                _short_block(results),
                tables.error(results) if results.approaches else None,
                Bullets(_verdicts(results)),
                _codes_block(results),
                Paragraph(_DECISION, "note"),
                *(Picture(figure) for figure in figures if figure.name in ON_COVER),
            )
            if block is not None
        ),
        sections=sections,
    )


def _banner_note(results: Results) -> str:
    if results.exploratory:
        return ("No real device took part. " if results.simulated else "") + EXPLORATORY_NOTE
    return BANNER_NOTE if results.simulated else ""


_DECISION = (
    "Decision rule, fixed before the run: PASS when the one-sided 95 % bound meets the limit (risk of a false "
    "pass at most 5 % for each criterion; trials treated as independent, or benches where there are several), MARGINAL "
    "when only the estimate meets it, FAIL when the estimate does not, NOT EVALUATED when the statistic cannot be "
    "computed, when trials of the plan are missing, when device faults ended more than one in twenty trials of an arm, "
    "or when some trials lack the number and the others do not fail. A criterion on the largest value (max) is "
    "compared as it is: no risk is promised for it. Results relate only to the items tested. The limits are those of "
    "the study file and are not taken from a standard."
)


def _verdicts(results: Results) -> tuple[str, ...]:
    """Reason for each criterion's verdict, with its guard band where it judges a measured error."""
    bands = {g.identity: " " + uncertainty.guard_words(g) for g in results.uncertainty.guards}
    return tuple(
        f"{c.identity}: {c.verdict}. {_sentence(c.reason)}{bands.get(c.identity, '')}" for c in results.criteria
    )


def _pictures(figures: Sequence[SavedFigure]) -> tuple[Block, ...]:
    elsewhere = (*ON_COVER, "contrasts", uncertainty.FIGURE)
    found = tuple(Picture(figure) for figure in figures if figure.name not in elsewhere)
    if not any(figure.name == "ecdf" for figure in figures):
        return (Paragraph("No tip position was measured: there are no figures of the tip error."), *found)
    return found


def _sentence(text: str) -> str:
    if not text:
        return ""
    first = text if text.startswith("n =") else text[:1].upper() + text[1:]
    return first + "."


def _verdict_class(verdict: str) -> str:
    for word, name in (("PASS", "pass"), ("MARGINAL", "marginal"), ("FAIL", "fail")):
        if word in verdict:
            return name
    return "none"


def _fault_block(results: Results) -> Block | None:
    if not results.faults:
        return None
    return Paragraph("THE RECORD IS NOT INTACT. " + "; ".join(results.faults[:6]) + ".", "warning")


def _codes_block(results: Results) -> Block | None:
    """Meaning of the violation codes in the reasons above."""
    words = explained(*(c.reason for c in results.criteria))
    return Paragraph(words, "note") if words else None


def _short_block(results: Results) -> Block | None:
    if not results.shortfall:
        return None
    if results.shortfall.startswith(TOO_FAULTY):
        return Paragraph(f"No verdict: {results.shortfall}. Whether they were lost at random is not known.", "warning")
    text = (
        "The study was not carried out as planned. Its numbers are given below, but no verdict: somebody who changes "
    )
    return Paragraph(text + "the number of trials may do so because of what they saw.", "warning")


_SOURCES = {"as_built": "of the cartridge as built", "nominal": "as designed", "unknown": "of unknown source"}


def _aim(results: Results) -> str:
    found = results.accounting.aim_sources
    words = ", ".join(f"{_SOURCES.get(name, name)} ({n} trials)" for name, n in found.items())
    text = "1.5 mm outside the nerve's surface on the side of approach; the error is measured to it"
    if "nominal" in found:
        text += ". Where it is the design's, the pour's deviation from the design is part of the error"
    return f"{text}. Aim {words}" if words else text


def _range(trials: DataFrame, name: str, unit: str, digits: int) -> str:
    values = column(trials, name)
    if not len(values):
        return "not measured"
    lo, hi = number(float(values.min()), digits), number(float(values.max()), digits)
    return f"{lo} {unit}" if lo == hi else f"{lo} to {hi} {unit}"


def _temperature(trials: DataFrame) -> str:
    """Gel temperature, marked where it is that of the line because no thermometer was in the gel."""
    text = _range(trials, "temp_c", "°C", 1)
    in_line = (trials["temp_by"] == "pressure").any()
    return f"{text}; by the pressure cell, which is in the line and not in the gel" if in_line else text


def _item(run: RecordedRun) -> tuple[Block, ...]:
    manifest, trials = run.manifest, trials_table(run.rows, run.columns)
    phantoms, cartridges = (sorted(set(words(trials, n, "")) - {""}) for n in ("phantom_id", "cartridge_id"))
    pairs = [
        ("Item tested", "lumbar gel phantom " + (", ".join(phantoms) or DASH)),
        ("Cartridges", f"{len(cartridges)}: {', '.join(cartridges)}" if cartridges else DASH),
        ("Gel temperature", _temperature(trials)),
        ("Age of the gel", _range(trials, "age_h", "h", 1)),
        ("Speed of sound used", _range(trials, "sound_speed_m_s", "m/s", 0)),
        ("Run", run.path.name),
    ]
    if manifest is not None:
        pairs += [
            ("Began / ended (UTC)", f"{manifest.started_utc} / {manifest.ended_utc}"),
            ("Reason for ending", manifest.reason),
            ("Computer", f"{manifest.system}, {manifest.cpu_n} processors"),
        ]
    else:
        pairs.append(("Reason for ending", "unknown: the run was not sealed"))
    return (Facts(tuple(pairs)),)


def _objective(run: RecordedRun, results: Results) -> tuple[Block, ...]:
    objective = str(run.study.get("study", {}).get("objective", "")) or "not stated in the study file"
    claims = ", ".join(c.identity for c in results.criteria) or "none"
    return (Paragraph(objective), Paragraph(f"Claims judged, and no others: {claims} (page 1)."))


def _method(run: RecordedRun, results: Results) -> tuple[Block, ...]:
    design = run.study.get("design", {})
    techniques = ", ".join(str(name) for name in design.get("techniques", [])) or DASH
    arms = ", ".join(PLANES.get(arm.plane, arm.plane) for arm in results.arms) or DASH
    account = results.accounting
    sample = (
        "demonstration size, not powered: intervals are wide, and no comparison should be made from it"
        if results.demonstration
        else "set by the study file; 59 trials without failure would show 95 % success with 95 % confidence"
    )
    pairs = (
        ("Arms", arms),
        ("Techniques", techniques),
        ("Repeats per approach", str(design.get("repeats", DASH))),
        ("Planned trials", f"{account.planned_n} on {len({t.cartridge_id for t in run.planned})} cartridges"),
        ("Benches", _benches_words(account.benches_n)),
        ("Randomisation", f"blocks of one trial per approach, random order, seed {results.seed}"),
        ("Sample size", sample),
        ("Aim point", _aim(results)),
        (
            "Tip position",
            "by the reference instrument at injection start, needle at rest; never from the guiding image",
        ),
        (
            "Success",
            "tip within the acceptance radius of its technique (S1: in its channel), right level, none of the "
            "violations V1-V6 found; without a tip position there is no success. A code that could not be evaluated is "
            "not held against a trial; Results lists such codes. " + explained("V1 V2 V3 V4 V5 V6"),
        ),
        (
            "Placed",
            "tip within that radius and as near to the nerve's surface as the technique asks (S1: in its channel), "
            "whatever the level and the violations",
        ),
        (
            "Reported according to",
            "ASTM F2554 for the terms and for separating bias from precision; ISO/IEC 17025 7.8 for the report",
        ),
        ("Not followed", "F2554's own phantom and pick sequence: the quantity here is a needle tip in gel"),
    )
    return (Facts((*pairs, *varied.words(run))),)


def _benches_words(n: int) -> str:
    if n > 1:
        return f"{n}, each built and mounted with its own random errors; bounds and differences are computed by bench"
    return "one: trials share its errors, and nothing is known about another bench" if n else "not recorded"


def _traceability(run: RecordedRun) -> tuple[Block, ...]:
    rows = []
    for device in run.devices:
        d, c = device.identity, device.calibration
        calibration = "; ".join(part for part in (c.identity, c.date, c.due and f"due {c.due}", c.uncertainty) if part)
        rows.append(
            (
                d.role.replace("_", " "),
                d.model,
                known(d.serial),
                d.driver,
                known(d.firmware),
                "simulated" if d.simulated else "real",
                "verified" if d.verified else "unverified",
                calibration or "none recorded",
            )
        )
    titles = ("Role", "Model", "Serial", "Driver", "Firmware", "Kind", "Driver state", "Calibration")
    caption = "Unverified: no transcript from the real device has been compared with the driver yet."
    devices = Table(titles, tuple(rows), "llllllll", (1.4, 1.7, 1.0, 1.5, 1.4, 1.1, 1.2, 2.0), caption)
    software = run.manifest.software if run.manifest else run.opened.get("software", {})
    versions = software.items() if isinstance(software, dict) else ()
    words = ", ".join(f"{name} {version}" for name, version in sorted(versions))
    first: Block = devices if rows else Paragraph("No device was identified in this run.", "warning")
    calibrated = certificates.table(run)
    second: tuple[Block, ...] = () if calibrated is None else (calibrated,)
    return (first, *second, *device_tests.table(run), Paragraph(f"Software: {words or 'not recorded'}.", "note"))


def _accounting(results: Results) -> tuple[Block, ...]:
    a = results.accounting
    rows = (
        ("Planned", str(a.planned_n), ""),
        (
            "Not closed",
            str(len(a.never_closed)),
            ", ".join(a.never_closed[:12]) + (" …" if len(a.never_closed) > 12 else ""),
        ),
        ("Not in the plan", str(len(a.unplanned)), ", ".join(a.unplanned[:12])),
        (
            "Interrupted",
            str(a.interrupted_n),
            "by a person, a kill or a fault of the program; not a failure of the technique"
            + (
                "; each repeated as a new trial"
                if a.interrupted_repeated_n == a.interrupted_n
                else f"; {a.interrupted_n - a.interrupted_repeated_n} not repeated: no verdict"
            )
            if a.interrupted_n
            else "",
        ),
        (
            "Ended by a device fault",
            str(sum(a.device_faults.values())),
            f"{counted(a.device_faults)}; by the rules of the plan, not a failure of the technique; each repeated as "
            "a new trial"
            if a.device_faults
            else "",
        ),
        (
            "Closed, all counted",
            str(a.closed_n),
            counted({k: n for k, n in a.outcomes.items() if k not in APART}),
        ),
        ("Tip measured", str(a.evaluated_n), "basis of all error figures"),
        (
            "Tip not measured",
            str(a.closed_n - a.evaluated_n),
            f"of these, truth missing: {a.truth_missing_n}; never a success"
            + (f". By the reference instrument: {counted(a.tip_unmeasured)}" if a.tip_unmeasured else ""),
        ),
    )
    note = "The success figures include every closed trial, but no interrupted trials and no device faults."
    flow = Table(("Step", "Trials", "Remark"), rows, "lrl", (2, 0.7, 5))
    return (flow, Paragraph(note, "note"), *((tables.faults(results),) if a.device_faults else ()))


_UNSEEN = {
    "V1 (way)": "V1 along the needle's way (it was judged where the tip came to rest)",
    "V4": "V4 (pleura, viscera: the phantom has no surrogate of either)",
}


def _not_evaluated(results: Results) -> str:
    """Violations that could not be evaluated, with the number of closed trials."""
    n = results.accounting.closed_n
    found = results.accounting.violations_not_evaluated.items()
    words = "; ".join(f"{_UNSEEN.get(code, code)} in {'all' if k == n else f'{k} of'} {n}" for code, k in found)
    meanings = explained(*(code for code in results.accounting.violations_not_evaluated if code not in _UNSEEN))
    return f"Violations that could not be evaluated, by closed trials: {words or 'none'}. {meanings}".strip()


def _results(results: Results) -> tuple[Block, ...]:
    if not results.approaches:
        return (Paragraph("No trial was planned or closed."),)
    blocks: list[Block] = [
        Paragraph("Distance from tip to aim point, success and placement by approach: page 1."),
        tables.accuracy(results),
        tables.components(results),
        tables.sources(results),
        tables.conduct(results),
        tables.confirmation(results),
        *((tables.elsewhere(results),) if _judged_by_truth(results) else ()),
    ]
    notes = sorted({g.tolerance.note for g in (*results.approaches, *results.arms) if g.tolerance.value is None})
    if notes:
        blocks.append(Paragraph(f"{DASH} in place of a bound: " + "; ".join(notes) + ".", "note"))
    blocks.append(Paragraph(_not_evaluated(results), "note"))
    if results.literature:
        blocks += [
            Paragraph("Published figures, beside the freehand arms only; other needles, operators and tissue:"),
            tables.literature(results),
        ]
    return tuple(blocks)


def _judged_by_truth(results: Results) -> bool:
    return any(share.n for group in results.arms for share in group.far_confirmations.values())


def _differences(results: Results, figures: Sequence[SavedFigure]) -> tuple[Block, ...]:
    if not results.contrasts:
        return (Paragraph("The run has one arm only."),)
    pictures = tuple(Picture(figure) for figure in figures if figure.name == "contrasts")
    return (tables.contrasts(results), *pictures)


def _deviations(results: Results) -> tuple[Block, ...]:
    if not results.deviations:
        return (Paragraph("No stop rule fired, and every trial ended with its checkout."),)
    return (
        Paragraph("Trials that were held, violated a rule, or did not end with their checkout:"),
        tables.deviations(results),
    )


def _limitations(results: Results) -> tuple[Block, ...]:
    points = [
        "A gel phantom is not a patient: it does not breathe, move, bleed or feel, and has no fascial planes.",
        "Nothing here is clinical advice, and no figure may be applied to patients.",
        "Results relate to the cartridges, devices and settings named in this report only.",
        _shared(results.accounting.benches_n),
    ]
    blocks: list[Block] = [Bullets(tuple(points))]
    if results.assumptions:
        blocks += [
            Paragraph("Assumptions of the simulation, none of them measured on a bench:"),
            Bullets(results.assumptions),
        ]
    return tuple(blocks)


def _anomalies(run: RecordedRun, results: Results) -> tuple[Block, ...]:
    versions = ", ".join(versions_of(run)) or "unknown"
    if not results.anomalies:
        return (Paragraph(f"No known anomaly can affect this record, made by phantomrig {versions}."),)
    lead = (
        f"Faults found since then in phantomrig {versions}, which made this record, where the record meets their "
        "conditions. The table says how to see whether a number was altered; this report gives the numbers as recorded."
    )
    return (Paragraph(lead, "warning"), tables.anomalies(results))


def _shared(benches_n: int) -> str:
    """Errors that the trials share, and the numbers that allow for them."""
    if benches_n > 1:
        return (
            "Trials on one bench share its build and its mounting. Bounds of the criteria and differences between arms "
            "allow for that (benches as clusters); the intervals in the tables by approach treat trials as independent."
        )
    return (
        "All trials ran on one bench and share its build and its mounting; another bench may give other figures. "
        "Trials in one cartridge share its pour, placement and age. Only the interval of a difference of mean errors "
        "(bootstrap over cartridges) allows for that. All other bounds and intervals, including those of the criteria "
        "and of the difference of successes, treat trials as independent: where cartridges differ, they are too narrow "
        "and the risk of a false pass is above 5 %."
    )


def _integrity(run: RecordedRun, results: Results) -> tuple[Block, ...]:
    manifest = run.manifest
    files = run.opened.get("files")
    named = files if isinstance(files, dict) else {}
    pairs = [
        ("Record", "intact" if not results.faults else "NOT INTACT"),
        ("Journal head", run.chain.head),
        ("Journal entries", str(len(run.chain.entries))),
        *((f"Cartridge {name}", chain.head) for name, chain in run.cartridge_chains.items()),
        *((f"{name} as run", str(digest)) for name, digest in sorted(named.items())),
    ]
    if manifest is not None:
        pairs += [
            ("Manifest", sha256_file(run.path / "manifest.json")),
            ("Files in the manifest", str(len(manifest.files))),
        ]
    how = (
        "How to verify: every journal line holds SHA-256 over the previous hash and the RFC 8785 form of its "
        "body; the last hash must be the head above. The manifest names the SHA-256 of every file, the root "
        "journal the heads of the cartridges' journals, and these the files of their trials. A chain alone does "
        "not show that its end was cut or that it was rewritten as a whole: compare the head and the manifest's "
        "hash with those printed here."
    )
    blocks: list[Block] = [Facts(tuple(pairs)), Paragraph(how)]
    if results.faults:
        blocks.append(Bullets(results.faults[:40]))
    return tuple(blocks)


_LISTED = (
    "trial_id",
    "cartridge_id",
    "approach",
    "outcome",
    "tte_mm",
    "tte_lat_mm",
    "tte_axial_mm",
    "n_passes",
    "n_holds",
    "t_total_s",
)


def _trials(run: RecordedRun) -> tuple[Block, ...]:
    if len(run.rows) > TRIALS_LISTED_MAX:
        return (Paragraph(f"{len(run.rows)} trials: see trials.csv."),)
    rows = tuple(tuple(cell(row[name]) for name in _LISTED) for row in run.rows)
    titles = ("Trial", "Cartridge", "Approach", "Outcome", "Error mm", "Lateral", "Axial", "Passes", "Stops", "Time s")
    table = Table(titles, rows, "llllrrrrrr", (0.7, 1.0, 3.0, 1.3, 0.9, 0.8, 0.8, 0.8, 0.7, 0.8))
    return (table, Paragraph("All columns are in trials.csv and trials.parquet.", "note"))


def _dictionary(columns: Sequence[Column]) -> tuple[Block, ...]:
    rows = tuple((c.name, known(c.unit), c.kind, c.text) for c in columns)
    note = "Columns of trials.csv, in order; an empty cell means not measured."
    codes = Paragraph(explained(*VIOLATIONS), "note")
    return (Paragraph(note), Table(("Column", "Unit", "Kind", "Meaning"), rows, "llll", (1.7, 0.7, 0.6, 5.0)), codes)
