"""Picture of a registration by bone: deviation of the bone from the design, and accuracy at the targets."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hal.errors import CalibrationRefused
from rig.calibration.figures import BAD, GOOD, GREY, wrapped
from rig.calibration.phantom.bone import BoneRegistration, Drawing, FittedBone, bones_at
from rig.calibration.phantom.vertebrae import signed_residuals
from rig.geometry.registration import apply_transform

SHOWN_MM = 2.0
"""Residuals beyond this have the colour of this."""


def draw_bone_registration(
    path: Path,
    fitted: FittedBone,
    d: Drawing,
    note: str,
    result: BoneRegistration | None = None,
    refusal: CalibrationRefused | None = None,
) -> Path:
    """The bone from above coloured by its residual, the residual along the spine by vertebra, and the targets' budget.

    Works on refused ones too. ``note`` stands on top (``SIMULATED``).
    """
    figure = Figure(figsize=(17.0, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    above, along, worth = figure.subplots(1, 3, width_ratios=(1.0, 1.6, 1.2))
    _above(above, fitted, d)
    _along(along, fitted, d, result)
    if result is not None:
        _worth(worth, result)
    else:
        _by_range(worth, fitted, d)
    if refusal is not None:
        title, colour = "REFUSED: " + wrapped(refusal.reason), BAD
    else:
        title, colour = "accepted", GOOD
    figure.suptitle(f"{note}   {title}" if note else title, color=colour, fontsize=11)
    figure.savefig(path, dpi=110)
    return path


def _above(ax: Axes, fitted: FittedBone, d: Drawing) -> None:
    every = d.surface.points
    ax.scatter(every[::7, 0], every[::7, 1], s=1, color="#d5d8dc")
    if len(fitted.points):
        p = apply_transform(fitted.RigToPhantom, fitted.points.points_mm)
        rest, _ = signed_residuals(fitted.points, fitted.RigToPhantom, d.surface)
        shown = ax.scatter(p[:, 0], p[:, 1], c=rest, s=5, cmap="coolwarm", vmin=-SHOWN_MM, vmax=SHOWN_MM)
        ax.figure.colorbar(shown, ax=ax, label="behind the drawn surface, mm", shrink=0.7)
    for name, at in d.places.targets.items():
        ax.plot(at[0], at[1], "k+", ms=9)
        ax.annotate(name.split(".")[0], (at[0], at[1]), xytext=(4, 4), textcoords="offset points", fontsize=8)
    ax.set_aspect("equal")
    ax.set_xlabel("X of the phantom, mm (left +)")
    ax.set_ylabel("Y, mm (cranial +)")
    ax.set_title("bone on the drawing, from above")


def _along(ax: Axes, fitted: FittedBone, d: Drawing, result: BoneRegistration | None) -> None:
    ax.axhline(0.0, color=GREY, lw=0.8)
    ax.set_xlabel("Y of the phantom, mm (cranial +)")
    ax.set_ylabel("behind the drawn surface, mm (residual, not accuracy)")
    ax.set_title("residual along the spine")
    if not len(fitted.points):
        return
    p = apply_transform(fitted.RigToPhantom, fitted.points.points_mm)
    rest, used = signed_residuals(fitted.points, fitted.RigToPhantom, d.surface)
    bones = bones_at(fitted.points, fitted.RigToPhantom, d)
    ax.set_ylim(-2.0 * SHOWN_MM, 2.0 * SHOWN_MM)
    rows = {row.bone: row for row in result.vertebrae} if result is not None else {}
    for k, bone in enumerate(sorted(set(bones.tolist()))):
        on = bones == bone
        if on.sum() < 10:
            continue
        ax.scatter(p[on, 1], np.clip(rest[on], -2 * SHOWN_MM, 2 * SHOWN_MM), s=4, color=f"C{k}", alpha=0.5)
        low, high = (float(v) for v in np.quantile(p[on, 1], (0.05, 0.95)))
        mean = float(np.median(rest[on]))
        row = rows.get(bone)
        ax.plot([low, high], [mean, mean], color=BAD if row is not None and row.far else "black", lw=2.5)
        if row is not None:
            ax.fill_between([low, high], -row.expected_mm, row.expected_mm, color=f"C{k}", alpha=0.15)
        ax.annotate(
            f"{bone}\n{mean:+.2f}", (0.5 * (low + high), (2.0 - 0.4 * (k % 2)) * SHOWN_MM), ha="center", va="top",
            color=f"C{k}", fontsize=9,
        )  # fmt: skip
    missed = int((~used).sum())
    ax.annotate(
        f"bars: median of a bone; bands: +- what is expected\n{missed} of {len(p)} points took no part",
        (0.02, 0.02), xycoords="axes fraction", fontsize=8,
    )  # fmt: skip


def _by_range(ax: Axes, fitted: FittedBone, d: Drawing) -> None:
    """A slope over the range is a wrong speed of sound or pixel pitch."""
    ax.set_title("refused: no error is predicted")
    ax.set_xlabel("range from the probe's face, mm")
    ax.set_ylabel("behind the drawn surface, mm")
    ax.axhline(0.0, color=GREY, lw=0.8)
    if not len(fitted.points):
        return
    rest, _ = signed_residuals(fitted.points, fitted.RigToPhantom, d.surface)
    at = fitted.points.range_mm
    ax.scatter(at, np.clip(rest, -2 * SHOWN_MM, 2 * SHOWN_MM), s=4, color=GREY, alpha=0.5)
    edges = np.arange(np.floor(at.min() / 5.0) * 5.0, at.max() + 5.0, 5.0)
    for low, high in pairwise(edges):
        own = (at >= low) & (at < high)
        if own.sum() >= 10:
            median = float(np.median(rest[own]))
            ax.plot([low, high], [median, median], color=BAD, lw=2.5)


def _worth(ax: Axes, result: BoneRegistration) -> None:
    ax.set_title("predicted error of each target")
    claims = result.budget.claims
    y = np.arange(len(claims))
    left = np.zeros(len(claims))
    for k, cause in enumerate(claims[0].by_cause_mm):
        # Squares add up: the bars are shares of the variance, scaled to the standard uncertainty.
        part = np.array([c.by_cause_mm[cause] ** 2 / c.sd_mm for c in claims])
        ax.barh(y, part, left=left, color=f"C{k}", label=cause)
        left += part
    ax.plot([c.simulated_sd_mm for c in claims], y, "kx", label="by repeated fits")
    ax.plot([c.radius_95_mm for c in claims], y, "k|", ms=14, label="95 % within")
    ax.set_yticks(y, [c.name for c in claims])
    ax.invert_yaxis()
    ax.set_xlim(left=0.0)
    ax.set_xlabel("3-D standard uncertainty, mm (lengths: share of the variance)")
    ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
