"""Page of a device's figures over time, and the page of the whole station."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from analysis.figures.style import COLOUR, INK, LIMIT, MUTED, SavedFigure, Stamp, new_figure, save, styled
from analysis.qa.methods.charts import Chart
from analysis.qa.report import BANNER, BANNER_NOTE, number
from analysis.qa.trend import Trend
from analysis.report import render_html
from analysis.report.view import Block, Paragraph, Picture, Section, Table, View
from rig.record.appendfile import write_whole

DASH = "–"


def write_trend(trends: Sequence[Trend], simulated: bool, out: Path) -> Path:
    """Write ``trend-TEST.html`` into ``out`` with a chart per figure; returns its path. Raises ``RecordError``."""
    acceptance = trends[0].acceptance
    folder = out / f"trend-{acceptance}"
    folder.mkdir(exist_ok=True)
    with styled():
        pictures = [_picture(trend, folder, Stamp(simulated, demonstration=False)) for trend in trends]
    drifting = [trend.drifting for trend in trends if trend.drifting]
    rows = tuple(
        (t.figure, str(t.days[s.index]), t.runs[s.index], s.rule, number(s.value, t.unit))
        for t in trends
        for s in sorted((*t.shewhart.signals, *t.average.signals), key=lambda s: s.index)
    )
    signals: Block = Paragraph("No rule fired.")
    if rows:
        signals = Table(("Figure", "Day", "Run", "Rule", "Value"), rows, "llllr", (1.5, 1.0, 2.2, 2.0, 1.2))
    page = View(
        title=f"{acceptance}: figures over time",
        report_id=acceptance,
        date=str(max(t.days[-1] for t in trends)),
        banner=BANNER if simulated else "",
        note=BANNER_NOTE if simulated else "",
        watermark=BANNER.split()[0] if simulated else "",
        subject="Device QA: control charts with designed limits",
        verdict="DRIFTING" if drifting else "STEADY",
        verdict_reason="; ".join(drifting) or "no rule fires on the newest point of any figure",
        verdict_class="fail" if drifting else "pass",
        criteria=_designs(trends),
        cover=(*(Picture(picture) for picture in pictures), signals),
        sections=(Section("Rules", (_rules(trends),)),),
    )
    path = out / f"trend-{acceptance}.html"
    write_whole(path, render_html(page))
    return path


def _designs(trends: Sequence[Trend]) -> Table:
    rows = tuple(
        (
            t.figure, number(t.shewhart.centre, t.unit), number(float(t.shewhart.lower[0]), t.unit),
            number(float(t.shewhart.upper[0]), t.unit), str(len(t.days)), "; ".join(t.shewhart.remarks) or DASH,
        )
        for t in trends
    )  # fmt: skip
    return Table(("Figure", "Centre", "Lower limit", "Upper limit", "Runs", "Remarks"), rows, "lrrrrl")


def _rules(trends: Sequence[Trend]) -> Block:
    phases = sorted({phase for t in trends for phase in t.phases})
    text = (
        "Individuals: Western Electric rules 1 to 4 at limits of three standard deviations; the mean run length of a "
        "healthy device is 92 runs, not the 370 of the limits alone. EWMA: weight 0.2, limits at 2.962 of its own "
        f"standard deviations. Charts begin anew with each phase: {'; '.join(phases)}. Limits were designed before "
        "the points that they judge, are kept in trend.toml, and are not recomputed."
    )
    return Paragraph(text, "note")


def _picture(trend: Trend, folder: Path, stamp: Stamp) -> SavedFigure:
    drawing = new_figure(3.6, stamp)
    above, below = drawing.subplots(2, 1, sharex=True)
    for axes, chart in ((above, trend.shewhart), (below, trend.average)):
        _draw(axes, trend, chart)
    above.set_ylabel(f"{trend.figure}")
    below.set_ylabel("EWMA")
    below.tick_params(axis="x", rotation=30)
    path = save(drawing, folder / f"{trend.figure}.svg")
    text = "Above: single runs with centre and limits; below: their moving average. Red: a rule fires."
    return SavedFigure(trend.figure, path, trend.figure, text, "Two control charts over time")


def _draw(axes: Axes, trend: Trend, chart: Chart) -> None:
    days = np.array(trend.days, "datetime64[D]")
    axes.plot(days, chart.value, "o-", color=COLOUR["in_plane"], mec=INK, mew=0.3, ms=3, lw=0.8)
    fired = sorted({signal.index for signal in chart.signals})
    axes.plot(days[fired], chart.value[fired], "o", color=LIMIT, ms=5)
    axes.axhline(chart.centre, color=MUTED, linewidth=0.8)
    for bound in (chart.lower, chart.upper):
        axes.plot(days, bound, color=LIMIT, linewidth=0.8, linestyle="--")
