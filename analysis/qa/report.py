"""Report of one QA run: a summary page with the verdict, then method, equipment, readings and record.

Sections follow the fields of ISO/IEC 17025:2017, 7.8.2.1 [edition and clause not compared with the document].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from analysis.figures.style import SavedFigure, Stamp, save, styled
from analysis.qa.evaluation import Value
from analysis.qa.outcome import Figure
from analysis.qa.recorded import QaResults, analyse_qa
from analysis.qa.verdict import Judged
from analysis.report import render_html, render_pdf
from analysis.report.view import Block, Bullets, Facts, Paragraph, Picture, Section, Table, View
from rig.record.appendfile import write_whole
from rig.record.derived import write_derived

DASH = "–"
BANNER = "SIMULATED DATA"
BANNER_NOTE = "No real device took part. Verdicts are in the conditional."
RULES = {
    "guarded": (
        "Decision rule, fixed before the test: PASS when the figure meets its limit by more than its expanded "
        "uncertainty (k = 2; risk of a false pass at most 2.3 % for a normal error), MARGINAL when it meets the limit "
        "by less or its uncertainty is not known, FAIL when it does not meet the limit."
    ),
    "simple": "Decision rule, fixed before the test: the figure alone is compared with its limit, without uncertainty.",
}


def make_qa_report(path: Path) -> QaResults:
    """Write ``results.json``, ``figures/``, ``report.html`` and ``report.pdf`` of a QA run folder.

    What was made before is replaced; the record is not touched. Raises ``ConfigError``, ``RecordError``.
    """
    results = analyse_qa(path)
    write_whole(path / "results.json", results.as_bytes())
    view = compose_qa(results, _draw_figures(results, path / "figures"))
    write_whole(path / "report.html", render_html(view))
    write_whole(path / "report.pdf", render_pdf(view))
    write_derived(results.run)
    return results


def _draw_figures(results: QaResults, folder: Path) -> list[SavedFigure]:
    draw = results.evaluation.draw
    if draw is None or results.outcome.invalid:
        return []
    folder.mkdir(exist_ok=True)
    stamp = Stamp(results.simulated, demonstration=False)
    with styled():
        plots = draw(results.tables, results.outcome, stamp)
        return [
            SavedFigure(p.name, save(p.drawing, folder / f"{p.name}.svg"), p.title, p.caption, p.alt) for p in plots
        ]


def compose_qa(results: QaResults, figures: Sequence[SavedFigure]) -> View:
    """View of the report."""
    acceptance, manifest = results.acceptance, results.run.manifest
    return View(
        title=acceptance.title,
        report_id=results.run.path.name,
        date=manifest.ended_utc[:10] if manifest else "",
        banner=BANNER if results.simulated else "",
        note=BANNER_NOTE if results.simulated else "",
        watermark=BANNER.split()[0] if results.simulated else "",
        subject=f"Device QA: {acceptance.device or 'whole bench'}, {acceptance.method.words}",
        verdict=results.verdict.word,
        verdict_reason=results.verdict.reason,
        verdict_class=_class(results.verdict.word),
        criteria=_criteria(results),
        cover=(
            *(
                (Paragraph("THE RECORD IS NOT INTACT. " + "; ".join(results.faults[:6]), "warning"),)
                * bool(results.faults)
            ),
            _figures(results.outcome.figures),
            *((Bullets(results.outcome.notes),) * bool(results.outcome.notes)),
            Paragraph(RULES[acceptance.decision_rule] + " Results relate only to the items tested.", "note"),
            *(Picture(figure) for figure in figures),
        ),
        sections=(
            Section("Items", _items(results)),
            Section("Method and departures", _method(results)),
            Section("Reference", _reference(results)),
            Section("Requirements", (_matrix(results),)),
            Section("Devices of the rig", _devices(results)),
            Section("Integrity of the record", _integrity(results)),
        ),
    )


def _class(word: str) -> str:
    for name in ("PASS", "MARGINAL", "FAIL"):
        if name in word:
            return name.lower()
    return "none"


def number(value: float | None, unit: str = "", expanded: float | None = None) -> str:
    """A number with its unit: to two digits of its expanded uncertainty, else four digits; a dash for None."""
    if value is None:
        return DASH
    if expanded is None or expanded <= 0.0 or not math.isfinite(expanded):
        return f"{value:.4g} {unit}".rstrip()
    places = max(0, 1 - math.floor(math.log10(expanded)))
    return f"{value:.{places}f} {unit}".rstrip()


def _criteria(results: QaResults) -> Table:
    rows = tuple(_criterion(judged, results.simulated) for judged in results.verdict.judged)
    titles = ("Id", "Figure", "Limit", "Source", "Value", "U (k=2)", "Verdict")
    return Table(titles, rows, "lllcrrl", (1.5, 3.0, 1.2, 1.2, 1.2, 1.1, 1.4))


def _criterion(judged: Judged, simulated: bool) -> tuple[str, ...]:
    figure, limit = judged.figure, judged.limit
    value = number(figure.value, figure.unit, figure.expanded) if figure else DASH
    expanded = number(figure.expanded, figure.unit, figure.expanded) if figure else DASH
    word, words = _word(judged, simulated), figure.words if figure else limit.figure
    return (limit.id, words, limit.words, limit.source, value, expanded, word)


def _word(judged: Judged, simulated: bool) -> str:
    """Verdict of a criterion; nothing has passed on a simulated device."""
    return ("WOULD " if simulated and judged.verdict in ("PASS", "FAIL") else "") + judged.verdict


def _figures(figures: Sequence[Figure]) -> Block:
    if not figures:
        return Paragraph("No figure can be given.", "warning")
    rows = tuple(
        (f.words, number(f.value, f.unit, f.expanded), number(f.expanded, f.unit, f.expanded), str(f.n or DASH), f.why)
        for f in figures
    )
    return Table(("Figure", "Value", "U (k=2)", "n", "Remark"), rows, "lrrrl", (4.0, 1.4, 1.2, 0.7, 2.4))


def _items(results: QaResults) -> tuple[Block, ...]:
    items = results.acceptance.items
    if not items:
        return (
            Paragraph("The acceptance file names no items: the report cannot say which piece was tested.", "warning"),
        )
    rows = tuple(
        (i.role, i.name, f"{i.maker} {i.model}".strip() or DASH, i.serial or DASH, i.lot or DASH, i.software or DASH,
         "; ".join(filter(None, (i.finished, i.condition))) or DASH)
        for i in sorted(items, key=lambda i: i.role != "device under test")
    )  # fmt: skip
    return (Table(("Role", "Item", "Maker, model", "Serial", "Lot", "Software", "Condition"), rows, "lllllll"),)


def _method(results: QaResults) -> tuple[Block, ...]:
    method, settings = results.acceptance.method, results.evaluation.settings(results.acceptance.parameters)
    rows = tuple((name, _setting(value), results.evaluation.parameters[name][1]) for name, value in settings.items())
    blocks: list[Block] = [
        Paragraph(f"{results.evaluation.words[:1].upper()}{results.evaluation.words[1:]}; {method.words}.")
    ]
    if rows:
        blocks.append(Table(("Parameter", "Value", "Meaning"), rows, "lrl"))
    return tuple(blocks)


def _setting(value: Value) -> str:
    return ", ".join(f"{x:g}" for x in value) if isinstance(value, tuple) else str(value)


def _reference(results: QaResults) -> tuple[Block, ...]:
    reference = results.acceptance.reference
    stated = number(reference.expanded_uncertainty, reference.unit)
    pairs = (
        ("Reference", reference.name),
        ("Expanded uncertainty (k = 2)", stated if reference.expanded_uncertainty else "not stated"),
        ("Certificate", reference.certificate or DASH),
        ("May use up of a limit, at most", f"{100 * reference.share_max:.0f} %"),
    )
    return (Facts(pairs),)


def _matrix(results: QaResults) -> Table:
    rows = tuple(
        (
            ", ".join(filter(None, (j.limit.requirement, j.limit.risk_control, j.limit.claim))) or "informative",
            results.acceptance.method.document, j.limit.id, results.acceptance.device or "bench",
            _word(j, results.simulated),
        )
        for j in results.verdict.judged
    )  # fmt: skip
    return Table(("Requirement", "Method", "Criterion", "Item", "Result"), rows, "lllll")


def _devices(results: QaResults) -> tuple[Block, ...]:
    rows = tuple(
        (d.identity.role, d.identity.model or d.identity.driver, d.identity.serial or DASH, d.identity.firmware or DASH,
         "simulated" if d.identity.simulated else "real")
        for d in results.run.devices
    )  # fmt: skip
    if not rows:
        return (Paragraph("No device of a rig took part: the readings come from files."),)
    return (Table(("Role", "Model", "Serial", "Firmware", ""), rows, "lllll"),)


def _integrity(results: QaResults) -> tuple[Block, ...]:
    manifest = results.run.manifest
    pairs = [("Run folder", results.run.path.name), ("Journal head", results.run.chain.head)]
    if manifest is not None:
        pairs += [("Begun, ended (UTC)", f"{manifest.started_utc}, {manifest.ended_utc}"), ("Host", manifest.host)]
        pairs += [(name, digest) for name, digest in manifest.files.items()]
    return (Facts(tuple(pairs)),)
