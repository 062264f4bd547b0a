"""Analyse a run folder and write its results and report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from analysis.analyse import analyse
from analysis.figures import draw_all
from analysis.report import compose, render_html, render_pdf
from rig.record import RunFolder
from rig.record.appendfile import write_whole
from rig.record.derived import write_derived


def make_report(run: Path, tell: Callable[[str], None] = lambda _: None) -> Path:
    """Write ``results.json``, ``figures/``, ``report.html``, ``report.pdf``; returns the path of the HTML page.

    Works on a new run and on an old one alike; what analysis wrote before is replaced, the record itself is not
    touched. ``derived.json`` names what was made from which record. ``tell`` is given what a person should know of it.
    Raises ``ConfigError`` when the folder cannot be used and ``RecordError`` when it cannot be written.
    """
    recorded = RunFolder.open(run)
    if recorded.manifest is None:
        tell(f"{run} was not sealed (killed, or still running): what is there is analysed, and the report says so")
    results = analyse(recorded)
    write_whole(run / "results.json", results.as_bytes())
    view = compose(recorded, results, draw_all(recorded, results, run / "figures"))
    write_whole(run / "report.html", render_html(view))
    write_whole(run / "report.pdf", render_pdf(view))
    write_derived(recorded)
    for anomaly in results.anomalies:
        tell(f"known anomaly {anomaly.id}: {anomaly.words}")
    return run / "report.html"
