"""Pictures of a probe calibration that tell a person what is wrong: by wire, by frame, and on the image itself."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hal.links.sequence import Sequence
from rig.calibration.probe.dots import luminance
from rig.calibration.probe.errors import misfit_px
from rig.calibration.probe.nwire import NWireCalibration, NWireRefused, RecordingResult
from rig.calibration.probe.solve import predicted_dots_px

_COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:olive")
_REFUSED = "0.6"


def draw_residuals(result: NWireCalibration, path: Path, refused: str = "", note: str = "") -> None:
    """One page: misfit of each wire, error of each frame with refused ones marked, findings.

    ``refused``: why the whole calibration was refused; it stands on top then. ``note`` stands above all.
    """
    parts = [p for p in (result.calibration, result.validation) if p is not None]
    figure = Figure(figsize=(12, 4.2 * len(parts) + 1.2))
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(parts), 3, squeeze=False, width_ratios=(1.0, 1.1, 1.5))
    for row, part in zip(grid, parts, strict=True):
        _by_wire(row[0], result, part)
        _over_image(row[1], result, part)
        _by_frame(row[2], part)
    held = result.k_fold
    lines = [
        f"{result.phantom}: {result.method} fit, pitch {result.pitch_mm[0]:.4f} x {result.pitch_mm[1]:.4f} mm, "
        f"held-out error mean {held.mean_mm:.2f}, p95 {held.p95_mm:.2f}, max {held.max_mm:.2f} mm (all points)"
    ]
    lines += [f.text for f in result.findings[:3]] + list(result.notes[:2])
    if refused:
        lines = [f"REFUSED: {refused}", *lines[:1]]
    lines = [part for line in (note, *lines) for part in textwrap.wrap(line, 150)]
    figure.suptitle("\n".join(lines), fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def _by_wire(axes: Axes, result: NWireCalibration, part: RecordingResult) -> None:
    """Misfit cloud of each wire, mm: a cloud beside zero is a wire in the wrong place, a long one is poor echoes."""
    off = misfit_px(part.points, result.ImageToProbe) * np.array(result.pitch_mm)
    for k, wire in enumerate(part.points.phantom.wires):
        colour = _COLOURS[k // 3 % len(_COLOURS)]
        axes.plot(off[:, k, 0], off[:, k, 1], ".", ms=2, alpha=0.4, color=colour)
        x, y = off[:, k].mean(axis=0)
        axes.plot(x, y, "osD"[k % 3], ms=7, color=colour, markeredgecolor="black")
        axes.annotate(wire.name, (x, y), fontsize=7, xytext=(4, 4), textcoords="offset points")
    axes.axhline(0.0, color="0.7", lw=0.8)
    axes.axvline(0.0, color="0.7", lw=0.8)
    limit = max(0.6, float(np.percentile(np.abs(off), 99)) * 1.2)
    axes.set(xlim=(-limit, limit), ylim=(limit, -limit), aspect="equal")
    axes.set(xlabel="found - predicted, columns (mm)", ylabel="rows (mm)", title=f"by wire: {part.name[:24]}")


def _over_image(axes: Axes, result: NWireCalibration, part: RecordingResult) -> None:
    """Mean misfit of each wire where it lies in the image, ten times enlarged."""
    mean = part.points.dots_px.mean(axis=0)
    off = misfit_px(part.points, result.ImageToProbe).mean(axis=0)
    dots = part.points.dots_px
    for k in range(mean.shape[0]):
        axes.plot(dots[:, k, 0], dots[:, k, 1], ".", ms=2, alpha=0.3, color=_COLOURS[k // 3 % len(_COLOURS)])
    axes.quiver(
        mean[:, 0], mean[:, 1], 10 * off[:, 0], 10 * off[:, 1], angles="xy", scale_units="xy", scale=1, width=0.006
    )
    axes.set(xlim=(0, result.size_px[0]), ylim=(result.size_px[1], 0))
    axes.set_aspect(result.pitch_mm[1] / result.pitch_mm[0])
    axes.set(xlabel="column (px)", ylabel="row (px)", title="dots, and mean misfit x 10")


def _by_frame(axes: Axes, part: RecordingResult) -> None:
    phantom = part.points.phantom
    for k, pattern in enumerate(phantom.patterns):
        axes.plot(
            part.points.frame, part.errors_mm[:, k], ".-", ms=3, lw=0.5,
            color=_COLOURS[k % len(_COLOURS)], label=pattern.wires[1].name,
        )  # fmt: skip
    refused = [v for v in part.verdicts if v.refusal is not None]
    for v in refused:
        axes.axvline(v.index, color=_REFUSED, lw=1.0)
    by_code = sorted({v.refusal.code for v in refused if v.refusal is not None})
    axes.axhline(part.errors.p95_mm, color="black", lw=0.8, ls="--")
    axes.set_ylim(0.0, max(1.0, 1.1 * part.errors.max_mm))
    text = f"{part.used_n} of {len(part.verdicts)} frames used"
    text += f" (grey: refused for {', '.join(by_code)})" if by_code else ""
    e = part.errors
    axes.set(xlabel="frame", ylabel="3-D error of middle wire (mm)")
    axes.set_title(f"{text}\nmean {e.mean_mm:.2f}, p95 {e.p95_mm:.2f}, max {e.max_mm:.2f} mm", fontsize=9)
    axes.legend(fontsize=7, ncols=3)


def draw_frame(result: NWireCalibration, recording: Sequence, index: int, path: Path, note: str = "") -> None:
    """One image with the dots found (circles) and those predicted from the pose (crosses), or why it was refused."""
    part = result.calibration
    figure = Figure(figsize=(8, 6.4))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(recording.image(index), cmap="gray", aspect=result.pitch_mm[1] / result.pitch_mm[0])
    where = np.nonzero(part.points.frame == index)[0]
    if len(where):
        n = int(where[0])
        pose = part.points.PhantomToProbe[n : n + 1]
        predicted = predicted_dots_px(part.points.phantom, result.ImageToProbe, pose)[0]
        for k, wire in enumerate(part.points.phantom.wires):
            x, y = part.points.dots_px[n, k]
            axes.plot(x, y, "o", ms=14, mfc="none", color="tab:green")
            axes.plot(*predicted[k], "+", ms=12, color="tab:red")
            axes.annotate(wire.name, (x, y), color="white", fontsize=8, xytext=(9, 6), textcoords="offset points")
        axes.set_title(f"{note} frame {index}: found (o) and predicted from the pose (+)")
    else:
        verdict = next((v for v in part.verdicts if v.index == index), None)
        why = verdict.refusal.text if verdict is not None and verdict.refusal is not None else "not in the recording"
        axes.set_title(f"{note} frame {index} refused: {why}", fontsize=9)
    figure.savefig(path, dpi=100)


def draw_refused(refusal: NWireRefused, recording: Sequence, path: Path) -> None:
    """Six pictures spread over a refused recording: every dot found (circles), and what became of the frame."""
    seen = refusal.seen
    order = np.unique(np.linspace(0, len(seen.sample) - 1, 6).astype(int)) if seen.sample else np.array([], dtype=int)
    verdicts = {v.index: v for v in seen.verdicts}
    figure = Figure(figsize=(13, 9))
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, 3).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, k in zip(grid, order, strict=False):
        index, dots = seen.sample_frame[k], seen.sample[k][0]
        axes.imshow(
            luminance(recording.image(index)), cmap="gray", aspect=seen.pitch_guess_mm[1] / seen.pitch_guess_mm[0]
        )
        axes.plot(*dots.centre_px.T, "o", ms=11, mfc="none", color="tab:orange")
        verdict = verdicts[index].refusal
        text = "labelled" if verdict is None else verdict.text
        axes.set_title("\n".join(textwrap.wrap(f"frame {index}: {text}", 56)), fontsize=8)
    figure.suptitle("\n".join(textwrap.wrap(f"REFUSED: {refusal.reason}", 150)), fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
