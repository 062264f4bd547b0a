"""Pictures of residuals that tell a person what is wrong: written as PNG or SVG by the name of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hal.errors import CalibrationRefused
from rig.calibration.phantom.diagnosis import rigid_rest
from rig.calibration.time.lag import TemporalCalibration
from rig.calibration.tool.pivot import PivotCalibration
from rig.geometry.fiducials import Fiducials
from rig.geometry.tre import expected_fre_mm

BAD, GOOD, GREY = "#c0392b", "#1f6fb2", "#7f8c8d"


def _figure(columns: int, width: float = 12.0, height: float = 5.0) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(1, columns)))


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    return path


def draw_registration(
    path: Path,
    nominal: Fiducials,
    measured: Fiducials,
    fle_mm: float,
    refusal: CalibrationRefused | None = None,
    note: str = "",
) -> Path:
    """Residual of every landmark as an arrow, from above and from the side, and as bars against what is expected.

    Works on refused sets too: the pattern of the arrows is the diagnosis (all outward along one axis: scale; two
    long ones: a swap; one long one: a bad point). ``note`` stands on top.
    """
    names = tuple(n for n in nominal.names if n in measured.names)
    a, b = nominal.only(names), measured.only(names)
    rest = -rigid_rest(b.points_mm, a.points_mm)  # measured minus nominal, drawn in the nominal frame
    length = np.linalg.norm(rest, axis=1)
    expected = expected_fre_mm(len(a), fle_mm) if len(a) > 2 else fle_mm
    reach = float(np.ptp(a.points_mm, axis=0).max())
    factor = 0.2 * reach / max(float(length.max()), 1e-9)
    figure, axes = _figure(3, 15.0)
    for ax, (i, j), title in ((axes[0], (0, 1), "from above"), (axes[1], (0, 2), "from the side")):
        ax.scatter(a.points_mm[:, i], a.points_mm[:, j], color=GREY, zorder=2)
        for k, name in enumerate(a.names):
            color = BAD if length[k] > 2.5 * expected else GOOD
            tail = (float(a.points_mm[k, i]), float(a.points_mm[k, j]))
            head = (tail[0] + factor * float(rest[k, i]), tail[1] + factor * float(rest[k, j]))
            ax.plot(*head, ".", ms=1, color=color)
            ax.annotate("", head, tail, arrowprops={"arrowstyle": "->", "color": color, "lw": 2})
            ax.annotate(name, tail, xytext=(6, 6 if k % 2 else -16), textcoords="offset points")
        ax.set_xlabel(f"{'xyz'[i]} nominal, mm")
        ax.set_ylabel(f"{'xyz'[j]} nominal, mm")
        ax.set_title(f"{title}; arrows: measured minus fitted, x {factor:.3g}")
        ax.margins(0.25)
        ax.set_aspect("equal", adjustable="datalim")
        if j == 2:
            ax.invert_yaxis()
    y = np.arange(len(names))
    axes[2].barh(y, length, color=[BAD if v > 2.5 * expected else GOOD for v in length])
    axes[2].axvline(expected, color="black", ls="--", label=f"expected from FLE {fle_mm:.3g} mm: {expected:.2f} mm")
    axes[2].set_yticks(y, names)
    axes[2].invert_yaxis()
    axes[2].set_xlabel("residual after the fit, mm (not accuracy)")
    axes[2].legend(loc="best")
    if refusal is None:
        figure.suptitle(f"{note}   accepted".strip(), color=GOOD)
    else:
        figure.suptitle(f"{note}   REFUSED: {wrapped(refusal.reason)}".strip(), color=BAD, fontsize=10)
    return _save(figure, path)


def draw_temporal(path: Path, result: TemporalCalibration, note: str = "") -> Path:
    """The two signals laid on each other, the match over all lags, and the lag of single samples; ``note`` on top."""
    figure, axes = _figure(3, 16.0)
    axes[0].plot(
        result.times_s, result.fitted, "-", color=GREY, lw=2, label=f"{_short(result.second)}, shifted and scaled"
    )
    axes[0].plot(result.times_s, result.observed, ".", color=GOOD, label=_short(result.first))
    axes[0].set_xlabel("time, s")
    axes[0].set_ylabel(f"position, {result.unit}")
    axes[0].set_xlim(result.times_s[0], result.times_s[0] + min(10.0, float(np.ptp(result.times_s))))
    axes[0].legend(loc="upper right", fontsize=8)
    axes[0].margins(y=0.25)
    axes[0].set_title(f"residual {result.residual_rms:.3g} {result.unit} rms")
    axes[1].plot(1e3 * result.lags_s, result.correlations, color=GOOD)
    axes[1].axvspan(1e3 * result.interval_s[0], 1e3 * result.interval_s[1], color=BAD, alpha=0.25)
    axes[1].axvline(
        1e3 * result.lag_s,
        color=BAD,
        label=f"{1e3 * result.lag_s:+.1f} ms (95 %: {1e3 * result.interval_s[0]:+.1f} "
        f"to {1e3 * result.interval_s[1]:+.1f})",
    )
    if result.rival_lag_s is not None:
        axes[1].axvline(
            1e3 * result.rival_lag_s,
            color=GREY,
            ls=":",
            label=f"next best {1e3 * result.rival_lag_s:+.0f} ms, {result.rival_t:.1f} standard errors worse",
        )
    axes[1].set_xlabel("lag, ms")
    axes[1].set_ylabel("correlation (negative: axes run against each other)")
    axes[1].legend(loc="lower left", fontsize=8)
    samples = 1e3 * result.latency.samples_s
    if len(samples):
        low, high = np.percentile(samples, [0.5, 99.5])
        axes[2].hist(np.clip(samples, low, high), bins=30, color=GOOD)
    axes[2].axvline(1e3 * result.lag_s, color=BAD)
    cost = result.latency.cost(10.0)
    axes[2].set_title(f"at 10 mm/s: {cost.uncorrected_mm:.2f} mm uncorrected; jitter {cost.jitter_mm:.2f} mm")
    axes[2].set_xlabel("apparent lag of single fast samples, ms")
    late = f"{_short(result.late_stream)} is late by {1e3 * abs(result.lag_s):.1f} ms"
    figure.suptitle(f"{note}: {late}" if note else late)
    return _save(figure, path)


def draw_pivot(path: Path, result: PivotCalibration, note: str = "") -> Path:
    """Residual of every pose against time and across, and the directions that the shaft took; ``note`` on top."""
    figure, axes = _figure(3, 15.0)
    kept = np.ones(len(result.residuals_mm), dtype=bool)
    kept[list(result.outliers)] = False
    length = np.linalg.norm(result.residuals_mm, axis=1)
    index = np.arange(len(length))
    axes[0].plot(index[kept], length[kept], ".", color=GOOD, label="used")
    if not kept.all():
        axes[0].plot(
            index[~kept], np.minimum(length[~kept], 5.0 * length[kept].max()), "x", color=BAD, label="left out"
        )
    axes[0].axhline(result.rms_mm, color="black", ls="--", label=f"rms {result.rms_mm:.2f} mm")
    axes[0].set_xlabel("pose")
    axes[0].set_ylabel("distance of the tip from the pivot, mm")
    axes[0].legend(loc="upper right")
    points: NDArray[np.float64] = result.residuals_mm[kept]
    for (i, j), marker in (((0, 1), "."), ((0, 2), "+")):
        axes[1].plot(points[:, i], points[:, j], marker, ms=4, label=f"{'xyz'[i]}, {'xyz'[j]}")
    axes[1].set_aspect("equal", adjustable="datalim")
    axes[1].set_xlabel("residual, mm (a cloud: noise; a line or two clouds: slipping)")
    axes[1].legend()
    mean = result.directions.mean(axis=0)
    mean /= np.linalg.norm(mean)
    side = np.cross(mean, np.eye(3)[int(np.argmin(np.abs(mean)))])
    side /= np.linalg.norm(side)
    angles = np.degrees(np.arcsin(np.clip(result.directions @ np.column_stack([side, np.cross(mean, side)]), -1, 1)))
    axes[2].plot(angles[:, 0], angles[:, 1], "-", color=GOOD, lw=0.8)
    axes[2].set_aspect("equal", adjustable="datalim")
    axes[2].set_xlabel("direction of the shaft, deg")
    axes[2].set_title(f"spread {result.spread_deg:.0f} deg; tip known to {result.tip_sd_mm:.3f} mm (standard)")
    if note:
        figure.suptitle(note)
    return _save(figure, path)


def _short(name: str) -> str:
    return name if len(name) < 40 else "..." + name[-36:]


def wrapped(text: str, width: int = 150) -> str:
    """In lines of about ``width`` letters."""
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) > width:
            lines.append(line)
            line = ""
        line += word + " "
    return "\n".join([*lines, line])
