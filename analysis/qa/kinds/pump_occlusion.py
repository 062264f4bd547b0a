"""Occlusion of a pump's line: pressure and time at the stop, compliance, tightness, volume after the release.

In the manner of IEC 60601-2-24, with the line closed before the pump starts: the slope of the pressure is the same, and
the time to the stop includes the slack of the drive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from analysis.figures.style import COLOUR, MUTED, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.kinds import weighed
from analysis.qa.kinds.weighed import Rest, value
from analysis.qa.methods.drift import slope
from analysis.qa.methods.occlusion import Occlusion, occlusion
from analysis.qa.methods.readings import Readings
from analysis.qa.outcome import Figure, Outcome
from hal.errors import ConfigError
from rig.record import Field

SMOOTH_N = 5
ONSET_KPA = 3.0
"""Above the line at rest: the slack is taken up [A]."""
TOP_SHARE = 0.995
"""Of the highest smoothed pressure: there the plunger stood [A]."""
LEAST_HOLD_S = 2.0
OWN_ALARM, PRESSURE_RULE = 1.0, 2.0
STOPPED_BY = {OWN_ALARM: "the pump's own alarm", PRESSURE_RULE: "the pressure rule of the rig"}
ML_MIN_TO_ML_H = 60.0


@dataclass(frozen=True)
class _Closed:
    """One closed line."""

    found: Occlusion
    start_to_stop_s: float
    hold_loss_kpa_s: float | None
    time_s: Readings
    """From the start of the pump."""
    kpa: Readings
    onset_s: float


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """Means over the repeats, and their scatter."""
    rows = tables["occlusions"]
    if why := weighed.not_measured(rows, ("rate_ml_min", "stopped_by", "rest_s", "start_s", "held_s")):
        return Outcome((), invalid=f"occlusions: {why}")
    try:
        closed = [_one(row, tables, parameters) for row in rows.to_dict("records")]
    except ConfigError as error:
        return Outcome((), invalid=str(error))
    by = np.unique(rows.stopped_by.to_numpy(float))
    notes = [f"stopped by {' and by '.join(STOPPED_BY.get(b, 'something unknown') for b in by)}"]
    collected = [one.found.bolus_ml for one in closed if one.found.bolus_ml is not None]
    if collected:
        notes.append(weighed.conversion(parameters).words)
    curves = [{"time_s": c.time_s.tolist(), "kpa": c.kpa.tolist(), "stop_s": c.start_to_stop_s} for c in closed]
    extra: dict[str, object] = {"curves": curves}
    return Outcome(_figures(closed, collected, parameters), tuple(notes), extra=extra)


def _one(row: dict[str, float], tables: Tables, parameters: Parameters) -> _Closed:
    log = tables["pressure"]
    own = log[(log.time_s >= row["rest_s"]) & (log.time_s <= row["held_s"])].drop_duplicates("time_s")
    t, kpa = own.time_s.to_numpy(float), own.kpa.to_numpy(float)
    if len(t) < 4 * SMOOTH_N:
        raise ConfigError(f"{len(t)} readings of the pressure in a closed line, at least {4 * SMOOTH_N} are needed")
    smooth: Readings = median_filter(kpa, SMOOTH_N, mode="nearest")
    rest_kpa = float(kpa[t <= row["start_s"]].mean()) if np.any(t <= row["start_s"]) else float(kpa[0])
    top_kpa = float(smooth.max())
    if top_kpa < rest_kpa + 3.0 * ONSET_KPA:
        raise ConfigError(
            f"the pressure rose by {top_kpa - rest_kpa:.1f} kPa only: it was not closed, or leaks all that it gets"
        )
    onset_s = float(t[np.argmax(smooth >= rest_kpa + ONSET_KPA)])
    stop_s = float(t[np.argmax(smooth >= rest_kpa + TOP_SHARE * (top_kpa - rest_kpa))])
    bolus_ml = None
    if np.isfinite(row["after_g"]) and np.isfinite(row["before_g"]):
        bolus_ml = (row["after_g"] - row["before_g"]) * weighed.conversion(parameters).ml_per_g
    found = occlusion(
        t, kpa, closed_s=onset_s, alarm_s=stop_s, rate_ml_h=ML_MIN_TO_ML_H * row["rate_ml_min"], bolus_ml=bolus_ml
    )
    held = (t > stop_s + 0.2) & (t <= row["held_s"])
    loss = None
    if np.sum(held) > SMOOTH_N and float(np.ptp(t[held])) >= LEAST_HOLD_S:
        loss = -slope(t[held], kpa[held]).value
    return _Closed(found, stop_s - row["start_s"], loss, t - row["start_s"], kpa, onset_s - row["start_s"])


def _figures(closed: Sequence[_Closed], collected: Sequence[float], parameters: Parameters) -> tuple[Figure, ...]:
    n, flow_u = len(closed), value(parameters, "flow_u_percent") / 100.0
    stated = value(parameters, "compliance_ul_kpa")

    def mean(name: str, values: Sequence[float], u_one: float, why: str = "") -> Figure:
        """With the larger of scatter and what one of them is uncertain by, over the root of n."""
        unit, words = FIGURES[name]
        if not values:
            return Figure(name, words, None, unit, why=why)
        scatter = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return Figure(name, words, float(np.mean(values)), unit, max(scatter, u_one) / len(values) ** 0.5, len(values))

    compliance = [one.found.compliance_ul_kpa for one in closed]
    softness = mean("compliance_ul_kpa", compliance, flow_u * float(np.mean(compliance)))
    mean_ul_kpa, stored_ml = float(np.mean(compliance)), [one.found.stored_ml for one in closed]
    off = Figure(
        "compliance_off_percent", FIGURES["compliance_off_percent"][1], 100.0 * (mean_ul_kpa / stated - 1.0),
        "%", None if softness.u is None else 100.0 * softness.u / stated, n,
    )  # fmt: skip
    u_ml = _u_bolus_ml(float(np.mean(collected)), parameters) if collected and np.mean(collected) > 0.0 else 0.0
    losses = [one.hold_loss_kpa_s for one in closed if one.hold_loss_kpa_s is not None]
    return (
        mean("stop_kpa", [one.found.alarm_kpa for one in closed], value(parameters, "pressure_u_kpa")),
        mean("time_to_stop_s", [one.start_to_stop_s for one in closed], 0.02),
        mean("rise_time_s", [one.start_to_stop_s - one.onset_s for one in closed], 0.02),
        softness,
        off,
        mean("stored_ml", stored_ml, flow_u * float(np.mean(stored_ml))),
        mean("bolus_ml", collected, u_ml, "what came after the release was not weighed"),
        mean("hold_loss_kpa_s", losses, 0.02, "the closed line was not watched after the stop"),
    )  # fmt: skip


def _u_bolus_ml(volume_ml: float, parameters: Parameters) -> float:
    budget = weighed.budget(volume_ml, 30.0, parameters, Rest(None, ""), flowing=False)
    return budget.u_percent / 100.0 * volume_ml


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Pressure of every closed line from the start of the pump."""
    curves = outcome.extra["curves"]
    assert isinstance(curves, list)
    drawing = new_figure(2.6, stamp)
    axes = drawing.subplots()
    for k, curve in enumerate(curves):
        label = "line closed" if k == 0 else None
        axes.plot(curve["time_s"], curve["kpa"], color=COLOUR["in_plane"], linewidth=0.9, label=label)
        axes.axvline(curve["stop_s"], color=MUTED, linewidth=0.7, linestyle="--", label="stop" if k == 0 else None)
    axes.set(xlabel="time from the start of the pump (s)", ylabel="pressure (kPa)")
    axes.legend(loc="best")
    caption = "Pressure in the closed line of every repeat; at the dashed lines the plunger stood."
    return (Plot("occlusion", "Occlusion", caption, "Pressure that rises and then stays", drawing),)


