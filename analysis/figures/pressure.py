"""Pressure during the injection of one trial per arm, with the events beside it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.figures.style import MUTED, Stamp, colour_of, new_figure
from analysis.group import PLANES
from analysis.tables import DataFrame, Series, measured
from rig.record import Entry, RecordedRun, Stream

CAPTION = (
    "Gauge pressure over the last injection of the trial whose peak pressure is the median of its arm; the tip's "
    "pressure is the line's less the loss in line and needle. Grey: flow or volume by the pump. Numbers refer to "
    "entries of the journal."
)
_EVENTS_MAX = 6
_GAP_NS = 3 * 10**9
"""Samples further apart than this belong to different injections."""
_MARGIN_NS = 2 * 10**9


def chosen(trials: DataFrame, plane: str) -> Series | None:
    """The closed trial of the arm whose peak pressure is the (lower) median."""
    own = measured(trials[trials["plane"] == plane], "p_peak_kpa").sort_values(["p_peak_kpa", "trial_id"])
    return own.iloc[(len(own) - 1) // 2] if len(own) else None


def draw(run: RecordedRun, trials: DataFrame, stamp: Stamp) -> Figure | None:
    """One panel per arm that injected; None when no pressure was recorded."""
    panels: list[tuple[Series, Stream, list[str], dict[str, Stream]]] = []
    for plane in PLANES:
        trial = chosen(trials, plane)
        if trial is None:
            continue
        streams = run.trial(trial["trial_id"]).streams()
        found = find_fields(streams, ("_kpa",))
        if found is not None and len(found[0].time_ns) > 1:
            panels.append((trial, *found, streams))
    if not panels:
        return None
    figure = new_figure(2.05 * len(panels) + 0.25, stamp)
    grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (trial, stream, fields, streams) in zip(grid, panels, strict=True):
        _panel(axes, trial, stream, fields, streams, run.events(trial["trial_id"]))
    return figure


_UNSHOWN = ("trial.", "state.", "spread", "needle_out", "uncertainty")
"""Events that say nothing about pressure."""


def find_fields(streams: dict[str, Stream], endings: tuple[str, ...]) -> tuple[Stream, list[str]] | None:
    """The first stream (by name) with fields of that unit, and these fields; endings in order of preference."""
    for ending in endings:
        for name in sorted(streams):
            fields = [field for field in streams[name].values if field.endswith(ending)]
            if fields:
                return streams[name], fields
    return None


def last_injection(time_ns: NDArray[np.int64], events: tuple[Entry, ...]) -> tuple[int, int]:
    """Start and end (ns) of the last injection, by its start in the journal, else by the last gap in the samples."""
    starts = [e.time_ns for e in events if "inject" in e.kind and e.kind.endswith("started")]
    ends = [e.time_ns for e in events if "inject" in e.kind and e.kind.endswith(("completed", "failed"))]
    if starts:
        after = [end for end in ends if end > starts[-1]]
        return starts[-1] - _MARGIN_NS, (after[-1] if after else starts[-1] + 15 * 10**9) + 4 * _MARGIN_NS
    gaps = np.flatnonzero(np.diff(time_ns) > _GAP_NS)
    first = int(gaps[-1]) + 1 if len(gaps) and int(gaps[-1]) + 2 < len(time_ns) else 0
    return int(time_ns[first]), int(time_ns[-1])


def words_of(event: Entry) -> str:
    """A journal entry in few words: its kind, and the state or source where it names one."""
    detail = next((str(event.data[key]) for key in ("state", "source", "purpose", "moment") if key in event.data), "")
    return f"{event.kind.replace('_', ' ').replace('.', ' ')} {detail}".strip()


def _panel(
    axes: Axes,
    trial: Series,
    stream: Stream,
    fields: list[str],
    streams: dict[str, Stream],
    events: tuple[Entry, ...],
) -> None:
    begin, end = last_injection(stream.time_ns, events)
    inside = (stream.time_ns >= begin) & (stream.time_ns <= end)
    if np.count_nonzero(inside) < 2:
        begin, end = int(stream.time_ns[0]), int(stream.time_ns[-1])
        inside = np.ones(len(stream.time_ns), dtype=bool)
    origin = int(stream.time_ns[inside][0])
    t_s = (stream.time_ns[inside] - origin) / 1e9
    plane = str(trial["plane"])
    for field, style in zip(fields, ("-", "--", ":", "-."), strict=False):
        label = field.removesuffix("_kpa").replace("sensor", "line")
        axes.plot(t_s, stream.values[field][inside], color=colour_of(plane), ls=style, label=label)
    lowest = min(float(np.nanmin(stream.values[field][inside], initial=0.0)) for field in fields)
    axes.set(xlabel="time (s)", ylabel="pressure (kPa)", xlim=(0.0, max(1.0, float(t_s[-1]))))
    axes.set_ylim(bottom=min(0.0, lowest))
    words = f"{trial['level']} {PLANES.get(plane, plane)}, {trial['side']}, trial {trial['trial_id']}"
    axes.set_title(words, loc="left")
    if len(fields) > 1:
        axes.legend(loc="lower right")
    _pump(axes, streams, origin, begin, end)
    shown = [e for e in events if begin <= e.time_ns <= end + _MARGIN_NS and not e.kind.startswith(_UNSHOWN)]
    marks = []
    for k, event in enumerate(shown[:_EVENTS_MAX], start=1):
        at = min((event.time_ns - origin) / 1e9, 0.985 * float(t_s[-1]))
        axes.axvline(at, color=MUTED, lw=0.6, ls=":")
        place = (at, 1.0)
        axes.annotate(str(k), place, xycoords=("data", "axes fraction"), xytext=(2, -8), textcoords="offset points")
        marks.append(f"{k} {words_of(event)}")
    if marks:
        axes.set_xlabel("time (s)    " + "   ".join(marks), fontsize=7.0)


def _pump(axes: Axes, streams: dict[str, Stream], origin: int, begin: int, end: int) -> None:
    found = find_fields(streams, ("_ml", "_ml_min"))
    if found is None:
        return
    stream, (field, *_) = found
    within = (stream.time_ns >= begin) & (stream.time_ns <= end)
    if not within.any():
        return
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    right.plot((stream.time_ns[within] - origin) / 1e9, stream.values[field][within], color=MUTED, lw=0.9)
    right.set_ylabel("flow (mL/min)" if field.endswith("_min") else "volume (mL)", color=MUTED)
    right.set_ylim(bottom=0)