FIGURES: dict[str, tuple[str, str]] = {
    "stop_kpa": ("kPa", "pressure at which the pump stood"),
    "time_to_stop_s": ("s", "from the start of the pump until it stood"),
    "rise_time_s": ("s", "from the beginning of the rise until it stood"),
    "compliance_ul_kpa": ("uL/kPa", "compliance of syringe and line"),
    "compliance_off_percent": ("%", "compliance against the one that the rig file states"),
    "stored_ml": ("mL", "volume stored in the line at the stop"),
    "bolus_ml": ("mL", "volume after the release"),
    "hold_loss_kpa_s": ("kPa/s", "fall of the pressure in the closed line after the stop"),
}
PUMP_OCCLUSION = Evaluation(
    name="pump_occlusion",
    words="occlusion of the line: pressure and time at the stop, compliance, volume after the release",
    tables={
        "occlusions": (
            Field("rate_ml_min", "mL/min"), Field("stopped_by", ""), Field("rest_s", "s"), Field("start_s", "s"),
            Field("held_s", "s"), Field("before_g", "g"), Field("after_g", "g"),
        ),
        "pressure": (Field("kpa", "kPa"),),
    },
    figures=FIGURES,
    evaluate=evaluate,
    parameters={
        "rate_ml_min": (1.0, "set rate"),
        "volume_ml": (0.5, "set volume: more than the line can hold at the stop"),
        "repeats": (3, "closed lines"),
        "hold_s": (5.0, "the closed line is watched for so long after the stop"),
        "priming_ml": (0.5, "delivered before, so that line and slack are taken up"),
        "compliance_ul_kpa": (0.5, "as the rig file states it"),
        "flow_u_percent": (4.0, "standard uncertainty of the pump's rate within a part of a turn of its screw"),
        "pressure_u_kpa": (0.5, "standard uncertainty of the pressure sensor"),
        **weighed.PARAMETERS,
    },
    timed=True,
    untimed=frozenset({"occlusions"}),
    least={**weighed.LEAST, "rate_ml_min": 0.001, "volume_ml": 0.001, "repeats": 1, "compliance_ul_kpa": 0.001},
    draw=draw,
)  # fmt: skip
